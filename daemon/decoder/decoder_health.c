#include "daemon/decoder/decoder_health.h"

#include "base/log.h"

void decoder_health_refused(struct decoder_health *h, const struct err *why)
{
        if (!h->failing)
                log_line(LOG_ERROR, "no image and no model can be read: %s", why->message);
        h->refusals++;
        h->failing = true;
}

void decoder_health_served(struct decoder_health *h)
{
        if (h->failing)
                log_line(LOG_INFO, "images and models are read again");
        h->failing = false;
}

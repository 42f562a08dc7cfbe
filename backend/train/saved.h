/* What a saved model's file tells of itself, in its metadata: the network, and what images go through before
 * it. */
#ifndef CNND_SAVED_H
#define CNND_SAVED_H

#include "base/err.h"
#include "data/recipe.h"
#include "model/safetensors.h"
#include "net/net.h"
#include "train/normalize.h"

#include <cjson/cJSON.h>

struct saved {
        struct net *net; /* owned, as all below */
        struct normalize normalize;
        struct recipe recipe;
        cJSON *classes; /* their names, as many as the network gives numbers */
};
/* ERR_INVALID, ERR_SYNTAX where the file does not tell it or what it tells is wrong. *ret is untouched on
   error, else freed by saved_finish. */
int saved_read(const struct safetensors *file, struct saved *ret, struct err *e);
void saved_finish(struct saved *s);

#endif

#include "daemon/http/problem.h"

static const struct {
        int code, status;
} statuses[] = {
        {ERR_SYNTAX, 400},
        {ERR_LOGIN, 401},
        {ERR_DENIED, 403},
        {ERR_NOT_FOUND, 404},
        {ERR_STATE, 409},
        {ERR_EXISTS, 409},
        {ERR_CANCELLED, 409},
        {ERR_TOO_LARGE, 413},
        {ERR_MEDIA, 415},
        {ERR_INVALID, 422},
        {ERR_QUOTA, 429},
        {ERR_INTERNAL, 500},
        {ERR_IO, 500},
        {ERR_DEVICE, 500},
        {ERR_BUILD, 500},
        {ERR_LOST, 503},
        {ERR_NO_MEMORY, 503},
        {ERR_UNAVAILABLE, 503},
        {ERR_CLOSED, 503},
        {ERR_DISK, 507},
        {ERR_DEVICE_MEMORY, 507},
};

static const struct {
        int status;
        const char *title;
} titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {507, "Insufficient Storage"},
};

int problem_status(int code)
{
        for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
                if (statuses[i].code == code)
                        return statuses[i].status;
        return 500;
}

const char *problem_title(int status)
{
        for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
                if (titles[i].status == status)
                        return titles[i].title;
        return "Error";
}

static void add_detail(struct str *out, const struct err *e)
{
        const char *advice = err_advice(e);
        struct str text = {0};
        str_addf(&text, "%s%s%s", e->message, advice[0] ? ": " : "", advice);
        str_add_json(out, text.failed ? e->message : text.data);
        str_free(&text);
}

void problem_write(struct str *out, int status, const struct err *e, bool oip)
{
        str_addf(out,
                "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":", problem_title(status),
                status);
        add_detail(out, e);
        if (oip) {
                str_add(out, ",\"error\":");
                add_detail(out, e);
        }
        if (e->pointer[0] || status == 400 || status == 413 || status == 415 || status == 422) {
                str_add(out, ",\"pointer\":");
                str_add_json(out, e->pointer);
        }
        str_add(out, "}\n");
}

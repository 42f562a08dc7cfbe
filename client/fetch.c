#include "client/fetch.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REPLY_MAX = 256 << 20, CONNECT_TIMEOUT_S = 10, STALL_S = 300, TICK_MS = 100 };

struct fetch {
        CURL *curl;
        CURLM *multi;
        char *url;         /* as the user wrote it */
        char *base;        /* what paths are appended to */
        char *socket_path; /* NULL for TCP */
        char *auth;        /* the header, NULL where anonymous */
};

/* One exchange under way. */
struct exchange {
        struct fetch *h;
        const struct fetch_request *q;
        struct fetch_reply *reply;
        int code; /* what a callback ended the exchange with, 0 while none did */
        struct err *e;
};

static bool has_prefix(const char *text, const char *prefix)
{
        return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_loopback(const char *url)
{
        const char *host = strstr(url, "://") + 3;
        return has_prefix(host, "127.") || has_prefix(host, "[::1]") || has_prefix(host, "localhost");
}

/* A control character in a header would let its value add headers of its own. */
static bool header_safe(const char *text)
{
        for (const unsigned char *p = (const unsigned char *)text; *p; p++)
                if (*p < 0x20 || *p == 0x7F)
                        return false;
        return true;
}

static int set_address(struct fetch *h, const char *url, struct err *e)
{
        if (has_prefix(url, "unix:") && url[5]) {
                h->socket_path = strdup(url + 5);
                h->base = strdup("http://localhost");
        } else if ((has_prefix(url, "http://") && url[7]) || (has_prefix(url, "https://") && url[8])) {
                h->base = strdup(url);
                for (size_t n = h->base ? strlen(h->base) : 0; n && h->base[n - 1] == '/'; n--)
                        h->base[n - 1] = '\0';
        } else {
                return err_set(e, ERR_INVALID,
                        "\"%s\" is no address of a server; http://HOST:PORT, https://… or unix:PATH is", url);
        }
        h->url = strdup(url);
        return h->url && h->base ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a connection");
}

int fetch_create(const char *url, const char *token, struct fetch **ret, struct err *e)
{
        struct fetch *h = calloc(1, sizeof *h);
        int rc = h ? set_address(h, url, e) : err_set(e, ERR_NO_MEMORY, "no memory for a connection");
        if (rc != 0)
                goto out;
        if (token && token[0]) {
                struct str auth = {0};
                str_addf(&auth, "Authorization: Bearer %s", token);
                h->auth = str_take(&auth);
                if (!header_safe(token)) {
                        rc = err_set(e, ERR_INVALID, "the token holds a control character");
                        goto out;
                }
        }
        h->curl = curl_easy_init();
        h->multi = curl_multi_init();
        if (!h->curl || !h->multi || (token && token[0] && !h->auth)) {
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a connection");
                goto out;
        }
        *ret = h;
        return 0;
out:
        fetch_destroy(h);
        return rc;
}

void fetch_destroy(struct fetch *h)
{
        if (!h)
                return;
        curl_multi_cleanup(h->multi);
        curl_easy_cleanup(h->curl);
        free(h->url);
        free(h->base);
        free(h->socket_path);
        free(h->auth);
        free(h);
}

const char *fetch_url(const struct fetch *h)
{
        return h->url;
}

/* Copies the value of header `name` where `line` is that header; the line ends in CRLF, not in NUL. */
static bool header_value(const char *line, size_t len, const char *name, char *out, size_t out_len)
{
        size_t n = strlen(name);
        if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
                return false;
        const char *p = line + n + 1, *end = line + len;
        while (p < end && (*p == ' ' || *p == '\t'))
                p++;
        while (end > p && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
                end--;
        snprintf(out, out_len, "%.*s", (int)(end - p), p);
        return true;
}

static size_t on_header(char *line, size_t size, size_t count, void *data)
{
        struct exchange *x = data;
        struct fetch_reply *r = x->reply;
        size_t len = size * count;
        char text[32];
        if (len > 5 && memcmp(line, "HTTP/", 5) == 0) { /* a new answer, after 100 Continue say */
                r->type[0] = r->location[0] = '\0';
                r->retry_after_s = 0;
        } else if (header_value(line, len, "content-type", r->type, sizeof r->type)) {
                r->type[strcspn(r->type, "; ")] = '\0';
        } else if (header_value(line, len, "retry-after", text, sizeof text)) {
                long seconds = strtol(text, NULL, 10);
                r->retry_after_s = seconds > 0 && seconds < 86400 ? (int)seconds : 0;
        } else {
                header_value(line, len, "location", r->location, sizeof r->location);
        }
        return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
        struct exchange *x = data;
        size_t len = size * count;
        long status = 0;
        curl_easy_getinfo(x->h->curl, CURLINFO_RESPONSE_CODE, &status);
        if (x->q->sink && status / 100 == 2) {
                x->code = x->q->sink(x->q->sink_data, bytes, len);
        } else {
                str_add_bytes(&x->reply->body, bytes, len);
                if (x->reply->body.failed || x->reply->body.len > REPLY_MAX)
                        x->code = err_set(x->e, ERR_TOO_LARGE, "the server's answer is too large");
        }
        return x->code == 0 ? len : CURL_WRITEFUNC_ERROR;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *data)
{
        struct exchange *x = data;
        int64_t n = x->q->source(x->q->source_data, bytes, size * count);
        if (n >= 0)
                return (size_t)n;
        x->code = (int)n;
        return CURL_READFUNC_ABORT;
}

static void set_body(CURL *c, struct exchange *x)
{
        const struct fetch_request *q = x->q;
        if (q->source) {
                curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
                curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
                curl_easy_setopt(c, CURLOPT_READDATA, x);
                curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->source_len);
        } else if (q->body || strcmp(q->method, "GET") != 0) {
                curl_easy_setopt(c, CURLOPT_POST, 1L);
                curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
                curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body ? q->body : "");
        }
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static int set_up(struct exchange *x, struct curl_slist **headers, struct str *url, char *problem)
{
        struct fetch *h = x->h;
        CURL *c = h->curl;
        const char *const own[] = {h->auth, "User-Agent: cnnctl/" CNND_VERSION};
        curl_easy_reset(c);
        str_addf(url, "%s%s", h->base, x->q->path);
        for (int i = 0; i < FETCH_MAX_HEADERS + 2; i++) {
                const char *line = i < FETCH_MAX_HEADERS ? x->q->headers[i] : own[i - FETCH_MAX_HEADERS];
                struct curl_slist *more = line ? curl_slist_append(*headers, line) : *headers;
                if (line && !more)
                        return err_set(x->e, ERR_NO_MEMORY, "no memory for a request");
                *headers = more;
        }
        if (url->failed)
                return err_set(x->e, ERR_NO_MEMORY, "no memory for a request");
        curl_easy_setopt(c, CURLOPT_URL, url->data);
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
        if (h->socket_path)
                curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, h->socket_path);
        if (h->socket_path || is_loopback(h->base)) /* a proxy of the environment is not meant for these */
                curl_easy_setopt(c, CURLOPT_PROXY, "");
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, *headers);
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, problem);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)(x->q->stall_s ? x->q->stall_s : STALL_S));
        curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
        set_body(c, x);
        return 0;
}

/* Runs the exchange to its end; what libcurl says of it. */
static CURLcode perform(struct exchange *x)
{
        int running = 1, queued;
        CURLMcode rc = curl_multi_add_handle(x->h->multi, x->h->curl);
        while (rc == CURLM_OK && running && x->code == 0) {
                rc = curl_multi_perform(x->h->multi, &running);
                if (rc == CURLM_OK && running && x->code == 0)
                        rc = curl_multi_poll(x->h->multi, NULL, 0, TICK_MS, NULL);
                if (x->q->tick && x->code == 0)
                        x->code = x->q->tick(x->q->tick_data);
        }
        CURLcode result = rc == CURLM_OK ? CURLE_OK : CURLE_OUT_OF_MEMORY;
        for (CURLMsg *m; (m = curl_multi_info_read(x->h->multi, &queued)) != NULL;)
                if (m->msg == CURLMSG_DONE)
                        result = m->data.result;
        curl_multi_remove_handle(x->h->multi, x->h->curl);
        return result;
}

static int broken(struct exchange *x, CURLcode rc, const char *problem, int *sent)
{
        curl_off_t bytes = 0;
        long status = 0;
        curl_easy_getinfo(x->h->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(x->h->curl, CURLINFO_SIZE_UPLOAD_T, &bytes);
        bool reached = rc != CURLE_COULDNT_CONNECT && rc != CURLE_COULDNT_RESOLVE_HOST &&
                       rc != CURLE_COULDNT_RESOLVE_PROXY && rc != CURLE_SSL_CONNECT_ERROR &&
                       rc != CURLE_PEER_FAILED_VERIFICATION;
        if (sent)
                *sent = reached;
        const char *why = problem[0] ? problem : curl_easy_strerror(rc);
        if (!reached)
                return err_set(x->e, ERR_CLOSED, "no server answers at %s: %s", x->h->url, why);
        return err_set(x->e, ERR_CLOSED, "the connection to %s broke: %s", x->h->url, why);
}

int fetch_send(
        struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret, int *sent, struct err *e)
{
        struct fetch_reply reply = {0};
        struct exchange x = {.h = h, .q = q, .reply = &reply, .e = e};
        struct curl_slist *headers = NULL;
        struct str url = {0};
        char problem[CURL_ERROR_SIZE] = "";
        long status = 0;
        int rc = set_up(&x, &headers, &url, problem);
        if (rc != 0)
                goto out;
        CURLcode result = perform(&x);
        curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
        /* A server may refuse a body half-way and hang up: its answer counts, not the failed write. */
        bool refused = status >= 400 && (result == CURLE_SEND_ERROR || result == CURLE_PARTIAL_FILE);
        if (x.code != 0)
                rc = x.code;
        else if (result != CURLE_OK && !refused)
                rc = broken(&x, result, problem, sent);
        reply.status = (int)status;
out:
        curl_slist_free_all(headers);
        str_free(&url);
        if (rc == 0)
                *ret = reply;
        else
                fetch_reply_finish(&reply);
        return rc;
}

void fetch_reply_finish(struct fetch_reply *r)
{
        str_free(&r->body);
        *r = (struct fetch_reply){0};
}

void fetch_escape(struct str *s, const char *text)
{
        for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
                bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                             (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;
                if (plain)
                        str_add_bytes(s, p, 1);
                else
                        str_addf(s, "%%%02X", *p);
        }
}

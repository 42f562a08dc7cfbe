#include "client/address.h"
#include "base/clock.h"
#include "client/talk.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fetch {
        struct address address;
        CURL *curl;
        CURLM *multi;
        struct talk *now; /* under way, borrowed */
};

int fetch_create(const char *url, const char *token, struct fetch **ret, struct err *e)
{
        struct address address;
        int rc = address_parse(url, token, &address, e);
        if (rc != 0)
                return rc;
        struct fetch *h = curl_global_init(CURL_GLOBAL_DEFAULT) == 0 ? calloc(1, sizeof *h) : NULL;
        if (!h) {
                address_finish(&address);
                return err_set(e, ERR_INTERNAL, "libcurl does not start");
        }
        *h = (struct fetch){.address = address, .curl = curl_easy_init(), .multi = curl_multi_init()};
        if (!h->curl || !h->multi) {
                fetch_destroy(h);
                return err_set(e, ERR_NO_MEMORY, "no memory for a connection");
        }
        *ret = h;
        return 0;
}

void fetch_destroy(struct fetch *h)
{
        if (!h)
                return;
        curl_multi_cleanup(h->multi);
        curl_easy_cleanup(h->curl);
        curl_global_cleanup();
        address_finish(&h->address);
        free(h);
}

const char *fetch_url(const struct fetch *h)
{
        return h->address.url;
}

static size_t on_header(char *line, size_t size, size_t count, void *data)
{
        struct fetch *h = data;
        size_t len = size * count;
        char name[32];
        const char *colon = memchr(line, ':', len);
        size_t name_len = colon ? (size_t)(colon - line) : 0;
        if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
                talk_begin_reply(h->now);
        } else if (colon && name_len < sizeof name) { /* the line ends in CRLF, not in NUL */
                memcpy(name, line, name_len);
                name[name_len] = '\0';
                talk_header(h->now, name, colon + 1, len - name_len - 1);
        }
        return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data)
{
        struct fetch *h = data;
        size_t len = size * count;
        long status = 0;
        curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
        return talk_body(h->now, (int)status, bytes, len) ? len : CURL_WRITEFUNC_ERROR;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *data)
{
        struct fetch *h = data;
        int64_t n = talk_source(h->now, bytes, size * count);
        return n >= 0 ? (size_t)n : CURL_READFUNC_ABORT;
}

static void set_body(struct fetch *h)
{
        const struct fetch_request *q = h->now->q;
        if (q->source) {
                curl_easy_setopt(h->curl, CURLOPT_UPLOAD, 1L);
                curl_easy_setopt(h->curl, CURLOPT_READFUNCTION, on_read);
                curl_easy_setopt(h->curl, CURLOPT_READDATA, h);
                curl_easy_setopt(h->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->source_len);
        } else if (q->body || strcmp(q->method, "GET") != 0) {
                curl_easy_setopt(h->curl, CURLOPT_POST, 1L);
                curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
                curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, q->body ? q->body : "");
        }
        curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, q->method);
}

static int add_header(struct curl_slist **list, const char *line, struct err *e)
{
        struct curl_slist *more = line ? curl_slist_append(*list, line) : *list;
        if (line && !more)
                return err_set(e, ERR_NO_MEMORY, "no memory for a request");
        *list = more;
        return 0;
}

static int set_headers(struct fetch *h, struct curl_slist **list)
{
        const struct talk *x = h->now;
        int rc = add_header(list, h->address.auth, x->e);
        for (int i = 0; rc == 0 && i < FETCH_MAX_HEADERS; i++)
                rc = add_header(list, x->q->headers[i], x->e);
        curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, *list);
        return rc;
}

static int set_up(struct fetch *h, struct curl_slist **headers, struct str *url, char *problem)
{
        CURL *c = h->curl;
        curl_easy_reset(c);
        str_addf(url, "%s%s", h->address.base, h->now->q->path);
        if (url->failed)
                return err_set(h->now->e, ERR_NO_MEMORY, "no memory for a request");
        curl_easy_setopt(c, CURLOPT_URL, url->data);
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
        if (h->address.socket_path)
                curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, h->address.socket_path);
        if (h->address.local)
                curl_easy_setopt(c, CURLOPT_PROXY, "");
        /* Debian's libcurl names the system's list, so that OpenSSL's own variable would not count. */
        const char *authorities = getenv("SSL_CERT_FILE");
        if (authorities && authorities[0])
                curl_easy_setopt(c, CURLOPT_CAINFO, authorities);
        curl_easy_setopt(c, CURLOPT_USERAGENT, TALK_AGENT);
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, problem);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)TALK_CONNECT_S);
        curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
        set_body(h);
        return set_headers(h, headers);
}

/* Bytes so far, either way, and when that last changed, in whole seconds of a steady clock. */
struct progress {
        int64_t bytes, since_s;
};

/* Whether nothing came or went for as long as the exchange may stall. libcurl's own limit is a speed, below
   which heartbeats of three bytes stay. */
static bool stalled(const struct fetch *h, struct progress *p)
{
        curl_off_t up = 0, down = 0;
        long headers = 0;
        const int64_t now_s = clock_now_ms() / 1000;
        curl_easy_getinfo(h->curl, CURLINFO_SIZE_UPLOAD_T, &up);
        curl_easy_getinfo(h->curl, CURLINFO_SIZE_DOWNLOAD_T, &down);
        curl_easy_getinfo(h->curl, CURLINFO_HEADER_SIZE, &headers);
        int64_t bytes = (int64_t)up + down + headers;
        if (bytes != p->bytes)
                *p = (struct progress){bytes, now_s};
        return now_s - p->since_s > talk_stall_s(h->now);
}

/* Runs the exchange to its end; what libcurl says of it, and more in `problem`. */
static CURLcode perform(struct fetch *h, char *problem)
{
        int running = 1, queued;
        struct progress progress = {.bytes = -1};
        bool stall = false;
        CURLMcode rc = curl_multi_add_handle(h->multi, h->curl);
        while (rc == CURLM_OK && running && h->now->code == 0 && !stall) {
                rc = curl_multi_perform(h->multi, &running);
                if (rc == CURLM_OK && running && h->now->code == 0)
                        rc = curl_multi_poll(h->multi, NULL, 0, TALK_TICK_MS, NULL);
                talk_tick(h->now);
                stall = running && stalled(h, &progress);
        }
        CURLcode result = rc != CURLM_OK ? CURLE_OUT_OF_MEMORY : stall ? CURLE_OPERATION_TIMEDOUT : CURLE_OK;
        if (stall)
                snprintf(problem, CURL_ERROR_SIZE, "no byte for %d s", talk_stall_s(h->now));
        for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &queued)) != NULL;)
                if (m->msg == CURLMSG_DONE)
                        result = m->data.result;
        curl_multi_remove_handle(h->multi, h->curl);
        return result;
}

static int broken(struct fetch *h, CURLcode rc, const char *problem, int *sent)
{
        bool reached = rc != CURLE_COULDNT_CONNECT && rc != CURLE_COULDNT_RESOLVE_HOST &&
                       rc != CURLE_COULDNT_RESOLVE_PROXY && rc != CURLE_SSL_CONNECT_ERROR &&
                       rc != CURLE_PEER_FAILED_VERIFICATION;
        long cause = 0;
        if (sent)
                *sent = reached;
        /* libcurl's own words name the host and the port that stand in for the socket. */
        if (rc == CURLE_COULDNT_CONNECT && h->address.socket_path &&
                curl_easy_getinfo(h->curl, CURLINFO_OS_ERRNO, &cause) == CURLE_OK && cause)
                problem = strerror((int)cause);
        if (rc == CURLE_PEER_FAILED_VERIFICATION)
                return err_set(h->now->e, ERR_CLOSED,
                        "%s is not trusted: %s; SSL_CERT_FILE may name its authority", h->address.url,
                        problem[0] ? problem : curl_easy_strerror(rc));
        return talk_broken(h->now, h->address.url, reached, problem[0] ? problem : curl_easy_strerror(rc));
}

int fetch_send(
        struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret, int *sent, struct err *e)
{
        struct fetch_reply reply = {0};
        struct talk x = {.q = q, .reply = &reply, .e = e};
        struct curl_slist *headers = NULL;
        struct str url = {0};
        char problem[CURL_ERROR_SIZE] = "";
        long status = 0;
        h->now = &x;
        int rc = set_up(h, &headers, &url, problem);
        if (rc != 0)
                goto out;
        CURLcode result = perform(h, problem);
        curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
        /* A server may refuse a body half-way and hang up: its answer counts, not the failed write. */
        bool refused = status >= 400 && (result == CURLE_SEND_ERROR || result == CURLE_PARTIAL_FILE);
        if (x.code != 0)
                rc = x.code;
        else if (result != CURLE_OK && !refused)
                rc = broken(h, result, problem, sent);
        reply.status = (int)status;
out:
        h->now = NULL;
        curl_slist_free_all(headers);
        str_free(&url);
        if (rc == 0)
                *ret = reply;
        else
                fetch_reply_finish(&reply);
        return rc;
}

#include "client/address.h"
#include "client/talk.h"
#include "base/win.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>
#include <winhttp.h>

enum { PIECE = 1 << 16, HEADER_MAX = 512 };

struct fetch {
        struct address address;
        HINTERNET session, connection;
        wchar_t *base_path; /* owned, what paths are appended to */
        bool secure;
};

/* What WinHTTP's threads and ours share of one exchange. One operation is under way at a time; `done` is set
   when it has ended. Freed by whoever lets go of it last, for a request that is given up may end later. */
struct call {
        volatile LONG holders;
        HANDLE done;
        DWORD code;  /* of the operation that ended, 0 when it went well */
        DWORD bytes; /* that it read, or that can be read */
        volatile LONG reached;
        volatile LONG distrust; /* what is wrong with the certificate: WINHTTP_CALLBACK_STATUS_FLAG_… */
        char piece[PIECE];
};

static void call_release(struct call *c)
{
        if (!c || InterlockedDecrement(&c->holders) > 0)
                return;
        CloseHandle(c->done);
        free(c);
}

static struct call *call_create(void)
{
        struct call *c = calloc(1, sizeof *c);
        if (!c)
                return NULL;
        c->holders = 1;
        c->done = CreateEventW(NULL, FALSE, FALSE, NULL);
        if (c->done)
                return c;
        free(c);
        return NULL;
}

static void finish(struct call *c, DWORD code, DWORD bytes)
{
        c->code = code;
        c->bytes = bytes;
        SetEvent(c->done);
}

static void CALLBACK on_status(HINTERNET handle, DWORD_PTR context, DWORD status, void *info, DWORD len)
{
        struct call *c = (struct call *)context;
        (void)handle;
        if (!c)
                return;
        switch (status) {
        case WINHTTP_CALLBACK_STATUS_SENDING_REQUEST:
                InterlockedExchange(&c->reached, 1);
                break;
        case WINHTTP_CALLBACK_STATUS_SECURE_FAILURE:
                InterlockedExchange(&c->distrust, *(LONG *)info);
                break;
        case WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE:
        case WINHTTP_CALLBACK_STATUS_WRITE_COMPLETE:
        case WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE:
                finish(c, 0, 0);
                break;
        case WINHTTP_CALLBACK_STATUS_DATA_AVAILABLE:
                finish(c, 0, *(DWORD *)info);
                break;
        case WINHTTP_CALLBACK_STATUS_READ_COMPLETE:
                finish(c, 0, len);
                break;
        case WINHTTP_CALLBACK_STATUS_REQUEST_ERROR:
                finish(c, ((WINHTTP_ASYNC_RESULT *)info)->dwError, 0);
                break;
        case WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING:
                call_release(c);
                break;
        }
}

/* Waits for the operation that `started` says is under way, ticking. The code of what went wrong, 0 if
   nothing; ERROR_CANCELLED where the talk has a code of its own. */
static DWORD await(struct talk *x, struct call *c, BOOL started)
{
        if (!started)
                return GetLastError();
        DWORD rc;
        do {
                rc = WaitForSingleObject(c->done, TALK_TICK_MS);
                if (!talk_tick(x))
                        return ERROR_CANCELLED;
        } while (rc == WAIT_TIMEOUT);
        return rc == WAIT_OBJECT_0 ? c->code : GetLastError();
}

static int set_up(struct fetch *h, struct err *e)
{
        URL_COMPONENTS u = {.dwStructSize = sizeof u, .dwHostNameLength = 1, .dwUrlPathLength = 1};
        wchar_t *url = win_wide(h->address.base), *host = NULL;
        int rc = 0;
        if (h->address.socket_path)
                rc = err_set(e, ERR_INVALID, "%s: on Windows a server is http://HOST:PORT or https://…",
                        h->address.url);
        else if (url && !WinHttpCrackUrl(url, 0, 0, &u))
                rc = err_set(e, ERR_INVALID, "\"%s\" is not the address of a server", h->address.url);
        else if (url && (host = calloc(u.dwHostNameLength + 1, sizeof *host)) != NULL)
                h->base_path = calloc(u.dwUrlPathLength + 1, sizeof *h->base_path);
        if (rc == 0 && !h->base_path)
                rc = err_set(e, ERR_NO_MEMORY, "no memory for a connection");
        if (rc != 0)
                goto out;
        wmemcpy(host, u.lpszHostName, u.dwHostNameLength);
        wmemcpy(h->base_path, u.lpszUrlPath, u.dwUrlPathLength);
        h->secure = u.nScheme == INTERNET_SCHEME_HTTPS;
        h->session = WinHttpOpen(L"" TALK_AGENT,
                h->address.local ? WINHTTP_ACCESS_TYPE_NO_PROXY : WINHTTP_ACCESS_TYPE_AUTOMATIC_PROXY,
                WINHTTP_NO_PROXY_NAME, WINHTTP_NO_PROXY_BYPASS, WINHTTP_FLAG_ASYNC);
        if (h->session)
                h->connection = WinHttpConnect(h->session, host, u.nPort, 0);
        if (!h->connection)
                rc = win_err(e, GetLastError(), "WinHTTP does not start");
out:
        free(url);
        free(host);
        return rc;
}

int fetch_create(const char *url, const char *token, struct fetch **ret, struct err *e)
{
        struct fetch *h = calloc(1, sizeof *h);
        if (!h)
                return err_set(e, ERR_NO_MEMORY, "no memory for a connection");
        int rc = address_parse(url, token, &h->address, e);
        if (rc == 0)
                rc = set_up(h, e);
        if (rc == 0)
                *ret = h;
        else
                fetch_destroy(h);
        return rc;
}

void fetch_destroy(struct fetch *h)
{
        if (!h)
                return;
        if (h->connection)
                WinHttpCloseHandle(h->connection);
        if (h->session)
                WinHttpCloseHandle(h->session);
        address_finish(&h->address);
        free(h->base_path);
        free(h);
}

const char *fetch_url(const struct fetch *h)
{
        return h->address.url;
}

static DWORD add_header(HINTERNET request, const char *line)
{
        wchar_t *wide = line ? win_wide(line) : NULL;
        if (!wide)
                return line ? ERROR_OUTOFMEMORY : 0;
        DWORD flags = WINHTTP_ADDREQ_FLAG_ADD | WINHTTP_ADDREQ_FLAG_REPLACE;
        DWORD code = WinHttpAddRequestHeaders(request, wide, (DWORD)-1, flags) ? 0 : GetLastError();
        free(wide);
        return code;
}

static uint64_t body_len(const struct fetch_request *q)
{
        return q->source ? q->source_len : q->body_len;
}

static DWORD add_headers(struct fetch *h, const struct fetch_request *q, HINTERNET request)
{
        char length[48];
        DWORD code = add_header(request, h->address.auth);
        for (int i = 0; code == 0 && i < FETCH_MAX_HEADERS; i++)
                code = add_header(request, q->headers[i]);
        /* WinHttpSendRequest takes a length of 32 bits. */
        snprintf(length, sizeof length, "Content-Length: %" PRIu64, body_len(q));
        return code == 0 && body_len(q) > MAXDWORD ? add_header(request, length) : code;
}

/* The request, nothing of it sent yet. */
static DWORD create_request(struct fetch *h, const struct fetch_request *q, HINTERNET *ret)
{
        wchar_t *method = win_wide(q->method), *own = win_wide(q->path), *path = NULL;
        DWORD flags = WINHTTP_FLAG_ESCAPE_DISABLE | (h->secure ? WINHTTP_FLAG_SECURE : 0);
        DWORD code = ERROR_OUTOFMEMORY;
        if (method && own)
                path = malloc((wcslen(h->base_path) + wcslen(own) + 1) * sizeof *path);
        if (path) {
                wcscat(wcscpy(path, h->base_path), own);
                *ret = WinHttpOpenRequest(h->connection, method, path, NULL, WINHTTP_NO_REFERER,
                        WINHTTP_DEFAULT_ACCEPT_TYPES, flags);
                code = *ret ? 0 : GetLastError();
        }
        free(method);
        free(own);
        free(path);
        return code;
}

/* From here on the request holds `c`, until WinHTTP says that it is closed. */
static DWORD hand_over(HINTERNET request, struct call *c)
{
        DWORD_PTR context = (DWORD_PTR)c;
        if (!WinHttpSetOption(request, WINHTTP_OPTION_CONTEXT_VALUE, &context, sizeof context))
                return GetLastError();
        InterlockedIncrement(&c->holders);
        if (WinHttpSetStatusCallback(request, on_status, WINHTTP_CALLBACK_FLAG_ALL_NOTIFICATIONS, 0) !=
                WINHTTP_INVALID_STATUS_CALLBACK)
                return 0;
        DWORD code = GetLastError();
        call_release(c);
        return code;
}

static DWORD open_request(struct fetch *h, const struct talk *x, struct call *c, HINTERNET *ret)
{
        DWORD off = WINHTTP_DISABLE_COOKIES | WINHTTP_DISABLE_REDIRECTS | WINHTTP_DISABLE_AUTHENTICATION;
        DWORD stall_ms = (DWORD)talk_stall_s(x) * 1000;
        int connect_ms = TALK_CONNECT_S * 1000;
        DWORD code = create_request(h, x->q, ret);
        if (code == 0)
                code = hand_over(*ret, c);
        if (code != 0)
                return code;
        if (!WinHttpSetTimeouts(*ret, connect_ms, connect_ms, (int)stall_ms, (int)stall_ms) ||
                !WinHttpSetOption(
                        *ret, WINHTTP_OPTION_RECEIVE_RESPONSE_TIMEOUT, &stall_ms, sizeof stall_ms) ||
                !WinHttpSetOption(*ret, WINHTTP_OPTION_DISABLE_FEATURE, &off, sizeof off))
                return GetLastError();
        return add_headers(h, x->q, *ret);
}

/* The next bytes of the body into c->piece; 0 at its end, -1 when the talk ended. */
static int64_t next_piece(struct talk *x, struct call *c, uint64_t at)
{
        uint64_t left = body_len(x->q) - at;
        size_t len = left < PIECE ? (size_t)left : PIECE;
        if (x->q->source)
                return talk_source(x, c->piece, len);
        if (len)
                memcpy(c->piece, (const char *)x->q->body + at, len);
        return (int64_t)len;
}

static DWORD send_request(struct talk *x, struct call *c, HINTERNET request)
{
        uint64_t len = body_len(x->q), at = 0;
        DWORD total = len <= MAXDWORD ? (DWORD)len : WINHTTP_IGNORE_REQUEST_TOTAL_LENGTH;
        DWORD code = await(x, c,
                WinHttpSendRequest(request, WINHTTP_NO_ADDITIONAL_HEADERS, 0, WINHTTP_NO_REQUEST_DATA, 0,
                        total, (DWORD_PTR)c));
        while (code == 0 && at < len) {
                int64_t n = next_piece(x, c, at);
                if (n == 0)
                        x->code = err_set(x->e, ERR_STATE, "what is sent became shorter meanwhile");
                if (n <= 0)
                        return ERROR_CANCELLED;
                code = await(x, c, WinHttpWriteData(request, c->piece, (DWORD)n, NULL));
                at += (uint64_t)n;
        }
        return code;
}

/* A header's text, "" where it was not sent. */
static void read_header(HINTERNET request, DWORD which, char *out, size_t out_len)
{
        wchar_t wide[HEADER_MAX];
        DWORD size = sizeof wide;
        out[0] = '\0';
        if (WinHttpQueryHeaders(
                    request, which, WINHTTP_HEADER_NAME_BY_INDEX, wide, &size, WINHTTP_NO_HEADER_INDEX) &&
                WideCharToMultiByte(CP_UTF8, 0, wide, -1, out, (int)out_len, NULL, NULL) == 0)
                out[0] = '\0';
}

/* *ret_len is what Content-Length promises, -1 where it does not. */
static DWORD read_headers(struct talk *x, struct call *c, HINTERNET request, int64_t *ret_len)
{
        static const struct {
                const char *name;
                DWORD which;
        } kept[] = {{"content-type", WINHTTP_QUERY_CONTENT_TYPE}, {"location", WINHTTP_QUERY_LOCATION},
                {"retry-after", WINHTTP_QUERY_RETRY_AFTER}};
        char text[3 * HEADER_MAX];
        DWORD status = 0, size = sizeof status;
        DWORD code = await(x, c, WinHttpReceiveResponse(request, NULL));
        if (code != 0)
                return code;
        if (!WinHttpQueryHeaders(request, WINHTTP_QUERY_STATUS_CODE | WINHTTP_QUERY_FLAG_NUMBER,
                    WINHTTP_HEADER_NAME_BY_INDEX, &status, &size, WINHTTP_NO_HEADER_INDEX))
                return GetLastError();
        x->reply->status = (int)status;
        for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
                read_header(request, kept[i].which, text, sizeof text);
                if (text[0])
                        talk_header(x, kept[i].name, text, strlen(text));
        }
        read_header(request, WINHTTP_QUERY_CONTENT_LENGTH, text, sizeof text);
        *ret_len = text[0] ? strtoll(text, NULL, 10) : -1;
        return 0;
}

static DWORD read_body(struct talk *x, struct call *c, HINTERNET request, int64_t promised)
{
        int64_t got = 0;
        for (;;) {
                /* Asking first makes each event come through as soon as it is there. */
                DWORD code = await(x, c, WinHttpQueryDataAvailable(request, NULL));
                DWORD n = c->bytes < PIECE ? c->bytes : PIECE;
                if (code == 0 && n > 0)
                        code = await(x, c, WinHttpReadData(request, c->piece, n, NULL));
                if (code != 0)
                        return code;
                if (n == 0 || c->bytes == 0)
                        return promised > got ? ERROR_HANDLE_EOF : 0;
                got += c->bytes;
                if (!talk_body(x, x->reply->status, c->piece, c->bytes))
                        return ERROR_CANCELLED;
        }
}

static int broken(const struct fetch *h, const struct talk *x, const struct call *c, DWORD code, int *sent)
{
        static const struct {
                DWORD code;
                const char *words;
        } table[] = {{ERROR_WINHTTP_NAME_NOT_RESOLVED, "the host's name is unknown"},
                {ERROR_WINHTTP_CANNOT_CONNECT, "nobody listens there, or a firewall is in the way"},
                {ERROR_WINHTTP_TIMEOUT, "it does not answer in time"},
                {ERROR_WINHTTP_CONNECTION_ERROR, "it was reset or closed"},
                {ERROR_WINHTTP_INVALID_SERVER_RESPONSE, "the answer is not HTTP"},
                {ERROR_WINHTTP_SECURE_FAILURE, "TLS failed"},
                {ERROR_WINHTTP_SECURE_CHANNEL_ERROR, "TLS failed; Windows may not trust its certificate"},
                {ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED, "the server wants a certificate of the client"},
                {ERROR_WINHTTP_AUTODETECTION_FAILED, "the proxy's configuration was not found"},
                {ERROR_HANDLE_EOF, "it ended too early"}, {ERROR_OUTOFMEMORY, "no memory"}};
        bool reached = c->reached && code != ERROR_WINHTTP_SECURE_FAILURE &&
                       code != ERROR_WINHTTP_SECURE_CHANNEL_ERROR && code != ERROR_WINHTTP_CANNOT_CONNECT &&
                       code != ERROR_WINHTTP_CLIENT_AUTH_CERT_NEEDED;
        struct err words;
        const char *why = NULL;
        if (sent)
                *sent = reached;
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
                if (table[i].code == code)
                        why = table[i].words;
        if (c->distrust & WINHTTP_CALLBACK_STATUS_FLAG_INVALID_CA)
                why = "Windows does not trust the authority of its certificate";
        else if (c->distrust & WINHTTP_CALLBACK_STATUS_FLAG_CERT_CN_INVALID)
                why = "its certificate is for another name";
        else if (c->distrust & WINHTTP_CALLBACK_STATUS_FLAG_CERT_DATE_INVALID)
                why = "its certificate has expired, or is not valid yet";
        if (!why) {
                win_err(&words, code, "WinHTTP");
                why = words.message;
        }
        return talk_broken(x, h->address.url, reached, why);
}

int fetch_send(
        struct fetch *h, const struct fetch_request *q, struct fetch_reply *ret, int *sent, struct err *e)
{
        struct fetch_reply reply = {0};
        struct talk x = {.q = q, .reply = &reply, .e = e};
        struct call *c = call_create();
        HINTERNET request = NULL;
        int64_t promised = -1;
        if (!c)
                return err_set(e, ERR_NO_MEMORY, "no memory for a request");
        DWORD code = open_request(h, &x, c, &request);
        DWORD unsent = code == 0 ? send_request(&x, c, request) : 0;
        /* A server may refuse a body half-way and hang up: its answer counts, not the failed write. */
        if (code == 0 && x.code == 0 && (unsent == 0 || c->reached))
                code = read_headers(&x, c, request, &promised);
        bool refused = unsent != 0 && reply.status >= 400;
        if (unsent != 0 && !refused)
                code = unsent;
        if (code == 0)
                code = read_body(&x, c, request, promised);
        int rc = x.code;
        if (rc == 0 && code != 0 && !refused)
                rc = broken(h, &x, c, code, sent);
        if (request)
                WinHttpCloseHandle(request);
        call_release(c);
        if (rc == 0)
                *ret = reply;
        else
                fetch_reply_finish(&reply);
        return rc;
}

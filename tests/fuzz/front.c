/* What a client may send over one connection, to a front that works: every answer is a well-formed one, and
   none blames the server. */
#include "fuzz.h"

#include "base/json.h"
#include "base/str.h"
#include "house.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A new house now and then: jobs would fill its quota. */
enum { RUNS_OF_A_HOUSE = 200, MAX_TURNS = 60, QUIET_TURNS = 3, MAX_BYTES = 60000 };

/* The document between the header's end and the body's. */
static void check_problem(const char *body, size_t len)
{
        struct err e = {0};
        cJSON *tree = json_parse(body, len, &e);
        FUZZ_CHECK(tree && cJSON_IsNumber(json_field(tree, "status")));
        FUZZ_CHECK(cJSON_IsString(json_field(tree, "detail")) && cJSON_IsString(json_field(tree, "title")));
        cJSON_Delete(tree);
}

/* The first answer; those behind it need its length and the request's method to be found. */
static void check_answer(const struct str *got)
{
        int status = 0;
        if (got->len == 0)
                return;
        FUZZ_CHECK(sscanf(got->data, "HTTP/1.%*1[01] %3d ", &status) == 1);
        if (status == 500)
                fprintf(stderr, "%s\n", got->data);
        FUZZ_CHECK(status >= 100 && status < 600 && status != 500);
        char *body = strstr(got->data, "\r\n\r\n"), *length = strcasestr(got->data, "\r\nContent-Length: ");
        FUZZ_CHECK(body);
        size_t have = got->len - (size_t)(body + 4 - got->data);
        size_t len = length && length < body ? strtoul(length + 18, NULL, 10) : 0;
        char *type = strstr(got->data, "application/problem+json");
        if (type && type < body && len && len <= have && body[4] == '{')
                check_problem(body + 4, len);
}

static bool receive(int fd, struct str *got, bool *ret_open)
{
        ssize_t n = str_reserve(got, 1 << 16) ? recv(fd, got->data + got->len, 1 << 16, MSG_DONTWAIT) : 0;
        if (n > 0) {
                got->len += (size_t)n;
                got->data[got->len] = '\0';
        }
        *ret_open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
        return n > 0;
}

static void talk(struct house *h, const uint8_t *bytes, size_t len, struct str *got)
{
        int fd = house_connect(), quiet = 0;
        bool open = true;
        size_t sent = 0;
        for (int i = 0; i < MAX_TURNS && open && quiet < QUIET_TURNS; i++) {
                ssize_t n = sent < len ? send(fd, bytes + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
                sent += n > 0 ? (size_t)n : 0;
                bool heard = house_turn(h);
                heard |= receive(fd, got, &open);
                quiet = heard || n > 0 ? 0 : quiet + 1;
        }
        close(fd);
        house_turn(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        static struct house *h;
        static int runs;
        struct str got = {0};
        if (len > MAX_BYTES)
                return 0;
        if (h && runs++ % RUNS_OF_A_HOUSE == 0) {
                house_close(h);
                h = NULL;
        }
        if (!h)
                h = house_open(true);
        talk(h, bytes, len, &got);
        check_answer(&got);
        str_free(&got);
        return 0;
}

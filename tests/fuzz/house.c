#include "house.h"

#include "base/clock.h"
#include "base/json.h"
#include "daemon/api/api.h"
#include "daemon/http/listen.h"
#include "daemon/decoder/imagefacts.h"
#include "daemon/common/wire.h"
#include "fuzz.h"
#include "kids.h"
#include "stock.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { STARTING_TURNS = 50 };

struct house {
        struct service *service;
        struct feed *feed;
        struct curves *curves;
        struct access *access;
        struct http *http;
        struct api api;
        char tmp_dir[STOCK_PATH_BYTES];
        bool honest;
};

/* Bytes of the database as it is at the start of every house. */
static struct str database;

/* What is expected here is said aloud at every run. */
void __wrap_log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap_log_line(int level, const char *fmt, ...)
{
        char line[2000];
        va_list ap;
        (void)level;
        va_start(ap, fmt);
        vsnprintf(line, sizeof line, fmt, ap);
        va_end(ap);
}

/* Nothing is waited for. */
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
        (void)timeout_ms;
        return __real_poll(fds, count, 0);
}

/* No known data sets. */
const struct dataset_known dataset_known[] = {{"", "", NULL, 0}};
const int dataset_known_count = 0;

/* --- children that tell the truth --- */

static cJSON *reply_to(const struct chan_message *m, const char *op)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", op);
        for (int i = 0; i < 2; i++) {
                const char *key = i ? "job" : "request";
                if (json_field(m->head, key))
                        cJSON_AddItemToObject(head, key, cJSON_Duplicate(json_field(m->head, key), true));
        }
        return head;
}

static size_t size_of(const struct chan_message *m, const char *key)
{
        const cJSON *v = json_field(m->head, key);
        return cJSON_IsNumber(v) ? (size_t)v->valueint : 1;
}

static void say_error(struct kid *k, const struct chan_message *m, const char *op)
{
        struct err e;
        cJSON *head = reply_to(m, op);
        err_set(&e, ERR_INVALID, "not here");
        cJSON_AddItemToObject(head, "error", wire_error_json(&e));
        kids_say(k, head, NULL, 0);
}

/* Zeros, and the facts of one image behind them. */
static void decode(struct kid *k, const struct chan_message *m, bool field)
{
        static char raw[3 * 64 * 64 * sizeof(float) + sizeof(struct image_facts)];
        cJSON *head = reply_to(m, "decoded");
        const int h = field ? 8 : (int)size_of(m, "h"), w = field ? 8 : (int)size_of(m, "w");
        const size_t bytes = size_of(m, "c") * (size_t)h * (size_t)w * sizeof(float);
        const struct image_facts p = {.format = "PGM", .frames = 1, .came = {.height = h, .width = w}};
        FUZZ_CHECK(bytes + sizeof p <= sizeof raw);
        memset(raw, 0, bytes);
        memcpy(raw + bytes, &p, sizeof p);
        if (!field)
                cJSON_AddItemToArray(cJSON_AddArrayToObject(head, "images"), cJSON_CreateNumber(1));
        kids_say(k, head, raw, bytes + sizeof p);
}

static void answer_decoder(struct kid *k, const struct chan_message *m, const char *op)
{
        if (strcmp(op, "images") == 0 || strcmp(op, "field") == 0)
                decode(k, m, op[0] == 'f');
        else if (strcmp(op, "grid") == 0)
                kids_say(k, reply_to(m, "drawn"), "picture", 7);
        else
                say_error(k, m, "refused");
}

static void answer_worker(struct kid *k, const struct chan_message *m, const char *op)
{
        static const float logits[STOCK_CLASSES] = {1, 2};
        cJSON *head = NULL;
        if (strcmp(op, "classify") == 0) {
                head = reply_to(m, "classified");
                cJSON_AddNumberToObject(head, "n", 1);
                cJSON_AddNumberToObject(head, "classes", STOCK_CLASSES);
                kids_say(k, head, logits, sizeof logits);
        } else if (strcmp(op, "map") == 0) {
                kids_say(k, reply_to(m, "mapped"), "{}", 2);
        } else if (strcmp(op, "look") == 0) {
                say_error(k, m, "classify_failed");
        } else if (strcmp(op, "stop") == 0 || strcmp(op, "cancel") == 0) {
                head = reply_to(m, "done");
                cJSON_AddStringToObject(head, "end", op[0] == 's' ? "stopped" : "cancelled");
                kids_say(k, head, NULL, 0);
        } else if (strcmp(op, "evaluate") == 0) {
                say_error(k, m, "job_failed");
        }
}

static void answer_import(struct kid *k, const struct chan_message *m)
{
        char tiny[STOCK_PATH_BYTES];
        stock_path(tiny, "tiny.cnnd");
        FUZZ_CHECK(link(tiny, json_field(m->head, "output")->valuestring) == 0);
        kids_say(k, reply_to(m, "imported"), NULL, 0);
        kids_die(k, 0);
}

static void answer(struct kid *k, const struct chan_message *m)
{
        const char *op = json_field(m->head, "op")->valuestring;
        if (strcmp(k->role, "decoder") == 0)
                answer_decoder(k, m, op);
        else if (strcmp(k->role, "worker") == 0)
                answer_worker(k, m, op);
        else
                answer_import(k, m);
}

/* The probe and the worker speak first. */
static void introduce(void)
{
        struct kid *probe = kids_find("probe"), *worker = kids_find("worker");
        if (probe) {
                cJSON *head = cJSON_CreateObject();
                cJSON_AddItemToArray(cJSON_AddArrayToObject(head, "devices"), wire_device_json(&fuzz_device));
                kids_say(probe, head, NULL, 0);
                kids_die(probe, 0);
        }
        if (worker) {
                cJSON *head = cJSON_CreateObject();
                cJSON_AddStringToObject(head, "op", "hello");
                kids_say(worker, head, NULL, 0);
        }
}

/* --- the state folder --- */

static void empty_folder(const char *name)
{
        char path[STOCK_PATH_BYTES];
        stock_path(path, name);
        stock_clear(path);
}

/* All but the database, which is younger. */
static void lay_out(void)
{
        char path[STOCK_PATH_BYTES];
        for (int i = 0; i < 2; i++) {
                stock_path(path, i ? "state/cnnd.db-wal" : "state/cnnd.db-shm");
                unlink(path);
        }
        empty_folder("state/jobs");
        empty_folder("state/tmp");
        empty_folder("state/datasets");
        empty_folder("state/models");
        stock_link("tiny.cnnd", "state/datasets/tiny.cnnd");
        stock_link("net.safetensors", "state/models/net.safetensors");
        stock_path(path, "state/cnnd.db");
        fuzz_write(path, (const uint8_t *)database.data, database.len);
}

static void open_service(struct house *h)
{
        char state[STOCK_PATH_BYTES];
        stock_path(state, "state");
        const struct service_options o = {.state_dir = state,
                .device_spec = "all",
                .log_level = "error",
                .watchdog_seconds = 60,
                .slice_seconds = 60,
                .half_life_seconds = 86400,
                .checkpoint_seconds = 30};
        struct err e;
        setenv("OCL_ICD_VENDORS", "/nonexistent", 1);
        int rc = service_create(&o, &h->service, &e);
        if (rc)
                fprintf(stderr, "%s\n", e.message);
        FUZZ_CHECK(rc == 0);
}

static void start(struct house *h)
{
        struct err e;
        for (int i = 0; i < STARTING_TURNS && service_health(h->service, &e); i++) {
                introduce();
                service_run(h->service);
        }
        FUZZ_CHECK(service_health(h->service, &e) == 0);
}

static void say_event(int64_t job, const char *event, const char *data)
{
        cJSON *head = cJSON_CreateObject();
        cJSON_AddStringToObject(head, "op", "event");
        cJSON_AddNumberToObject(head, "job", (double)job);
        cJSON_AddStringToObject(head, "event", event);
        cJSON_AddStringToObject(head, "data", data);
        kids_say(kids_find("worker"), head, NULL, 0);
}

/* The model's row, and job 1 on its way to its end. */
static void fill_database(struct house *h)
{
        static const char text[] =
                "{\"type\":\"train\",\"dataset\":\"tiny\",\"architecture\":" STOCK_LAYERS "}";
        const struct identity who = {.user = "root"};
        struct err e;
        int64_t id;
        bool again;
        char state[STOCK_PATH_BYTES];
        stock_path(state, "state");
        FUZZ_CHECK(datasets_settle(state, h->service->store, "tiny", "", &e) == 0);
        cJSON *body = json_parse(text, sizeof text - 1, &e);
        FUZZ_CHECK(body && jobs_submit(h->service->jobs, &who, "key", body, &id, &again, &e) == 0 && id == 1);
        cJSON_Delete(body);
        service_run(h->service);
        say_event(id, "train", "{\"step\":1,\"epoch\":1,\"loss\":0.5,\"acc\":0.5,\"images_per_second\":9}");
        say_event(id, "validation",
                "{\"step\":1,\"epoch\":1,\"loss\":0.5,\"acc\":0.5,\"train_loss\":1,\"train_acc\":1}");
        service_run(h->service);
        FUZZ_CHECK(jobs_cancel(h->service->jobs, id, &e) == 0);
        for (int i = 0; i < STARTING_TURNS; i++)
                house_turn(h);
        cJSON *job = NULL;
        FUZZ_CHECK(jobs_get(h->service->jobs, id, &job, &e) == 0);
        FUZZ_CHECK(strcmp(json_field(job, "state")->valuestring, "cancelled") == 0);
        cJSON_Delete(job);
}

static void read_database(void)
{
        char path[STOCK_PATH_BYTES];
        stock_path(path, "state/cnnd.db");
        FILE *f = fopen(path, "rb");
        FUZZ_CHECK(f);
        while (!feof(f) && str_reserve(&database, 4096))
                database.len += fread(database.data + database.len, 1, 4096, f);
        fclose(f);
        FUZZ_CHECK(database.len > 0);
}

static void make_state(void)
{
        static const char *const folders[] = {"state", "state/datasets", "state/models"};
        char path[STOCK_PATH_BYTES];
        struct house h = {.honest = true};
        for (int i = 0; i < 3; i++) {
                stock_path(path, folders[i]);
                FUZZ_CHECK(mkdir(path, 0700) == 0);
        }
        stock_path(path, "tiny.cnnd");
        stock_dataset(path);
        stock_path(path, "net.safetensors");
        stock_model(path);
        stock_link("tiny.cnnd", "state/datasets/tiny.cnnd");
        stock_link("net.safetensors", "state/models/net.safetensors");
        open_service(&h);
        start(&h);
        fill_database(&h);
        service_destroy(h.service);
        kids_forget();
        read_database();
}

/* --- the house --- */

static void open_http(struct house *h)
{
        struct http_options o = {.routes = api_routes,
                .ctx = &h->api,
                .admit = api_admit,
                .know = api_know,
                .peer = api_peer,
                .enter = api_enter,
                .leave = api_leave,
                .tmp_dir = h->tmp_dir,
                .tcp_fd = -1,
                .unix_fd = -1,
                .header_seconds = 20,
                .idle_seconds = 75,
                .max_json_bytes = 1 << 20,
                .max_image_bytes = 1 << 20,
                .max_weights_bytes = 1 << 20,
                .max_dataset_bytes = 1 << 20,
                .body_memory_bytes = 8 << 20,
                .max_connections = 100,
                .max_files = 50};
        char socket_path[STOCK_PATH_BYTES];
        struct err e;
        stock_path(socket_path, "socket");
        unlink(socket_path);
        FUZZ_CHECK(listen_unix(socket_path, &o.unix_fd, &e) == 0);
        FUZZ_CHECK(http_create(&o, &h->http, &e) == 0);
}

struct house *house_open(bool honest)
{
        struct house *h = calloc(1, sizeof *h);
        struct err e;
        FUZZ_CHECK(h);
        h->honest = honest;
        stock_path(h->tmp_dir, "state/tmp");
        if (!database.len)
                make_state();
        lay_out();
        open_service(h);
        const struct access_options a = {.store = h->service->store, .operators = "", .loopback = true};
        FUZZ_CHECK(access_create(&a, &h->access, &e) == 0);
        h->feed = feed_create(h->service->jobs, 15);
        h->curves = curves_create(h->service->jobs);
        h->api = (struct api){.service = h->service,
                .feed = h->feed,
                .curves = h->curves,
                .access = h->access,
                .started_ms = clock_now_ms()};
        open_http(h);
        h->api.http = h->http;
        if (honest)
                start(h);
        return h;
}

void house_close(struct house *h)
{
        http_destroy(h->http);
        curves_destroy(h->curves);
        feed_destroy(h->feed);
        access_destroy(h->access);
        service_destroy(h->service);
        kids_forget();
        free(h);
}

void house_set_honest(struct house *h, bool honest)
{
        h->honest = honest;
}

bool house_turn(struct house *h)
{
        bool heard = false;
        for (struct kid *k = kids_next(NULL); k; k = kids_next(k)) {
                struct chan_message m = {0};
                while (k->alive && kids_hear(k, &m)) {
                        heard = true;
                        if (h->honest)
                                answer(k, &m);
                        chan_message_finish(&m);
                }
        }
        service_run(h->service);
        if (!h->http) /* the one that makes the state */
                return heard;
        feed_tick(h->feed, clock_now_ms());
        curves_tick(h->curves);
        http_run(h->http, ~0u);
        return heard;
}

int house_connect(void)
{
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        snprintf(sa.sun_path, sizeof sa.sun_path, "%s/socket", fuzz_dir());
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        FUZZ_CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof sa) == 0);
        return fd;
}

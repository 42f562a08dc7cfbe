#include "flows.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TRAIN(more)                                                                                          \
        "{\"type\":\"train\",\"architecture\":\"lenet\",\"dataset\":\"tiny\",\"batch_size\":2,"              \
        "\"optimizer\":{\"name\":\"sgd\",\"lr\":0.1},\"seed\":7" more "}"
#define SHORT  TRAIN(",\"name\":\"short\",\"epochs\":1")
#define LONG   TRAIN(",\"name\":\"rest 900\",\"epochs\":100000")
#define STEADY TRAIN(",\"name\":\"rest 50\",\"epochs\":100000")
#define NAMED                                                                                                \
        TRAIN(",\"name\":\"named\",\"epochs\":2,\"save_as\":\"named\",\"save_best\":\"val_loss\","           \
              "\"priority\":-1")
#define LAYERS                                                                                               \
        "{\"architecture\":{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"linear\",\"out_features\":2}]},"  \
        "\"input\":[1,2,2],\"batch\":2}"
#define INFER                                                                                                \
        "{\"id\":\"7\",\"inputs\":[{\"name\":\"input\",\"shape\":[2,1,2,2],\"datatype\":\"FP32\","           \
        "\"data\":[0,0,0,0,0.1,0.1,0.1,0.1]}],\"outputs\":[{\"name\":\"probabilities\"},{\"name\":"          \
        "\"logits\","                                                                                        \
        "\"parameters\":{\"binary_data\":true,\"classification\":1}}]}"
#define NDJSON "Accept: application/x-ndjson\r\n"
#define JSON   "Content-Type: application/json\r\n"
#define TOKEN  "Authorization: Bearer {token}\r\n"

#define GET(path, status)                                                                                    \
        {                                                                                                    \
                "GET", path, "", "", status                                                                  \
        }
#define GET_AS(path, headers, status)                                                                        \
        {                                                                                                    \
                "GET", path, headers, "", status                                                             \
        }
#define SUBMIT(body)                                                                                         \
        {                                                                                                    \
                "POST", "/v1/jobs", "", body, 201                                                            \
        }
#define POST(path, status)                                                                                   \
        {                                                                                                    \
                "POST", path, "", "", status                                                                 \
        }
#define WAIT(state)                                                                                          \
        {                                                                                                    \
                FLOW_WAIT, state, "", "", 0                                                                  \
        }
#define CANCEL POST("/v1/jobs/{}/cancel", 0)
#define PUT(path, blob, status)                                                                              \
        {                                                                                                    \
                "PUT", path, "", blob, status                                                                \
        }
#define DELETE(path, status)                                                                                 \
        {                                                                                                    \
                "DELETE", path, "", "", status                                                               \
        }

const struct step flow_blocker = SUBMIT(LONG);

/* Job 1 trains the model "it", job 2 classifies with it. */
const struct step flow_world[] = {
        PUT("/v1/datasets/tiny?val=0.5&normalize=none", "@set", 201),
        SUBMIT(TRAIN(",\"name\":\"it\",\"epochs\":3,\"save_as\":\"it\"")),
        WAIT("succeeded"),
        SUBMIT("{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}"),
        WAIT("succeeded"),
        PUT("/v1/models/sent/weights", "@weights", 201),
        {0},
};

/* clang-format off */
const struct flow flows[] = {
        {"health", .during = {GET("/v1/health", 200)}},
        {"openapi", .during = {GET("/v1/openapi.json", 200)}},
        {"version", .during = {GET("/v1/version", 200)}},
        {"devices", .during = {GET("/v1/devices", 200)}},
        {"metrics", .during = {GET("/metrics", 200)}},
        {"architectures", .during = {GET("/v1/architectures", 200)}},
        {"summary", .during = {GET("/v1/architectures/lenet/summary?input=1x28x28&batch=2", 200)}},
        {"posted-summary", .during = {{"POST", "/v1/architectures/summary", JSON, LAYERS, 200}}},
        {"head", .during = {{"HEAD", "/v1/jobs/1", "", "", 200}}},

        {"datasets", .during = {GET("/v1/datasets", 200)}},
        {"dataset", .during = {GET("/v1/datasets/tiny", 200)}},
        {"sheet", .during = {GET("/v1/datasets/tiny/sheet", 200)}},
        {"put-dataset", .during = {PUT("/v1/datasets/s{n}?val=0.5&normalize=none", "@set", 201)},
                .after = {DELETE("/v1/datasets/s{n}", 0)}},
        {"replace-dataset", .before = {PUT("/v1/datasets/s?val=0.5", "@set", 0)},
                .during = {PUT("/v1/datasets/s?val=0.5", "@set", 200)}},
        {"delete-dataset", .before = {PUT("/v1/datasets/s?val=0.5", "@set", 0)},
                .during = {DELETE("/v1/datasets/s", 204)}},
        {"bad-dataset", .during = {PUT("/v1/datasets/bad", "neither zip nor tar", 415)}},

        {"models", .during = {GET("/v1/models", 200)}},
        {"model", .during = {GET("/v1/models/it", 200)}},
        {"weights", .during = {GET("/v1/models/it/weights", 200)}},
        {"onnx", .during = {GET("/v1/models/sent/onnx", 200)}},
        {"put-weights", .during = {PUT("/v1/models/m{n}/weights", "@weights", 201)},
                .after = {DELETE("/v1/models/m{n}", 0)}},
        {"replace-weights", .during = {PUT("/v1/models/sent/weights", "@weights", 200)}},
        {"delete-model", .before = {PUT("/v1/models/m/weights", "@weights", 0)},
                .during = {DELETE("/v1/models/m", 204)}},
        {"classify", .during = {{"POST", "/v1/models/it/classify?top=2", "", "@image", 200}}},
        {"infer", .during = {{"POST", "/v2/models/it/infer", JSON, INFER, 200}}},
        {"describe", .during = {GET("/v2/models/it", 200), GET("/v2/models/it/ready", 200), POST("/v2/repository/index", 200)}},
        {"map", .during = {{"POST", "/v1/models/it/map?window=2&stride=1", "", "@image", 200}}},
        {"filters", .during = {GET("/v1/models/it/filters?layer=net.0", 422)}},

        {"events", .during = {GET("/v1/jobs/1/events", 200)}},
        {"events-after", .during = {GET_AS("/v1/jobs/1/events?after=5", NDJSON, 200)}},
        {"events-over", .during = {GET_AS("/v1/jobs/1/events", "Last-Event-ID: 100000\r\n", 204)}},
        {"curve", .during = {GET("/v1/jobs/1/curve", 200)}},
        {"curve-csv", .during = {GET_AS("/v1/jobs/1/curve", "Accept: text/csv\r\n", 200)}},
        {"curve-svg", .during = {GET_AS("/v1/jobs/1/curve", "Accept: image/svg+xml\r\n", 200)}},
        {"result", .during = {GET("/v1/jobs/2/result", 200)}},

        {"token", .during = {GET_AS("/v1/jobs", TOKEN, 200)}},
        {"wrong-token", .during = {GET_AS("/v1/jobs", "Authorization: Bearer cnnd_00_00\r\n", 401)}},
        {"token-submits", .during = {{"POST", "/v1/jobs", TOKEN "Idempotency-Key: t{n}\r\n", SHORT, 201}},
                .after = {CANCEL}, .busy = true},
        {"nothing-there", .during = {GET("/v1/nothing", 404)}},
        {"wrong-method", .during = {DELETE("/v1/jobs", 405)}},
        {"wrong-json", .during = {{"POST", "/v1/jobs", "", "{\"type\":", 400}}},
        {"wrong-field", .during = {{"POST", "/v1/jobs", "", TRAIN(",\"depth\":3"), 422}}},
        {"wrong-media", .during = {{"POST", "/v1/jobs", "Content-Type: text/plain\r\n", SHORT, 415}}},
        {"no-such-job", .during = {GET("/v1/jobs/99999999", 404)}},

        {"run", .during = {SUBMIT(SHORT), {"GET", "/v1/jobs/{}/events", NDJSON, "", 200}, GET("/v1/jobs/{}", 200)},
                .after = {WAIT("ended")}},
        {"run-and-save", .during = {SUBMIT(NAMED), {"GET", "/v1/jobs/{}/events", NDJSON, "", 200}},
                .after = {WAIT("ended")}},
        {"run-classify", .during = {SUBMIT("{\"type\":\"classify\",\"model\":\"it\",\"dataset\":\"tiny\"}"),
                {"GET", "/v1/jobs/{}/events", NDJSON, "", 200}, GET("/v1/jobs/{}/result", 200)},
                .after = {WAIT("ended")}},
        {"stop", .before = {SUBMIT(STEADY), WAIT("running")}, .during = {POST("/v1/jobs/{}/cancel", 202)}, .after = {CANCEL, WAIT("ended")}},
        {"rest", .before = {SUBMIT(STEADY), WAIT("running")},
                .during = {POST("/v1/jobs/{}/pause", 202), POST("/v1/jobs/{}/resume", 202)},
                .after = {CANCEL, WAIT("ended")}},

        {"delete-job", .before = {SUBMIT(SHORT), WAIT("ended")}, .during = {DELETE("/v1/jobs/{}", 204)}},

        {"submit", .during = {SUBMIT(NAMED)}, .after = {CANCEL}, .busy = true},
        {"repeat", .during = {{"POST", "/v1/jobs", "Idempotency-Key: k{n}\r\n", NAMED, 201},
                {"POST", "/v1/jobs", "Idempotency-Key: k{n}\r\n", NAMED, 200}},
                .after = {{"POST", "/v1/jobs", "Idempotency-Key: k{n}\r\n", NAMED, 0}, CANCEL}, .busy = true},
        {"list", .during = {GET("/v1/jobs?state=succeeded&limit=2", 200)}, .busy = true},
        {"show", .before = {SUBMIT(NAMED)}, .during = {GET("/v1/jobs/{}", 200)}, .after = {CANCEL}, .busy = true},
        {"cancel", .before = {SUBMIT(NAMED)}, .during = {POST("/v1/jobs/{}/cancel", 202)}, .after = {CANCEL}, .busy = true},
        {"pause", .before = {SUBMIT(NAMED)}, .during = {POST("/v1/jobs/{}/pause", 202)},
                .after = {CANCEL}, .busy = true},
        {"resume", .before = {SUBMIT(NAMED), POST("/v1/jobs/{}/pause", 202)},
                .during = {POST("/v1/jobs/{}/resume", 202)}, .after = {CANCEL}, .busy = true},
        {0},
};
/* clang-format on */

static uint8_t *safetensors(const char *head, const void *data, size_t len, size_t *ret_len)
{
        const uint64_t n = strlen(head);
        uint8_t *file = malloc(8 + n + len);
        if (!file)
                abort();
        memcpy(file, &n, 8); /* little-endian, as all machines are that this runs on */
        memcpy(file + 8, head, n);
        memcpy(file + 8 + n, data, len);
        *ret_len = 8 + n + len;
        return file;
}

/* 40 images of 2x2 in 2 classes. */
static const void *dataset(size_t *ret_len)
{
        static uint8_t *file;
        static size_t len;
        static struct {
                float x[40][4];
                int64_t y[40];
        } data;
        for (int i = 0; i < 40; i++) {
                data.y[i] = i % 2;
                for (int k = 0; k < 4; k++)
                        data.x[i][k] = (float)(i % 2) / 10.0f; /* as the fake engine tells classes */
        }
        if (!file)
                file = safetensors("{\"x\":{\"dtype\":\"F32\",\"shape\":[40,1,2,2],\"data_offsets\":[0,640]},"
                                   "\"y\":{\"dtype\":\"I64\",\"shape\":[40],\"data_offsets\":[640,960]}}",
                        &data, sizeof data, &len);
        *ret_len = len;
        return file;
}

static const void *weights(size_t *ret_len)
{
        static uint8_t *file;
        static size_t len;
        static const float data[10] = {0.5f};
        if (!file)
                file = safetensors(
                        "{\"__metadata__\":{\"architecture\":\"{\\\"layers\\\":[{\\\"type\\\":"
                        "\\\"flatten\\\"},"
                        "{\\\"type\\\":\\\"linear\\\",\\\"out_features\\\":2}]}\",\"input\":\"[1,2,2]\","
                        "\"classes\":\"[\\\"a\\\",\\\"b\\\"]\"},"
                        "\"net.1.weight\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]},"
                        "\"net.1.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[32,40]}}",
                        data, sizeof data, &len);
        *ret_len = len;
        return file;
}

const void *flows_blob(const char *name, size_t *ret_len)
{
        static const char image[] = "P5 2 2 255\n\x4D\x4D\x4D\x4D";
        if (strcmp(name, "set") == 0)
                return dataset(ret_len);
        if (strcmp(name, "weights") == 0)
                return weights(ret_len);
        *ret_len = sizeof image - 1;
        return image;
}

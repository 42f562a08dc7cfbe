/* The file that an import hands to the front. */
#include "fuzz.h"

#include "data/dataset.h"
#include "data/origins.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { HEADER = 64, LENGTH_AT = 12, FILE_AT = 16, DESCRIPTION_CRC_AT = 24, CRC_AT = 28 };

static void put(uint8_t *at, uint64_t v, int bytes)
{
        for (int i = 0; i < bytes; i++)
                at[i] = (uint8_t)(v >> (8 * i));
}

/* Checksums and the length of the file fit; else no mutation would come past them. */
static void seal(uint8_t *bytes, size_t len)
{
        uint32_t description = 0;
        if (len < HEADER)
                return;
        for (int i = 0; i < 4; i++)
                description |= (uint32_t)bytes[LENGTH_AT + i] << (8 * i);
        if (description > len - HEADER)
                return;
        put(bytes + FILE_AT, len, 8);
        put(bytes + DESCRIPTION_CRC_AT, crc32(0, bytes + HEADER, description), 4);
        put(bytes + CRC_AT, crc32(0, bytes, CRC_AT), 4);
}

/* Every image and label is read; a place outside the file would fault. */
static void check_dataset(const struct dataset *d)
{
        unsigned sum = 0;
        FUZZ_CHECK(d->name[0] && d->num_classes >= 1 && d->c >= 1 && d->h >= 1 && d->w >= 1);
        for (int s = 0; s < DATASET_SPLITS; s++) {
                int64_t count = 0;
                for (size_t i = 0; i < (size_t)d->split[s].count * dataset_image_bytes(d); i++)
                        sum += ((const uint8_t *)d->split[s].images)[i];
                for (int i = 0; i < d->split[s].count; i++)
                        FUZZ_CHECK(d->split[s].labels[i] >= 0 && d->split[s].labels[i] < d->num_classes);
                for (int i = 0; i < d->num_classes; i++)
                        count += d->split[s].class_counts[i];
                FUZZ_CHECK(count == d->split[s].count);
        }
        FUZZ_CHECK(sum < UINT32_MAX);
}

/* The same of names. */
static void check_origins(const struct dataset *d)
{
        for (int s = 0; s < DATASET_SPLITS; s++) {
                struct origins o;
                struct err e;
                uint64_t images = 0;
                int rc = origins_open(d, (enum dataset_split)s, &o, &e);
                FUZZ_CHECK(rc == 0 || rc == ERR_SYNTAX);
                FUZZ_CHECK(o.count == (rc ? 0 : d->origins.files[s]));
                for (int i = 0; i < o.count; i++) {
                        FUZZ_CHECK(origins_name(&o, i)[0]);
                        images += origins_images(&o.files[i]);
                }
                FUZZ_CHECK(rc || !d->origins.len || images == (uint64_t)d->split[s].count);
        }
}

/* The last bit of the input says whether the checksums stay as they are. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        char path[FUZZ_PATH_BYTES];
        struct dataset *d = NULL;
        struct err e = {0};
        uint8_t *copy = (uint8_t *)fuzz_text(bytes, len);
        memcpy(copy, bytes, len);
        if (len && !(bytes[len - 1] & 1))
                seal(copy, len);
        int fd = fuzz_file(copy, len, path);
        int rc = dataset_open(path, &d, &e);
        FUZZ_CHECK(rc == e.code && (rc == 0) == (d != NULL));
        FUZZ_CHECK(rc == 0 || rc == ERR_SYNTAX || rc == ERR_STATE);
        if (rc == 0) {
                check_dataset(d);
                check_origins(d);
        }
        struct dataset *looked = NULL;
        FUZZ_CHECK(dataset_look(path, &looked, &e) == rc);
        for (int s = 0; s < DATASET_SPLITS && looked; s++)
                FUZZ_CHECK(memcmp(looked->split[s].class_counts, d->split[s].class_counts,
                                   (size_t)d->num_classes * sizeof *d->split[s].class_counts) == 0);
        dataset_close(looked);
        dataset_close(d);
        close(fd);
        free(copy);
        return 0;
}

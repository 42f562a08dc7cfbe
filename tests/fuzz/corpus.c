/* Runs a fuzz target over the files of the folders on the command line: the corpus as an ordinary test. */
#include "fuzz.h"

#include <dirent.h>

static int run_file(const char *path)
{
        FILE *f = fopen(path, "rb");
        uint8_t *bytes = NULL;
        long len = -1;
        int ok = 0;
        if (f && fseek(f, 0, SEEK_END) == 0 && (len = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0)
                bytes = malloc((size_t)len + 1);
        if (bytes && fread(bytes, 1, (size_t)len, f) == (size_t)len) {
                /* An exact copy: a sanitizer sees the first byte beyond. */
                uint8_t *exact = realloc(bytes, len ? (size_t)len : 1);
                bytes = exact ? exact : bytes;
                ok = LLVMFuzzerTestOneInput(bytes, (size_t)len) == 0;
        }
        free(bytes);
        if (f)
                fclose(f);
        return ok;
}

int main(int argc, char **argv)
{
        int count = 0;
        for (int i = 1; i < argc; i++) {
                DIR *dir = opendir(argv[i]);
                for (struct dirent *d; dir && (d = readdir(dir));) {
                        char path[1024];
                        snprintf(path, sizeof path, "%s/%s", argv[i], d->d_name);
                        if (d->d_name[0] == '.')
                                continue;
                        if (!run_file(path)) {
                                fprintf(stderr, "%s could not be run\n", path);
                                return 1;
                        }
                        count++;
                }
                if (dir)
                        closedir(dir);
        }
        printf("%d files\n", count);
        return count ? 0 : 1;
}

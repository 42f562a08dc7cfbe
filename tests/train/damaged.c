/* Whichever checkpoint is damaged or gone, a job ends with the model of an undisturbed one, and says from
   where it went on. */
#include "rerun.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int unread; /* with which checkpoints cannot be opened; 0: they can */

/* In place of libc's. */
int open64(const char *path, int flags, ...)
{
        va_list ap;
        va_start(ap, flags);
        const mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
        va_end(ap);
        if (unread && strstr(path, "/checkpoint")) {
                errno = unread;
                return -1;
        }
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static void path_of(const struct rerun *f, const char *name, bool before, char out[200])
{
        snprintf(out, 200, "%s/%s/checkpoint%s.safetensors", f->dir, name, before ? ".before" : "");
}

/* Turns one bit at this part of the file; 1 is its end. */
static void turn_bit(const char *path, double part)
{
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        fseek(file, 0, SEEK_END);
        const long at = (long)((double)(ftell(file) - 1) * part);
        fseek(file, at, SEEK_SET);
        const int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ 4, file);
        assert_int_equal(fclose(file), 0);
}

/* A job that died at step 13: its last checkpoint is of step 10, the one before of step 5. */
static void die_late(const struct rerun *f, const char *name)
{
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = 13, .die = true};
        char path[200];
        for (int before = 0; before < 2; before++) {
                path_of(f, name, before, path);
                unlink(path);
        }
        assert_int_equal(rerun_run(f, name, &w, &out, &e), ERR_CLOSED);
        assert_string_equal(w.note, "");
}

static void goes_on(const struct rerun *f, const char *name, int steps, const char *note)
{
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        CHECK_OK(rerun_run(f, name, &w, &out, &e), &e);
        assert_int_equal(w.train_events, steps);
        if (strncmp(w.note, note, strlen(note)) != 0 || !w.note[0] != !note[0])
                fail_msg("\"%s\" is no \"%s\"", w.note, note);
        rerun_compare(f, "whole", name);
}

/* Wherever it is damaged, in its weights too, the job goes on from the one before and says so. */
static void a_damaged_checkpoint_gives_way_to_the_one_before(void **state)
{
        const struct rerun *f = *state;
        static const double parts[] = {0, 0.004, 0.1, 0.5, 0.9, 1};
        char path[200];
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
                die_late(f, "damaged");
                path_of(f, "damaged", false, path);
                turn_bit(path, parts[i]);
                goes_on(f, "damaged", 10, "the last checkpoint is damaged (");
        }
        die_late(f, "damaged");
        assert_int_equal(truncate(path, 1000), 0);
        goes_on(f, "damaged", 10, "the last checkpoint is damaged (");
        die_late(f, "damaged");
        assert_int_equal(unlink(path), 0);
        goes_on(f, "damaged", 10,
                "the last checkpoint is gone: the job goes on from the one before it, of step 5");
}

/* What is damaged never becomes the one before: the next damage finds the good one still. */
static void damage_twice_is_survived(void **state)
{
        const struct rerun *f = *state;
        struct err e = {0};
        struct train_outcome out;
        struct rerun_watch w = {.stop_after = 7, .die = true};
        char path[200];
        die_late(f, "twice");
        path_of(f, "twice", false, path);
        turn_bit(path, 0.5);
        assert_int_equal(rerun_run(f, "twice", &w, &out, &e), ERR_CLOSED); /* before it writes another */
        assert_non_null(strstr(w.note, "of step 5"));
        w.stop_after = 12;
        assert_int_equal(rerun_run(f, "twice", &w, &out, &e), ERR_CLOSED);
        turn_bit(path, 0.5);
        goes_on(f, "twice", 10, "the last checkpoint is damaged (");
}

static void without_a_good_checkpoint_it_begins_again(void **state)
{
        const struct rerun *f = *state;
        char path[200];
        die_late(f, "both");
        for (int before = 0; before < 2; before++) {
                path_of(f, "both", before, path);
                turn_bit(path, 0.5);
        }
        goes_on(f, "both", 15,
                "the last checkpoint is damaged (its sum is not that of its numbers), the one before it is "
                "damaged (its sum is not that of its numbers): the job begins again");
        die_late(f, "both");
        for (int before = 0; before < 2; before++) {
                path_of(f, "both", before, path);
                assert_int_equal(unlink(path), 0);
        }
        goes_on(f, "both", 15, ""); /* nobody has told this run of one */
}

/* What a disk, or want of descriptors, keeps from it for a moment is not given up. */
static void checkpoints_that_cannot_be_read(void **state)
{
        const struct rerun *f = *state;
        static const int errors[][2] = {{EIO, ERR_IO}, {ENFILE, ERR_UNAVAILABLE}};
        for (int i = 0; i < 2; i++) {
                struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
                struct train_outcome out;
                struct err e = {0};
                die_late(f, "unread");
                unread = errors[i][0];
                assert_int_equal(rerun_run(f, "unread", &w, &out, &e), errors[i][1]);
                unread = 0;
                goes_on(f, "unread", 5, "");
        }
}

/* What all others are held against. */
static int set_up(void **state)
{
        struct rerun_watch w = {.stop_after = RERUN_NO_STOP};
        struct train_outcome out;
        struct err e = {0};
        if (rerun_set_up(state) != 0)
                return -1;
        CHECK_OK(rerun_run(*state, "whole", &w, &out, &e), &e);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_damaged_checkpoint_gives_way_to_the_one_before),
                cmocka_unit_test(damage_twice_is_survived),
                cmocka_unit_test(without_a_good_checkpoint_it_begins_again),
                cmocka_unit_test(checkpoints_that_cannot_be_read),
        };
        return cmocka_run_group_tests_name("damaged", tests, set_up, rerun_tear_down);
}

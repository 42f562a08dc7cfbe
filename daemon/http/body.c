#include "daemon/http/body.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct body_holder {
        char user[IDENTITY_USER_MAX + 1];
        int64_t bytes;
        int bodies;
        struct body_holder *next;
};

static int too_large(const struct body *b, struct err *e)
{
        if (b->limit == 0)
                return err_set(e, ERR_TOO_LARGE, "this request takes no body");
        return err_set(e, ERR_TOO_LARGE, "the body is larger than %lld bytes", (long long)b->limit);
}

/* Counts the body for its user. NULL when memory is out. */
static struct body_holder *hold(struct body_holder **list, const char *user)
{
        struct body_holder *h = *list;
        while (h && strcmp(h->user, user) != 0)
                h = h->next;
        if (!h) {
                h = calloc(1, sizeof *h);
                if (!h)
                        return NULL;
                snprintf(h->user, sizeof h->user, "%s", user);
                h->next = *list;
                *list = h;
        }
        h->bodies++;
        return h;
}

/* NULL accepted. */
static void let_go(struct body_holder **list, struct body_holder *h)
{
        if (!h || --h->bodies)
                return;
        for (struct body_holder **place = list; *place; place = &(*place)->next)
                if (*place == h) {
                        *place = h->next;
                        break;
                }
        free(h);
}

int body_open_file(
        struct body_files *files, const struct identity *who, struct body_holder **ret, struct err *e)
{
        struct body_holder *h = NULL;
        if (files->used >= files->limit)
                return err_set(e, ERR_UNAVAILABLE, "too many files under way at once, try again soon");
        if (!who->operator&& !(h = hold(&files->holders, who->user)))
                return err_set(e, ERR_NO_MEMORY, "no memory for a file");
        if (h && h->bodies > files->share) {
                let_go(&files->holders, h);
                return err_set(e, ERR_QUOTA,
                        "%lld files of yours are under way, and no more may be: send or fetch fewer at once",
                        (long long)files->share);
        }
        files->used++;
        *ret = h;
        return 0;
}

void body_close_file(struct body_files *files, struct body_holder *holder)
{
        files->used--;
        let_go(&files->holders, holder);
}

int body_begin_answer(struct body_pool *answers, const struct identity *who, int64_t bytes,
        struct body_holder **ret, struct err *e)
{
        struct body_holder *h = NULL;
        int rc = 0;
        if (!who->operator&& !(h = hold(&answers->holders, who->user)))
                return err_set(e, ERR_NO_MEMORY, "no memory for an answer");
        if (h && h->bytes && bytes > answers->share_bytes - h->bytes)
                rc = err_set(e, ERR_QUOTA,
                        "answers to you that are not taken fill %lld bytes of memory, and %lld may be one "
                        "user's: read them first",
                        (long long)h->bytes, (long long)answers->share_bytes);
        else if (answers->used_bytes && bytes > answers->limit_bytes - answers->used_bytes)
                rc = err_set(e, ERR_UNAVAILABLE,
                        "too many large answers wait to be taken: they fill %lld of %lld bytes; try again "
                        "soon",
                        (long long)answers->used_bytes, (long long)answers->limit_bytes);
        if (rc) {
                let_go(&answers->holders, h);
                return rc;
        }
        answers->used_bytes += bytes;
        if (h)
                h->bytes += bytes;
        *ret = h;
        return 0;
}

void body_end_answer(struct body_pool *answers, struct body_holder *holder, int64_t bytes)
{
        answers->used_bytes -= bytes;
        if (holder)
                holder->bytes -= bytes;
        let_go(&answers->holders, holder);
}

static int make_file(struct body *b, struct err *e)
{
        char path[4096];
        int n = snprintf(path, sizeof path, "%s/upload-XXXXXX", b->budget->tmp_dir);
        if (n < 0 || n >= (int)sizeof path)
                return err_set(e, ERR_IO, "the temporary folder's name is too long");
        int fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return err_errno(e, errno, "a file for the body");
        b->path = strdup(path);
        if (!b->path) {
                unlink(path);
                close(fd);
                return err_set(e, ERR_NO_MEMORY, "no memory for the body");
        }
        b->fd = fd;
        return 0;
}

static int open_file(struct body *b, struct err *e)
{
        int rc = body_open_file(&b->budget->files, b->who, &b->holder, e);
        if (rc)
                return rc;
        rc = make_file(b, e);
        if (rc) {
                body_close_file(&b->budget->files, b->holder);
                b->holder = NULL;
        }
        return rc;
}

/* 0 or an errno. */
static int close_file(struct body *b)
{
        int fd = b->fd;
        if (fd < 0)
                return 0;
        b->fd = -1;
        if (b->holder)
                b->holder->bytes -= b->received;
        body_close_file(&b->budget->files, b->holder);
        b->holder = NULL;
        return close(fd) == 0 ? 0 : errno;
}

int body_begin(struct body *b, struct body_budget *budget, const struct identity *who, enum body_place place,
        int64_t limit, int64_t length, struct err *e)
{
        *b = (struct body){.budget = budget, .who = who, .place = place, .limit = limit, .fd = -1};
        if (length > limit)
                return too_large(b, e);
        return place == BODY_FILE ? open_file(b, e) : 0;
}

static int take_to_file(struct body *b, const char *bytes, size_t len, struct err *e)
{
        const struct body_files *files = &b->budget->files;
        int64_t more = (int64_t)len;
        if (b->holder && files->share_bytes && more > files->share_bytes - b->holder->bytes)
                return err_set(e, ERR_QUOTA,
                        "your uploads under way have brought %lld bytes, and %lld may be one user's: send "
                        "fewer at once",
                        (long long)b->holder->bytes, (long long)files->share_bytes);
        if (!file_put(b->fd, bytes, len))
                return err_errno(e, errno, "storing the body");
        if (b->holder)
                b->holder->bytes += more;
        return 0;
}

/* Whether there is memory for `len` more bytes, of all users and of this one. */
static int find_room(struct body *b, struct body_pool *pool, int64_t len, struct err *e)
{
        if (!b->holder && !b->who->operator) {
                b->holder = hold(&pool->holders, b->who->user);
                if (!b->holder)
                        return err_set(e, ERR_NO_MEMORY, "no memory for the body");
        }
        if (b->holder && len > pool->share_bytes - b->holder->bytes)
                return err_set(e, ERR_QUOTA,
                        "the bodies of your requests take %lld bytes of memory, and %lld may be one user's: "
                        "send fewer at once",
                        (long long)b->holder->bytes, (long long)pool->share_bytes);
        if (len > pool->limit_bytes - pool->used_bytes)
                return err_set(e, ERR_UNAVAILABLE,
                        "too many large bodies at once: they take %lld of %lld bytes; try again soon",
                        (long long)pool->used_bytes, (long long)pool->limit_bytes);
        return 0;
}

static int take_to_memory(struct body *b, const char *bytes, size_t len, struct err *e)
{
        struct body_pool *pool = &b->budget->pools[b->place];
        int rc = find_room(b, pool, (int64_t)len, e);
        if (rc)
                return rc;
        str_add_bytes(&b->text, bytes, len);
        if (b->text.failed)
                return err_set(e, ERR_NO_MEMORY, "no memory for the body");
        pool->used_bytes += (int64_t)len;
        if (b->holder)
                b->holder->bytes += (int64_t)len;
        return 0;
}

static void give_back(struct body *b)
{
        struct body_pool *pool = &b->budget->pools[b->place];
        pool->used_bytes -= b->received;
        if (b->holder)
                b->holder->bytes -= b->received;
        let_go(&pool->holders, b->holder);
}

int body_take(struct body *b, const void *bytes, size_t len, struct err *e)
{
        if ((int64_t)len > b->limit - b->received)
                return too_large(b, e);
        int rc = b->place == BODY_FILE ? take_to_file(b, bytes, len, e) : take_to_memory(b, bytes, len, e);
        if (rc == 0)
                b->received += (int64_t)len;
        return rc;
}

int body_end(struct body *b, struct err *e)
{
        int errnum = close_file(b);
        return errnum ? err_errno(e, errnum, "storing the body") : 0;
}

void body_finish(struct body *b)
{
        if (b->budget && b->place == BODY_FILE)
                close_file(b); /* what could not be stored is thrown away */
        else if (b->budget)
                give_back(b);
        if (b->path) {
                unlink(b->path);
                free(b->path);
        }
        str_free(&b->text);
        *b = (struct body){.fd = -1};
}

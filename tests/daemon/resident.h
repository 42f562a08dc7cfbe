/* The whole front in a thread of the test's own process, where scarce.h counts its allocations and fails
   them, and the steps of flows.h against it. */
#ifndef CNND_RESIDENT_H
#define CNND_RESIDENT_H

#include "check.h"
#include "flows.h"

#include "daemon/conf.h"
#include "daemon/server.h"
#include "daemon/people/token.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

enum { RESIDENT_PATIENCE_MS = TALK_LONG_MS };

struct resident {
        char state[64], socket[80], token[TOKEN_BYTES];
        /* What is tried; messages tell it. */
        const struct flow *flow;
        long n;
        bool ever;
        /* What stands in braces in the steps of a flow. */
        long long job, number;
        struct answer answer; /* to the last step */
        /* The thread's: */
        struct conf conf;
        struct server *server;
        pthread_t thread;
        sem_t started;
        long blocks; /* left in the end */
};

#define RESIDENT_FAIL(r, ...)                                                                                \
        do {                                                                                                 \
                print_error("%s, allocation %ld fails%s: ", (r)->flow ? (r)->flow->name : "world", (r)->n,   \
                        (r)->ever ? " and all behind it" : "");                                              \
                fail_msg(__VA_ARGS__);                                                                       \
        } while (0)

/* The front on `state`, listening on `socket`; and its end, which fails the test where a flow left blocks. */
void resident_begin(struct resident *r);
void resident_end(struct resident *r);

/* Sends a step's request as talk does; r->answer is what came. Fails the test where nothing did. */
void resident_ask(struct resident *r, const struct step *s, int patience_ms, void (*tired)(void));
/* The job of that answer is the flow's from now on, if the step made one. */
void resident_take_id(struct resident *r, const struct step *s);
/* Waits until the flow's job has this state. */
void resident_wait(struct resident *r, const char *state);
/* A step that nothing disturbs, waiting or asking: it answers as flows.c says. */
void resident_take(struct resident *r, const struct step *s);
void resident_take_all(struct resident *r, const struct step *s);
/* Waits until all devices are there. */
void resident_healthy(struct resident *r);

#endif

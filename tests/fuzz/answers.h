/* Children of the front in this process: each serves what lies in its channel until that ends, and what it
   says is held against what it was asked. Behind the calls that meson.build wraps: `_exit` ends a role, not
   the process, there is no sandbox, and the worker's engine (fake_engine.c) outlives it, as it has one thread
   for good. */
#ifndef CNND_ANSWERS_H
#define CNND_ANSWERS_H

#include <stdint.h>

/* A request of this number is not to be asked for: it tells when the engine is idle. */
#define ANSWERS_MARK ((int64_t)1 << 52)

/* Each makes `fd` the child's channel (CHILD_FD) and `dir` its folder, and checks: one answer for each
   request and job that it took, in order from the decoder; errors have a code and words, and memory was not
   wanting; what belongs together in an answer fits. */
void answers_of_worker(int fd, const char *dir);
void answers_of_decoder(int fd, const char *dir);
void answers_of_import(int fd, const char *dir);

#endif

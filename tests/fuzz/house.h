/* The whole front in this process: service, API and HTTP server on a Unix socket, with kids.h for children.
   Its state folder holds a data set "tiny" (1x4x4, two classes), a model "net" that fits it and an ended job
   1 with a curve, whatever the house before has left. */
#ifndef CNND_HOUSE_H
#define CNND_HOUSE_H

#include <stdbool.h>

struct house;

/* `honest`: there is a device, and children answer as real ones do, but that nothing is trained. */
struct house *house_open(bool honest);
void house_close(struct house *h);
/* Whether children go on to answer by themselves. */
void house_set_honest(struct house *h, bool honest);
/* All that can be done without waiting; true if a child had something to say. */
bool house_turn(struct house *h);
/* A client's end of a new connection, non-blocking. */
int house_connect(void);

#endif

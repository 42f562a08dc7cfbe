/* The other roles of the binary: `cnnd --role probe|worker|compiler|keeper|decoder|import|carry …`, started
   by the front alone with a channel on descriptor 3. */
#ifndef CNND_ROLE_H
#define CNND_ROLE_H

#include <stdbool.h>

/* True when the first argument is --role: main calls role_main and returns its result. */
bool role_requested(int argc, char **argv);
/* Runs the role to its end; the process's exit status. */
int role_main(int argc, char **argv);

#endif

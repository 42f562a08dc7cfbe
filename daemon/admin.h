/* The commands of the binary that work on a state folder, whether or not a daemon runs on it:

     cnnd token add USER [--operator] [--days N]    prints the token, this once
     cnnd token list
     cnnd token revoke ID
     cnnd dataset give NAME USER                    one of which no row tells whose it is
     cnnd dataset share NAME                        the same, to everybody
     cnnd backup FILE                               a copy of the database, of one moment

   The options of the daemon may follow, to say which state folder. */
#ifndef CNND_ADMIN_H
#define CNND_ADMIN_H

#include <stdbool.h>

/* True when the first argument is a command: main calls admin_main and returns its result. */
bool admin_requested(int argc, char **argv);
/* 0; 1 when it failed; 2 for a wrong command line. */
int admin_main(int argc, char **argv);

#endif

/* Media types: what a body is, and which answer a client likes best. */
#ifndef CNND_MEDIA_H
#define CNND_MEDIA_H

#include <stdbool.h>

enum { MEDIA_MAX = 100 };

/* The type without its parameters, in lower case, into out; false for what is no media type at all. */
bool media_parse(const char *header, char out[MEDIA_MAX + 1]);
/* True for types a JSON body may come with: JSON's own, none in particular, and the form type that curl -d
   sends by itself. */
bool media_is_json(const char *type);
/* Of `offers` (NULL-terminated), the one that an Accept header (NULL for none) wants most; the first where it
   wants none of them or all the same. */
const char *media_choose(const char *accept, const char *const *offers);

#endif

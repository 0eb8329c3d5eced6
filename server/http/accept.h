/*
 * accept - the Accept header as a list of media types.
 *
 * The reference parses Accept on every request with Go's mime.ParseMediaType
 * and answers 400 when one entry is malformed; clients also ask for
 * capabilities in its parameters. Pure functions over the header's value.
 */
#ifndef SERVER_HTTP_ACCEPT_H
#define SERVER_HTTP_ACCEPT_H

#include <stdbool.h>

#include "base/str.h"

/* NULL when every entry is well formed (or the value is empty); else the reason, static. */
const char *http_accept_check(struct str value);

/* Whether an entry has parameter name=value (name in any case, value exactly). */
bool http_accept_has_param(struct str value, struct str name, struct str want);

/* Whether an entry is exactly this type/subtype, in any case. */
bool http_accept_has_type(struct str value, struct str type);

/* Whether a comma or space separated list holds the bare token, in any case. */
bool http_list_has_token(struct str value, struct str token);

#endif

/*
 * target - the request target: path and query, decoded by our own rules.
 *
 * libmicrohttpd decodes leniently and ends strings at NUL, so the raw target is
 * taken apart here instead. Pure functions; results live in the arena given.
 */
#ifndef SERVER_HTTP_TARGET_H
#define SERVER_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "server/http/request.h"

struct arena;
struct err;

struct http_target {
    struct str path;      /* decoded; begins with '/' */
    struct str query_raw; /* after '?', as sent */
};

/*
 * Takes "/path?query" or "http://host/path?query" (scheme and authority are
 * dropped). ERR_INVALID for another form, a broken escape or an encoded NUL in
 * the path, ERR_NOMEM or ERR_TOO_LARGE when the arena is full.
 */
int http_target_parse(struct str raw, struct arena *arena, struct http_target *out,
                      struct err *err);

/*
 * Splits a query string into decoded pairs, as Go's url.ParseQuery keeps them:
 * a pair with ';' or a broken escape is left out, a name without '=' has an
 * empty value, '+' is a space. ERR_INVALID when a NUL is encoded in it.
 */
int http_query_parse(struct str raw, struct arena *arena, struct http_pair **pairs, size_t *count,
                     struct err *err);

/*
 * Decodes %XX (and '+' when plus) into out, which has room for in.len bytes.
 * False for a broken escape.
 */
bool http_percent_decode(struct str in, bool plus, char *out, size_t *out_len);

#endif

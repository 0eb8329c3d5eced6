/*
 * app_name - the `name` parameter of /ingest: shop.cpu{region=eu, pod=a}.
 *
 * The grammar forgives much: see ../shared/spec/ingest-api.md, section 2.4. A
 * repeated label keeps its last value; `__name__` replaces the name unchecked.
 *
 * Pure functions; strings point into the text, pairs are in the arena.
 */
#ifndef API_DECODE_APP_NAME_H
#define API_DECODE_APP_NAME_H

#include "base/str.h"
#include "storage/model/labels.h"

struct arena;
struct err;

struct app_name {
    struct str app;       /* whole, with the suffix that text_kind reads */
    struct labels labels; /* sorted, unique, without __name__; values may be empty */
};

/*
 * ERR_INVALID with the reference's texts ("service name is required", ...),
 * without the prefix "name: "; ERR_TOO_LARGE when the arena is full.
 */
int app_name_parse(struct str text, struct arena *arena, struct app_name *out, struct err *err);

#endif

/*
 * profile_type - name:sample_type:sample_unit:period_type:period_unit[:delta].
 *
 * The name of a series' kind of value on the query API; query-api.md, section
 * 4.2. A sixth part is accepted and means nothing. Parts may be empty.
 */
#ifndef STORAGE_MODEL_PROFILE_TYPE_H
#define STORAGE_MODEL_PROFILE_TYPE_H

#include "base/str.h"

struct buf;
struct err;

struct profile_type {
    struct str name, sample_type, sample_unit, period_type, period_unit;
};

/* The parts point into `id`. ERR_INVALID with the reference's text. */
int profile_type_parse(struct str id, struct profile_type *out, struct err *err);
/* Appends the five parts joined by ':'. */
void profile_type_format(const struct profile_type *t, struct buf *out);

#endif

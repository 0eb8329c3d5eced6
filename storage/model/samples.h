/*
 * samples - the samples of one row as columns, and their compact byte form.
 *
 * Columns: count stacks (node ids of a dictionary, ascending; equal stacks are
 * neighbours and differ in link), one value column per sample type, and a link
 * column when any sample carries a span or trace id.
 *
 * The byte form is what the WAL stores and the head keeps (docs/storage-format.md,
 * "Row"): gaps of ids, then per type the column divided by its greatest common
 * divisor, each column with its length so that a reader of one type skips the
 * others. Segments have their own chunk codecs over the same columns.
 *
 * Pure functions; no threads, no files.
 */
#ifndef STORAGE_MODEL_SAMPLES_H
#define STORAGE_MODEL_SAMPLES_H

#include "base/str.h"
#include "storage/model/profile.h"
#include "storage/model/value.h"

#include <stdint.h>

struct arena;
struct buf;
struct err;

struct sample_columns {
    uint32_t count, type_count;
    uint32_t *stacks;                   /* count node ids, ascending */
    int64_t *values[PROFILE_TYPES_MAX]; /* values[t][i] >= 0; NULL when type t was not asked for */
    uint32_t *links; /* count indexes into link_table plus one, 0 = none; NULL: no links */
    struct profile_link *link_table;
    uint32_t link_count;
};

/* Appends the byte form. The caller has sorted by (stack, link) and merged equals. */
void samples_encode(const struct sample_columns *c, struct buf *out);

/*
 * Decodes `types` (bit t = column t) from `in`. Stack ids must be below
 * `node_count`; anything else wrong is ERR_CORRUPT. Columns come from `arena`.
 */
int samples_decode(struct str in, uint32_t count, uint32_t type_count, uint32_t node_count,
                   uint64_t types, struct arena *arena, struct sample_columns *out,
                   struct err *err);

/* The greatest common divisor of a column; 0 when all values are zero. */
uint64_t samples_scale(const int64_t *values, uint32_t count);

/* Exact sum of a column. */
value128 samples_total(const int64_t *values, uint32_t count);

#endif

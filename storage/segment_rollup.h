/*
 * segment_rollup - the sections of a service that hold sums, as bytes, and back.
 *
 * TOT has totals per entry, type and ten minutes. AGG is vectors behind each other, FLM the
 * flame tree; each piece is packed and checked by itself, since a question reads a few of
 * many: section RLD says where they are. Bytes: docs/storage-format.md, "Rollups".
 *
 * Decoders do not believe what they read (ERR_CORRUPT). Pure functions.
 */
#ifndef STORAGE_SEGMENT_ROLLUP_H
#define STORAGE_SEGMENT_ROLLUP_H

#include "storage/rollup.h"

#include <stdint.h>

struct arena;
struct buf;
struct err;

/* ---- vectors ---- */

/* `values` are type_count columns of `count` items in the order of `ids`, which ascend. */
struct rollup_items {
    uint32_t *ids;
    value128 **values;
    uint32_t count, type_count;
};

/* What the reader knows beforehand. */
struct rollup_shape {
    uint32_t items, type_count;
    uint32_t
        id_max; /* ids are from 1 to this; the root of node ids, 0, is one where it has a sum */
};

void rollup_vector_encode(const struct rollup_items *v, struct buf *out);

/* Of `raw` at most: what a reader need not allocate to believe. */
uint64_t rollup_vector_raw_max(const struct rollup_shape *shape);

/*
 * Adds column t, for the bits of `types`, to sums[t][id]; columns may go to one array. `touched`
 * (NULL: do not tell) has a bit per id set.
 */
int rollup_vector_add(struct str raw, const struct rollup_shape *shape, uint64_t types,
                      struct arena *scratch, value128 *const *sums, uint64_t *touched,
                      struct err *err);

/* ---- RLD ---- */

struct rollup_block {
    uint64_t offset, checksum; /* in FLM; over the stored bytes */
    uint32_t stored, raw;      /* equal: not compressed */
};

struct rollup_directory {
    struct rollup_vector *vectors;
    uint32_t vector_count;
    bool has_flame;
    uint32_t flame_nodes, flame_names;
    struct rollup_block names, tree;
};

void rollup_directory_encode(const struct rollup_directory *d, struct buf *out);
/* After the index: owners must exist, counts fit. agg_bytes, flm_bytes: the sections' sizes. */
int rollup_directory_decode(struct str raw, const struct dataset_index *index,
                            uint32_t family_count, uint64_t agg_bytes, uint64_t flm_bytes,
                            struct arena *arena, struct rollup_directory *out, struct err *err);

/* ---- FLM ---- */

void flame_names_encode(const struct flame *f, struct buf *out);
void flame_tree_encode(const struct flame *f, struct buf *out);
/* f->node_count and f->name_count as the directory says; texts are copied. */
int flame_names_decode(struct str raw, struct arena *arena, struct flame *f, struct err *err);
int flame_tree_decode(struct str raw, struct arena *arena, struct flame *f, struct err *err);

/* ---- TOT ---- */

void totals_encode(const struct totals *t, struct buf *out);
/* entries' `present` says which columns there are. */
int totals_decode(struct str raw, const struct dataset_index *index, struct arena *arena,
                  struct totals *out, struct err *err);

#endif

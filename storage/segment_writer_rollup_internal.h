/*
 * segment_writer_rollup_internal - what the two halves of the rollup writer share.
 */
#ifndef STORAGE_SEGMENT_WRITER_ROLLUP_INTERNAL_H
#define STORAGE_SEGMENT_WRITER_ROLLUP_INTERNAL_H

#include "storage/rollup.h"
#include "storage/segment_rollup.h"

#include "base/arena.h"
#include "base/buf.h"

/*
 * Sums by type and node, and which nodes have any. All zero between uses. From calloc(): pages
 * that no sum touches take no memory, and what is freed goes back at once.
 */
struct dense {
    value128 *sum[PROFILE_TYPES_MAX]; /* into cells */
    value128 *cells;
    uint64_t *bits;
    uint32_t words;
};

/* Vectors of a family's hour, one behind the other: varint items, sized vector. */
struct rollup_run {
    struct buf bytes;
    uint64_t rows;
};

struct rollup_family {
    uint32_t typeset;
    uint64_t chunk_bytes, rows; /* of its entries */
};

struct rollup_writer {
    const struct dataset_index *index;
    struct arena *arena;
    struct arena scratch;
    bool has_totals, has_vectors, always;
    uint64_t value_count; /* totals of rows that are not 0 */

    /* The entry at hand. */
    uint32_t entry, type_count;
    uint32_t hour_at; /* UINT32_MAX: none begun */
    uint64_t hour_rows, entry_rows;
    uint32_t *slots; /* windows of its rows, and per slot a sum per type */
    value128 *slot_sums;
    uint32_t slot_count, slot_cap, slot_sum_cap;

    /* Vectors. */
    uint32_t node_count, hour_first, hour_count, family_count;
    uint32_t *family_of;
    struct rollup_family *families;
    struct rollup_run *runs; /* by family, then hour */
    uint64_t run_bytes, run_bytes_max;
    struct dense hour, all; /* by node */
    struct dense flame;     /* by flame node */
    uint32_t types_max;
    struct segment_pack *pack; /* borrowed while a service is written */
    struct buf agg, raw;
    struct rollup_vector *vectors;
    uint32_t vector_count, vector_cap;

    /* Totals: columns of windows. */
    uint32_t *column_first, column_count;
    uint32_t *windows;
    value128 *window_sums;
    uint32_t window_count, window_cap;
};

/* The service is written: what lies in its arena is forgotten. */
void rollup_writer_end(struct rollup_writer *r);

int rollup_out_of_memory(struct err *err);

bool dense_init(struct dense *d, uint32_t nodes, uint32_t types);
void dense_free(struct dense *d); /* one that was never initialised is fine */
/* What is set, ascending; *d is zero again. False: no memory. */
bool dense_take(struct dense *d, uint32_t types, struct arena *arena, struct rollup_items *out);
void dense_add(struct dense *d, const struct rollup_items *items);

/* Adds all runs of an hour to r->hour. */
int rollup_run_sum(struct rollup_writer *r, const struct rollup_run *run, uint32_t types,
                   struct err *err);

/* Appends to AGG, unless it is more than a quarter of `rows_bytes`. */
int rollup_put_vector(struct rollup_writer *r, struct rollup_vector *v,
                      const struct rollup_items *items, uint64_t rows_bytes, struct err *err);

#endif

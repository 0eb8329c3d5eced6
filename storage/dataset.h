/*
 * dataset - what a query sees of one service in one head or one segment.
 *
 * A dataset is an immutable picture: a head gives its durable rows at the time
 * of the view, a segment all of its rows. Both implement dataset_ops, so that
 * the query code has one path and the exactness test can compare the two.
 *
 * The index (labels, types, time bounds) is cheap to have; symbols and samples
 * are loaded when asked for. Everything returned lives as long as the view
 * that gave the dataset. Threads: a dataset may be used by one query at a time;
 * what it shares with others is immutable.
 */
#ifndef STORAGE_DATASET_H
#define STORAGE_DATASET_H

#include "base/str.h"
#include "storage/model/labels.h"
#include "storage/model/profile.h"
#include "storage/model/value.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct dataset;
struct err;
struct rollup_ops;
struct sample_columns;
struct symbols;

/* Unix nanoseconds, both ends inclusive, as the query API selects (query-api.md, section 5.1). */
struct time_span {
    int64_t first_ns, last_ns;
};

/* The rows of one stream that share a typeset. */
struct dataset_entry {
    uint32_t stream, typeset;
    uint64_t present; /* bit t: some row has a non-zero value of type t */
    struct time_span time;
    uint64_t row_count;
};

struct dataset_index {
    const struct labels *streams; /* sorted sets; no per-type labels */
    uint32_t stream_count;
    const struct typeset *typesets;
    uint32_t typeset_count;
    const struct dataset_entry *entries; /* ordered by stream, then typeset */
    uint32_t entry_count;
};

struct dataset_row {
    uint32_t stream, typeset;
    int64_t time_ns, duration_ns, period;
    uint64_t present;       /* bit t: type t has a non-zero value in this row */
    const value128 *totals; /* one per type of the typeset: all samples, frames or not */
    uint32_t sample_count;
    uint64_t sequence;       /* LSN of its push: stable across sealing and compaction */
    uint32_t sequence_index; /* its place in that push */
};

/*
 * Which rows to visit, and how much of them. `entries` lists indexes into
 * dataset_index.entries, ascending; `types` runs parallel to it: bit t asks for
 * value column t. `samples` false: rows and totals only, no sample is read.
 */
struct dataset_scan {
    const uint32_t *entries;
    const uint64_t *types;
    uint32_t entry_count;
    struct time_span time;
    bool samples;
};

/*
 * Called per row, by entry and then by (time, sequence). `columns` is NULL unless
 * samples were asked for; it and `row` are valid during the call only. A
 * non-zero return ends the scan, which returns it.
 */
typedef int (*dataset_visit)(void *ctx, const struct dataset_row *row,
                             const struct sample_columns *columns, struct err *err);

struct dataset_ops {
    int (*index)(struct dataset *ds, const struct dataset_index **out, struct err *err);
    /* Node ids in columns refer to *out. *node_count: ids at or above it are not ours. */
    int (*symbols)(struct dataset *ds, const struct symbols **out, uint32_t *node_count,
                   struct err *err);
    int (*scan)(struct dataset *ds, const struct dataset_scan *scan, struct arena *scratch,
                dataset_visit visit, void *ctx, struct err *err);
    const struct rollup_ops *rollups; /* NULL: no sums beside the rows (storage/rollup.h) */
};

/* Embedded first in the implementations (head_dataset, segment_dataset). */
struct dataset {
    const struct dataset_ops *ops;
    struct str tenant, service;
    struct time_span time; /* of its rows */
};

#endif

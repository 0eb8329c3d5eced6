/*
 * segment_rows - what is known of rows without their samples, as a block of .smp.
 *
 * Columns over consecutive rows of one entry: time, duration, period, presence,
 * number of samples, totals per type, sequence. A series query reads these only.
 * Bytes: docs/storage-format.md, "Row block".
 *
 * Pure functions.
 */
#ifndef STORAGE_SEGMENT_ROWS_H
#define STORAGE_SEGMENT_ROWS_H

#include "storage/dataset.h"

#include <stdint.h>

struct arena;
struct buf;
struct err;

enum {
    ROW_BLOCK_ROWS = 4096, /* at most */
};

/* Columns of `count` rows; totals has type_count numbers per row. */
struct segment_rows {
    uint32_t count, type_count;
    int64_t *times, *durations, *periods;
    uint64_t *present, *sequences;
    uint32_t *samples, *sequence_indexes;
    value128 *totals;
};

/* False at the arena's limit. */
bool segment_rows_init(struct segment_rows *rows, uint32_t cap, uint32_t type_count,
                       struct arena *arena);
/* The caller keeps count below the cap. */
void segment_rows_add(struct segment_rows *rows, const struct dataset_row *row);

/* Appends raw bytes, to be compressed by the caller. */
void segment_rows_encode(const struct segment_rows *rows, struct buf *out);

/* Bytes that `count` rows may have at most. */
uint64_t segment_rows_raw_max(uint32_t count, uint32_t type_count);

/* Exactly `count` rows, appended to `rows`, which has room. Times ascend. */
int segment_rows_decode(struct str raw, uint32_t count, struct segment_rows *rows, struct err *err);

/* Row i as a dataset shows it. */
void segment_rows_get(const struct segment_rows *rows, uint32_t i, uint32_t stream,
                      uint32_t typeset, struct dataset_row *out);

#endif

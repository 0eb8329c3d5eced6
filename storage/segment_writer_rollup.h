/*
 * segment_writer_rollup - gathers a service's sums while its rows are written, then writes TOT,
 * AGG, FLM and RLD.
 *
 * Rows come entry by entry in time order with canonical node ids. An entry's hour is summed
 * densely, then kept as a packed run; runs of a family's hour are added up at the end, or
 * earlier when they take much memory: what is held is bounded by distinct stacks times hours.
 *
 * Sums that are not a quarter of what they stand for are left out, so that a reader may take
 * the coarsest that fits.
 *
 * Threads: one owner. Memory: the service's arena, and buffers that stay for the next service.
 */
#ifndef STORAGE_SEGMENT_WRITER_ROLLUP_H
#define STORAGE_SEGMENT_WRITER_ROLLUP_H

#include "storage/dataset.h"
#include "storage/segment.h"

#include <stdint.h>

struct arena;
struct canonical;
struct err;
struct rollup_writer;
struct sample_columns;
struct segment_index;
struct segment_writer;

struct rollup_writer *rollup_writer_new(void);
void rollup_writer_free(struct rollup_writer *r); /* NULL is fine */

/* A service: `index` is the segment's; nodes are below `node_count`. Lives in `arena`. */
int rollup_writer_begin(struct rollup_writer *r, const struct segment_meta *meta,
                        const struct dataset_index *index, uint32_t node_count, struct arena *arena,
                        struct err *err);
int rollup_writer_entry(struct rollup_writer *r, uint32_t entry, struct err *err);
int rollup_writer_row(struct rollup_writer *r, const struct dataset_row *row,
                      const struct sample_columns *columns, struct err *err);
/* `chunk_bytes`: what the entry's samples take in .smp. */
int rollup_writer_end_entry(struct rollup_writer *r, uint64_t chunk_bytes, struct err *err);

/* The sections, those of them that pay. */
int segment_writer_rollups(struct segment_writer *w, const struct canonical *c, struct err *err);

#endif

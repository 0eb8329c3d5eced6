/*
 * segment_writer_internal - what the parts of the segment writer share.
 *
 *   segment_writer.c       files, sections, table, footer
 *   segment_writer_rows.c  a dataset's rows in canonical order into .smp
 *   segment_writer_rollup*.c  sums of the rows
 */
#ifndef STORAGE_SEGMENT_WRITER_INTERNAL_H
#define STORAGE_SEGMENT_WRITER_INTERNAL_H

#include "storage/canonical.h"
#include "storage/head_columns.h"
#include "storage/segment.h"
#include "storage/segment_chunk.h"
#include "storage/segment_index.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"

struct blob_store;
struct blob_writer;
struct rollup_writer;
struct segment_pack;

/* One of the two files: what is not yet written is in `pending`. */
struct segment_out {
    struct blob_store *blobs;
    struct blob_writer *blob;
    struct buf pending;
    uint64_t flushed; /* bytes */
    struct checksum checksum;
};

struct segment_writer {
    struct blob_store *blobs;
    const struct segment_meta *meta;
    struct segment_out smp, agg;
    struct segment_pack *pack;
    struct segment_chunk_writer *chunk;
    struct head_columns *columns;
    struct rollup_writer *rollups;
    struct arena memory;  /* of the service at hand */
    struct buf table;     /* entries so far */
    struct buf services;  /* DSD so far */
    struct buf raw;       /* of the section at hand */
    struct buf row_bytes; /* the service's row blocks, which follow its chunks */
    uint32_t section_count, service_count;
    struct str last_service;
    uint64_t rows, samples;
    struct time_span time;
};

uint64_t segment_out_offset(const struct segment_out *o);
/* Writes when enough has gathered. */
int segment_out_flush_some(struct segment_out *o, struct err *err);

/* A section of the service at hand, compressed as a whole where that helps. */
int segment_writer_section(struct segment_writer *w, uint32_t kind, const struct buf *raw,
                           struct err *err);
/* A section whose parts are compressed already. */
int segment_writer_blocks(struct segment_writer *w, uint32_t kind, const struct buf *blocks,
                          struct err *err);

/*
 * Chunks and row blocks of all rows go to .smp; *c and *ix say what goes to .agg.
 * Both live in w->memory. ix->rows is 0 when there is nothing.
 */
int segment_writer_rows(struct segment_writer *w, struct dataset *ds, struct canonical *c,
                        struct segment_index *ix, struct err *err);

#endif

/*
 * segment_chunk - samples of consecutive rows of one entry as one block of .smp.
 *
 * A chunk has whole rows: a column of stack ids, one column per sample type and,
 * when any sample has a link, a column of links with its dictionary. Each column
 * is encoded and compressed by itself, with the codec that came out smallest, so
 * that a reader of one type leaves the others alone. How many samples each row
 * has is said elsewhere (segment_rows.h).
 * Bytes and codecs: docs/storage-format.md, "Sample chunk".
 *
 * Threads: one owner per writer; decoding is a pure function.
 */
#ifndef STORAGE_SEGMENT_CHUNK_H
#define STORAGE_SEGMENT_CHUNK_H

#include "storage/model/samples.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct buf;
struct err;
struct segment_chunk_writer;
struct segment_pack;

enum {
    CHUNK_RAW_BYTES = 64 << 10, /* as estimated before compression; then the chunk is full */
    CHUNK_SAMPLES = 128 << 10,  /* full too: bounds what a reader must unpack at once */
};

enum chunk_id_codec {
    CHUNK_IDS_FLAGGED = 0, /* gap << 1 | "the first value is listed" */
    CHUNK_IDS_GAPS = 1,
    CHUNK_IDS_DIFFERENCE = 2, /* what came and went since the row before */
};

enum chunk_value_codec {
    CHUNK_VALUES_ONES = 0, /* all are the scale; scale 0: all are zero */
    CHUNK_VALUES_PLAIN = 1,
    CHUNK_VALUES_PREVIOUS = 2, /* differences to the same stack in the row before */
    CHUNK_VALUES_LISTED = 3,   /* with CHUNK_IDS_FLAGGED: those that are not the scale */
    CHUNK_VALUES_COPY = 4,     /* an earlier column, times another scale */
};

struct segment_chunk_writer *segment_chunk_writer_new(void);
void segment_chunk_writer_free(struct segment_chunk_writer *w); /* NULL is fine */

/* Starts an empty chunk. */
void segment_chunk_begin(struct segment_chunk_writer *w, uint32_t type_count);
/* Columns are canonical: stacks ascend, equal ones by link; all types are there. Copied. */
void segment_chunk_add(struct segment_chunk_writer *w, const struct sample_columns *row);
uint32_t segment_chunk_rows(const struct segment_chunk_writer *w);
uint32_t segment_chunk_samples(const struct segment_chunk_writer *w);
bool segment_chunk_is_full(const struct segment_chunk_writer *w);
/* Appends the chunk of what was added. */
void segment_chunk_encode(struct segment_chunk_writer *w, struct segment_pack *pack,
                          struct buf *out);

/* What the directory knows about a chunk. */
struct segment_chunk_shape {
    const uint32_t *row_samples; /* per row */
    uint32_t row_count, sample_count, type_count, node_count;
};

/*
 * All rows, one after the other, as one set of columns; links share one table.
 * Only the value columns in `types` are decoded. ERR_CORRUPT, or ERR_TOO_LARGE at
 * the arena's limit.
 */
int segment_chunk_decode(struct str stored, const struct segment_chunk_shape *shape, uint64_t types,
                         struct segment_pack *pack, struct arena *arena, struct sample_columns *out,
                         struct err *err);

/*
 * For both directions: match[i] is the index, in `last`, of stacks[i], or
 * UINT32_MAX. Both lists ascend.
 */
void segment_chunk_match(const uint32_t *last, uint32_t last_count, const uint32_t *stacks,
                         uint32_t count, uint32_t *match);

#endif

/*
 * segment_index - streams, typesets and the chunk directory of one service.
 *
 * Section LBL has streams and typesets with strings of its own, so that selecting
 * does not need the dictionary; DIR has the entries with exact bounds and where
 * their blocks lie in .smp. Streams, typesets and entries are sorted.
 * Bytes: docs/storage-format.md, "LBL" and "DIR".
 *
 * Decoders do not believe what they read (ERR_CORRUPT). Pure functions.
 */
#ifndef STORAGE_SEGMENT_INDEX_H
#define STORAGE_SEGMENT_INDEX_H

#include "storage/dataset.h"

#include <stdint.h>

struct arena;
struct buf;
struct err;

/* A row block or a chunk in .smp. */
struct segment_block {
    uint64_t offset, checksum; /* over the stored bytes */
    uint32_t stored, raw;      /* raw: of row blocks; raw == stored: not compressed */
    uint32_t rows, samples;    /* samples: of chunks */
};

struct segment_index {
    struct dataset_index index;
    /* Blocks of entry e: [first[e], first[e + 1]). */
    struct segment_block *row_blocks, *chunks;
    uint32_t *row_block_first, *chunk_first;
    uint64_t smp_first, smp_end; /* the service's part of .smp: chunks, then row blocks */
    uint64_t rows, samples;
};

/* Ascending by period type, period unit, then types. */
int typeset_cmp(const struct typeset *a, const struct typeset *b);

/* From streams, typesets and entries that are sorted and all in use. Raw bytes. */
void segment_labels_encode(const struct dataset_index *index, struct buf *out);
void segment_directory_encode(const struct segment_index *ix, struct buf *out);

/* What they show lives in `arena`. */
int segment_labels_decode(struct str raw, struct arena *arena, struct dataset_index *out,
                          struct err *err);
/* After the labels. Blocks tile [smp_first, smp_end), which must lie in [0, smp_bytes]. */
int segment_directory_decode(struct str raw, uint64_t smp_bytes, struct arena *arena,
                             struct segment_index *out, struct err *err);

#endif

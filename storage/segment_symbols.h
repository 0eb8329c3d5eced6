/*
 * segment_symbols - the dictionary of one service as section bytes, and back.
 *
 * Five sections: STR in blocks with their first key, FUN, MAP, LOC as columns of
 * differences, STK as (pops, location) in depth-first order. What is encoded is
 * canonical; the decoder insists on it (strictly ascending, ids in range), so
 * that whoever uses a decoded dictionary may rely on the order.
 * Bytes: docs/storage-format.md, "Dictionary sections".
 *
 * Decoders take raw (decompressed) bytes that somebody else may have written:
 * ERR_CORRUPT says section, offset, expectation. Pure functions.
 */
#ifndef STORAGE_SEGMENT_SYMBOLS_H
#define STORAGE_SEGMENT_SYMBOLS_H

#include "base/str.h"

struct arena;
struct buf;
struct canonical;
struct err;
struct segment_pack;
struct symbols;

/* Raw columns, to be compressed by the caller. */
void segment_functions_encode(const struct canonical *c, struct buf *out);
void segment_mappings_encode(const struct canonical *c, struct buf *out);
void segment_locations_encode(const struct canonical *c, struct buf *out);
void segment_stacks_encode(const struct canonical *c, struct buf *out);
/* Compresses its blocks itself: this is what is stored. Returns the bytes before that. */
uint64_t segment_strings_encode(const struct canonical *c, struct segment_pack *pack, int level,
                                struct buf *out);

/* In this order, into a new dictionary. */
int segment_strings_decode(struct str stored, struct segment_pack *pack, struct arena *scratch,
                           struct symbols *out, struct err *err);
int segment_functions_decode(struct str raw, struct symbols *out, struct err *err);
int segment_mappings_decode(struct str raw, struct symbols *out, struct err *err);
int segment_locations_decode(struct str raw, struct arena *scratch, struct symbols *out,
                             struct err *err);
int segment_stacks_decode(struct str raw, struct symbols *out, struct err *err);

#endif

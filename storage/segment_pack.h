/*
 * segment_pack - zstd for sections and columns, with contexts that are kept.
 *
 * Threads: one owner per segment_pack.
 */
#ifndef STORAGE_SEGMENT_PACK_H
#define STORAGE_SEGMENT_PACK_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct buf;
struct err;
struct segment_pack;

enum {
    PACK_SAMPLES = 1, /* zstd levels: entropy does the work in sample columns */
    PACK_TABLES = 3,
    PACK_STRINGS = 9, /* a fifth smaller, six times slower: for segments that stay */
};

struct segment_pack *segment_pack_new(void);
void segment_pack_free(struct segment_pack *p); /* NULL is fine */

/* Appends the compressed form and returns true, or nothing and false where that is not smaller. */
bool segment_pack_put(struct segment_pack *p, struct str raw, int level, struct buf *out);

/* Exactly `raw_size` bytes into `into`; false when `stored` is no such frame. */
bool segment_pack_get(struct segment_pack *p, struct str stored, void *into, size_t raw_size);

#endif

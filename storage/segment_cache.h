/*
 * segment_cache - decoded dictionaries and indexes of segments, shared by queries.
 *
 * Entries are found by (segment, service, part) and are immutable. Whoever gets
 * one holds a reference until segment_cache_unref(); entries without references
 * stay as long as all entries together are below `bytes_max`, least recently used
 * out first. What is in use counts against memory.max_bytes (base/budget.h) as well as what
 * is kept. Two threads that miss at once both decode; the second one's work is
 * dropped.
 *
 * Threads: any. The mutex (MUTEX_RANK_CACHE) is held for list work only.
 */
#ifndef STORAGE_SEGMENT_CACHE_H
#define STORAGE_SEGMENT_CACHE_H

#include "storage/segment.h"

#include <stddef.h>
#include <stdint.h>

struct err;
struct segment_cache;

enum segment_part {
    SEGMENT_PART_INDEX,   /* labels, entries, chunk lists */
    SEGMENT_PART_SYMBOLS, /* the dictionary */
    SEGMENT_PART_ROLLUPS, /* where sums are */
    SEGMENT_PART_FLAME,   /* the tree by function name */
};

struct segment_cache_key {
    struct segment_id id;
    uint32_t service;
    enum segment_part part;
};

/* A cached thing embeds this first; the maker fills `bytes` and `free`. */
struct segment_cached {
    struct segment_cache_key key;
    size_t bytes;
    void (*free)(struct segment_cached *item);
    struct segment_cache *cache; /* the cache's own from here on; NULL: not in one */
    uint32_t refs;
    struct segment_cached *next_hash, *older, *newer;
};

struct segment_cache *segment_cache_new(uint64_t bytes_max);
/* All references must be gone. NULL is fine. */
void segment_cache_free(struct segment_cache *c);

/* With a reference, or NULL. A NULL cache holds nothing. */
struct segment_cached *segment_cache_get(struct segment_cache *c,
                                         const struct segment_cache_key *key);

/*
 * Takes `item` in, or frees it and returns the equal one that is there; with a
 * reference either way. A NULL cache: the item itself, freed by its last unref.
 */
struct segment_cached *segment_cache_add(struct segment_cache *c,
                                         const struct segment_cache_key *key,
                                         struct segment_cached *item);
void segment_cache_unref(struct segment_cached *item); /* NULL is fine */

/*
 * Before something is decoded: when the process is over its memory, drops all that is not in
 * use; ERR_BUSY when that is not enough.
 */
int segment_cache_room(struct segment_cache *c, struct err *err);

/* The segment is gone: drops what is not in use. */
void segment_cache_forget(struct segment_cache *c, struct segment_id id);

uint64_t segment_cache_bytes(struct segment_cache *c);

#endif

/*
 * dedup - rows that were pushed in the last minutes, by a hash, so that a retry counts once.
 *
 * Two generations: a key lives between one and two times the window, or less
 * when more come in it than `bytes_max` has room for: then the older half is
 * forgotten early, and counted. A key maps to the LSN of the push that brought it: a
 * retry is acknowledged when that one is durable, not before.
 *
 * Threads: own mutex (rank ACKS, taken after a head's).
 */
#ifndef STORAGE_DEDUP_H
#define STORAGE_DEDUP_H

#include "storage/model/profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dedup;

#define DEDUP_WINDOW_NS (600LL * 1000000000)

struct dedup *dedup_new(size_t bytes_max);
void dedup_free(struct dedup *d); /* NULL is fine */

/*
 * Keys that mean the same row again, the same in every process; never 0. By id:
 * stream, time and id; 0 when the id is empty. By content: everything.
 */
uint64_t dedup_key_id(struct str tenant, const struct push_row *row);
uint64_t dedup_key_content(struct str tenant, const struct push_row *row);

/* True when the key is known; then *lsn is its push's. */
bool dedup_find(struct dedup *d, uint64_t key, int64_t mono_ns, uint64_t *lsn);
/*
 * The oldest LSN with a key that is still remembered, UINT64_MAX when there is
 * none: the log must keep it, so that a retry is known after a restart too.
 */
uint64_t dedup_oldest_lsn(struct dedup *d, int64_t mono_ns);
/* A key that is not known. */
void dedup_add(struct dedup *d, uint64_t key, int64_t mono_ns, uint64_t lsn);

struct dedup_stats {
    uint64_t keys, bytes, turned_early;
};
void dedup_stats(struct dedup *d, struct dedup_stats *out);

#endif

/*
 * blob_memory - two objects, an .agg and a .smp, as bytes in memory: what fuzzers read segments
 * from.
 *
 * Whatever the name, `.agg` at its end gives the one and anything else the other.
 * Read-only. Threads: one.
 */
#ifndef TESTS_SUPPORT_BLOB_MEMORY_H
#define TESTS_SUPPORT_BLOB_MEMORY_H

#include "storage/blob_store.h"

struct blob_memory {
    struct blob_store store;
    struct str agg, smp; /* borrowed */
};

void blob_memory_init(struct blob_memory *b, struct str agg, struct str smp);

/*
 * Opens the segment that segment_make_meta(1) names from these bytes and reads all
 * of it: every row of every service, and verify. The first code that is not 0.
 */
int blob_memory_read_segment(struct str agg, struct str smp);

/* Seeds of fuzz_agg and fuzz_segment_checked: le32 length of .agg, .agg, .smp. */
void blob_memory_write_seeds(const char *dir);

#endif

/*
 * evict_record - the log's word that a segment was evicted.
 *
 * Rows of an evicted segment may still be in the log: whoever replays it must
 * not bring them back. The record names the segment and the heads it was made
 * from; docs/storage-format.md, "Evict record".
 */
#ifndef STORAGE_EVICT_RECORD_H
#define STORAGE_EVICT_RECORD_H

#include "storage/segment.h"

#include <stdint.h>

struct buf;
struct err;

struct evict_record {
    struct segment_id id;
    uint64_t *heads; /* malloc'd by evict_record_get() */
    uint32_t head_count;
};

void evict_record_put(const struct segment_meta *m, struct buf *out);

/* ERR_CORRUPT: not one. On success free(out->heads). */
int evict_record_get(struct str payload, struct evict_record *out, struct err *err);

#endif

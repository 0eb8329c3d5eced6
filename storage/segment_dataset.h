/*
 * segment_dataset - a service of a segment as a dataset: what its two halves share.
 *
 * segment_dataset.c shows index, dictionary and rows, segment_dataset_rollup.c the sums. Every
 * decoded part comes from the cache or goes there, and is held until the dataset closes.
 *
 * Internal to segment_*.c. Threads: a dataset has one query at a time.
 */
#ifndef STORAGE_SEGMENT_DATASET_H
#define STORAGE_SEGMENT_DATASET_H

#include "storage/rollup.h"
#include "storage/segment_cache.h"
#include "storage/segment_index.h"
#include "storage/segment_reader.h"
#include "storage/segment_rollup.h"

#include "base/arena.h"

struct cached_index {
    struct segment_cached cached;
    struct segment_index ix;
    struct arena memory;
};

struct cached_symbols {
    struct segment_cached cached;
    struct symbols *symbols;
};

struct cached_rollups {
    struct segment_cached cached;
    struct rollups rollups;
    struct rollup_directory directory;
    struct segment_section agg, flm, tot; /* zeroes: not there */
    struct arena memory;
};

struct cached_flame {
    struct segment_cached cached;
    struct flame flame;
    struct arena memory;
};

/* Each part is NULL until asked for. */
struct segment_dataset {
    struct dataset ds;
    struct segment *segment;
    uint32_t service;
    struct cached_index *index;
    struct cached_symbols *symbols;
    struct cached_rollups *rollups;
    struct cached_flame *flame;
};

int segment_dataset_need_index(struct segment_dataset *d, struct err *err);

extern const struct rollup_ops segment_rollup_ops;

#endif

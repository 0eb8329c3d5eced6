/*
 * merged_profile - many profiles of one sample type as one, with full symbols.
 *
 * What a pprof answer is made of: a dictionary and one exact sum per stack.
 * merged_profile_cut() applies max_nodes the way the reference does.
 *
 * Ownership: symbols are owned (merged_profile_release()), samples come from
 * the arena of whoever built it. Threads: one owner.
 */
#ifndef STORAGE_MODEL_MERGED_PROFILE_H
#define STORAGE_MODEL_MERGED_PROFILE_H

#include "storage/model/value.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;
struct symbols;

struct merged_sample {
    uint32_t node; /* of symbols; never the root: samples without frames are left out */
    value128 value;
};

struct merged_profile {
    struct symbols *symbols;
    struct merged_sample *samples; /* node ids ascend */
    uint32_t sample_count;
    bool any_row; /* false: nothing was selected at all */
};

void merged_profile_release(struct merged_profile *p);

/*
 * Keeps the max_nodes largest nodes of the call tree by function name
 * (query-api.md, section 6.5): in each stack everything behind the first cut
 * frame becomes one location `other`; a stack that is cut at its root becomes
 * `other` alone; equal stacks are added up. `max_nodes` < 1 or not below the
 * number of nodes: nothing changes. New samples come from `arena`.
 */
int merged_profile_cut(struct merged_profile *p, int64_t max_nodes, struct arena *arena,
                       struct err *err);

#endif

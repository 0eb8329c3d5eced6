/*
 * flamegraph - levels of boxes from one call tree, or from two for a diff.
 *
 * The layouts, name tables and orders are those of the reference, number for
 * number (../shared/spec/query-api.md, sections 6.1, 6.2 and 6.4): a client can
 * tell. Truncation happens here or in tree_truncate(), once, on exact sums.
 *
 * Ownership: results live in the arena given. Pure functions.
 */
#ifndef STORAGE_MODEL_FLAMEGRAPH_H
#define STORAGE_MODEL_FLAMEGRAPH_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;
struct tree;

struct flamegraph_level {
    int64_t *values; /* 4 per node; 7 in a diff */
    uint32_t value_count;
};

struct flamegraph {
    struct str *names;
    uint32_t name_count;
    struct flamegraph_level *levels;
    uint32_t level_count;
    int64_t total, max_self;
    int64_t left_ticks, right_ticks; /* diff only */
    bool saturated;                  /* some value did not fit int64 */
};

/*
 * Nodes below the max_nodes-th largest total, and every child called `other`,
 * fold into one leaf `other` per parent. `max_nodes` < 1: no cut by size.
 */
int flamegraph_build(const struct tree *tree, int64_t max_nodes, struct arena *arena,
                     struct flamegraph **out, struct err *err);

/* Both trees share one tree_names. */
int flamegraph_diff(const struct tree *left, const struct tree *right, int64_t max_nodes,
                    struct arena *arena, struct flamegraph **out, struct err *err);

#endif

/*
 * flamegraph_levels - collects the boxes of a flame graph, or of a diff, level by level.
 *
 * Boxes arrive in the order of the reference's walk: depth first, the last
 * child first. Names get their index at first sight in that order; index 0 is
 * the root, spelled "total". A level is kept reversed and turned round at the
 * end, when absolute positions become gaps.
 *
 * A single graph has one side per box, a diff two. Internal to flamegraph.c
 * and flamegraph_diff.c.
 */
#ifndef STORAGE_MODEL_FLAMEGRAPH_LEVELS_H
#define STORAGE_MODEL_FLAMEGRAPH_LEVELS_H

#include "storage/model/value.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;
struct flamegraph;
struct flamegraph_box;
struct tree_names;

struct flamegraph_side {
    value128 x, total, self;
};

struct flamegraph_levels {
    struct arena *arena;
    struct tree_names *names;
    uint32_t sides;
    uint32_t *index_of; /* by name id; 0: none yet (the root's own index is never looked up) */
    bool *shares_root;  /* by name id: index 0 is this name's */
    uint32_t *name_ids; /* by index */
    uint32_t name_count;
    struct flamegraph_box *boxes;
    uint32_t box_count, box_cap;
    uint32_t *last_of_level; /* box + 1; boxes of a level are chained */
    uint32_t level_count, level_cap;
    value128 max_self;
};

/* `root_name`: the name id that shares index 0 with the root. */
int flamegraph_levels_init(struct flamegraph_levels *l, struct tree_names *names, uint32_t sides,
                           uint32_t root_name, struct arena *arena, struct err *err);
int flamegraph_levels_add_root(struct flamegraph_levels *l, const struct flamegraph_side *sides,
                               struct err *err);
int flamegraph_levels_add(struct flamegraph_levels *l, uint32_t level,
                          const struct flamegraph_side *sides, uint32_t name, struct err *err);
int flamegraph_levels_finish(struct flamegraph_levels *l, struct flamegraph **out, struct err *err);

#endif

#include "storage/model/flamegraph_levels.h"

#include "storage/model/flamegraph.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

enum {
    BOXES_INITIAL = 256,
    LEVELS_INITIAL = 64,
};

struct flamegraph_box {
    struct flamegraph_side side[2];
    uint32_t name_index;
    uint32_t previous; /* box of the same level to the right, + 1 */
};

static int out_of_memory(const struct flamegraph_levels *l, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "the flame graph needs more than %zu bytes of working memory; ask for fewer "
                   "nodes or raise limits.query_memory_bytes_max",
                   arena_limit(l->arena));
}

int flamegraph_levels_init(struct flamegraph_levels *l, struct tree_names *names, uint32_t sides,
                           uint32_t root_name, struct arena *arena, struct err *err)
{
    size_t name_count = tree_names_count(names);

    check(sides == 1 || sides == 2);
    memset(l, 0, sizeof(*l));
    l->arena = arena;
    l->names = names;
    l->sides = sides;
    l->index_of = arena_array(arena, uint32_t, name_count);
    l->shares_root = arena_array(arena, bool, name_count);
    l->name_ids = arena_array(arena, uint32_t, name_count + 1);
    if (!l->index_of || !l->shares_root || !l->name_ids)
        return out_of_memory(l, err);
    memset(l->index_of, 0, name_count * sizeof(*l->index_of));
    memset(l->shares_root, 0, name_count * sizeof(*l->shares_root));
    l->shares_root[root_name] = true;
    l->name_count = 1;
    return 0;
}

static uint32_t name_index(struct flamegraph_levels *l, uint32_t name)
{
    if (l->shares_root[name])
        return 0;
    if (l->index_of[name] == 0) {
        l->name_ids[l->name_count] = name;
        l->index_of[name] = l->name_count++;
    }
    return l->index_of[name];
}

/* Makes room for one more box and for `level`. */
static int reserve(struct flamegraph_levels *l, uint32_t level, struct err *err)
{
    if (l->box_count == l->box_cap) {
        uint32_t cap = l->box_cap ? l->box_cap * 2 : BOXES_INITIAL;
        struct flamegraph_box *boxes = arena_array(l->arena, struct flamegraph_box, cap);

        if (!boxes)
            return out_of_memory(l, err);
        if (l->box_count > 0)
            memcpy(boxes, l->boxes, l->box_count * sizeof(*boxes));
        l->boxes = boxes;
        l->box_cap = cap;
    }
    if (level >= l->level_cap) {
        uint32_t cap = l->level_cap ? l->level_cap * 2 : LEVELS_INITIAL;
        uint32_t *last = arena_array(l->arena, uint32_t, cap);

        if (!last)
            return out_of_memory(l, err);
        memset(last, 0, cap * sizeof(*last));
        if (l->level_count > 0)
            memcpy(last, l->last_of_level, l->level_count * sizeof(*last));
        l->last_of_level = last;
        l->level_cap = cap;
    }
    return 0;
}

static int add_box(struct flamegraph_levels *l, uint32_t level, const struct flamegraph_side *sides,
                   uint32_t index, struct err *err)
{
    struct flamegraph_box *b;
    int rc = reserve(l, level, err);

    if (rc != 0)
        return rc;
    check(level <= l->level_count);
    if (level == l->level_count)
        l->last_of_level[l->level_count++] = 0;
    b = &l->boxes[l->box_count];
    memset(b, 0, sizeof(*b));
    for (uint32_t s = 0; s < l->sides; s++) {
        b->side[s] = sides[s];
        if (sides[s].self > l->max_self)
            l->max_self = sides[s].self;
    }
    b->name_index = index;
    b->previous = l->last_of_level[level];
    l->last_of_level[level] = ++l->box_count;
    return 0;
}

int flamegraph_levels_add_root(struct flamegraph_levels *l, const struct flamegraph_side *sides,
                               struct err *err)
{
    return add_box(l, 0, sides, 0, err);
}

int flamegraph_levels_add(struct flamegraph_levels *l, uint32_t level,
                          const struct flamegraph_side *sides, uint32_t name, struct err *err)
{
    return add_box(l, level, sides, name_index(l, name), err);
}

/* Boxes of a level, left to right, with gaps instead of positions. */
static int finish_level(const struct flamegraph_levels *l, uint32_t level, struct flamegraph *out,
                        struct err *err)
{
    uint32_t count = 0, per_box = 3 * l->sides + 1;
    value128 end[2] = {0, 0};
    int64_t *v;

    for (uint32_t b = l->last_of_level[level]; b != 0; b = l->boxes[b - 1].previous)
        count++;
    v = arena_array(l->arena, int64_t, (size_t)count * per_box);
    if (!v)
        return out_of_memory(l, err);
    out->levels[level] = (struct flamegraph_level){v, count * per_box};
    for (uint32_t b = l->last_of_level[level]; b != 0; b = l->boxes[b - 1].previous) {
        const struct flamegraph_box *box = &l->boxes[b - 1];

        for (uint32_t s = 0; s < l->sides; s++) {
            const struct flamegraph_side *side = &box->side[s];

            check(side->x >= end[s]);
            *v++ = value_saturate(side->x - end[s], &out->saturated);
            *v++ = value_saturate(side->total, &out->saturated);
            *v++ = value_saturate(side->self, &out->saturated);
            end[s] = side->x + side->total;
        }
        *v++ = box->name_index;
    }
    return 0;
}

int flamegraph_levels_finish(struct flamegraph_levels *l, struct flamegraph **out, struct err *err)
{
    struct flamegraph *g = arena_new(l->arena, struct flamegraph);
    const struct flamegraph_box *root = &l->boxes[0];
    value128 total = root->side[0].total + root->side[1].total;

    if (!g)
        return out_of_memory(l, err);
    memset(g, 0, sizeof(*g));
    g->names = arena_array(l->arena, struct str, l->name_count);
    g->levels = arena_array(l->arena, struct flamegraph_level, l->level_count);
    if (!g->names || !g->levels)
        return out_of_memory(l, err);
    g->name_count = l->name_count;
    g->names[0] = STR("total");
    for (uint32_t i = 1; i < l->name_count; i++)
        g->names[i] = tree_names_text(l->names, l->name_ids[i]);
    g->level_count = l->level_count;
    for (uint32_t i = 0; i < l->level_count; i++) {
        int rc = finish_level(l, i, g, err);

        if (rc != 0)
            return rc;
    }
    g->total = value_saturate(total, &g->saturated);
    g->max_self = value_saturate(l->max_self, &g->saturated);
    if (l->sides == 2) {
        g->left_ticks = value_saturate(root->side[0].total, &g->saturated);
        g->right_ticks = value_saturate(root->side[1].total, &g->saturated);
    }
    *out = g;
    return 0;
}

#include "storage/model/flamegraph.h"

#include "storage/model/cut.h"
#include "storage/model/flamegraph_levels.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

/* A node of the union of both trees; NO_NODE on the side that lacks it. */
struct aligned {
    uint32_t node[2];
    uint32_t name;
    uint32_t child_first, child_count; /* in the array of aligned nodes: contiguous */
};

#define NO_NODE UINT32_MAX

struct diff {
    const struct tree *tree[2];
    struct aligned *nodes;
    uint32_t count;
    value128 cut;
};

static int out_of_memory(struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "the diff needs more than %zu bytes of working memory; ask for a shorter range "
                   "or raise limits.query_memory_bytes_max",
                   arena_limit(arena));
}

static value128 side_total(const struct diff *d, const struct aligned *a, int side)
{
    return a->node[side] == NO_NODE ? 0 : tree_nodes(d->tree[side])[a->node[side]].total;
}

static value128 side_self(const struct diff *d, const struct aligned *a, int side)
{
    return a->node[side] == NO_NODE ? 0 : tree_nodes(d->tree[side])[a->node[side]].self;
}

/* One side's sorted children of an aligned node. */
static const uint32_t *side_children(const struct diff *d, const struct aligned *a, int side,
                                     uint32_t *count)
{
    const struct tree_node *n;

    *count = 0;
    if (a->node[side] == NO_NODE)
        return NULL;
    n = &tree_nodes(d->tree[side])[a->node[side]];
    *count = n->child_count;
    return tree_children(d->tree[side]) + n->child_first;
}

/* Merges the children of both sides by name; they are sorted alike. */
static void align_children(struct diff *d, uint32_t index)
{
    struct aligned *a = &d->nodes[index];
    const struct tree_names *names = tree_names_of(d->tree[0]);
    uint32_t count[2], i[2] = {0, 0};
    const uint32_t *child[2] = {side_children(d, a, 0, &count[0]),
                                side_children(d, a, 1, &count[1])};

    a->child_first = d->count;
    while (i[0] < count[0] || i[1] < count[1]) {
        struct aligned next = {{NO_NODE, NO_NODE}, 0, 0, 0};
        uint32_t name[2] = {0, 0};
        int order = 0;

        for (int s = 0; s < 2; s++)
            if (i[s] < count[s])
                name[s] = tree_nodes(d->tree[s])[child[s][i[s]]].name;
        if (i[0] >= count[0])
            order = 1;
        else if (i[1] >= count[1])
            order = -1;
        else if (name[0] != name[1])
            order = str_cmp(tree_names_text(names, name[0]), tree_names_text(names, name[1]));
        if (order <= 0)
            next.node[0] = child[0][i[0]++];
        if (order >= 0)
            next.node[1] = child[1][i[1]++];
        next.name = order <= 0 ? name[0] : name[1];
        d->nodes[d->count++] = next;
    }
    a->child_count = d->count - a->child_first;
}

/* The root counts here, unlike in a single tree. */
static int choose_cut(struct diff *d, int64_t max_nodes, struct arena *arena, struct err *err)
{
    value128 *keys;

    d->cut = 0;
    if (max_nodes < 1 || d->count <= max_nodes)
        return 0;
    keys = arena_array(arena, value128, d->count);
    if (!keys)
        return out_of_memory(arena, err);
    for (uint32_t n = 0; n < d->count; n++) {
        value128 left = side_total(d, &d->nodes[n], 0), right = side_total(d, &d->nodes[n], 1);

        keys[n] = left > right ? left : right;
    }
    d->cut = cut_select(keys, d->count, (uint32_t)max_nodes - 1);
    return 0;
}

struct diff_box {
    uint32_t node; /* aligned; NO_NODE: the synthetic `other` */
    uint32_t level;
    struct flamegraph_side side[2];
};

static void push_children(const struct diff *d, const struct diff_box *b, struct diff_box *stack,
                          uint32_t *stack_count)
{
    const struct aligned *a = &d->nodes[b->node];
    struct diff_box other = {.node = NO_NODE, .level = b->level + 1};
    value128 x[2] = {b->side[0].x + b->side[0].self, b->side[1].x + b->side[1].self};

    for (uint32_t c = a->child_first; c < a->child_first + a->child_count; c++) {
        struct diff_box box = {.node = c, .level = b->level + 1};
        bool keep = false;

        for (int s = 0; s < 2; s++) {
            box.side[s].total = side_total(d, &d->nodes[c], s);
            box.side[s].self = side_self(d, &d->nodes[c], s);
            keep = keep || box.side[s].total >= d->cut;
        }
        for (int s = 0; s < 2; s++) {
            if (!keep) {
                other.side[s].total += box.side[s].total;
                continue;
            }
            box.side[s].x = x[s];
            x[s] += box.side[s].total;
        }
        if (keep)
            stack[(*stack_count)++] = box;
    }
    if (other.side[0].total == 0 && other.side[1].total == 0)
        return;
    for (int s = 0; s < 2; s++) {
        other.side[s].x = x[s];
        other.side[s].self = other.side[s].total;
    }
    stack[(*stack_count)++] = other;
}

static int walk(const struct diff *d, uint32_t other_name, struct flamegraph_levels *levels,
                struct arena *arena, struct err *err)
{
    struct diff_box *stack = arena_array(arena, struct diff_box, (size_t)d->count * 2 + 1);
    uint32_t stack_count = 0;

    if (!stack)
        return out_of_memory(arena, err);
    stack[0] = (struct diff_box){.node = 0, .level = 0};
    for (int s = 0; s < 2; s++) {
        stack[0].side[s].total = side_total(d, &d->nodes[0], s);
        stack[0].side[s].self = side_self(d, &d->nodes[0], s);
    }
    stack_count = 1;
    while (stack_count > 0) {
        struct diff_box b = stack[--stack_count];
        int rc;

        if (b.level == 0)
            rc = flamegraph_levels_add_root(levels, b.side, err);
        else
            rc = flamegraph_levels_add(levels, b.level, b.side,
                                       b.node == NO_NODE ? other_name : d->nodes[b.node].name, err);
        if (rc != 0)
            return rc;
        if (b.node != NO_NODE)
            push_children(d, &b, stack, &stack_count);
    }
    return 0;
}

int flamegraph_diff(const struct tree *left, const struct tree *right, int64_t max_nodes,
                    struct arena *arena, struct flamegraph **out, struct err *err)
{
    struct diff d = {.tree = {left, right}};
    struct tree_names *names = tree_names_of(left);
    struct flamegraph_levels levels;
    uint32_t other;
    int rc;

    check(names == tree_names_of(right));
    if ((rc = tree_names_intern(names, STR("other"), &other, err)) != 0)
        return rc;
    d.nodes =
        arena_array(arena, struct aligned, (size_t)tree_node_count(left) + tree_node_count(right));
    if (!d.nodes)
        return out_of_memory(arena, err);
    d.nodes[d.count++] = (struct aligned){{TREE_ROOT, TREE_ROOT}, 0, 0, 0};
    for (uint32_t n = 0; n < d.count; n++)
        align_children(&d, n);
    if ((rc = choose_cut(&d, max_nodes, arena, err)) != 0)
        return rc;
    /* Here the empty name shares index 0 with the root, and "total" does not. */
    if ((rc = flamegraph_levels_init(&levels, names, 2, 0, arena, err)) != 0 ||
        (rc = walk(&d, other, &levels, arena, err)) != 0)
        return rc;
    return flamegraph_levels_finish(&levels, out, err);
}

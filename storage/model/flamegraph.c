#include "storage/model/flamegraph.h"

#include "storage/model/flamegraph_levels.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

/*
 * The walk keeps a stack and pops the last child first: that order numbers the
 * names, while a level shows its boxes left to right, so levels are filled from
 * the right. Boxes of one level never overlap.
 */
struct box {
    uint32_t node; /* of the tree; BOX_OTHER: the synthetic `other` */
    uint32_t level;
    value128 x, total, self;
};

#define BOX_OTHER UINT32_MAX

struct walk {
    const struct tree *tree;
    value128 cut;
    uint32_t other; /* name id of "other" */
    struct box *stack;
    uint32_t stack_count;
    struct flamegraph_levels levels;
};

static void push_children(struct walk *w, const struct box *b)
{
    const struct tree_node *nodes = tree_nodes(w->tree);
    const struct tree_node *n = &nodes[b->node];
    const uint32_t *child = tree_children(w->tree) + n->child_first;
    value128 x = b->x + b->self, folded = 0;

    for (uint32_t i = 0; i < n->child_count; i++) {
        const struct tree_node *c = &nodes[child[i]];

        if (c->total < w->cut || c->name == w->other) {
            folded += c->total;
            continue;
        }
        w->stack[w->stack_count++] = (struct box){child[i], b->level + 1, x, c->total, c->self};
        x += c->total;
    }
    if (folded > 0)
        w->stack[w->stack_count++] = (struct box){BOX_OTHER, b->level + 1, x, folded, folded};
}

static int walk_tree(struct walk *w, struct err *err)
{
    const struct tree_node *root = &tree_nodes(w->tree)[TREE_ROOT];

    w->stack[w->stack_count++] = (struct box){TREE_ROOT, 0, 0, root->total, root->self};
    while (w->stack_count > 0) {
        struct box b = w->stack[--w->stack_count];
        struct flamegraph_side side = {b.x, b.total, b.self};
        uint32_t name = b.node == BOX_OTHER ? w->other : tree_nodes(w->tree)[b.node].name;
        int rc;

        /* The root is spelled "total" and shares index 0 with a function of that name. */
        if (b.node == TREE_ROOT)
            rc = flamegraph_levels_add_root(&w->levels, &side, err);
        else
            rc = flamegraph_levels_add(&w->levels, b.level, &side, name, err);
        if (rc != 0)
            return rc;
        if (b.node != BOX_OTHER)
            push_children(w, &b);
    }
    return 0;
}

int flamegraph_build(const struct tree *tree, int64_t max_nodes, struct arena *arena,
                     struct flamegraph **out, struct err *err)
{
    struct walk w = {.tree = tree};
    struct tree_names *names = tree_names_of(tree);
    uint32_t total_name;
    int rc;

    if ((rc = tree_names_intern(names, STR("other"), &w.other, err)) != 0 ||
        (rc = tree_names_intern(names, STR("total"), &total_name, err)) != 0 ||
        (rc = tree_cut_value(tree, max_nodes, arena, &w.cut, err)) != 0)
        return rc;
    /* At most every node and one `other` per parent are on the stack. */
    w.stack = arena_array(arena, struct box, (size_t)tree_node_count(tree) * 2 + 1);
    if (!w.stack)
        return err_set(err, ERR_TOO_LARGE, "flame graph of %u nodes: out of working memory",
                       tree_node_count(tree));
    rc = flamegraph_levels_init(&w.levels, names, 1, total_name, arena, err);
    if (rc != 0 || (rc = walk_tree(&w, err)) != 0)
        return rc;
    return flamegraph_levels_finish(&w.levels, out, err);
}

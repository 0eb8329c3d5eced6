/* The part of tree.h that makes trees smaller. */
#include "storage/model/tree.h"

#include "storage/model/cut.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

static int out_of_memory(struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "cutting the tree needs more than %zu bytes of working memory; ask for a "
                   "shorter range or raise limits.query_memory_bytes_max",
                   arena_limit(arena));
}

value128 cut_select(value128 *values, uint32_t count, uint32_t k)
{
    uint32_t low = 0, high = count - 1;

    check(k < count);
    while (low < high) {
        value128 pivot = values[low + (high - low) / 2];
        uint32_t i = low, j = high;

        while (i <= j) {
            while (values[i] > pivot)
                i++;
            while (values[j] < pivot)
                j--;
            if (i <= j) {
                value128 swap = values[i];

                values[i++] = values[j];
                values[j] = swap;
                if (j == 0)
                    break;
                j--;
            }
        }
        if (k <= j)
            high = j;
        else if (k >= i)
            low = i;
        else
            break;
    }
    return values[k];
}

int tree_cut_value(const struct tree *tree, int64_t max_nodes, struct arena *scratch, value128 *out,
                   struct err *err)
{
    uint32_t count = tree_node_count(tree) - 1;
    const struct tree_node *nodes = tree_nodes(tree);
    value128 *totals;

    *out = 0;
    if (max_nodes < 1 || count <= max_nodes)
        return 0;
    totals = arena_array(scratch, value128, count);
    if (!totals)
        return out_of_memory(scratch, err);
    for (uint32_t i = 0; i < count; i++)
        totals[i] = nodes[i + 1].total;
    *out = cut_select(totals, count, (uint32_t)max_nodes - 1);
    return 0;
}

/* A node of the source and its copy. */
struct pair {
    uint32_t from, to;
};

/* Copies the survivors among the children of `p.from` and sums the others up. */
static int copy_children(const struct tree *tree, value128 cut, enum tree_other_rule rule,
                         uint32_t other, struct tree *copy, struct pair p, struct pair *queue,
                         uint32_t *queue_count, struct err *err)
{
    const struct tree_node *nodes = tree_nodes(tree);
    const uint32_t *child = tree_children(tree) + nodes[p.from].child_first;
    value128 cut_sum = 0;
    bool other_survives = false;
    uint32_t to;
    int rc;

    for (uint32_t i = 0; i < nodes[p.from].child_count; i++) {
        const struct tree_node *n = &nodes[child[i]];

        bool is_other = n->name == other;

        if (n->total < cut && !(is_other && rule == TREE_OTHER_KEPT)) {
            cut_sum += n->total;
            continue;
        }
        other_survives |= is_other;
        if ((rc = tree_child(copy, p.to, n->name, &to, err)) != 0)
            return rc;
        tree_add(copy, to, n->self);
        queue[(*queue_count)++] = (struct pair){child[i], to};
    }
    if (cut_sum == 0 || (other_survives && rule == TREE_OTHER_WINS))
        return 0;
    if ((rc = tree_child(copy, p.to, other, &to, err)) != 0)
        return rc;
    tree_add(copy, to, cut_sum);
    return 0;
}

int tree_truncate(const struct tree *tree, value128 cut, enum tree_other_rule rule,
                  struct arena *arena, struct tree **out, struct err *err)
{
    struct tree *copy = tree_new(arena, tree_names_of(tree));
    struct pair *queue = arena_array(arena, struct pair, tree_node_count(tree));
    uint32_t queue_count = 0, other;
    int rc;

    if (!copy || !queue)
        return out_of_memory(arena, err);
    if ((rc = tree_names_intern(tree_names_of(tree), STR("other"), &other, err)) != 0)
        return rc;
    queue[queue_count++] = (struct pair){TREE_ROOT, TREE_ROOT};
    for (uint32_t i = 0; i < queue_count; i++) {
        rc = copy_children(tree, cut, rule, other, copy, queue[i], queue, &queue_count, err);
        if (rc != 0)
            return rc;
    }
    if ((rc = tree_finish(copy, err)) != 0)
        return rc;
    *out = copy;
    return 0;
}

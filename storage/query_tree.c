/* query_tree(): per dataset a dense sum per stack, then the stacks by function name. */
#include "storage/query.h"

#include "storage/query_plan.h"
#include "storage/query_select.h"
#include "storage/query_sum.h"

#include "storage/model/symbols.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

struct build {
    const struct query *q;
    struct arena *scratch;
    struct tree *tree;
    struct tree_names *names;
    const struct symbols *symbols;
    uint32_t *name_of; /* by string id: name id + 1, 0 = not asked yet */
};

static int name_id(struct build *b, uint32_t string, uint32_t *out, struct err *err)
{
    int rc;

    if (b->name_of[string] == 0) {
        rc = tree_names_intern(b->names, symbols_string(b->symbols, string), out, err);
        if (rc != 0)
            return rc;
        b->name_of[string] = *out + 1;
    }
    *out = b->name_of[string] - 1;
    return 0;
}

/* A location is one frame per line, the outermost caller first; without lines it is none. */
static int add_location(struct build *b, uint32_t location, uint32_t *node, struct err *err)
{
    struct symbol_location loc = symbols_location(b->symbols, location);

    for (uint32_t i = loc.line_count; i-- > 0;) {
        uint32_t name;
        int rc = name_id(b, symbols_function(b->symbols, loc.lines[i].function).name, &name, err);

        if (rc != 0 || (rc = tree_child(b->tree, *node, name, node, err)) != 0)
            return rc;
    }
    return 0;
}

/* Adds every stack with a sum. Parents come before children in both trees. */
static int add_stacks(struct build *b, const struct stack_sums *sums, struct err *err)
{
    uint32_t *tree_node = arena_array(b->scratch, uint32_t, sums->node_count);
    int rc;

    if (!tree_node)
        return query_out_of_memory(b->q, err);
    tree_node[SYMBOLS_ROOT] = TREE_ROOT;
    for (uint32_t n = 1; n < sums->node_count; n++) {
        struct symbol_node node;

        if (!stack_sums_needed(sums, n))
            continue;
        node = symbols_node(b->symbols, n);
        tree_node[n] = tree_node[node.parent];
        if ((rc = add_location(b, node.location, &tree_node[n], err)) != 0)
            return rc;
        /* A stack of nothing but locations without lines has no frame and no place here. */
        if (sums->sum[n] > 0 && tree_node[n] != TREE_ROOT)
            tree_add(b->tree, tree_node[n], sums->sum[n]);
    }
    return 0;
}

/*
 * Adds a segment's own tree. Trees of one service are much alike and have the same order, so the
 * node made after the last one found is tried before the look-up.
 */
static int add_flame(struct build *b, const struct flame *f, const struct stack_sums *sums,
                     struct err *err)
{
    uint32_t *tree_node = arena_array(b->scratch, uint32_t, f->node_count);
    uint32_t *name_of = arena_calloc(b->scratch, f->name_count, sizeof(*name_of));
    uint32_t guess = 0;
    int rc;

    if (!tree_node || !name_of)
        return query_out_of_memory(b->q, err);
    tree_node[0] = TREE_ROOT;
    for (uint32_t n = 1; n < f->node_count; n++) {
        uint32_t name = f->names[n];

        if (!stack_sums_needed(sums, n))
            continue;
        if (name_of[name] == 0) {
            rc = tree_names_intern(b->names, f->texts[name], &name_of[name], err);
            if (rc != 0)
                return rc;
            name_of[name]++;
        }
        rc = tree_child_near(b->tree, tree_node[f->parents[n]], name_of[name] - 1, guess + 1,
                             &tree_node[n], err);
        if (rc != 0)
            return rc;
        guess = tree_node[n];
        if (sums->sum[n] > 0)
            tree_add(b->tree, guess, sums->sum[n]);
    }
    return 0;
}

static int add_planned_flame(struct build *b, const struct selected_dataset *sel,
                             const struct query_plan *plan, struct err *err)
{
    const struct flame *flame;
    struct stack_sums sums;
    int rc = stack_sums_flame(b->q, sel, plan, b->scratch, &flame, &sums, err);

    return rc != 0 || !sums.any ? rc : add_flame(b, flame, &sums, err);
}

static int add_dataset(void *ctx, const struct query *q, struct selected_dataset *sel,
                       struct arena *scratch, struct err *err)
{
    struct build *b = ctx;
    struct stack_sums sums;
    struct query_plan plan;
    uint32_t strings;
    int rc;

    b->q = q;
    b->scratch = scratch;
    if ((rc = query_plan_samples(q, sel, true, scratch, &plan, err)) != 0)
        return rc;
    if (plan.by_flame)
        return add_planned_flame(b, sel, &plan, err);
    rc = stack_sums_scan(b->q, sel, &plan, b->scratch, &b->symbols, &sums, err);
    if (rc != 0 || !sums.any)
        return rc;
    strings = symbols_counts(b->symbols).strings;
    b->name_of = arena_array(b->scratch, uint32_t, strings);
    if (!b->name_of)
        return query_out_of_memory(b->q, err);
    memset(b->name_of, 0, strings * sizeof(*b->name_of));
    return add_stacks(b, &sums, err);
}

int query_tree(struct storage *s, const struct query *q, struct tree_names *names,
               struct tree **out, struct err *err)
{
    struct build b = {.q = q, .names = names, .tree = tree_new(q->arena, names)};
    struct selection sel;
    int rc;

    if (!b.tree)
        return query_out_of_memory(q, err);
    if ((rc = selection_open(s, q, q->time, &sel, err)) != 0)
        return rc;
    rc = selection_each(&sel, add_dataset, &b, err);
    selection_release(&sel);
    if (rc != 0 || (rc = tree_finish(b.tree, err)) != 0)
        return rc;
    *out = b.tree;
    return 0;
}

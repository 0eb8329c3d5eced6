#include "storage/model/merged_profile.h"

#include "storage/model/symbols.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

void merged_profile_release(struct merged_profile *p)
{
    symbols_free(p->symbols);
    p->symbols = NULL;
    p->samples = NULL;
    p->sample_count = 0;
}

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "cutting the profile needs more than %zu bytes of working memory; ask for a "
                   "shorter range or raise limits.query_memory_bytes_max",
                   arena_limit(arena));
}

struct cut {
    struct merged_profile *p;
    struct arena *arena;
    struct tree *tree;
    uint32_t *tree_node; /* by symbol node */
    value128 least;      /* smaller totals are cut */
    uint32_t other;      /* the location called so */
    value128 *sum;       /* by symbol node, cut stacks included */
    uint32_t node_count, sum_cap;
};

/* Each symbol node's place in the tree by function name. */
static int build_tree(struct cut *c, struct err *err)
{
    struct symbols *s = c->p->symbols;
    struct tree_names *names = tree_names_new(c->arena);

    c->tree = names ? tree_new(c->arena, names) : NULL;
    c->tree_node = arena_array(c->arena, uint32_t, c->node_count);
    if (!c->tree || !c->tree_node)
        return out_of_memory(c->arena, err);
    c->tree_node[SYMBOLS_ROOT] = TREE_ROOT;
    for (uint32_t n = 1; n < c->node_count; n++) {
        struct symbol_node node = symbols_node(s, n);
        struct symbol_location loc = symbols_location(s, node.location);
        uint32_t at = c->tree_node[node.parent];

        for (uint32_t i = loc.line_count; i-- > 0;) {
            uint32_t name;
            int rc = tree_names_intern(
                names, symbols_string(s, symbols_function(s, loc.lines[i].function).name), &name,
                err);

            if (rc != 0 || (rc = tree_child(c->tree, at, name, &at, err)) != 0)
                return rc;
        }
        c->tree_node[n] = at;
    }
    for (uint32_t i = 0; i < c->p->sample_count; i++)
        if (c->tree_node[c->p->samples[i].node] != TREE_ROOT)
            tree_add(c->tree, c->tree_node[c->p->samples[i].node], c->p->samples[i].value);
    return tree_finish(c->tree, err);
}

/* One location `other` with one function `other`, in the first mapping if there is one. */
static int make_other(struct cut *c, struct err *err)
{
    struct symbols *s = c->p->symbols;
    struct profile_function f = {0};
    struct profile_line line = {0};
    struct symbol_location loc = {.mapping = PROFILE_NONE, .line_count = 1, .lines = &line};
    int rc;

    if (symbols_counts(s).mappings > 0)
        loc.mapping = 0;
    if ((rc = symbols_intern_string(s, STR("other"), &f.name, err)) != 0)
        return rc;
    f.system_name = f.name;
    if ((rc = symbols_intern_function(s, f, &line.function, err)) != 0)
        return rc;
    return symbols_intern_location(s, &loc, &c->other, err);
}

static bool is_cut(const struct cut *c, uint32_t node)
{
    return tree_nodes(c->tree)[c->tree_node[node]].total < c->least;
}

/*
 * Where a stack ends after the cut. The reference keeps the first location
 * that holds a cut frame too, and puts `other` behind it: a stack with one cut
 * location stays as it is, one that is cut at its root is `other` alone.
 */
static int cut_stack(struct cut *c, uint32_t node, uint32_t *out, struct err *err)
{
    uint32_t keep = node, behind = node;

    if (!is_cut(c, node)) {
        *out = node;
        return 0;
    }
    /* Totals only shrink towards the leaf: climb to the topmost cut node. */
    for (uint32_t up = node; up != SYMBOLS_ROOT && is_cut(c, up);
         up = symbols_node(c->p->symbols, up).parent) {
        behind = keep;
        keep = up;
    }
    if (c->tree_node[keep] != TREE_ROOT &&
        c->tree_node[symbols_node(c->p->symbols, keep).parent] == TREE_ROOT)
        return symbols_intern_node(c->p->symbols, SYMBOLS_ROOT, c->other, out, err);
    if (behind == keep) {
        *out = node;
        return 0;
    }
    return symbols_intern_node(c->p->symbols, keep, c->other, out, err);
}

static int add_sum(struct cut *c, uint32_t node, value128 value, struct err *err)
{
    if (node >= c->sum_cap) {
        uint32_t cap = symbols_counts(c->p->symbols).nodes * 2;
        value128 *sum = arena_array(c->arena, value128, cap);

        if (!sum)
            return out_of_memory(c->arena, err);
        memset(sum, 0, cap * sizeof(*sum));
        if (c->sum_cap > 0)
            memcpy(sum, c->sum, c->sum_cap * sizeof(*sum));
        c->sum = sum;
        c->sum_cap = cap;
    }
    c->sum[node] += value;
    return 0;
}

/* At most as many samples as before: they fit where the old ones were. */
static void collect(struct cut *c)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < c->sum_cap; n++)
        if (c->sum[n] > 0) {
            check(count < c->p->sample_count);
            c->p->samples[count++] = (struct merged_sample){n, c->sum[n]};
        }
    c->p->sample_count = count;
}

int merged_profile_cut(struct merged_profile *p, int64_t max_nodes, struct arena *arena,
                       struct err *err)
{
    struct cut c = {.p = p, .arena = arena, .node_count = symbols_counts(p->symbols).nodes};
    int rc;

    if (max_nodes < 1 || p->sample_count == 0)
        return 0;
    if ((rc = build_tree(&c, err)) != 0 ||
        (rc = tree_cut_value(c.tree, max_nodes, arena, &c.least, err)) != 0)
        return rc;
    if (c.least == 0)
        return 0;
    if ((rc = make_other(&c, err)) != 0)
        return rc;
    for (uint32_t i = 0; i < p->sample_count; i++) {
        uint32_t node;

        if ((rc = cut_stack(&c, p->samples[i].node, &node, err)) != 0 ||
            (rc = add_sum(&c, node, p->samples[i].value, err)) != 0)
            return rc;
    }
    collect(&c);
    return 0;
}

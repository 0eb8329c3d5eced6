#include "storage/segment_verify_rollup.h"

#include "storage/rollup.h"

#include "storage/model/samples.h"
#include "storage/model/symbols.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/err.h"

#include <string.h>

struct comparing {
    struct dataset *ds;
    const char *path;
    struct arena *scratch;
    const struct dataset_index *index;
    const struct symbols *symbols;
    uint32_t node_count;
    const struct rollups *rollups;
    const struct rollup_vector *vector;
    uint32_t type_count;
    value128 *want[PROFILE_TYPES_MAX], *got[PROFILE_TYPES_MAX]; /* by id */
    uint64_t rows;

    /* Totals of the entry at hand. */
    struct totals totals;
    uint32_t entry, window;
    value128 sums[PROFILE_TYPES_MAX];
    uint32_t at[PROFILE_TYPES_MAX]; /* by type: the next window of its column */
};

static int out_of_memory(const struct comparing *c, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "'%s': checking sums needs more than %zu bytes of memory",
                   c->path, arena_limit(c->scratch));
}

static int differs(const struct comparing *c, const char *what, uint64_t item, struct err *err)
{
    return err_set(
        err, ERR_CORRUPT,
        "'%s': service '%.*s': vector of kind %d, owner %u, hour %u: %s %llu differs from "
        "the rows",
        c->path, (int)c->ds->service.len, c->ds->service.p, (int)c->vector->kind, c->vector->owner,
        c->vector->hour, what, (unsigned long long)item);
}

static int add_row(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                   struct err *err)
{
    struct comparing *c = ctx;

    (void)row;
    (void)err;
    c->rows++;
    for (uint32_t t = 0; t < c->type_count; t++)
        for (uint32_t i = 0; i < columns->count; i++)
            c->want[t][columns->stacks[i]] += (value128)columns->values[t][i];
    return 0;
}

/* The rows that the vector stands for, by node. */
static int add_rows(struct comparing *c, struct err *err)
{
    const struct rollup_vector *v = c->vector;
    uint32_t *entries = arena_array(c->scratch, uint32_t, c->index->entry_count);
    uint64_t *types = arena_array(c->scratch, uint64_t, c->index->entry_count);
    struct dataset_scan scan = {entries, types, 0, {INT64_MIN, INT64_MAX}, true};

    if (!entries || !types)
        return out_of_memory(c, err);
    if (v->kind == ROLLUP_HOUR)
        scan.time = rollup_hour_span(v->hour);
    for (uint32_t e = 0; e < c->index->entry_count; e++)
        if (v->kind == ROLLUP_STREAM ? e == v->owner : c->rollups->family_of[e] == v->owner) {
            entries[scan.entry_count] = e;
            types[scan.entry_count++] = UINT64_MAX;
            c->type_count = c->index->typesets[c->index->entries[e].typeset].count;
        }
    for (uint32_t t = 0; t < c->type_count; t++)
        if (!(c->want[t] = arena_calloc(c->scratch, c->node_count, sizeof(value128))))
            return out_of_memory(c, err);
    c->rows = 0;
    return c->ds->ops->scan(c->ds, &scan, c->scratch, add_row, c, err);
}

/* The flame tree as a tree; its nodes keep their ids, which proves that none is there twice. */
static int grow_flame(const struct comparing *c, const struct flame *f, struct tree *tree,
                      struct tree_names *names, struct err *err)
{
    for (uint32_t n = 1; n < f->node_count; n++) {
        uint32_t name, node;
        int rc;

        if ((rc = tree_names_intern(names, f->texts[f->names[n]], &name, err)) != 0 ||
            (rc = tree_child(tree, f->parents[n], name, &node, err)) != 0)
            return rc;
        if (node != n)
            return differs(c, "flame node", n, err);
    }
    return 0;
}

/* Which flame node each node is; a node that has none got an id at or above f->node_count. */
static int map_nodes(const struct comparing *c, struct tree *tree, struct tree_names *names,
                     uint32_t *flame_of, struct err *err)
{
    flame_of[0] = TREE_ROOT;
    for (uint32_t n = 1; n < c->node_count; n++) {
        struct symbol_node node = symbols_node(c->symbols, n);
        struct symbol_location loc = symbols_location(c->symbols, node.location);

        flame_of[n] = flame_of[node.parent];
        for (uint32_t i = loc.line_count; i-- > 0;) {
            uint32_t string = symbols_function(c->symbols, loc.lines[i].function).name, name;
            int rc = tree_names_intern(names, symbols_string(c->symbols, string), &name, err);

            if (rc != 0 || (rc = tree_child(tree, flame_of[n], name, &flame_of[n], err)) != 0)
                return rc;
        }
    }
    return 0;
}

/* c->want by node becomes c->want by flame node. */
static int to_flame(struct comparing *c, uint32_t *id_count, struct err *err)
{
    struct tree_names *names = tree_names_new(c->scratch);
    struct tree *tree = names ? tree_new(c->scratch, names) : NULL;
    uint32_t *flame_of = arena_array(c->scratch, uint32_t, c->node_count);
    const struct flame *f;
    int rc;

    if (!tree || !flame_of)
        return out_of_memory(c, err);
    if ((rc = c->ds->ops->rollups->flame(c->ds, &f, err)) != 0 ||
        (rc = grow_flame(c, f, tree, names, err)) != 0 ||
        (rc = map_nodes(c, tree, names, flame_of, err)) != 0)
        return rc;
    for (uint32_t t = 0; t < c->type_count; t++) {
        value128 *by_flame = arena_calloc(c->scratch, f->node_count, sizeof(value128));

        if (!by_flame)
            return out_of_memory(c, err);
        for (uint32_t n = 1; n < c->node_count; n++) {
            if (c->want[t][n] > 0 && flame_of[n] >= f->node_count)
                return differs(c, "node", n, err);
            if (flame_of[n] > TREE_ROOT && flame_of[n] < f->node_count)
                by_flame[flame_of[n]] += c->want[t][n];
        }
        c->want[t] = by_flame;
    }
    *id_count = f->node_count;
    return 0;
}

static int check_vector(struct comparing *c, struct err *err)
{
    uint32_t id_count = c->node_count;
    int rc = add_rows(c, err);

    if (rc == 0 && c->vector->kind == ROLLUP_FLAME)
        rc = to_flame(c, &id_count, err);
    if (rc != 0)
        return rc;
    if (c->rows != c->vector->rows)
        return differs(c, "the count of rows", c->vector->rows, err);
    for (uint32_t t = 0; t < c->type_count; t++)
        if (!(c->got[t] = arena_calloc(c->scratch, id_count, sizeof(value128))))
            return out_of_memory(c, err);
    rc = c->ds->ops->rollups->add(c->ds, c->vector, UINT64_MAX, id_count, c->scratch, c->got, NULL,
                                  err);
    for (uint32_t t = 0; rc == 0 && t < c->type_count; t++)
        for (uint32_t n = 0; n < id_count; n++)
            if (c->got[t][n] != c->want[t][n])
                return differs(c, "node", n, err);
    return rc;
}

/* ---- totals ---- */

static int totals_differ(const struct comparing *c, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "'%s': service '%.*s': the total of entry %u in window %u differs from the rows",
                   c->path, (int)c->ds->service.len, c->ds->service.p, c->entry, c->window);
}

/* The window at hand is over: each type's sum is the next one of its column. */
static int end_window(struct comparing *c, struct err *err)
{
    const struct totals *t = &c->totals;
    uint32_t column = t->entry_first[c->entry];

    for (uint64_t left = c->index->entries[c->entry].present; left; left &= left - 1, column++) {
        uint32_t type = (uint32_t)__builtin_ctzll(left), at = c->at[type];

        if (c->sums[type] == 0)
            continue;
        if (at == t->first[column + 1] || t->windows[at] != c->window ||
            t->sums[at] != c->sums[type])
            return totals_differ(c, err);
        c->at[type]++;
    }
    memset(c->sums, 0, sizeof(c->sums));
    return 0;
}

static int add_total(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                     struct err *err)
{
    uint32_t window = rollup_totals_window(row->time_ns);
    struct comparing *c = ctx;
    int rc;

    (void)columns;
    if (window != c->window && (rc = end_window(c, err)) != 0)
        return rc;
    c->window = window;
    for (uint32_t t = 0; t < c->type_count; t++)
        c->sums[t] += row->totals[t];
    return 0;
}

static int check_totals(struct comparing *c, struct err *err)
{
    const struct totals *totals = &c->totals;
    int rc = c->ds->ops->rollups->totals(c->ds, c->scratch, &c->totals, err);

    for (uint32_t e = 0; rc == 0 && e < c->index->entry_count; e++) {
        uint64_t all = UINT64_MAX, present = c->index->entries[e].present;
        struct dataset_scan scan = {&e, &all, 1, {INT64_MIN, INT64_MAX}, false};
        uint32_t column = totals->entry_first[e];

        c->entry = e;
        c->window = 0;
        c->type_count = c->index->typesets[c->index->entries[e].typeset].count;
        memset(c->sums, 0, sizeof(c->sums));
        for (uint64_t left = present; left; left &= left - 1)
            c->at[__builtin_ctzll(left)] = totals->first[column++];
        if ((rc = c->ds->ops->scan(c->ds, &scan, c->scratch, add_total, c, err)) != 0 ||
            (rc = end_window(c, err)) != 0)
            return rc;
        column = totals->entry_first[e];
        for (uint64_t left = present; left; left &= left - 1)
            if (c->at[__builtin_ctzll(left)] != totals->first[++column])
                return totals_differ(c, err);
    }
    return rc;
}

int segment_verify_rollups(struct dataset *ds, const char *path, struct arena *scratch,
                           struct err *err)
{
    struct comparing c = {.ds = ds, .path = path, .scratch = scratch};
    struct arena_mark mark = arena_mark(scratch);
    int rc;

    if (!ds->ops->rollups)
        return 0;
    if ((rc = ds->ops->rollups->find(ds, &c.rollups, err)) != 0)
        return rc;
    if (!c.rollups)
        return 0;
    if ((rc = ds->ops->index(ds, &c.index, err)) != 0 ||
        (rc = ds->ops->symbols(ds, &c.symbols, &c.node_count, err)) != 0)
        return rc;
    if (c.rollups->has_totals && (rc = check_totals(&c, err)) != 0)
        return rc;
    arena_rewind(scratch, mark);
    for (uint32_t i = 0; i < c.rollups->vector_count; i++) {
        c.vector = &c.rollups->vectors[i];
        if ((rc = check_vector(&c, err)) != 0)
            return rc;
        arena_rewind(scratch, mark);
    }
    return 0;
}

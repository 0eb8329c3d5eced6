/* What was gathered of a service, as TOT, AGG, FLM and RLD. */
#include "storage/segment_writer_rollup.h"

#include "storage/segment_format.h"
#include "storage/segment_pack.h"
#include "storage/segment_writer_internal.h"
#include "storage/segment_writer_rollup_internal.h"

#include "storage/model/tree.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAYS = 4, /* sums that are not that much smaller than the rows are left out */
};

/* Packed where that helps; `at` in `out` is where it begins. */
static void put_packed(struct segment_pack *pack, const struct buf *raw, int level, struct buf *out)
{
    if (!segment_pack_put(pack, buf_str(raw), level, out))
        (void)buf_append_str(out, buf_str(raw));
}

static struct rollup_vector *add_vector(struct rollup_writer *r)
{
    if (r->vector_count == r->vector_cap) {
        r->vector_cap = r->vector_cap ? r->vector_cap * 2 : 64;
        r->vectors = realloc(r->vectors, r->vector_cap * sizeof(*r->vectors));
        check(r->vectors);
    }
    return &r->vectors[r->vector_count++];
}

int rollup_put_vector(struct rollup_writer *r, struct rollup_vector *v,
                      const struct rollup_items *items, uint64_t rows_bytes, struct err *err)
{
    size_t at = r->agg.len;

    buf_reset(&r->raw);
    rollup_vector_encode(items, &r->raw);
    put_packed(r->pack, &r->raw, PACK_SAMPLES, &r->agg);
    if (r->raw.failed || r->agg.failed || r->raw.len > UINT32_MAX)
        return rollup_out_of_memory(err);
    if (!r->always && (r->agg.len - at) * PAYS > rows_bytes) {
        r->agg.len = at;
        return 0;
    }
    v->items = items->count;
    v->raw = (uint32_t)r->raw.len;
    v->stored = (uint32_t)(r->agg.len - at);
    v->checksum = checksum64(r->agg.data + at, v->stored);
    *add_vector(r) = *v;
    return 0;
}

/* ---- flame tree ---- */

struct growing {
    const struct canonical *c;
    struct arena *arena;
    struct tree_names *names;
    struct tree *tree;
    uint32_t *name_of;  /* by string rank: tree name + 1, 0: not asked yet */
    uint32_t *tree_of;  /* by node rank */
    uint32_t *flame_of; /* by tree node */
};

static int grow_location(struct growing *g, uint32_t location, uint32_t *node, struct err *err)
{
    const struct symbols *symbols = g->c->symbols;
    struct symbol_location loc = symbols_location(symbols, g->c->locations[location]);

    for (uint32_t i = loc.line_count; i-- > 0;) {
        uint32_t string = symbols_function(symbols, loc.lines[i].function).name;
        uint32_t rank = g->c->string_rank[string], name;
        int rc;

        if (g->name_of[rank] == 0) {
            rc = tree_names_intern(g->names, symbols_string(symbols, string), &name, err);
            if (rc != 0)
                return rc;
            g->name_of[rank] = name + 1;
        }
        rc = tree_child(g->tree, *node, g->name_of[rank] - 1, node, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int grow(struct growing *g, struct err *err)
{
    uint32_t nodes = g->c->counts.nodes, *parents = arena_array(g->arena, uint32_t, nodes);

    g->names = tree_names_new(g->arena);
    g->tree = g->names ? tree_new(g->arena, g->names) : NULL;
    g->name_of = arena_calloc(g->arena, g->c->counts.strings, sizeof(*g->name_of));
    g->tree_of = arena_array(g->arena, uint32_t, nodes);
    if (!g->tree || !g->name_of || !g->tree_of || !parents)
        return rollup_out_of_memory(err);
    g->tree_of[0] = TREE_ROOT;
    parents[0] = 0;
    for (uint32_t n = 1; n < nodes; n++) {
        uint32_t up = n - 1;
        int rc;

        for (uint32_t pops = g->c->node_pops[n]; pops > 0; pops--)
            up = parents[up];
        parents[n] = up;
        g->tree_of[n] = g->tree_of[up];
        if ((rc = grow_location(g, g->c->node_location[n], &g->tree_of[n], err)) != 0)
            return rc;
    }
    return tree_finish(g->tree, err);
}

/* Names by rank of their text, nodes depth first. */
static int number_flame(struct growing *g, struct flame *f, struct err *err)
{
    uint32_t count = tree_node_count(g->tree), depth = 0, at = 0, used = 0;
    uint32_t *name_rank = arena_calloc(g->arena, tree_names_count(g->names), sizeof(*name_rank));
    uint32_t *stack = arena_array(g->arena, uint32_t, count);
    uint32_t *parents = arena_array(g->arena, uint32_t, count);
    uint32_t *names = arena_array(g->arena, uint32_t, count);
    struct str *texts = arena_array(g->arena, struct str, tree_names_count(g->names));
    const struct tree_node *nodes = tree_nodes(g->tree);

    g->flame_of = arena_array(g->arena, uint32_t, count);
    if (!name_rank || !stack || !parents || !names || !texts || !g->flame_of)
        return rollup_out_of_memory(err);
    for (uint32_t s = 0; s < g->c->counts.strings; s++)
        if (g->name_of[s] != 0) {
            texts[used] = tree_names_text(g->names, g->name_of[s] - 1);
            name_rank[g->name_of[s] - 1] = used++;
        }
    stack[depth++] = TREE_ROOT;
    while (depth > 0) {
        uint32_t n = stack[--depth];
        const struct tree_node *node = &nodes[n];

        g->flame_of[n] = at;
        parents[at] = at == 0 ? 0 : g->flame_of[node->parent];
        names[at] = at == 0 ? 0 : name_rank[node->name];
        at++;
        for (uint32_t i = node->child_count; i-- > 0;)
            stack[depth++] = tree_children(g->tree)[node->child_first + i];
    }
    *f = (struct flame){at, used, parents, names, texts};
    return 0;
}

static void put_block(struct rollup_writer *r, size_t at, const struct buf *out,
                      struct rollup_block *block)
{
    block->raw = (uint32_t)r->raw.len;
    block->stored = (uint32_t)(out->len - at);
    block->checksum = checksum64(out->data + at, block->stored);
}

static int put_flame(struct rollup_writer *r, const struct flame *f, bool strong,
                     struct rollup_directory *d, struct buf *out, struct err *err)
{
    size_t at = out->len;

    buf_reset(&r->raw);
    flame_names_encode(f, &r->raw);
    put_packed(r->pack, &r->raw, strong ? PACK_STRINGS : PACK_TABLES, out);
    if (r->raw.failed || out->failed || r->raw.len > UINT32_MAX)
        return rollup_out_of_memory(err);
    put_block(r, at, out, &d->names);
    at = out->len;
    buf_reset(&r->raw);
    flame_tree_encode(f, &r->raw);
    put_packed(r->pack, &r->raw, strong ? PACK_STRINGS : PACK_TABLES, out);
    if (r->raw.failed || out->failed || r->raw.len > UINT32_MAX)
        return rollup_out_of_memory(err);
    put_block(r, at, out, &d->tree);
    d->has_flame = true;
    d->flame_nodes = f->node_count;
    d->flame_names = f->name_count;
    return 0;
}

/* ---- families ---- */

/* All hours or none, so that an hour without a vector is one without rows. */
static int put_hours(struct rollup_writer *r, uint32_t family, struct err *err)
{
    const struct rollup_family *f = &r->families[family];
    uint32_t types = r->index->typesets[f->typeset].count, vectors = r->vector_count;
    size_t at = r->agg.len;

    for (uint32_t h = 0; h < r->hour_count; h++) {
        struct rollup_run *run = &r->runs[(size_t)family * r->hour_count + h];
        struct rollup_vector v = {ROLLUP_HOUR, .owner = family, .hour = r->hour_first + h,
                                  .rows = run->rows};
        struct rollup_items items;
        int rc;

        if (run->rows == 0)
            continue;
        arena_reset(&r->scratch);
        if ((rc = rollup_run_sum(r, run, types, err)) != 0)
            return rc;
        if (!dense_take(&r->hour, types, &r->scratch, &items))
            return rollup_out_of_memory(err);
        dense_add(&r->all, &items);
        if ((rc = rollup_put_vector(r, &v, &items, UINT64_MAX, err)) != 0)
            return rc;
    }
    if (!r->always && (r->agg.len - at) * PAYS > f->chunk_bytes) {
        r->agg.len = at;
        r->vector_count = vectors;
    }
    return 0;
}

/* The family's sum by flame node; the frameless root is nobody's. */
static int put_by_flame(struct rollup_writer *r, const uint32_t *flame_of, struct rollup_vector *v,
                        const struct rollup_items *items, uint64_t rows_bytes, struct err *err)
{
    struct rollup_items out;

    for (uint32_t i = 0; i < items->count; i++) {
        uint32_t id = flame_of[items->ids[i]];

        if (id == 0)
            continue;
        for (uint32_t t = 0; t < items->type_count; t++)
            r->flame.sum[t][id] += items->values[t][i];
        r->flame.bits[id / 64] |= UINT64_C(1) << id % 64;
    }
    if (!dense_take(&r->flame, items->type_count, &r->scratch, &out))
        return rollup_out_of_memory(err);
    v->kind = ROLLUP_FLAME;
    return rollup_put_vector(r, v, &out, rows_bytes, err);
}

static int put_family(struct rollup_writer *r, uint32_t family, const uint32_t *flame_of,
                      uint64_t flame_bytes, struct err *err)
{
    const struct rollup_family *f = &r->families[family];
    uint32_t types = r->index->typesets[f->typeset].count;
    struct rollup_vector v = {ROLLUP_ALL, .owner = family, .rows = f->rows};
    struct rollup_items items;
    int rc;

    if (f->rows == 0)
        return 0;
    if ((rc = put_hours(r, family, err)) != 0)
        return rc;
    arena_reset(&r->scratch);
    if (!dense_take(&r->all, types, &r->scratch, &items))
        return rollup_out_of_memory(err);
    if ((rc = rollup_put_vector(r, &v, &items, f->chunk_bytes, err)) != 0)
        return rc;
    /* The tree is read with it, so it has to pay too. */
    return put_by_flame(
        r, flame_of, &v, &items,
        f->chunk_bytes > flame_bytes * PAYS ? f->chunk_bytes - flame_bytes * PAYS : 0, err);
}

static int put_totals(struct segment_writer *w, struct rollup_writer *r, struct err *err)
{
    struct totals t = {.column_count = r->column_count,
                       .first = r->column_first,
                       .windows = r->windows,
                       .sums = r->window_sums};

    r->column_first[r->column_count] = r->window_count;
    if (r->window_count == 0 || (!r->always && (uint64_t)r->window_count * PAYS > r->value_count))
        return 0;
    buf_reset(&w->raw);
    totals_encode(&t, &w->raw);
    return segment_writer_section(w, SECTION_TOT, &w->raw, err);
}

/* The tree, and by node rank its flame node: only that is kept, the tree is large. */
static int put_tree(struct segment_writer *w, const struct canonical *c, struct rollup_directory *d,
                    struct buf *flm, uint32_t **flame_of, struct err *err)
{
    struct rollup_writer *r = w->rollups;
    struct arena grown;
    struct growing g = {.c = c, .arena = &grown};
    struct flame flame;
    int rc;

    arena_init(&grown, arena_limit(r->arena));
    if ((rc = grow(&g, err)) == 0 && (rc = number_flame(&g, &flame, err)) == 0 &&
        (rc = put_flame(r, &flame, w->meta->level > 0, d, flm, err)) == 0) {
        *flame_of = arena_array(r->arena, uint32_t, c->counts.nodes);
        for (uint32_t n = 0; *flame_of && n < c->counts.nodes; n++)
            (*flame_of)[n] = g.flame_of[g.tree_of[n]];
        rc = *flame_of ? 0 : rollup_out_of_memory(err);
    }
    arena_release(&grown);
    return rc;
}

static int put_vectors(struct segment_writer *w, struct rollup_writer *r, const struct canonical *c,
                       struct buf *flm, struct err *err)
{
    struct rollup_directory d = {0};
    uint32_t *flame_of, flames = 0;
    int rc;

    /* They hold nothing now, and the tree needs room. */
    dense_free(&r->hour);
    dense_free(&r->all);
    if ((rc = put_tree(w, c, &d, flm, &flame_of, err)) != 0)
        return rc;
    if (!dense_init(&r->hour, r->node_count, r->types_max) ||
        !dense_init(&r->all, r->node_count, r->types_max) ||
        !dense_init(&r->flame, d.flame_nodes, r->types_max))
        return rollup_out_of_memory(err);
    for (uint32_t f = 0; rc == 0 && f < r->family_count; f++)
        rc = put_family(r, f, flame_of, flm->len, err);
    if (rc != 0 || r->vector_count == 0)
        return rc;
    for (uint32_t i = 0; i < r->vector_count; i++)
        flames += r->vectors[i].kind == ROLLUP_FLAME;
    if (flames == 0) {
        buf_reset(flm);
        d.has_flame = false;
    }
    d.vectors = r->vectors;
    d.vector_count = r->vector_count;
    buf_reset(&w->raw);
    rollup_directory_encode(&d, &w->raw);
    if ((rc = segment_writer_section(w, SECTION_RLD, &w->raw, err)) != 0 ||
        (rc = segment_writer_blocks(w, SECTION_AGG, &r->agg, err)) != 0)
        return rc;
    return flames > 0 ? segment_writer_blocks(w, SECTION_FLM, flm, err) : 0;
}

int segment_writer_rollups(struct segment_writer *w, const struct canonical *c, struct err *err)
{
    struct rollup_writer *r = w->rollups;
    struct buf flm;
    int rc;

    if (!r->has_totals)
        return 0;
    if ((rc = put_totals(w, r, err)) != 0 || !r->has_vectors)
        return rc;
    buf_init(&flm, SIZE_MAX);
    rc = put_vectors(w, r, c, &flm, err);
    buf_release(&flm);
    rollup_writer_end(r);
    return rc;
}

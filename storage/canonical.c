#include "storage/canonical.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define UNUSED UINT32_MAX

enum {
    RADIX_BITS = 11,
    RADIX_SIZE = 1 << RADIX_BITS,
    RADIX_MIN = 256, /* fewer keys are compared */
};

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "a dictionary's order needs more than %zu bytes of memory",
                   arena_limit(arena));
}

static uint32_t *new_ranks(struct arena *arena, uint32_t count)
{
    uint32_t *ranks = arena_array(arena, uint32_t, count ? count : 1);

    if (ranks)
        memset(ranks, 0xff, (count ? count : 1) * sizeof(*ranks));
    return ranks;
}

/* What is built, and the tree as flat arrays: it is walked several times. */
struct building {
    struct canonical *c;
    struct arena *arena;
    struct symbol_node *nodes;
    uint32_t node_count;
    const uint8_t *used;
};

/* Marks hold 0 (kept) or UNUSED in the rank arrays until the order is known. */
static void mark_function(struct canonical *c, uint32_t id)
{
    struct profile_function f = symbols_function(c->symbols, id);

    c->function_rank[id] = 0;
    c->string_rank[f.name] = 0;
    c->string_rank[f.system_name] = 0;
    c->string_rank[f.filename] = 0;
}

static void mark_location(struct canonical *c, uint32_t id)
{
    struct symbol_location l = symbols_location(c->symbols, id);

    if (c->location_rank[id] == 0)
        return;
    c->location_rank[id] = 0;
    for (uint32_t i = 0; i < l.line_count; i++)
        mark_function(c, l.lines[i].function);
    if (l.mapping != PROFILE_NONE) {
        struct profile_mapping m = symbols_mapping(c->symbols, l.mapping);

        c->mapping_rank[l.mapping] = 0;
        c->string_rank[m.filename] = 0;
        c->string_rank[m.build_id] = 0;
    }
}

static int mark(struct building *b, uint8_t *used, struct err *err)
{
    b->nodes = arena_array(b->arena, struct symbol_node, b->node_count);
    if (!b->nodes)
        return out_of_memory(b->arena, err);
    used[SYMBOLS_ROOT] = 1;
    b->c->string_rank[0] = 0;
    for (uint32_t n = b->node_count; n-- > 1;) {
        if (!used[n])
            continue;
        b->nodes[n] = symbols_node(b->c->symbols, n);
        used[b->nodes[n].parent] = 1;
        mark_location(b->c, b->nodes[n].location);
    }
    b->used = used;
    return 0;
}

static int compare_u32(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_string(const void *a, const void *b, void *ctx)
{
    const struct canonical *c = ctx;

    return str_cmp(symbols_string(c->symbols, *(const uint32_t *)a),
                   symbols_string(c->symbols, *(const uint32_t *)b));
}

static int by_function(const void *a, const void *b, void *ctx)
{
    const struct canonical *c = ctx;
    struct profile_function x = symbols_function(c->symbols, *(const uint32_t *)a);
    struct profile_function y = symbols_function(c->symbols, *(const uint32_t *)b);
    int d;

    if ((d = compare_u32(c->string_rank[x.name], c->string_rank[y.name])) != 0 ||
        (d = compare_u32(c->string_rank[x.system_name], c->string_rank[y.system_name])) != 0 ||
        (d = compare_u32(c->string_rank[x.filename], c->string_rank[y.filename])) != 0)
        return d;
    return compare_i64(x.start_line, y.start_line);
}

static int mapping_flags(const struct profile_mapping *m)
{
    return m->has_functions | m->has_filenames << 1 | m->has_line_numbers << 2 |
           m->has_inline_frames << 3;
}

static int by_mapping(const void *a, const void *b, void *ctx)
{
    const struct canonical *c = ctx;
    struct profile_mapping x = symbols_mapping(c->symbols, *(const uint32_t *)a);
    struct profile_mapping y = symbols_mapping(c->symbols, *(const uint32_t *)b);
    int d;

    if ((d = compare_u32(c->string_rank[x.filename], c->string_rank[y.filename])) != 0 ||
        (d = compare_u32(c->string_rank[x.build_id], c->string_rank[y.build_id])) != 0 ||
        (d = compare_u64(x.memory_start, y.memory_start)) != 0 ||
        (d = compare_u64(x.memory_limit, y.memory_limit)) != 0 ||
        (d = compare_u64(x.file_offset, y.file_offset)) != 0)
        return d;
    return mapping_flags(&x) - mapping_flags(&y);
}

static int by_location(const void *a, const void *b, void *ctx)
{
    const struct canonical *c = ctx;
    struct symbol_location x = symbols_location(c->symbols, *(const uint32_t *)a);
    struct symbol_location y = symbols_location(c->symbols, *(const uint32_t *)b);
    uint32_t lines = x.line_count < y.line_count ? x.line_count : y.line_count;
    int d;

    for (uint32_t i = 0; i < lines; i++)
        if ((d = compare_u32(c->function_rank[x.lines[i].function],
                             c->function_rank[y.lines[i].function])) != 0 ||
            (d = compare_i64(x.lines[i].line, y.lines[i].line)) != 0)
            return d;
    if ((d = compare_u32(x.line_count, y.line_count)) != 0 ||
        (d = compare_u32(x.mapping == PROFILE_NONE ? 0 : c->mapping_rank[x.mapping] + 1,
                         y.mapping == PROFILE_NONE ? 0 : c->mapping_rank[y.mapping] + 1)) != 0 ||
        (d = compare_u64(x.address, y.address)) != 0)
        return d;
    return x.is_folded - y.is_folded;
}

/*
 * Keys that ascend with the order, though not strictly: most pairs are told apart by
 * them, without looking at what the ids stand for.
 */
struct keyed {
    uint64_t key;
    uint32_t id;
};

static uint64_t string_key(const struct canonical *c, uint32_t id)
{
    struct str s = symbols_string(c->symbols, id);
    uint8_t bytes[8] = {0};

    if (s.len > 0)
        memcpy(bytes, s.p, s.len < sizeof(bytes) ? s.len : sizeof(bytes));
    return __builtin_bswap64(get_le64(bytes));
}

static uint64_t function_key(const struct canonical *c, uint32_t id)
{
    struct profile_function f = symbols_function(c->symbols, id);

    return (uint64_t)c->string_rank[f.name] << 32 | c->string_rank[f.system_name];
}

static uint64_t mapping_key(const struct canonical *c, uint32_t id)
{
    struct profile_mapping m = symbols_mapping(c->symbols, id);

    return (uint64_t)c->string_rank[m.filename] << 32 | c->string_rank[m.build_id];
}

/* First line; a location without lines comes before those with lines of the same key. */
static uint64_t location_key(const struct canonical *c, uint32_t id)
{
    struct symbol_location l = symbols_location(c->symbols, id);
    int64_t line;

    if (l.line_count == 0)
        return 0;
    line = l.lines[0].line;
    line = line < 0 ? 0 : line > UINT32_MAX ? UINT32_MAX : line;
    return (uint64_t)c->function_rank[l.lines[0].function] << 32 | (uint64_t)line;
}

struct ordering {
    uint64_t (*key)(const struct canonical *c, uint32_t id);
    int (*compare)(const void *a, const void *b, void *ctx);
};

static int by_key(const void *a, const void *b)
{
    return compare_u64(((const struct keyed *)a)->key, ((const struct keyed *)b)->key);
}

/* Least significant digit first; digits that are all alike cost one count. */
static struct keyed *radix_sort(struct keyed *keys, struct keyed *other, uint32_t count)
{
    uint32_t starts[RADIX_SIZE];

    for (unsigned int shift = 0; shift < 64; shift += RADIX_BITS) {
        uint32_t at = 0;
        struct keyed *swap = keys;

        memset(starts, 0, sizeof(starts));
        for (uint32_t i = 0; i < count; i++)
            starts[keys[i].key >> shift & (RADIX_SIZE - 1)]++;
        if (starts[keys[0].key >> shift & (RADIX_SIZE - 1)] == count)
            continue;
        for (uint32_t d = 0; d < RADIX_SIZE; d++) {
            uint32_t n = starts[d];

            starts[d] = at;
            at += n;
        }
        for (uint32_t i = 0; i < count; i++)
            other[starts[keys[i].key >> shift & (RADIX_SIZE - 1)]++] = keys[i];
        keys = other;
        other = swap;
    }
    return keys;
}

static struct keyed *sort_keys(struct keyed *keys, uint32_t count, struct arena *arena)
{
    struct keyed *other = count >= RADIX_MIN ? arena_array(arena, struct keyed, count) : NULL;

    if (other)
        return radix_sort(keys, other, count);
    if (count > 1)
        qsort(keys, count, sizeof(*keys), by_key);
    return keys;
}

/* The ids by key, and where keys are equal by comparison. */
static int sort_ids(struct canonical *c, const struct ordering *o, uint32_t *ids, uint32_t count,
                    struct arena *arena, struct err *err)
{
    struct arena_mark mark = arena_mark(arena);
    struct keyed *keys = arena_array(arena, struct keyed, count ? count : 1);

    if (!keys)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < count; i++)
        keys[i] = (struct keyed){o->key(c, ids[i]), ids[i]};
    keys = sort_keys(keys, count, arena);
    for (uint32_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && keys[end].key == keys[i].key; end++)
            ids[end] = keys[end].id;
        if (end - i > 1)
            qsort_r(ids + i, end - i, sizeof(*ids), o->compare, c);
    }
    arena_rewind(arena, mark);
    return 0;
}

/* From the marks in `ranks`: the ids in order, and their ranks. */
static int order(struct building *b, const struct ordering *o, uint32_t *ranks, uint32_t id_count,
                 uint32_t **ids, uint32_t *count, struct err *err)
{
    uint32_t n = 0;
    int rc;

    for (uint32_t id = 0; id < id_count; id++)
        n += ranks[id] != UNUSED;
    *ids = arena_array(b->arena, uint32_t, n ? n : 1);
    if (!*ids)
        return out_of_memory(b->arena, err);
    *count = n;
    n = 0;
    for (uint32_t id = 0; id < id_count; id++)
        if (ranks[id] != UNUSED)
            (*ids)[n++] = id;
    if ((rc = sort_ids(b->c, o, *ids, n, b->arena, err)) != 0)
        return rc;
    for (uint32_t r = 0; r < n; r++) {
        if (r > 0 && o->compare(&(*ids)[r - 1], &(*ids)[r], b->c) >= 0)
            return err_set(err, ERR_INTERNAL, "dictionary entries %u and %u are equal",
                           (*ids)[r - 1], (*ids)[r]);
        ranks[(*ids)[r]] = r;
    }
    return 0;
}

/* The children of every node, by location rank: child ids, and where each parent's begin. */
struct children {
    uint32_t *first, *ids; /* first has node_count + 1 items */
};

static int find_children(const struct building *b, struct children *out, struct err *err)
{
    const struct canonical *c = b->c;
    uint32_t *at = arena_calloc(b->arena, (size_t)c->counts.locations + 1, sizeof(*at));
    uint32_t *by_place = arena_array(b->arena, uint32_t, b->node_count), n = 0;

    out->first = arena_calloc(b->arena, (size_t)b->node_count + 2, sizeof(*out->first));
    out->ids = arena_array(b->arena, uint32_t, b->node_count);
    if (!at || !by_place || !out->first || !out->ids)
        return out_of_memory(b->arena, err);
    /* Two stable counting sorts: by location rank, then by parent. */
    for (uint32_t i = 1; i < b->node_count; i++)
        if (b->used[i]) {
            at[c->location_rank[b->nodes[i].location] + 1]++;
            out->first[b->nodes[i].parent + 2]++;
            n++;
        }
    for (uint32_t r = 1; r <= c->counts.locations; r++)
        at[r] += at[r - 1];
    for (uint32_t i = 1; i < b->node_count; i++)
        if (b->used[i])
            by_place[at[c->location_rank[b->nodes[i].location]]++] = i;
    for (uint32_t i = 2; i < b->node_count + 2; i++)
        out->first[i] += out->first[i - 1];
    for (uint32_t i = 0; i < n; i++)
        out->ids[out->first[b->nodes[by_place[i]].parent + 1]++] = by_place[i];
    for (uint32_t i = 1; i < n; i++) {
        const struct symbol_node *x = &b->nodes[out->ids[i - 1]], *y = &b->nodes[out->ids[i]];

        if (x->parent == y->parent && x->location == y->location)
            return err_set(err, ERR_INTERNAL, "dictionary nodes %u and %u are equal",
                           out->ids[i - 1], out->ids[i]);
    }
    return 0;
}

/* Depth first without a stack: a cursor per node, and the way back by parents. */
static void walk(struct building *b, const struct children *children, uint32_t *cursor)
{
    struct canonical *c = b->c;
    uint32_t node = SYMBOLS_ROOT, next = 1, pops = 0;

    c->node_rank[SYMBOLS_ROOT] = 0;
    for (;;) {
        if (cursor[node] < children->first[node + 1]) {
            node = children->ids[cursor[node]++];
            c->node_rank[node] = next;
            c->node_pops[next] = pops;
            c->node_location[next++] = c->location_rank[b->nodes[node].location];
            pops = 0;
        } else if (node == SYMBOLS_ROOT) {
            break;
        } else {
            node = b->nodes[node].parent;
            pops++;
        }
    }
    check(next == c->counts.nodes);
}

static int number_nodes(struct building *b, struct err *err)
{
    struct canonical *c = b->c;
    struct children children;
    uint32_t *cursor;
    int rc = find_children(b, &children, err);

    if (rc != 0)
        return rc;
    c->counts.nodes = 0;
    for (uint32_t i = 0; i < b->node_count; i++)
        c->counts.nodes += b->used[i] != 0;
    cursor = arena_memdup(b->arena, children.first, ((size_t)b->node_count + 1) * sizeof(*cursor));
    c->node_pops = arena_calloc(b->arena, c->counts.nodes, sizeof(*c->node_pops));
    c->node_location = arena_calloc(b->arena, c->counts.nodes, sizeof(*c->node_location));
    if (!cursor || !c->node_pops || !c->node_location)
        return out_of_memory(b->arena, err);
    walk(b, &children, cursor);
    return 0;
}

int canonical_build(const struct symbols *symbols, uint8_t *used, uint32_t node_count,
                    struct arena *arena, struct canonical *out, struct err *err)
{
    static const struct ordering strings = {string_key, by_string},
                                 functions = {function_key, by_function},
                                 mappings = {mapping_key, by_mapping},
                                 locations = {location_key, by_location};
    struct symbols_counts all = symbols_counts(symbols);
    struct canonical c = {.symbols = symbols};
    struct building b = {.c = &c, .arena = arena, .node_count = node_count};
    int rc;

    check(node_count > 0 && node_count <= all.nodes);
    c.string_rank = new_ranks(arena, all.strings);
    c.function_rank = new_ranks(arena, all.functions);
    c.mapping_rank = new_ranks(arena, all.mappings);
    c.location_rank = new_ranks(arena, all.locations);
    c.node_rank = new_ranks(arena, node_count);
    if (!c.string_rank || !c.function_rank || !c.mapping_rank || !c.location_rank || !c.node_rank)
        return out_of_memory(arena, err);
    if ((rc = mark(&b, used, err)) != 0 ||
        (rc = order(&b, &strings, c.string_rank, all.strings, &c.strings, &c.counts.strings,
                    err)) != 0 ||
        (rc = order(&b, &functions, c.function_rank, all.functions, &c.functions,
                    &c.counts.functions, err)) != 0 ||
        (rc = order(&b, &mappings, c.mapping_rank, all.mappings, &c.mappings, &c.counts.mappings,
                    err)) != 0 ||
        (rc = order(&b, &locations, c.location_rank, all.locations, &c.locations,
                    &c.counts.locations, err)) != 0 ||
        (rc = number_nodes(&b, err)) != 0)
        return rc;
    *out = c;
    return 0;
}

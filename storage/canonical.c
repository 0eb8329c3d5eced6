#include "storage/canonical.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#define UNUSED UINT32_MAX

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

static void mark(struct canonical *c, uint8_t *used, uint32_t node_count)
{
    used[SYMBOLS_ROOT] = 1;
    c->string_rank[0] = 0;
    for (uint32_t n = node_count; n-- > 1;) {
        struct symbol_node node;

        if (!used[n])
            continue;
        node = symbols_node(c->symbols, n);
        used[node.parent] = 1;
        mark_location(c, node.location);
    }
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

typedef int (*order_fn)(const void *a, const void *b, void *ctx);

/* From the marks in `ranks`: the ids in order, and their ranks. */
static int order(struct canonical *c, uint32_t *ranks, uint32_t id_count, order_fn fn,
                 struct arena *arena, uint32_t **ids, uint32_t *count, struct err *err)
{
    uint32_t n = 0;

    for (uint32_t id = 0; id < id_count; id++)
        n += ranks[id] != UNUSED;
    *ids = arena_array(arena, uint32_t, n ? n : 1);
    if (!*ids)
        return out_of_memory(arena, err);
    *count = n;
    n = 0;
    for (uint32_t id = 0; id < id_count; id++)
        if (ranks[id] != UNUSED)
            (*ids)[n++] = id;
    if (n > 1)
        qsort_r(*ids, n, sizeof(**ids), fn, c);
    for (uint32_t r = 0; r < n; r++) {
        if (r > 0 && fn(&(*ids)[r - 1], &(*ids)[r], c) >= 0)
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

static int find_children(const struct canonical *c, const uint8_t *used, uint32_t node_count,
                         struct arena *arena, struct children *out, struct err *err)
{
    uint32_t *at = arena_calloc(arena, (size_t)c->counts.locations + 1, sizeof(*at));
    uint32_t *by_place = arena_array(arena, uint32_t, node_count), n = 0;

    out->first = arena_calloc(arena, (size_t)node_count + 2, sizeof(*out->first));
    out->ids = arena_array(arena, uint32_t, node_count);
    if (!at || !by_place || !out->first || !out->ids)
        return out_of_memory(arena, err);
    /* Two stable counting sorts: by location rank, then by parent. */
    for (uint32_t i = 1; i < node_count; i++)
        if (used[i]) {
            struct symbol_node node = symbols_node(c->symbols, i);

            at[c->location_rank[node.location] + 1]++;
            out->first[node.parent + 2]++;
            n++;
        }
    for (uint32_t r = 1; r <= c->counts.locations; r++)
        at[r] += at[r - 1];
    for (uint32_t i = 1; i < node_count; i++)
        if (used[i])
            by_place[at[c->location_rank[symbols_node(c->symbols, i).location]]++] = i;
    for (uint32_t i = 2; i < node_count + 2; i++)
        out->first[i] += out->first[i - 1];
    for (uint32_t i = 0; i < n; i++)
        out->ids[out->first[symbols_node(c->symbols, by_place[i]).parent + 1]++] = by_place[i];
    for (uint32_t i = 1; i < n; i++) {
        struct symbol_node a = symbols_node(c->symbols, out->ids[i - 1]);
        struct symbol_node b = symbols_node(c->symbols, out->ids[i]);

        if (a.parent == b.parent && a.location == b.location)
            return err_set(err, ERR_INTERNAL, "dictionary nodes %u and %u are equal",
                           out->ids[i - 1], out->ids[i]);
    }
    return 0;
}

/* Depth first without a stack: a cursor per node, and the way back by parents. */
static int number_nodes(struct canonical *c, const uint8_t *used, uint32_t node_count,
                        struct arena *arena, struct err *err)
{
    struct children children;
    uint32_t *cursor, node = SYMBOLS_ROOT, next = 1, kept = 0;
    int rc = find_children(c, used, node_count, arena, &children, err);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < node_count; i++)
        kept += used[i] != 0;
    cursor = arena_memdup(arena, children.first, ((size_t)node_count + 1) * sizeof(*cursor));
    c->nodes = arena_array(arena, uint32_t, kept);
    if (!cursor || !c->nodes)
        return out_of_memory(arena, err);
    c->counts.nodes = kept;
    c->nodes[0] = SYMBOLS_ROOT;
    c->node_rank[SYMBOLS_ROOT] = 0;
    for (;;) {
        if (cursor[node] < children.first[node + 1]) {
            uint32_t child = children.ids[cursor[node]++];

            c->node_rank[child] = next;
            c->nodes[next++] = child;
            node = child;
        } else if (node == SYMBOLS_ROOT) {
            break;
        } else {
            node = symbols_node(c->symbols, node).parent;
        }
    }
    check(next == kept);
    return 0;
}

int canonical_build(const struct symbols *symbols, uint8_t *used, uint32_t node_count,
                    struct arena *arena, struct canonical *out, struct err *err)
{
    struct symbols_counts all = symbols_counts(symbols);
    struct canonical c = {.symbols = symbols};
    int rc;

    check(node_count > 0 && node_count <= all.nodes);
    c.string_rank = new_ranks(arena, all.strings);
    c.function_rank = new_ranks(arena, all.functions);
    c.mapping_rank = new_ranks(arena, all.mappings);
    c.location_rank = new_ranks(arena, all.locations);
    c.node_rank = new_ranks(arena, node_count);
    if (!c.string_rank || !c.function_rank || !c.mapping_rank || !c.location_rank || !c.node_rank)
        return out_of_memory(arena, err);
    mark(&c, used, node_count);
    if ((rc = order(&c, c.string_rank, all.strings, by_string, arena, &c.strings, &c.counts.strings,
                    err)) != 0 ||
        (rc = order(&c, c.function_rank, all.functions, by_function, arena, &c.functions,
                    &c.counts.functions, err)) != 0 ||
        (rc = order(&c, c.mapping_rank, all.mappings, by_mapping, arena, &c.mappings,
                    &c.counts.mappings, err)) != 0 ||
        (rc = order(&c, c.location_rank, all.locations, by_location, arena, &c.locations,
                    &c.counts.locations, err)) != 0 ||
        (rc = number_nodes(&c, used, node_count, arena, err)) != 0)
        return rc;
    *out = c;
    return 0;
}

/* query_profile(): stacks summed per dataset, then interned into one dictionary. */
#include "storage/query.h"

#include "storage/query_select.h"
#include "storage/query_sum.h"

#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

/* Ids of one dataset translated to the merged dictionary; id + 1, 0 = not asked yet. */
struct id_map {
    const struct symbols *from;
    uint32_t *strings, *functions, *mappings, *locations;
};

struct merge {
    const struct query *q;
    struct arena *scratch;
    struct merged_profile *out;
    struct id_map map;
    value128 *sum; /* by merged node */
    uint32_t sum_cap;
};

static int map_string(struct merge *m, uint32_t id, uint32_t *out, struct err *err)
{
    if (m->map.strings[id] == 0) {
        int rc = symbols_intern_string(m->out->symbols, symbols_string(m->map.from, id), out, err);

        if (rc != 0)
            return rc;
        m->map.strings[id] = *out + 1;
    }
    *out = m->map.strings[id] - 1;
    return 0;
}

static int map_function(struct merge *m, uint32_t id, uint32_t *out, struct err *err)
{
    if (m->map.functions[id] == 0) {
        struct profile_function f = symbols_function(m->map.from, id);
        int rc;

        if ((rc = map_string(m, f.name, &f.name, err)) != 0 ||
            (rc = map_string(m, f.system_name, &f.system_name, err)) != 0 ||
            (rc = map_string(m, f.filename, &f.filename, err)) != 0 ||
            (rc = symbols_intern_function(m->out->symbols, f, out, err)) != 0)
            return rc;
        m->map.functions[id] = *out + 1;
    }
    *out = m->map.functions[id] - 1;
    return 0;
}

enum {
    PAGE = 4096,
};

static uint64_t mapping_size(const struct profile_mapping *p)
{
    return (p->memory_limit - p->memory_start + PAGE - 1) / PAGE * PAGE;
}

/*
 * Mappings are one when size, offset and build id (file name without one)
 * agree (query-api.md, section 6.5): the first seen stands for all. There are
 * few, so a linear search will do.
 */
static int find_mapping(const struct merge *m, const struct profile_mapping *p, uint32_t *out)
{
    const struct symbols *s = m->out->symbols;
    uint32_t count = symbols_counts(s).mappings;

    for (uint32_t i = 0; i < count; i++) {
        struct profile_mapping have = symbols_mapping(s, i);
        bool by_id = symbols_string(s, have.build_id).len > 0;

        if (mapping_size(&have) != mapping_size(p) || have.file_offset != p->file_offset ||
            have.build_id != p->build_id || (!by_id && have.filename != p->filename))
            continue;
        *out = i;
        return 1;
    }
    return 0;
}

static int map_mapping(struct merge *m, uint32_t id, uint32_t *out, struct err *err)
{
    if (id == PROFILE_NONE) {
        *out = PROFILE_NONE;
        return 0;
    }
    if (m->map.mappings[id] == 0) {
        struct profile_mapping p = symbols_mapping(m->map.from, id);
        int rc;

        if ((rc = map_string(m, p.filename, &p.filename, err)) != 0 ||
            (rc = map_string(m, p.build_id, &p.build_id, err)) != 0)
            return rc;
        if (!find_mapping(m, &p, out) &&
            (rc = symbols_intern_mapping(m->out->symbols, p, out, err)) != 0)
            return rc;
        m->map.mappings[id] = *out + 1;
    }
    *out = m->map.mappings[id] - 1;
    return 0;
}

static int map_location(struct merge *m, uint32_t id, uint32_t *out, struct err *err)
{
    struct symbol_location loc;
    struct profile_line *lines;
    struct arena_mark mark;
    int rc;

    if (m->map.locations[id] != 0) {
        *out = m->map.locations[id] - 1;
        return 0;
    }
    loc = symbols_location(m->map.from, id);
    mark = arena_mark(m->scratch);
    lines = arena_array(m->scratch, struct profile_line, (size_t)loc.line_count + 1);
    if (!lines)
        return query_out_of_memory(m->q, err);
    for (uint32_t i = 0; i < loc.line_count; i++) {
        lines[i].line = loc.lines[i].line;
        rc = map_function(m, loc.lines[i].function, &lines[i].function, err);
        if (rc != 0)
            return rc;
    }
    loc.lines = lines;
    if ((rc = map_mapping(m, loc.mapping, &loc.mapping, err)) != 0 ||
        (rc = symbols_intern_location(m->out->symbols, &loc, out, err)) != 0)
        return rc;
    m->map.locations[id] = *out + 1;
    arena_rewind(m->scratch, mark);
    return 0;
}

static int add_sum(struct merge *m, uint32_t node, value128 value, struct err *err)
{
    if (node >= m->sum_cap) {
        uint32_t cap = symbols_counts(m->out->symbols).nodes * 2;
        value128 *sum = arena_array(m->q->arena, value128, cap);

        if (!sum)
            return query_out_of_memory(m->q, err);
        memset(sum, 0, cap * sizeof(*sum));
        if (m->sum_cap > 0)
            memcpy(sum, m->sum, m->sum_cap * sizeof(*sum));
        m->sum = sum;
        m->sum_cap = cap;
    }
    m->sum[node] += value;
    return 0;
}

static int merge_stacks(struct merge *m, const struct stack_sums *sums, struct err *err)
{
    uint32_t *merged = arena_array(m->scratch, uint32_t, sums->node_count);
    int rc;

    if (!merged)
        return query_out_of_memory(m->q, err);
    merged[SYMBOLS_ROOT] = SYMBOLS_ROOT;
    for (uint32_t n = 1; n < sums->node_count; n++) {
        struct symbol_node node;
        uint32_t location;

        if (!stack_sums_needed(sums, n))
            continue;
        node = symbols_node(m->map.from, n);
        if ((rc = map_location(m, node.location, &location, err)) != 0 ||
            (rc = symbols_intern_node(m->out->symbols, merged[node.parent], location, &merged[n],
                                      err)) != 0)
            return rc;
        if (sums->sum[n] > 0 && (rc = add_sum(m, merged[n], sums->sum[n], err)) != 0)
            return rc;
    }
    return 0;
}

static uint32_t *new_map(struct arena *scratch, uint32_t count)
{
    uint32_t *map = arena_array(scratch, uint32_t, (size_t)count + 1);

    if (map)
        memset(map, 0, ((size_t)count + 1) * sizeof(*map));
    return map;
}

static int merge_dataset(void *ctx, const struct query *q, struct selected_dataset *sel,
                         struct arena *scratch, struct err *err)
{
    struct merge *m = ctx;
    struct symbols_counts counts;
    struct query_plan plan;
    struct stack_sums sums;
    int rc;

    m->q = q;
    m->scratch = scratch;
    if ((rc = query_plan_samples(q, sel, false, scratch, &plan, err)) != 0 ||
        (rc = stack_sums_scan(m->q, sel, &plan, m->scratch, &m->map.from, &sums, err)) != 0)
        return rc;
    m->out->any_row = m->out->any_row || sums.any_row;
    if (!sums.any)
        return 0;
    counts = symbols_counts(m->map.from);
    m->map.strings = new_map(m->scratch, counts.strings);
    m->map.functions = new_map(m->scratch, counts.functions);
    m->map.mappings = new_map(m->scratch, counts.mappings);
    m->map.locations = new_map(m->scratch, counts.locations);
    if (!m->map.strings || !m->map.functions || !m->map.mappings || !m->map.locations)
        return query_out_of_memory(m->q, err);
    return merge_stacks(m, &sums, err);
}

/* Lists the nodes with a sum. */
static int collect(struct merge *m, struct err *err)
{
    uint32_t count = 0;

    for (uint32_t n = 0; n < m->sum_cap; n++)
        count += m->sum[n] > 0;
    m->out->samples = arena_array(m->q->arena, struct merged_sample, (size_t)count + 1);
    if (!m->out->samples)
        return query_out_of_memory(m->q, err);
    for (uint32_t n = 0; n < m->sum_cap; n++)
        if (m->sum[n] > 0)
            m->out->samples[m->out->sample_count++] = (struct merged_sample){n, m->sum[n]};
    return 0;
}

int query_profile(struct storage *s, const struct query *q, struct merged_profile *out,
                  struct err *err)
{
    struct merge m = {.q = q, .out = out};
    struct selection sel;
    int rc;

    memset(out, 0, sizeof(*out));
    out->symbols = symbols_new(arena_limit(q->arena));
    if ((rc = selection_open(s, q, q->time, &sel, err)) != 0) {
        merged_profile_release(out);
        return rc;
    }
    rc = selection_each(&sel, merge_dataset, &m, err);
    m.q = q;
    selection_release(&sel);
    if (rc == 0)
        rc = collect(&m, err);
    if (rc != 0)
        merged_profile_release(out);
    return rc;
}

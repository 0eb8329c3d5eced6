#include "storage/head_columns.h"

#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    RADIX_BITS = 11,
    RADIX_SIZE = 1 << RADIX_BITS,
};

/* A sample by where it belongs: node in the high half, link in the low one. */
struct key {
    uint64_t place;
    uint32_t sample;
};

struct head_columns {
    struct arena memory; /* reset at every build: warm */
    uint64_t seed;

    /* Profile index -> id + 1, 0 = not asked yet; of the profile being built. */
    uint32_t *strings, *functions, *mappings, *locations;
    const struct profile *profile;
    struct arena maps;

    struct sample_columns out;
};

struct head_columns *head_columns_new(void)
{
    struct head_columns *c = calloc(1, sizeof(*c));

    check(c);
    arena_init(&c->memory, SIZE_MAX);
    arena_init(&c->maps, SIZE_MAX);
    c->seed = hash_seed_random();
    return c;
}

void head_columns_free(struct head_columns *c)
{
    if (!c)
        return;
    arena_release(&c->memory);
    arena_release(&c->maps);
    free(c);
}

static void *take(struct arena *a, size_t count, size_t size)
{
    void *p = arena_alloc_array(a, count ? count : 1, size);

    check(p);
    return p;
}

static uint32_t *new_map(struct head_columns *c, uint32_t count)
{
    uint32_t *map = take(&c->maps, count, sizeof(*map));

    memset(map, 0, (count ? count : 1) * sizeof(*map));
    return map;
}

/*
 * Maps are made afresh for every row: rows of one profile that land in other
 * heads, or later pushes at the same address, must not see old ids.
 */
static void reset_maps(struct head_columns *c, const struct profile *p)
{
    arena_reset(&c->maps);
    c->profile = p;
    c->strings = new_map(c, p->string_count);
    c->functions = new_map(c, p->function_count);
    c->mappings = new_map(c, p->mapping_count);
    c->locations = new_map(c, p->location_count);
}

static int map_string(struct head_columns *c, struct symbols *s, uint32_t index, uint32_t *id,
                      struct err *err)
{
    int rc;

    if (c->strings[index] == 0) {
        rc = symbols_intern_string(s, c->profile->strings[index], id, err);
        if (rc != 0)
            return rc;
        c->strings[index] = *id + 1;
    }
    *id = c->strings[index] - 1;
    return 0;
}

static int map_function(struct head_columns *c, struct symbols *s, uint32_t index, uint32_t *id,
                        struct err *err)
{
    if (c->functions[index] == 0) {
        struct profile_function f = c->profile->functions[index];
        int rc;

        if ((rc = map_string(c, s, f.name, &f.name, err)) != 0 ||
            (rc = map_string(c, s, f.system_name, &f.system_name, err)) != 0 ||
            (rc = map_string(c, s, f.filename, &f.filename, err)) != 0 ||
            (rc = symbols_intern_function(s, f, id, err)) != 0)
            return rc;
        c->functions[index] = *id + 1;
    }
    *id = c->functions[index] - 1;
    return 0;
}

static int map_mapping(struct head_columns *c, struct symbols *s, uint32_t index, uint32_t *id,
                       struct err *err)
{
    if (c->mappings[index] == 0) {
        struct profile_mapping m = c->profile->mappings[index];
        int rc;

        if ((rc = map_string(c, s, m.filename, &m.filename, err)) != 0 ||
            (rc = map_string(c, s, m.build_id, &m.build_id, err)) != 0 ||
            (rc = symbols_intern_mapping(s, m, id, err)) != 0)
            return rc;
        c->mappings[index] = *id + 1;
    }
    *id = c->mappings[index] - 1;
    return 0;
}

static int map_location(struct head_columns *c, struct symbols *s, uint32_t index, uint32_t *id,
                        struct err *err)
{
    const struct profile_location *from = &c->profile->locations[index];
    struct profile_line small[8], *lines = small;
    struct symbol_location loc = {.mapping = from->mapping,
                                  .line_count = from->line_count,
                                  .address = from->address,
                                  .is_folded = from->is_folded};
    int rc;

    if (from->line_count > sizeof(small) / sizeof(small[0]))
        lines = take(&c->maps, from->line_count, sizeof(*lines));
    for (uint32_t i = 0; i < from->line_count; i++) {
        const struct profile_line *line = &c->profile->lines[from->line_first + i];

        lines[i].line = line->line;
        if ((rc = map_function(c, s, line->function, &lines[i].function, err)) != 0)
            return rc;
    }
    loc.lines = lines;
    if (from->mapping != PROFILE_NONE &&
        (rc = map_mapping(c, s, from->mapping, &loc.mapping, err)) != 0)
        return rc;
    if ((rc = symbols_intern_location(s, &loc, id, err)) == 0)
        c->locations[index] = *id + 1;
    return rc;
}

static int map_stack(struct head_columns *c, struct symbols *s, const struct profile_sample *sample,
                     uint32_t *ids, uint32_t *node, struct err *err)
{
    const uint32_t *stack = c->profile->stacks + sample->stack_first;

    for (uint32_t i = 0; i < sample->stack_count; i++) {
        uint32_t known = c->locations[stack[i]];
        int rc;

        if (known != 0)
            ids[i] = known - 1;
        else if ((rc = map_location(c, s, stack[i], &ids[i], err)) != 0)
            return rc;
    }
    return symbols_intern_stack(s, ids, sample->stack_count, node, err);
}

/* Least significant digit first; digits that are all alike cost one count. */
static struct key *radix_sort(struct head_columns *c, struct key *keys, uint32_t count)
{
    struct key *other = take(&c->memory, count, sizeof(*other));
    uint32_t starts[RADIX_SIZE];

    for (uint32_t shift = 0; shift < 64; shift += RADIX_BITS) {
        uint32_t at = 0;
        struct key *swap = keys;

        memset(starts, 0, sizeof(starts));
        for (uint32_t i = 0; i < count; i++)
            starts[keys[i].place >> shift & (RADIX_SIZE - 1)]++;
        if (starts[keys[0].place >> shift & (RADIX_SIZE - 1)] == count)
            continue;
        for (uint32_t d = 0; d < RADIX_SIZE; d++) {
            uint32_t n = starts[d];

            starts[d] = at;
            at += n;
        }
        for (uint32_t i = 0; i < count; i++)
            other[starts[keys[i].place >> shift & (RADIX_SIZE - 1)]++] = keys[i];
        keys = other;
        other = swap;
    }
    return keys;
}

static int64_t add_saturating(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Gathers sorted samples into columns; `value` reads type t of sample i. */
typedef int64_t (*value_fn)(const void *ctx, uint32_t sample, uint32_t type);

static void gather(struct head_columns *c, const struct key *keys, uint32_t count,
                   uint32_t type_count, bool links, value_fn value, const void *ctx)
{
    struct sample_columns *out = &c->out;
    uint32_t n = 0;

    memset(out, 0, sizeof(*out));
    out->type_count = type_count;
    out->stacks = take(&c->memory, count, sizeof(*out->stacks));
    out->links = links ? take(&c->memory, count, sizeof(*out->links)) : NULL;
    for (uint32_t t = 0; t < type_count; t++)
        out->values[t] = take(&c->memory, count, sizeof(*out->values[t]));
    for (uint32_t i = 0; i < count; i++) {
        bool same = i > 0 && keys[i].place == keys[i - 1].place;
        uint32_t at = same ? n - 1 : n++;

        out->stacks[at] = (uint32_t)(keys[i].place >> 32);
        if (links)
            out->links[at] = (uint32_t)keys[i].place;
        for (uint32_t t = 0; t < type_count; t++) {
            int64_t v = value(ctx, keys[i].sample, t);

            out->values[t][at] = same ? add_saturating(out->values[t][at], v) : v;
        }
    }
    out->count = n;
}

static bool has_link(const struct profile_link *l)
{
    static const uint8_t none[sizeof(l->trace_id)];

    return l->span_id != 0 || memcmp(l->trace_id, none, sizeof(none)) != 0;
}

static bool link_eq(const struct profile_link *a, const struct profile_link *b)
{
    return a->span_id == b->span_id && memcmp(a->trace_id, b->trace_id, sizeof(a->trace_id)) == 0;
}

/* Numbers the distinct links of a row; link_of[i] is an index plus one, or 0. */
static uint32_t *number_links(struct head_columns *c, const struct profile_sample *samples,
                              uint32_t count, struct profile_link **table, uint32_t *link_count)
{
    uint32_t *link_of = take(&c->memory, count, sizeof(*link_of)), *slots, mask = 15;

    while (mask < count * 2)
        mask = mask * 2 + 1;
    slots = take(&c->memory, (size_t)mask + 1, sizeof(*slots));
    memset(slots, 0, ((size_t)mask + 1) * sizeof(*slots));
    *table = take(&c->memory, count, sizeof(**table));
    *link_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct profile_link *l = &samples[i].link;
        uint32_t at;

        link_of[i] = 0;
        if (!has_link(l))
            continue;
        at = (uint32_t)hash64(c->seed ^ l->span_id, l->trace_id, sizeof(l->trace_id)) & mask;
        while (slots[at] != 0 && !link_eq(&(*table)[slots[at] - 1], l))
            at = (at + 1) & mask;
        if (slots[at] == 0) {
            (*table)[(*link_count)++] = *l;
            slots[at] = *link_count;
        }
        link_of[i] = slots[at];
    }
    return link_of;
}

struct row_values {
    const int64_t *values;
    const struct profile_sample *samples;
};

static int64_t row_value(const void *ctx, uint32_t sample, uint32_t type)
{
    const struct row_values *v = ctx;

    return v->values[v->samples[sample].value_first + type];
}

int head_columns_build(struct head_columns *c, struct symbols *symbols, const struct push_row *row,
                       const struct sample_columns **out, struct err *err)
{
    const struct profile *p = row->profile;
    const struct profile_sample *samples = p->samples + row->sample_first;
    struct row_values values = {p->values, samples};
    uint32_t count = row->sample_count, depth_max = 0, *ids, *link_of, link_count;
    struct profile_link *table;
    struct key *keys;

    check(count > 0);
    arena_reset(&c->memory);
    reset_maps(c, p);
    for (uint32_t i = 0; i < count; i++)
        if (samples[i].stack_count > depth_max)
            depth_max = samples[i].stack_count;
    ids = take(&c->memory, depth_max, sizeof(*ids));
    keys = take(&c->memory, count, sizeof(*keys));
    link_of = number_links(c, samples, count, &table, &link_count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node;
        int rc = map_stack(c, symbols, &samples[i], ids, &node, err);

        if (rc != 0)
            return rc;
        keys[i] = (struct key){(uint64_t)node << 32 | link_of[i], i};
    }
    keys = radix_sort(c, keys, count);
    gather(c, keys, count, p->typeset.count, link_count > 0, row_value, &values);
    c->out.link_table = table;
    c->out.link_count = link_count;
    *out = &c->out;
    return 0;
}

static int64_t column_value(const void *ctx, uint32_t sample, uint32_t type)
{
    const struct sample_columns *in = ctx;

    return in->values[type][sample];
}

void head_columns_sort(struct head_columns *c, const struct sample_columns *in,
                       const struct sample_columns **out)
{
    struct key *keys;

    arena_reset(&c->memory);
    keys = take(&c->memory, in->count, sizeof(*keys));
    for (uint32_t i = 0; i < in->count; i++)
        keys[i] = (struct key){(uint64_t)in->stacks[i] << 32 | (in->links ? in->links[i] : 0), i};
    if (in->count > 0)
        keys = radix_sort(c, keys, in->count);
    gather(c, keys, in->count, in->type_count, in->links != NULL, column_value, in);
    c->out.link_table = in->link_table;
    c->out.link_count = in->link_count;
    *out = &c->out;
}

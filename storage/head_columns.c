#include "storage/head_columns.h"

#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    RADIX_BITS = 8,
    RADIX_SIZE = 1 << RADIX_BITS,
    SMALL_SORT = 48, /* fewer are inserted in place */
    LINES_SMALL = 8, /* frames of a location; Go inlines rarely deeper */
    AHEAD = 16,      /* locations whose slots are on their way */
    STACKS_AT_ONCE = 256,
    FRAMES_AT_ONCE = 4096,
};

/* A sample by where it belongs: node in the high half, link in the low one. */
struct key {
    uint64_t place;
    uint32_t value; /* index into every value column */
};

struct head_columns {
    struct arena memory; /* reset at every build: warm */
    uint64_t seed;

    /* Of the profile and dictionary at hand: kept while rows are of the same two. */
    struct arena maps;
    const struct profile *profile;
    const struct symbols *symbols;
    uint32_t *strings, *functions, *mappings; /* index -> id + 1, 0 = not asked yet */
    uint32_t *locations;                      /* index -> id */
    struct hash128 *string_hashes, *function_hashes, *mapping_hashes, *location_hashes;
    struct hash128 no_mapping_hash;

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

void head_columns_begin(struct head_columns *c)
{
    c->profile = NULL;
    c->symbols = NULL;
}

void head_columns_trim(struct head_columns *c, size_t keep_bytes)
{
    head_columns_begin(c);
    arena_reset(&c->memory);
    arena_trim(&c->memory, keep_bytes);
    arena_reset(&c->maps);
    arena_trim(&c->maps, keep_bytes);
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

/* A location that is not known as a whole: its parts first. */
static int add_location(struct head_columns *c, struct symbols *s, uint32_t index, uint32_t *id,
                        struct err *err)
{
    const struct profile_location *from = &c->profile->locations[index];
    struct profile_line small[LINES_SMALL], *lines = small;
    struct symbol_location loc = {.mapping = from->mapping,
                                  .line_count = from->line_count,
                                  .address = from->address,
                                  .is_folded = from->is_folded};
    int rc;

    if (from->line_count > LINES_SMALL)
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
        rc = symbols_note_location(s, c->location_hashes[index], *id, err);
    return rc;
}

static struct hash128 add_hash(struct hash128 h, struct hash128 part)
{
    return hash128_add(h, part.lo, part.hi);
}

static void hash_tables(struct head_columns *c, const struct symbols *s)
{
    const struct profile *p = c->profile;
    const struct hash128 *strings = c->string_hashes;
    struct hash128 start = symbols_hash(s, "", 0);

    for (uint32_t i = 0; i < p->string_count; i++)
        c->string_hashes[i] = symbols_hash(s, p->strings[i].p, p->strings[i].len);
    for (uint32_t i = 0; i < p->function_count; i++) {
        const struct profile_function *f = &p->functions[i];
        struct hash128 h = add_hash(start, strings[f->name]);

        h = add_hash(add_hash(h, strings[f->system_name]), strings[f->filename]);
        c->function_hashes[i] = hash128_add(h, (uint64_t)f->start_line, 0);
    }
    for (uint32_t i = 0; i < p->mapping_count; i++) {
        const struct profile_mapping *m = &p->mappings[i];
        uint64_t flags = (uint64_t)(m->has_functions | m->has_filenames << 1 |
                                    m->has_line_numbers << 2 | m->has_inline_frames << 3);
        struct hash128 h = add_hash(start, strings[m->filename]);

        h = hash128_add(add_hash(h, strings[m->build_id]), m->memory_start, m->memory_limit);
        c->mapping_hashes[i] = hash128_add(h, m->file_offset, flags);
    }
    c->no_mapping_hash = hash128_add(start, 0, 0);
}

/* The line is added to half of its function's hash, which no client can predict. */
static struct hash128 hash_location(const struct head_columns *c, uint32_t index)
{
    const struct profile_location *l = &c->profile->locations[index];
    const struct profile_line *lines = c->profile->lines + l->line_first;
    struct hash128 h =
        l->mapping == PROFILE_NONE ? c->no_mapping_hash : c->mapping_hashes[l->mapping];

    h = hash128_add(h, l->address, (uint64_t)l->line_count << 1 | l->is_folded);
    for (uint32_t i = 0; i < l->line_count; i++) {
        struct hash128 function = c->function_hashes[lines[i].function];

        h = hash128_add(h, function.lo + (uint64_t)lines[i].line, function.hi);
    }
    return h;
}

static int find_location(struct head_columns *c, struct symbols *s, uint32_t index, struct err *err)
{
    uint32_t *id = &c->locations[index];

    if (symbols_find_location(s, c->location_hashes[index], id))
        return 0;
    return add_location(c, s, index, id, err);
}

/* Ids of all locations of a profile: hashes run ahead of the look-ups. */
static int map_locations(struct head_columns *c, struct symbols *s, const struct profile *p,
                         struct err *err)
{
    uint32_t count = p->location_count, ready = 0;

    arena_reset(&c->maps);
    c->profile = p;
    c->symbols = NULL;
    c->strings = new_map(c, p->string_count);
    c->functions = new_map(c, p->function_count);
    c->mappings = new_map(c, p->mapping_count);
    c->locations = take(&c->maps, count, sizeof(*c->locations));
    c->string_hashes = take(&c->maps, p->string_count, sizeof(struct hash128));
    c->function_hashes = take(&c->maps, p->function_count, sizeof(struct hash128));
    c->mapping_hashes = take(&c->maps, p->mapping_count, sizeof(struct hash128));
    c->location_hashes = take(&c->maps, count, sizeof(struct hash128));
    hash_tables(c, s);
    for (uint32_t i = 0; i < count; i++) {
        int rc;

        for (; ready < count && ready <= i + AHEAD; ready++) {
            struct hash128 h;

            if (p->locations[ready].is_unused)
                continue;
            h = hash_location(c, ready);
            symbols_prefetch_location(s, h);
            c->location_hashes[ready] = h;
        }
        if (!p->locations[i].is_unused && (rc = find_location(c, s, i, err)) != 0)
            return rc;
    }
    c->symbols = s;
    return 0;
}

/* out[i] = map[at[i]]; the loop over all frames of a profile. */
static void gather_ids(const uint32_t *map, const uint32_t *at, uint32_t count,
                       uint32_t *restrict out)
{
    uint32_t i = 0;

    for (; i + 4 <= count; i += 4) {
        out[i] = map[at[i]];
        out[i + 1] = map[at[i + 1]];
        out[i + 2] = map[at[i + 2]];
        out[i + 3] = map[at[i + 3]];
    }
    for (; i < count; i++)
        out[i] = map[at[i]];
}

/* As many samples as fit into `ids`, which stays in the first caches; returns how many. */
static uint32_t translate(const struct head_columns *c, const struct profile_sample *samples,
                          uint32_t count, uint32_t *ids, uint32_t room, struct stack_span *spans)
{
    uint32_t at = 0, n = 0;

    for (; n < count && n < STACKS_AT_ONCE; n++) {
        const uint32_t *stack = c->profile->stacks + samples[n].stack_first;
        uint32_t depth = samples[n].stack_count;

        if (depth > room - at)
            break;
        spans[n] = (struct stack_span){at, depth};
        gather_ids(c->locations, stack, depth, ids + at);
        at += depth;
    }
    return n;
}

/* Nodes of the samples' stacks. */
static int map_stacks(struct head_columns *c, struct symbols *s,
                      const struct profile_sample *samples, uint32_t count, uint32_t *nodes,
                      struct err *err)
{
    struct stack_span spans[STACKS_AT_ONCE];
    uint32_t room = FRAMES_AT_ONCE, *ids = take(&c->memory, room, sizeof(*ids));

    for (uint32_t i = 0; i < count;) {
        uint32_t n;
        int rc;

        if (samples[i].stack_count > room) {
            room = samples[i].stack_count;
            ids = take(&c->memory, room, sizeof(*ids));
        }
        n = translate(c, samples + i, count - i, ids, room, spans);
        rc = symbols_intern_stacks(s, ids, spans, n, nodes + i, err);
        if (rc != 0)
            return rc;
        i += n;
    }
    return 0;
}

static struct key *insertion_sort(struct key *keys, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct key k = keys[i];
        uint32_t at = i;

        for (; at > 0 && keys[at - 1].place > k.place; at--)
            keys[at] = keys[at - 1];
        keys[at] = k;
    }
    return keys;
}

/* Least significant digit first; digits that are all alike are passed over. */
static struct key *sort_keys(struct head_columns *c, struct key *keys, uint32_t count)
{
    uint32_t starts[RADIX_SIZE];
    uint64_t differs = 0;
    struct key *other;

    if (count <= SMALL_SORT)
        return insertion_sort(keys, count);
    other = take(&c->memory, count, sizeof(*other));
    for (uint32_t i = 1; i < count; i++)
        differs |= keys[i].place ^ keys[0].place;
    for (uint32_t shift = 0; shift < 64; shift += RADIX_BITS) {
        uint32_t at = 0;
        struct key *swap = keys;

        if ((differs >> shift & (RADIX_SIZE - 1)) == 0)
            continue;
        memset(starts, 0, sizeof(starts));
        for (uint32_t i = 0; i < count; i++)
            starts[keys[i].place >> shift & (RADIX_SIZE - 1)]++;
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

/* Sorted samples into columns; type t of a sample is values[t][key.value]. */
static void gather(struct head_columns *c, const struct key *keys, uint32_t count,
                   uint32_t type_count, bool links, const int64_t *const *values)
{
    struct sample_columns *out = &c->out;
    uint32_t n = 0;

    memset(out, 0, sizeof(*out));
    out->type_count = type_count;
    out->stacks = take(&c->memory, count, sizeof(*out->stacks));
    out->links = links ? take(&c->memory, count, sizeof(*out->links)) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && keys[i].place == keys[i - 1].place)
            continue;
        out->stacks[n] = (uint32_t)(keys[i].place >> 32);
        if (links)
            out->links[n] = (uint32_t)keys[i].place;
        n++;
    }
    out->count = n;
    for (uint32_t t = 0; t < type_count; t++) {
        int64_t *column = take(&c->memory, count, sizeof(*column));

        out->values[t] = column--;
        for (uint32_t i = 0; i < count; i++) {
            int64_t v = values[t][keys[i].value];

            if (i > 0 && keys[i].place == keys[i - 1].place)
                *column = add_saturating(*column, v);
            else
                *++column = v;
        }
    }
}

static bool has_link(const struct profile_link *l)
{
    uint64_t trace[2];

    memcpy(trace, l->trace_id, sizeof(trace));
    return (l->span_id | trace[0] | trace[1]) != 0;
}

static bool link_eq(const struct profile_link *a, const struct profile_link *b)
{
    return a->span_id == b->span_id && memcmp(a->trace_id, b->trace_id, sizeof(a->trace_id)) == 0;
}

/* Numbers the distinct links of a row; link_of[i] is an index plus one, or 0. NULL: no links. */
static uint32_t *number_links(struct head_columns *c, const struct profile_sample *samples,
                              uint32_t count, struct profile_link **table, uint32_t *link_count)
{
    uint32_t *link_of, *slots, mask = 15, first = 0;

    *table = NULL;
    *link_count = 0;
    while (first < count && !has_link(&samples[first].link))
        first++;
    if (first == count)
        return NULL;
    link_of = take(&c->memory, count, sizeof(*link_of));
    while (mask < count * 2)
        mask = mask * 2 + 1;
    slots = take(&c->memory, (size_t)mask + 1, sizeof(*slots));
    memset(slots, 0, ((size_t)mask + 1) * sizeof(*slots));
    *table = take(&c->memory, count, sizeof(**table));
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

int head_columns_build(struct head_columns *c, struct symbols *symbols, const struct push_row *row,
                       const struct sample_columns **out, struct err *err)
{
    const struct profile *p = row->profile;
    const struct profile_sample *samples = p->samples + row->sample_first;
    const int64_t *values[PROFILE_TYPES_MAX];
    uint32_t count = row->sample_count, *nodes, *link_of, link_count;
    struct profile_link *table;
    struct key *keys;
    int rc;

    check(count > 0);
    arena_reset(&c->memory);
    if ((c->profile != p || c->symbols != symbols) && (rc = map_locations(c, symbols, p, err)) != 0)
        return rc;
    nodes = take(&c->memory, count, sizeof(*nodes));
    if ((rc = map_stacks(c, symbols, samples, count, nodes, err)) != 0)
        return rc;
    link_of = number_links(c, samples, count, &table, &link_count);
    keys = take(&c->memory, count, sizeof(*keys));
    for (uint32_t i = 0; i < count; i++)
        keys[i] = (struct key){(uint64_t)nodes[i] << 32 | (link_of ? link_of[i] : 0),
                               samples[i].value_first};
    for (uint32_t t = 0; t < p->typeset.count; t++)
        values[t] = p->values + t;
    gather(c, sort_keys(c, keys, count), count, p->typeset.count, link_count > 0, values);
    c->out.link_table = table;
    c->out.link_count = link_count;
    *out = &c->out;
    return 0;
}

void head_columns_sort(struct head_columns *c, const struct sample_columns *in,
                       const struct sample_columns **out)
{
    struct key *keys;

    arena_reset(&c->memory);
    keys = take(&c->memory, in->count, sizeof(*keys));
    for (uint32_t i = 0; i < in->count; i++)
        keys[i] = (struct key){(uint64_t)in->stacks[i] << 32 | (in->links ? in->links[i] : 0), i};
    gather(c, sort_keys(c, keys, in->count), in->count, in->type_count, in->links != NULL,
           (const int64_t *const *)in->values);
    c->out.link_table = in->link_table;
    c->out.link_count = in->link_count;
    *out = &c->out;
}

/* profile_build - see profile_build.h. */
#include "storage/model/profile_build.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "storage/model/id_index.h"
#include "storage/model/pprof.h"
#include "storage/model/sample_groups.h"
#include "storage/model/series_labels.h"

#include <string.h>

/* A location before and after a sample has named it, and one that no sample can use. */
enum {
    UNUSED,
    USED,
    DEAD,
};

struct build {
    const struct pprof *p;
    const struct labels *request;
    struct arena *arena;
    struct profile *profile;
    uint64_t seed;

    struct id_index mappings, locations, functions;
    /* By index of the pprof. */
    uint8_t *location_state;
    bool *mapping_used; /* the one after the last stands for id 0 */

    struct sample_groups groups;
    uint32_t *group_of; /* by sample of the profile */
};

/* --- strings and functions: all of them, as they stand --- */

static void place_strings(struct build *b)
{
    b->profile->string_count = b->p->string_count;
    memcpy(b->profile->strings, b->p->strings, b->p->string_count * sizeof(b->p->strings[0]));
}

static void place_functions(struct build *b)
{
    struct profile *out = b->profile;

    out->function_count = b->p->function_count;
    for (uint32_t i = 0; i < out->function_count; i++) {
        const struct pprof_function *f = &b->p->functions[i];

        out->functions[i] = (struct profile_function){
            .name = (uint32_t)f->name,
            .system_name = (uint32_t)f->system_name,
            .filename = (uint32_t)f->filename,
            .start_line = f->start_line,
        };
    }
}

/* --- locations: all of them, too; samples say which ones are used --- */

/* Index of the mapping of a location; the one after the last for id 0; or NONE. */
static uint32_t find_mapping(const struct build *b, uint64_t id)
{
    return id == 0 ? b->p->mapping_count : id_index_find(&b->mappings, id);
}

/* Writes the lines; false: a function is unknown. */
static bool find_lines(const struct build *b, const struct pprof_location *l,
                       struct profile_line *lines)
{
    for (uint32_t i = 0; i < l->line_count; i++) {
        const struct pprof_line *line = &b->p->lines[l->line_first + i];
        uint32_t function = id_index_find(&b->functions, line->function_id);

        if (function == ID_INDEX_NONE)
            return false;
        lines[i] = (struct profile_line){function, line->line};
    }
    return true;
}

static void place_locations(struct build *b)
{
    struct profile *out = b->profile;

    out->location_count = b->p->location_count;
    for (uint32_t i = 0; i < out->location_count; i++) {
        const struct pprof_location *l = &b->p->locations[i];
        uint32_t mapping = find_mapping(b, l->mapping_id);

        out->locations[i] = (struct profile_location){
            .mapping = mapping, /* of the pprof until place_mappings() */
            .address = l->address,
            .line_first = out->line_count,
            .line_count = l->line_count,
            .is_folded = l->is_folded,
        };
        if ((l->line_count == 0 && l->address == 0) || mapping == ID_INDEX_NONE ||
            !find_lines(b, l, out->lines + out->line_count))
            b->location_state[i] = DEAD;
        else
            out->line_count += l->line_count;
    }
}

/*
 * Translates `count` location ids; false: a location is missing. The loop runs once per
 * frame of every sample, so what it needs is in local variables.
 */
static bool resolve(const struct build *b, const uint64_t *ids, uint32_t count, uint32_t *stack)
{
    uint8_t *state = b->location_state;
    uint64_t direct_max = b->locations.slots == NULL ? b->p->location_count : 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = ids[i] - 1;

        if (__builtin_expect(at >= direct_max, 0)) {
            at = id_index_find(&b->locations, ids[i]);
            if (at == ID_INDEX_NONE)
                return false;
        }
        if (__builtin_expect(state[at] == DEAD, 0))
            return false;
        state[at] = USED;
        stack[i] = (uint32_t)at;
    }
    return true;
}

/* Appends the stack and its callers to out->stacks, without counting them yet. */
static bool resolve_stack(const struct build *b, const struct pprof_sample *s)
{
    const uint64_t *ids = b->p->location_ids;
    uint32_t *stack = b->profile->stacks + b->profile->stack_index_count;

    return resolve(b, ids + s->location_first, s->location_count, stack) &&
           resolve(b, ids + s->caller_first, s->caller_count, stack + s->location_count);
}

/* --- samples --- */

static bool has_value(const int64_t *values, uint32_t count)
{
    int64_t any = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (values[i] < 0)
            return false;
        any |= values[i];
    }
    return any != 0;
}

static void add_sample(struct build *b, const struct profile_sample *s, uint32_t group,
                       const int64_t *values)
{
    struct profile *out = b->profile;
    uint32_t type_count = out->typeset.count;

    out->samples[out->sample_count] = *s;
    out->samples[out->sample_count].value_first = out->value_count;
    for (uint32_t i = 0; i < type_count; i++)
        out->values[out->value_count + i] = values[i];
    b->group_of[out->sample_count++] = group;
    out->value_count += type_count;
    out->stack_index_count += s->stack_count;
}

static void add_samples(struct build *b)
{
    const struct pprof *p = b->p;

    for (uint32_t i = 0; i < p->sample_count; i++) {
        const struct pprof_sample *from = &p->samples[i];
        const int64_t *values = p->values + from->value_first;
        struct profile_sample s = {.stack_first = b->profile->stack_index_count,
                                   .stack_count = from->location_count + from->caller_count};
        uint32_t group;

        if (!has_value(values, p->sample_type_count) || !resolve_stack(b, from))
            continue;
        group = sample_groups_add(&b->groups, from, &s.link);
        add_sample(b, &s, group, values);
    }
}

/* --- the rest of the profile --- */

static struct str text_at(const struct pprof *p, int64_t index)
{
    return (uint64_t)index < p->string_count ? p->strings[index] : (struct str){0};
}

static void place_types(struct build *b)
{
    const struct pprof *p = b->p;
    struct typeset *t = &b->profile->typeset;

    for (uint32_t i = 0; i < p->sample_type_count; i++)
        t->types[i] = (struct profile_value_type){text_at(p, p->sample_types[i].type),
                                                  text_at(p, p->sample_types[i].unit)};
    t->count = p->sample_type_count;
    if (p->has_period_type) {
        t->period_type = text_at(p, p->period_type.type);
        t->period_unit = text_at(p, p->period_type.unit);
    }
}

static bool place_mapping(struct build *b, uint32_t index)
{
    static const struct pprof_mapping none = {0};
    const struct pprof_mapping *m = index < b->p->mapping_count ? &b->p->mappings[index] : &none;
    struct profile *out = b->profile;
    struct profile_mapping *to = &out->mappings[out->mapping_count++];
    struct str build_id = b->p->strings[m->build_id], versioned;

    *to = (struct profile_mapping){
        .build_id = (uint32_t)m->build_id,
        .filename = (uint32_t)m->filename,
        .has_functions = m->has_functions,
        .has_filenames = m->has_filenames,
        .has_line_numbers = m->has_line_numbers,
        .has_inline_frames = m->has_inline_frames,
    };
    /* With symbols, addresses are noise that would keep equal frames apart. */
    if (!m->has_functions) {
        to->memory_start = m->memory_start;
        to->memory_limit = m->memory_limit;
        to->file_offset = m->file_offset;
    }
    if (!series_labels_build_id(b->request, build_id, b->arena, &versioned))
        return false;
    if (versioned.p != build_id.p) {
        to->build_id = out->string_count;
        out->strings[out->string_count++] = versioned;
    }
    return true;
}

/* Used mappings in their order; then locations point to them. */
static bool place_mappings(struct build *b)
{
    struct profile *out = b->profile;
    uint32_t count = b->p->mapping_count + 1;
    uint32_t *dense = arena_alloc(b->arena, count * sizeof(dense[0]));

    if (dense == NULL)
        return false;
    for (uint32_t i = 0; i < out->location_count; i++) {
        out->locations[i].is_unused = b->location_state[i] != USED;
        if (!out->locations[i].is_unused)
            b->mapping_used[out->locations[i].mapping] = true;
    }
    for (uint32_t i = 0; i < count; i++) {
        dense[i] = out->mapping_count;
        if (b->mapping_used[i] && !place_mapping(b, i))
            return false;
    }
    for (uint32_t i = 0; i < out->location_count; i++) {
        struct profile_location *l = &out->locations[i];

        l->mapping = l->is_unused ? PROFILE_NONE : dense[l->mapping];
        if (!l->is_unused && out->mappings[l->mapping].has_functions)
            l->address = 0;
    }
    return true;
}

/* --- memory --- */

#define TAKE(field, count)                                                                         \
    do {                                                                                           \
        (field) = arena_alloc(b->arena, (size_t)(count) * sizeof(*(field)));                       \
        if ((field) == NULL)                                                                       \
            return false;                                                                          \
    } while (0)

#define TAKE_ZERO(field, count)                                                                    \
    do {                                                                                           \
        (field) = arena_calloc(b->arena, (count), sizeof(*(field)));                               \
        if ((field) == NULL)                                                                       \
            return false;                                                                          \
    } while (0)

static uint64_t stack_index_count(const struct pprof *p)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < p->sample_count; i++)
        count += (uint64_t)p->samples[i].location_count + p->samples[i].caller_count;
    return count;
}

static bool take_profile(struct build *b)
{
    const struct pprof *p = b->p;
    struct profile *out;

    TAKE_ZERO(b->profile, 1);
    out = b->profile;
    TAKE(out->typeset.types, p->sample_type_count);
    /* A mapping may bring a string of its own: its version. */
    TAKE(out->strings, (uint64_t)p->string_count + p->mapping_count + 1);
    TAKE(out->functions, p->function_count);
    TAKE(out->mappings, (uint64_t)p->mapping_count + 1);
    TAKE(out->locations, p->location_count);
    TAKE(out->lines, p->line_count);
    TAKE(out->stacks, stack_index_count(p));
    TAKE(out->values, p->value_count);
    TAKE(out->samples, p->sample_count);
    out->time_ns = p->time_ns;
    out->duration_ns = p->duration_ns;
    out->period = p->period;
    return true;
}

static bool take_tables(struct build *b)
{
    const struct pprof *p = b->p;

    TAKE_ZERO(b->location_state, p->location_count);
    TAKE_ZERO(b->mapping_used, (uint64_t)p->mapping_count + 1);
    TAKE(b->group_of, p->sample_count);
    return id_index_init(&b->mappings, p->mappings, sizeof(p->mappings[0]), p->mapping_count,
                         b->seed, b->arena) &&
           id_index_init(&b->locations, p->locations, sizeof(p->locations[0]), p->location_count,
                         b->seed, b->arena) &&
           id_index_init(&b->functions, p->functions, sizeof(p->functions[0]), p->function_count,
                         b->seed, b->arena) &&
           sample_groups_init(&b->groups, p, b->seed, b->arena);
}

int profile_build(const struct pprof *p, const struct labels *request, uint64_t seed,
                  struct arena *arena, struct profile_build *out)
{
    struct build b = {.p = p, .request = request, .arena = arena, .seed = seed};

    check(p->string_count > 0 && p->sample_type_count <= PROFILE_TYPES_MAX);
    if (!take_profile(&b) || !take_tables(&b))
        return ERR_TOO_LARGE;
    place_types(&b);
    place_strings(&b);
    place_functions(&b);
    place_locations(&b);
    add_samples(&b);
    if (!place_mappings(&b))
        return ERR_TOO_LARGE;
    *out = (struct profile_build){
        .profile = b.profile,
        .group_of = b.group_of,
        .groups = b.groups.groups,
        .group_count = b.groups.count,
        .pairs = b.groups.pairs,
    };
    return 0;
}

/* --- rows --- */

int profile_build_regroup(struct profile_build *b, uint32_t row_count, struct arena *arena,
                          uint32_t *counts)
{
    struct profile *out = b->profile;
    struct profile_sample *sorted;
    uint32_t *next;
    uint32_t first = 0;

    sorted = arena_alloc(arena, out->sample_count * sizeof(sorted[0]));
    next = arena_alloc(arena, row_count * sizeof(next[0]));
    if (sorted == NULL || next == NULL)
        return ERR_TOO_LARGE;
    memset(counts, 0, row_count * sizeof(counts[0]));
    for (uint32_t i = 0; i < out->sample_count; i++)
        counts[b->group_of[i]]++;
    for (uint32_t r = 0; r < row_count; r++) {
        next[r] = first;
        first += counts[r];
    }
    for (uint32_t i = 0; i < out->sample_count; i++)
        sorted[next[b->group_of[i]]++] = out->samples[i];
    out->samples = sorted;
    return 0;
}

/* go_merge - see go_merge.h. */
#include "storage/model/go_merge.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "storage/model/id_index.h"
#include "storage/model/pprof.h"

#include <string.h>

/* Never a location's: ids are 1..n afterwards. */
#define UNKNOWN_LOCATION UINT64_MAX

/* What makes a function one; strings by the index of the first equal one. */
struct function_key {
    uint32_t name, system_name, filename, zero; /* no padding: hashed as bytes */
    int64_t start_line;
};

struct merge {
    struct pprof *p;
    uint64_t seed;
    uint32_t *strings;   /* by index: the first equal one */
    uint32_t *functions; /* by index: the first equal one */
    uint32_t *slots;     /* position plus one, of whatever is being merged */
    uint32_t slot_mask;
    struct id_index function_ids, location_ids;
};

static bool take_slots(struct merge *m, uint32_t count, struct arena *arena)
{
    uint32_t capacity = 16;

    while (capacity < 2 * (uint64_t)count && capacity < UINT32_C(1) << 31)
        capacity *= 2;
    m->slots = arena_calloc(arena, capacity, sizeof(m->slots[0]));
    m->slot_mask = capacity - 1;
    return m->slots != NULL;
}

static bool merge_strings(struct merge *m, struct arena *arena)
{
    const struct pprof *p = m->p;

    m->strings = arena_array(arena, uint32_t, p->string_count);
    if (m->strings == NULL || !take_slots(m, p->string_count, arena))
        return false;
    for (uint32_t i = 0; i < p->string_count; i++) {
        struct str s = p->strings[i];
        uint32_t slot = (uint32_t)hash64(m->seed, s.p, s.len) & m->slot_mask;

        while (m->slots[slot] != 0 && !str_eq(p->strings[m->slots[slot] - 1], s))
            slot = (slot + 1) & m->slot_mask;
        if (m->slots[slot] == 0)
            m->slots[slot] = i + 1;
        m->strings[i] = m->slots[slot] - 1;
    }
    return true;
}

static struct function_key key_of(const struct merge *m, uint32_t function)
{
    const struct pprof_function *f = &m->p->functions[function];

    return (struct function_key){
        .name = m->strings[f->name],
        .system_name = m->strings[f->system_name],
        .filename = m->strings[f->filename],
        .start_line = f->start_line,
    };
}

static bool merge_functions(struct merge *m, struct arena *arena)
{
    const struct pprof *p = m->p;

    m->functions = arena_array(arena, uint32_t, p->function_count);
    if (m->functions == NULL || !take_slots(m, p->function_count, arena))
        return false;
    for (uint32_t i = 0; i < p->function_count; i++) {
        struct function_key key = key_of(m, i);
        uint32_t slot = (uint32_t)hash64(m->seed, &key, sizeof(key)) & m->slot_mask;

        for (; m->slots[slot] != 0; slot = (slot + 1) & m->slot_mask) {
            struct function_key other = key_of(m, m->slots[slot] - 1);

            if (memcmp(&key, &other, sizeof(key)) == 0)
                break;
        }
        if (m->slots[slot] == 0)
            m->slots[slot] = i + 1;
        m->functions[i] = m->slots[slot] - 1;
    }
    return true;
}

/* --- locations --- */

/* The function of a line: the first equal one, or a number that stands for its unknown id. */
static uint64_t function_of(const struct merge *m, const struct pprof_line *line)
{
    uint32_t index = id_index_find(&m->function_ids, line->function_id);

    return index == ID_INDEX_NONE ? ~line->function_id : m->functions[index];
}

static uint64_t hash_location(const struct merge *m, const struct pprof_location *l)
{
    uint64_t part[2] = {l->mapping_id, l->is_folded};
    uint64_t h = hash64(m->seed, part, sizeof(part));

    for (uint32_t i = 0; i < l->line_count; i++) {
        const struct pprof_line *line = &m->p->lines[l->line_first + i];

        part[0] = function_of(m, line);
        part[1] = (uint64_t)line->line;
        h = hash64(h, part, sizeof(part));
    }
    return h;
}

static bool equal_locations(const struct merge *m, const struct pprof_location *a,
                            const struct pprof_location *b)
{
    if (a->mapping_id != b->mapping_id || a->is_folded != b->is_folded ||
        a->line_count != b->line_count)
        return false;
    for (uint32_t i = 0; i < a->line_count; i++) {
        const struct pprof_line *x = &m->p->lines[a->line_first + i];
        const struct pprof_line *y = &m->p->lines[b->line_first + i];

        if (x->line != y->line || function_of(m, x) != function_of(m, y))
            return false;
    }
    return true;
}

/* The new id of every location; `first` gets the position of the first with that id. */
static uint32_t number_locations(struct merge *m, uint64_t *ids, uint32_t *first)
{
    const struct pprof *p = m->p;
    uint32_t count = 0;

    for (uint32_t i = 0; i < p->location_count; i++) {
        const struct pprof_location *l = &p->locations[i];
        uint32_t slot = 0;

        if (l->address == 0) {
            slot = (uint32_t)hash_location(m, l) & m->slot_mask;
            while (m->slots[slot] != 0 &&
                   !equal_locations(m, &p->locations[first[m->slots[slot] - 1]], l))
                slot = (slot + 1) & m->slot_mask;
            if (m->slots[slot] != 0) {
                ids[i] = m->slots[slot];
                continue;
            }
            m->slots[slot] = count + 1;
        }
        first[count++] = i;
        ids[i] = count;
    }
    return count;
}

bool go_merge_needed(const struct pprof *p)
{
    for (uint32_t i = 0; i < p->location_count; i++)
        if (p->locations[i].address == 0)
            return true;
    return false;
}

bool go_merge(struct pprof *p, uint64_t seed, struct arena *arena)
{
    struct merge m = {.p = p, .seed = seed};
    uint64_t *ids = arena_array(arena, uint64_t, p->location_count);
    uint32_t *first = arena_array(arena, uint32_t, p->location_count);
    uint32_t count;

    if (ids == NULL || first == NULL || !merge_strings(&m, arena) || !merge_functions(&m, arena) ||
        !take_slots(&m, p->location_count, arena) ||
        !id_index_init(&m.function_ids, p->functions, sizeof(p->functions[0]), p->function_count,
                       seed, arena) ||
        !id_index_init(&m.location_ids, p->locations, sizeof(p->locations[0]), p->location_count,
                       seed, arena))
        return false;
    count = number_locations(&m, ids, first);
    for (uint32_t i = 0; i < p->location_id_count; i++) {
        uint32_t index = id_index_find(&m.location_ids, p->location_ids[i]);

        p->location_ids[i] = index == ID_INDEX_NONE ? UNKNOWN_LOCATION : ids[index];
    }
    /* first[] ascends and is never below its place, so entries only move down. */
    for (uint32_t i = 0; i < count; i++) {
        p->locations[i] = p->locations[first[i]];
        p->locations[i].id = i + 1;
    }
    p->location_count = count;
    return true;
}

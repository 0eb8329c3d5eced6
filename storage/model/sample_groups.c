/* sample_groups - see sample_groups.h. */
#include "storage/model/sample_groups.h"

#include "base/arena.h"
#include "base/str.h"
#include "storage/model/pprof.h"

#include <string.h>

enum {
    SPAN_HEX = 16,
    TRACE_HEX = 32,
};

bool sample_groups_init(struct sample_groups *g, const struct pprof *p, uint64_t seed,
                        struct arena *arena)
{
    uint32_t capacity = 16;

    *g = (struct sample_groups){.p = p, .seed = seed};
    if (p->label_count == 0) {
        g->groups = arena_calloc(arena, 1, sizeof(g->groups[0]));
        return g->groups != NULL;
    }
    while (capacity < 2 * (uint64_t)p->sample_count && capacity < UINT32_C(1) << 31)
        capacity *= 2;
    g->mask = capacity - 1;
    g->groups = arena_alloc(arena, p->sample_count * sizeof(g->groups[0]));
    g->pairs = arena_alloc(arena, p->label_count * sizeof(g->pairs[0]));
    g->slots = arena_calloc(arena, capacity, sizeof(g->slots[0]));
    return g->groups != NULL && g->pairs != NULL && g->slots != NULL;
}

/* `length` hex digits into length / 2 bytes; anything else leaves *out zero. */
static void parse_hex(struct str text, size_t length, uint8_t *out)
{
    uint8_t bytes[TRACE_HEX / 2];

    if (text.len != length)
        return;
    for (size_t i = 0; i < length; i++) {
        char c = text.p[i];
        uint8_t digit;

        if (c >= '0' && c <= '9')
            digit = (uint8_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (uint8_t)((c | 0x20) - 'a' + 10);
        else
            return;
        bytes[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : bytes[i / 2] | digit);
    }
    memcpy(out, bytes, length / 2);
}

/* Takes the label into *link when it belongs there. */
static bool take_link(struct str name, struct str value, struct profile_link *link)
{
    if (str_eq(name, STR("span_id")) || str_eq(name, STR("profile_id"))) {
        uint8_t bytes[8] = {0};

        parse_hex(value, SPAN_HEX, bytes);
        link->span_id = 0;
        for (int i = 7; i >= 0; i--)
            link->span_id = link->span_id << 8 | bytes[i];
        return true;
    }
    if (str_eq(name, STR("trace_id"))) {
        parse_hex(value, TRACE_HEX, link->trace_id);
        return true;
    }
    return false;
}

static uint32_t find_group(struct sample_groups *g, const struct sample_group_pair *pairs,
                           uint32_t count)
{
    uint64_t h = g->seed ^ count;
    uint32_t slot;

    for (uint32_t i = 0; i < count; i++) {
        h ^= (uint64_t)pairs[i].name << 32 | pairs[i].value;
        h *= UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    h = (h ^ g->seed) * UINT64_C(0xff51afd7ed558ccd);
    for (slot = (uint32_t)(h >> 32) & g->mask; g->slots[slot] != 0; slot = (slot + 1) & g->mask) {
        const struct sample_group *found = &g->groups[g->slots[slot] - 1];

        if (found->pair_count == count &&
            memcmp(g->pairs + found->pair_first, pairs, count * sizeof(pairs[0])) == 0)
            return g->slots[slot] - 1;
    }
    g->groups[g->count] = (struct sample_group){g->pair_count, count};
    g->pair_count += count;
    g->slots[slot] = ++g->count;
    return g->count - 1;
}

uint32_t sample_groups_add(struct sample_groups *g, const struct pprof_sample *s,
                           struct profile_link *link)
{
    const struct pprof *p = g->p;
    struct sample_group_pair *pairs;
    uint32_t count = 0;

    *link = (struct profile_link){0};
    if (p->label_count == 0) {
        g->count = 1;
        return 0;
    }
    pairs = g->pairs + g->pair_count;
    /* The pairs are written where a new group would keep them. */
    for (uint32_t i = 0; i < s->label_count; i++) {
        const struct pprof_label *l = &p->labels[s->label_first + i];

        if (l->str == 0 || take_link(p->strings[l->key], p->strings[l->str], link))
            continue;
        pairs[count++] = (struct sample_group_pair){(uint32_t)l->key, (uint32_t)l->str};
    }
    return find_group(g, pairs, count);
}

#include "base/map.h"

#include "base/arena.h"
#include "base/hash.h"

#include <stdlib.h>

enum {
    SLOTS_MIN = 16,
};

/* A table is at most 3/4 full: linear probing stays short. */
static bool is_full(size_t count, size_t mask)
{
    return (count + 1) * 4 > (mask + 1) * 3;
}

static void *slots_new(struct arena *arena, size_t count, size_t size)
{
    return arena ? arena_calloc(arena, count, size) : calloc(count, size);
}

static uint64_t hash_key(const struct map *m, struct str key)
{
    uint64_t hash = hash64(m->seed, key.len ? key.p : "", key.len);

    return hash ? hash : 1;
}

void map_init(struct map *m, struct arena *arena, size_t count_max)
{
    *m = (struct map){.count_max = count_max, .arena = arena, .seed = hash_seed_random()};
}

void map_release(struct map *m)
{
    if (!m->arena)
        free(m->slots);
    *m = (struct map){.count_max = m->count_max, .arena = m->arena, .seed = m->seed};
}

void map_reset(struct map *m)
{
    if (m->slots)
        memset(m->slots, 0, (m->mask + 1) * sizeof(m->slots[0]));
    m->count = 0;
}

/* The slot of the key, or the empty one where it belongs. */
static struct map_slot *probe(const struct map *m, struct str key, uint64_t hash)
{
    size_t i = (size_t)hash & m->mask;

    while (m->slots[i].hash != 0 && !(m->slots[i].hash == hash && str_eq(m->slots[i].key, key)))
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

static bool grow(struct map *m)
{
    size_t slots = m->slots ? (m->mask + 1) * 2 : SLOTS_MIN;
    struct map_slot *old = m->slots;
    struct map_slot *fresh = slots_new(m->arena, slots, sizeof(*fresh));

    if (!fresh)
        return false;
    for (size_t i = 0; old && i <= m->mask; i++) {
        size_t at = (size_t)old[i].hash & (slots - 1);

        if (old[i].hash == 0)
            continue;
        while (fresh[at].hash != 0)
            at = (at + 1) & (slots - 1);
        fresh[at] = old[i];
    }
    if (!m->arena)
        free(old);
    m->slots = fresh;
    m->mask = slots - 1;
    return true;
}

struct map_slot *map_get(const struct map *m, struct str key)
{
    struct map_slot *slot = m->slots ? probe(m, key, hash_key(m, key)) : NULL;

    return slot && slot->hash != 0 ? slot : NULL;
}

struct map_slot *map_put(struct map *m, struct str key, bool *added)
{
    uint64_t hash = hash_key(m, key);
    struct map_slot *slot = m->slots ? probe(m, key, hash) : NULL;

    *added = false;
    if (slot && slot->hash != 0)
        return slot;
    if (m->count >= m->count_max)
        return NULL;
    if (!slot || is_full(m->count, m->mask)) {
        if (!grow(m))
            return NULL;
        slot = probe(m, key, hash);
    }
    *slot = (struct map_slot){.key = key, .hash = hash};
    m->count++;
    *added = true;
    return slot;
}

struct map_slot *map_next(const struct map *m, size_t *at)
{
    while (m->slots && *at <= m->mask) {
        struct map_slot *slot = &m->slots[(*at)++];

        if (slot->hash != 0)
            return slot;
    }
    return NULL;
}

void u64map_init(struct u64map *m, struct arena *arena, size_t count_max)
{
    *m = (struct u64map){.count_max = count_max, .arena = arena, .seed = hash_seed_random()};
}

void u64map_release(struct u64map *m)
{
    if (!m->arena)
        free(m->slots);
    *m = (struct u64map){.count_max = m->count_max, .arena = m->arena, .seed = m->seed};
}

void u64map_reset(struct u64map *m)
{
    if (m->slots)
        memset(m->slots, 0, (m->mask + 1) * sizeof(m->slots[0]));
    m->count = 0;
}

static struct u64map_slot *u64_probe(const struct u64map *m, uint64_t key)
{
    size_t i = (size_t)hash64(m->seed, &key, sizeof(key)) & m->mask;

    while (m->slots[i].used && m->slots[i].key != key)
        i = (i + 1) & m->mask;
    return &m->slots[i];
}

static bool u64_grow(struct u64map *m)
{
    struct u64map old = *m;
    size_t slots = old.slots ? (old.mask + 1) * 2 : SLOTS_MIN;

    m->slots = slots_new(m->arena, slots, sizeof(m->slots[0]));
    if (!m->slots) {
        *m = old;
        return false;
    }
    m->mask = slots - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].used)
            *u64_probe(m, old.slots[i].key) = old.slots[i];
    if (!m->arena)
        free(old.slots);
    return true;
}

struct u64map_slot *u64map_get(const struct u64map *m, uint64_t key)
{
    struct u64map_slot *slot = m->slots ? u64_probe(m, key) : NULL;

    return slot && slot->used ? slot : NULL;
}

struct u64map_slot *u64map_put(struct u64map *m, uint64_t key, bool *added)
{
    struct u64map_slot *slot = m->slots ? u64_probe(m, key) : NULL;

    *added = false;
    if (slot && slot->used)
        return slot;
    if (m->count >= m->count_max)
        return NULL;
    if (!slot || is_full(m->count, m->mask)) {
        if (!u64_grow(m))
            return NULL;
        slot = u64_probe(m, key);
    }
    *slot = (struct u64map_slot){.key = key, .used = true};
    m->count++;
    *added = true;
    return slot;
}

struct u64map_slot *u64map_next(const struct u64map *m, size_t *at)
{
    while (m->slots && *at <= m->mask) {
        struct u64map_slot *slot = &m->slots[(*at)++];

        if (slot->used)
            return slot;
    }
    return NULL;
}

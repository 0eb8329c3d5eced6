/* id_index - see id_index.h. */
#include "storage/model/id_index.h"

#include "base/arena.h"

#include <string.h>

static uint64_t id_at(const struct id_index *x, uint32_t i)
{
    uint64_t id;

    memcpy(&id, x->items + i * x->stride, sizeof(id));
    return id;
}

static uint32_t slot_of(const struct id_index *x, uint64_t id)
{
    uint64_t h = (id ^ x->seed) * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ (h >> 32) ^ x->seed) * UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(h >> 32) & x->mask;
}

static bool build_hash(struct id_index *x, uint32_t count, struct arena *arena)
{
    uint32_t capacity = 16;

    while (capacity < 2 * (uint64_t)count && capacity < UINT32_C(1) << 31)
        capacity *= 2;
    x->slots = arena_calloc(arena, capacity, sizeof(x->slots[0]));
    if (x->slots == NULL)
        return false;
    x->mask = capacity - 1;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = id_at(x, i);
        uint32_t slot = slot_of(x, id);

        while (x->slots[slot] != 0 && id_at(x, x->slots[slot] - 1) != id)
            slot = (slot + 1) & x->mask;
        x->slots[slot] = i + 1;
    }
    return true;
}

bool id_index_init(struct id_index *x, const void *items, size_t stride, uint32_t count,
                   uint64_t seed, struct arena *arena)
{
    uint64_t largest = 0;
    bool in_order = true;

    *x = (struct id_index){.items = items, .stride = stride, .count = count, .seed = seed};
    for (uint32_t i = 0; i < count; i++) {
        uint64_t id = id_at(x, i);

        in_order &= id == (uint64_t)i + 1;
        largest = id > largest ? id : largest;
    }
    if (in_order)
        return true;
    if (largest > 4 * (uint64_t)count + 1024)
        return build_hash(x, count, arena);
    x->count = largest + 1;
    x->slots = arena_calloc(arena, x->count, sizeof(x->slots[0]));
    if (x->slots == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        x->slots[id_at(x, i)] = i + 1;
    return true;
}

uint32_t id_index_find_hashed(const struct id_index *x, uint64_t id)
{
    uint32_t slot;

    if (x->mask == 0)
        return id < x->count ? x->slots[id] - 1 : ID_INDEX_NONE; /* 0 - 1 is NONE */
    for (slot = slot_of(x, id); x->slots[slot] != 0; slot = (slot + 1) & x->mask)
        if (id_at(x, x->slots[slot] - 1) == id)
            return x->slots[slot] - 1;
    return ID_INDEX_NONE;
}

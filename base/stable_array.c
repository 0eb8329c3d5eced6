#include "base/stable_array.h"

#include <stdlib.h>

void stable_array_init(struct stable_array *a, uint32_t item_size)
{
    *a = (struct stable_array){.item_size = item_size};
}

void stable_array_release(struct stable_array *a)
{
    for (int i = 0; i < STABLE_BLOCKS; i++)
        free(a->blocks[i]);
    stable_array_init(a, a->item_size);
}

static size_t block_items(uint32_t block)
{
    return (size_t)1 << (block / 4 + STABLE_UNIT_BITS);
}

size_t stable_array_next_bytes(const struct stable_array *a)
{
    uint32_t block = stable_array_place(a->count).block;

    return a->blocks[block] ? 0 : block_items(block) * a->item_size;
}

void *stable_array_add(struct stable_array *a)
{
    uint32_t block = stable_array_place(a->count).block;

    if (a->count == UINT32_MAX)
        return NULL;
    if (!a->blocks[block]) {
        a->blocks[block] = calloc(block_items(block), a->item_size);
        if (!a->blocks[block])
            return NULL;
    }
    __atomic_store_n(&a->count, a->count + 1, __ATOMIC_RELEASE);
    return stable_array_at(a, a->count - 1);
}

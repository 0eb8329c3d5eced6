/*
 * stable_array - a growing array whose items never move.
 *
 * Items live in blocks of 64 items, four of each size, then four of twice that size, and
 * so on: at most a quarter of what is allocated is unused. The directory of blocks is fixed.
 * So an item with an index below a count that was published under the
 * owner's lock may be read without it while the owner adds others.
 *
 * Threads: one writer at a time; readers as above. `count` is the writer's, or is read under the
 * owner's lock; others ask stable_array_count(), which may be ahead of what they may read.
 */
#ifndef BASE_STABLE_ARRAY_H
#define BASE_STABLE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

enum {
    STABLE_UNIT_BITS = 6,   /* the first blocks have 64 items */
    STABLE_BLOCKS = 4 * 25, /* together more than 2^32 items */
};

struct stable_array {
    unsigned char *blocks[STABLE_BLOCKS];
    uint32_t count, item_size;
};

void stable_array_init(struct stable_array *a, uint32_t item_size);
void stable_array_release(struct stable_array *a);

/* Where an item is. Counted in units from 4 on, a block's size is that of the bits below its top
 * three. */
struct stable_place {
    uint32_t block, offset;
};

static inline struct stable_place stable_array_place(uint32_t index)
{
    uint32_t unit = (index >> STABLE_UNIT_BITS) + 4;
    uint32_t shift = 29 - (uint32_t)__builtin_clz(unit); /* 2^shift units in a block */
    uint32_t first = ((unit >> shift << shift) - 4) << STABLE_UNIT_BITS;

    return (struct stable_place){4 * shift + (unit >> shift) - 4, index - first};
}

static inline void *stable_array_at(const struct stable_array *a, uint32_t index)
{
    struct stable_place at = stable_array_place(index);

    return a->blocks[at.block] + (size_t)at.offset * a->item_size;
}

static inline uint32_t stable_array_count(const struct stable_array *a)
{
    return __atomic_load_n(&a->count, __ATOMIC_ACQUIRE);
}

/* Bytes that the next stable_array_add() will allocate: usually 0. */
size_t stable_array_next_bytes(const struct stable_array *a);

/* One more item, zeroed, with index count - 1 afterwards. NULL when memory or ids are gone. */
void *stable_array_add(struct stable_array *a);

#endif

/*
 * stable_array - a growing array whose items never move.
 *
 * Items live in blocks of 256, 512, 1024, ... items; the directory of blocks is
 * fixed. So an item with an index below a count that was published under the
 * owner's lock may be read without it while the owner adds others.
 *
 * Threads: one writer at a time; readers as above.
 */
#ifndef BASE_STABLE_ARRAY_H
#define BASE_STABLE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

enum {
    STABLE_FIRST_BITS = 8, /* the first block has 256 items */
    STABLE_BLOCKS = 24,    /* together 2^32 - 2^8 items */
};

struct stable_array {
    unsigned char *blocks[STABLE_BLOCKS];
    uint32_t count, item_size;
};

void stable_array_init(struct stable_array *a, uint32_t item_size);
void stable_array_release(struct stable_array *a);

static inline uint32_t stable_array_block(uint32_t index)
{
    return 31 - (uint32_t)__builtin_clz((index >> STABLE_FIRST_BITS) + 1);
}

static inline void *stable_array_at(const struct stable_array *a, uint32_t index)
{
    uint32_t block = stable_array_block(index);
    uint32_t first = ((1U << block) - 1) << STABLE_FIRST_BITS;

    return a->blocks[block] + (size_t)(index - first) * a->item_size;
}

/* Bytes that the next stable_array_add() will allocate: usually 0. */
size_t stable_array_next_bytes(const struct stable_array *a);

/* One more item, zeroed, with index count - 1 afterwards. NULL when memory or ids are gone. */
void *stable_array_add(struct stable_array *a);

#endif

/*
 * id_index - position of an entry by its id, for the tables of a pprof.
 *
 * Ids are 1..n in order in nearly every profile: then nothing is built. Small ids go to
 * an array, others to a seeded hash table. Of equal ids the last wins. Id 0 is an id
 * like any other.
 */
#ifndef STORAGE_MODEL_ID_INDEX_H
#define STORAGE_MODEL_ID_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

#define ID_INDEX_NONE UINT32_MAX

struct id_index {
    const unsigned char *items; /* entries, `stride` apart, each begins with its id */
    size_t stride;
    uint64_t count;  /* entries; with `slots` and no mask: size of the array */
    uint32_t *slots; /* positions plus one; NULL: id n is entry n - 1 */
    uint32_t mask;   /* of the hash table; 0: an array by id */
    uint64_t seed;
};

/* `items`: structs that begin with a uint64_t id. False when the arena is full. */
bool id_index_init(struct id_index *x, const void *items, size_t stride, uint32_t count,
                   uint64_t seed, struct arena *arena);

uint32_t id_index_find_hashed(const struct id_index *x, uint64_t id);

/* The position, or ID_INDEX_NONE. */
static inline uint32_t id_index_find(const struct id_index *x, uint64_t id)
{
    if (x->slots == NULL)
        return id - 1 < x->count ? (uint32_t)(id - 1) : ID_INDEX_NONE;
    return id_index_find_hashed(x, id);
}

#endif

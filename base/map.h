/*
 * map - open-addressing hash tables: bytes or integers to 64 bits.
 *
 * Keys may come from outside: every table has a random seed of its own (XXH3),
 * so nobody can choose keys that collide. struct map keeps a pointer to the key,
 * not a copy: the caller's bytes must stay put for as long as the table. Nothing
 * is ever removed but all at once. Iteration order means nothing and changes
 * from run to run: never let it reach a file or a client.
 *
 *     struct map ids;
 *     map_init(&ids, NULL, SIZE_MAX);
 *     slot = map_put(&ids, name, &added);      NULL: no memory, or over the limit
 *     if (added)
 *         slot->value = next_id++;
 *
 * Memory: malloc'd, or from an arena when one is given (a grown table leaves its
 * old one there). Slots move when the table grows: a pointer is good until the
 * next put. Threads: one owner; any number may get while nobody puts.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct map_slot {
    struct str key;
    uint64_t hash; /* 0 marks an empty slot */
    uint64_t value;
};

struct map {
    struct map_slot *slots;
    size_t count, mask; /* mask + 1 slots; slots is NULL before the first put */
    size_t count_max;
    uint64_t seed;
    struct arena *arena; /* NULL: malloc */
};

/* At most `count_max` keys. */
void map_init(struct map *m, struct arena *arena, size_t count_max);
/* Frees a malloc'd table; leaves it as after map_init() with the same arguments. */
void map_release(struct map *m);
/* Empty, memory kept. */
void map_reset(struct map *m);

/* NULL when absent. */
struct map_slot *map_get(const struct map *m, struct str key);
/* The key's slot; *added tells that it is new (value 0). NULL: no memory, or count_max reached. */
struct map_slot *map_put(struct map *m, struct str key, bool *added);

/* Walks all slots: start with *at = 0; NULL at the end. */
struct map_slot *map_next(const struct map *m, size_t *at);

/* The same with 64-bit keys; any key is fine, 0 too. */
struct u64map_slot {
    uint64_t key, value;
    bool used;
};

struct u64map {
    struct u64map_slot *slots;
    size_t count, mask, count_max;
    uint64_t seed;
    struct arena *arena;
};

void u64map_init(struct u64map *m, struct arena *arena, size_t count_max);
void u64map_release(struct u64map *m);
void u64map_reset(struct u64map *m);
struct u64map_slot *u64map_get(const struct u64map *m, uint64_t key);
struct u64map_slot *u64map_put(struct u64map *m, uint64_t key, bool *added);
struct u64map_slot *u64map_next(const struct u64map *m, size_t *at);

#endif

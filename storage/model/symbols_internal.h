/*
 * symbols_internal - what symbols.c and symbols_stacks.c share; private to the two.
 */
#ifndef STORAGE_MODEL_SYMBOLS_INTERNAL_H
#define STORAGE_MODEL_SYMBOLS_INTERNAL_H

#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/stable_array.h"

enum {
    SLOTS_INITIAL = 64,
};

/*
 * An index over one table: a slot is an id + 1 and, above it, a few bits of the hash, so that few
 * probes look at an entry in vain. At most three quarters full.
 */
enum {
    SLOT_ID_BITS = 26, /* a head of that many entries is above any limit on memory */
};

struct index {
    uint32_t *slots; /* 0: free */
    uint32_t mask, used;
};

/* Found by 96 bits of a seeded 128-bit hash of all there is: exact for practical purposes. */
struct content_slot {
    uint64_t lo;
    uint32_t hi, id; /* id + 1; 0: free */
};

struct content_index {
    struct content_slot *slots;
    uint32_t mask, used;
};

enum table {
    STRINGS,
    FUNCTIONS,
    MAPPINGS,
    LOCATIONS,
    NODES,
    TABLE_COUNT,
};

/* A symbol_location as it is kept. */
struct location_item {
    uint32_t mapping;
    uint32_t is_folded : 1, line_count : 31;
    uint64_t address;
    const struct profile_line *lines;
};

struct symbols {
    size_t bytes, bytes_max;
    uint64_t seed;
    struct stable_array tables[TABLE_COUNT];
    struct index indexes[TABLE_COUNT]; /* empty while only defining; the root is in none */
    struct content_index stacks;       /* location ids of a stack -> node */
    struct content_index contents;     /* of locations, texts and all -> location */
    struct arena text;                 /* bytes of strings, lines of locations */
};

/* Takes `size` bytes off what is left. */
int symbols_charge(struct symbols *s, size_t size, struct err *err);

static inline uint32_t slot_make(uint32_t hash, uint32_t id)
{
    return (hash & ~(UINT32_MAX >> (32 - SLOT_ID_BITS))) | (id + 1);
}

static inline uint32_t slot_id(uint32_t slot)
{
    return (slot & (UINT32_MAX >> (32 - SLOT_ID_BITS))) - 1;
}

/* From `at` on, the slot that may be of an entry with that hash, or the free one behind. */
static inline uint32_t index_probe(const struct index *ix, uint32_t hash, uint32_t at)
{
    while (ix->slots[at & ix->mask] != 0 && (ix->slots[at & ix->mask] ^ hash) >> SLOT_ID_BITS != 0)
        at++;
    return at & ix->mask;
}

/* Room for one more entry of table `t`; `hash_of` tells the hash of the entry `id`. */
int index_reserve(struct symbols *s, enum table t,
                  uint32_t (*hash_of)(const struct symbols *s, uint32_t id), struct err *err);

/* Takes the free slot `at` for the entry just added, and tells its id. */
static inline uint32_t index_take(struct symbols *s, enum table t, uint32_t hash, uint32_t at)
{
    uint32_t id = s->tables[t].count - 1;

    s->indexes[t].slots[at] = slot_make(hash, id);
    s->indexes[t].used++;
    return id;
}

#endif

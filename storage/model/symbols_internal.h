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

/* An index over one table: id + 1 by hash, at most half full. */
struct slot {
    uint32_t hash, id; /* id 0: free */
};

struct index {
    struct slot *slots;
    uint32_t mask, used;
};

/*
 * Nodes outnumber everything else ten to one: a slot is an id and, above it, a few bits of
 * the hash, so that few probes look at a node in vain.
 */
enum {
    NODE_ID_BITS = 26, /* a head of that many nodes is above any limit on memory */
};

struct node_index {
    uint32_t *slots; /* 0: free; the root is in none */
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

struct symbols {
    size_t bytes, bytes_max;
    uint64_t seed;
    struct stable_array tables[TABLE_COUNT];
    struct index indexes[LOCATIONS + 1]; /* empty while only defining */
    struct node_index nodes;
    struct content_index stacks;   /* location ids of a stack -> node */
    struct content_index contents; /* of locations, texts and all -> location */
    struct arena text;             /* bytes of strings, lines of locations */
};

/* Takes `size` bytes off what is left. */
int symbols_charge(struct symbols *s, size_t size, struct err *err);

#endif

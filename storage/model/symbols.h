/*
 * symbols - the dictionary of one dataset: strings, functions, mappings,
 * locations and the tree of stacks.
 *
 * Ids are dense, zero based and never change. Id 0 is the empty string in
 * `strings` and the root (no frames) among nodes; the other tables start with
 * real entries. A stack is a node: its location, and a parent towards the root
 * of the program; parent ids are smaller than child ids.
 *
 * Two uses of one structure: a head and a query *intern* (the symbols_intern_*
 * functions, each returns the id of an equal entry or makes one), a segment
 * *defines* in id order (no index is built).
 *
 * Storage is in blocks that never move (base/stable_array.h in geometric
 * blocks): entries with an id below a count that was published under the
 * owner's lock may be read without it while others are added.
 *
 * Identity is the full tuple: a location is (mapping, address, folded, lines), a
 * function (name, system name, file, start line). Whole stacks and whole locations
 * are also found by 96 bits of a hash of all there is, which is exact for practical
 * purposes. Hashes are seeded per dictionary and never stored.
 *
 * Threads: writers are serialised by the owner. Memory: counted, bounded by
 * `bytes_max` (ERR_TOO_LARGE when reached; nothing half-added remains visible).
 */
#ifndef STORAGE_MODEL_SYMBOLS_H
#define STORAGE_MODEL_SYMBOLS_H

#include "base/hash.h"
#include "base/str.h"
#include "storage/model/profile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct symbols;

enum {
    SYMBOLS_ROOT = 0, /* node of the empty stack */
};

struct symbol_location {
    uint32_t mapping; /* or PROFILE_NONE */
    uint32_t line_count;
    uint64_t address;
    const struct profile_line *lines; /* function ids of this dictionary; innermost first */
    bool is_folded;
};

struct symbol_node {
    uint32_t parent, location;
};

struct symbols_counts {
    uint32_t strings, functions, mappings, locations, nodes;
};

struct symbols *symbols_new(size_t bytes_max);
void symbols_free(struct symbols *s); /* NULL is fine */
size_t symbols_bytes(const struct symbols *s);
/* Also while another thread adds: at least what is published. */
struct symbols_counts symbols_counts(const struct symbols *s);

/* Reading: `id` must be below the count. */
struct str symbols_string(const struct symbols *s, uint32_t id);
struct profile_function symbols_function(const struct symbols *s, uint32_t id);
struct profile_mapping symbols_mapping(const struct symbols *s, uint32_t id);
struct symbol_location symbols_location(const struct symbols *s, uint32_t id);
struct symbol_node symbols_node(const struct symbols *s, uint32_t id);

/* Interning: 0 and *id, or a negative code. Strings and lines are copied. */
int symbols_intern_string(struct symbols *s, struct str text, uint32_t *id, struct err *err);
int symbols_intern_function(struct symbols *s, struct profile_function f, uint32_t *id,
                            struct err *err);
int symbols_intern_mapping(struct symbols *s, struct profile_mapping m, uint32_t *id,
                           struct err *err);
int symbols_intern_location(struct symbols *s, const struct symbol_location *l, uint32_t *id,
                            struct err *err);
/* The child of `parent` at `location`. */
int symbols_intern_node(struct symbols *s, uint32_t parent, uint32_t location, uint32_t *id,
                        struct err *err);
/* Where a stack is in an array of location ids, leaf first; 0 locations: the root. */
struct stack_span {
    uint32_t first, count;
};

/*
 * Many stacks, whole: nodes[i] for stacks[i]. A repeated stack costs one look-up by hash,
 * a new one a walk. On failure some may have been added.
 */
int symbols_intern_stacks(struct symbols *s, const uint32_t *locations,
                          const struct stack_span *stacks, uint32_t count, uint32_t *nodes,
                          struct err *err);

/*
 * A way past strings and functions: the caller hashes everything a location consists of,
 * texts included, with symbols_hash(); what was noted under that hash is found again.
 */
struct hash128 symbols_hash(const struct symbols *s, const void *data, size_t size);
void symbols_prefetch_location(const struct symbols *s, struct hash128 content);
bool symbols_find_location(const struct symbols *s, struct hash128 content, uint32_t *id);
int symbols_note_location(struct symbols *s, struct hash128 content, uint32_t id, struct err *err);

/*
 * Defining: appends the next id; references must be below the counts
 * (ERR_CORRUPT otherwise: the caller reads a file).
 */
int symbols_add_string(struct symbols *s, struct str text, struct err *err);
int symbols_add_function(struct symbols *s, struct profile_function f, struct err *err);
int symbols_add_mapping(struct symbols *s, struct profile_mapping m, struct err *err);
int symbols_add_location(struct symbols *s, const struct symbol_location *l, struct err *err);
int symbols_add_node(struct symbols *s, uint32_t parent, uint32_t location, struct err *err);

#endif

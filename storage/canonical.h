/*
 * canonical - the order in which a segment keeps a dictionary.
 *
 * Strings ascend bytewise; functions, mappings and locations ascend as tuples of
 * the ranks of what they name; stacks are numbered depth first, children by
 * location rank. Ids are ranks. So the order depends on content only, and two
 * canonical dictionaries merge by streaming.
 *
 * Only what the marked nodes need is kept. Rank 0 is the empty string and the
 * root, as everywhere. The dictionary's entries must be unique (interned, or
 * read from a segment); equal ones are ERR_INTERNAL.
 *
 * Threads: one owner; the dictionary must not change below the counts meanwhile.
 */
#ifndef STORAGE_CANONICAL_H
#define STORAGE_CANONICAL_H

#include "storage/model/symbols.h"

#include <stdint.h>

struct arena;
struct err;

struct canonical {
    const struct symbols *symbols;
    struct symbols_counts counts; /* of what is kept */
    /* rank -> id */
    uint32_t *strings, *functions, *mappings, *locations;
    /* By node rank: steps from the node before up to the parent; rank of the location. */
    uint32_t *node_pops, *node_location;
    /* id -> rank, UINT32_MAX = not kept */
    uint32_t *string_rank, *function_rank, *mapping_rank, *location_rank, *node_rank;
};

/*
 * `used` has node_count bytes, not 0 for the nodes that samples name; ancestors are
 * added to it. Memory is the arena's. ERR_TOO_LARGE at its limit.
 */
int canonical_build(const struct symbols *symbols, uint8_t *used, uint32_t node_count,
                    struct arena *arena, struct canonical *out, struct err *err);

#endif

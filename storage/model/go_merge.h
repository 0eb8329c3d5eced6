/*
 * go_merge - one id for locations that cutting type parameters has made equal.
 *
 * Instances of a generic function become one function; where locations carry no address
 * they then are one location, and stacks through them share more frames: what the repair
 * of truncated stacks goes by. Locations with an address stay apart by it.
 *
 * Internal to go_fix. Linear; tables are in the arena.
 */
#ifndef STORAGE_MODEL_GO_MERGE_H
#define STORAGE_MODEL_GO_MERGE_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct pprof;

/* True when some location has no address, so that go_merge() may find equal ones. */
bool go_merge_needed(const struct pprof *p);

/*
 * Renumbers locations 1..n in order, equal ones once, and the stacks with them. A stack
 * that names an unknown location still does. False when the arena is full.
 */
bool go_merge(struct pprof *p, uint64_t seed, struct arena *arena);

#endif

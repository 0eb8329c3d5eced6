/*
 * profile_gen - random pushes that a seed repeats, small and full of edges.
 *
 * A generator has a fixed world (functions, mappings, locations, streams of one
 * service); every row draws from it: shared stacks, the empty stack, inlined
 * lines, several sample types, zero columns, values near the limits, links,
 * equal times. Memory is the generator's. Threads: one.
 */
#ifndef TESTS_SUPPORT_PROFILE_GEN_H
#define TESTS_SUPPORT_PROFILE_GEN_H

#include "storage/model/profile.h"

#include "base/arena.h"

#include "tests/support/rng.h"

#include <stdbool.h>
#include <stdint.h>

struct profile_gen {
    struct rng rng;
    struct arena memory;
    struct str service;
    int64_t first_ns, span_ns; /* rows lie in [first_ns, first_ns + span_ns) */
    uint32_t streams, functions, locations, depth_max, samples_max;
    bool links;
};

/* Defaults that suit most tests; change the fields before the first row. */
void profile_gen_init(struct profile_gen *g, uint64_t seed, struct str service, int64_t first_ns,
                      int64_t span_ns);
void profile_gen_release(struct profile_gen *g);

/* A row with a profile of its own: lives until release. */
void profile_gen_row(struct profile_gen *g, struct push_row *out);

#endif

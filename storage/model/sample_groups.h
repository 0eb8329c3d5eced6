/*
 * sample_groups - the labels of samples: which samples go together, and their links.
 *
 * span_id (or profile_id, its old name) and trace_id belong to the sample; numeric
 * labels are dropped; every other label splits the profile (../shared/spec/ingest-api.md,
 * sections 3.8, 3.11 and 3.16). Groups are told apart by string index and order, so two
 * groups may turn out to have equal labels; normalise joins those.
 *
 * Internal to normalise. Memory is the arena's.
 */
#ifndef STORAGE_MODEL_SAMPLE_GROUPS_H
#define STORAGE_MODEL_SAMPLE_GROUPS_H

#include "storage/model/profile_build.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct pprof;
struct pprof_sample;

struct sample_groups {
    const struct pprof *p;
    struct sample_group *groups;
    uint32_t count;
    struct sample_group_pair *pairs;
    uint32_t pair_count;
    uint32_t *slots; /* group plus one */
    uint32_t mask;
    uint64_t seed;
};

/* False when the arena is full. */
bool sample_groups_init(struct sample_groups *g, const struct pprof *p, uint64_t seed,
                        struct arena *arena);

/* The group of a sample; fills *link. */
uint32_t sample_groups_add(struct sample_groups *g, const struct pprof_sample *s,
                           struct profile_link *link);

#endif

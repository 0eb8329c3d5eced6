/*
 * profile_build - resolves the ids of a validated pprof into a dense struct profile.
 *
 * Drops what the reference drops (../shared/spec/ingest-api.md, section 3.8): samples
 * with a negative value or none above zero, locations that name unknown mappings or
 * functions or nothing at all, samples that use them, and everything unused after that.
 * Of equal ids the later definition wins.
 *
 * Samples are put into groups by their labels; span and trace ids become links.
 *
 * Internal to normalise. Results are in the arena.
 */
#ifndef STORAGE_MODEL_PROFILE_BUILD_H
#define STORAGE_MODEL_PROFILE_BUILD_H

#include "base/str.h"
#include "storage/model/profile.h"

#include <stdint.h>

struct arena;
struct labels;
struct pprof;

/* The labels that a group of samples has in common, as string indexes of the pprof. */
struct sample_group {
    uint32_t pair_first, pair_count;
};

struct sample_group_pair {
    uint32_t name, value;
};

struct profile_build {
    struct profile *profile;
    uint32_t *group_of; /* per sample of the profile */
    struct sample_group *groups;
    uint32_t group_count; /* at least 1 when there are samples */
    struct sample_group_pair *pairs;
};

/* `request`: for the mapping version. 0, or ERR_TOO_LARGE when the arena is full. */
int profile_build(const struct pprof *p, const struct labels *request, uint64_t seed,
                  struct arena *arena, struct profile_build *out);

/*
 * After groups became rows: orders samples by row, which the new group_of[] names.
 * counts[row] is filled.
 */
int profile_build_regroup(struct profile_build *b, uint32_t row_count, struct arena *arena,
                          uint32_t *counts);

#endif

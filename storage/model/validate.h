/*
 * validate - refuses profiles and label sets that must not be stored.
 *
 * Checks, their order and their texts are the reference's, ../shared/spec/ingest-api.md,
 * sections 3.5 and 3.13, plus clean refusals where the reference fails inside: negative
 * string indexes, and more sample types than a row can hold.
 *
 * Pure functions; linear in the profile.
 */
#ifndef STORAGE_MODEL_VALIDATE_H
#define STORAGE_MODEL_VALIDATE_H

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct discard;
struct labels;
struct limits;
struct pprof;

/* What the passes over the profile have seen; saves the next ones work. */
struct profile_facts {
    uint32_t *brackets; /* strings that hold a '[', in the arena */
    uint32_t bracket_count;
    bool time_set; /* the profile had no usable time, or one far ahead: now it has now's */
};

/*
 * A profile whose time is this far ahead and that no window refuses was sent by a broken
 * clock. Two days leave room for every time zone.
 */
#define VALIDATE_FUTURE_MAX_NS (INT64_C(2) * 86400 * 1000000000)

/*
 * Also corrects in place what is corrected and not refused: deep stacks and long strings
 * are cut (their tail stays), a missing time becomes now. 0, or negative with *discard.
 */
int validate_profile(struct pprof *p, const struct labels *labels, const struct limits *limits,
                     int64_t now_ns, struct arena *arena, struct profile_facts *facts,
                     struct discard *discard);

/* The final, sorted label set of a series. */
int validate_labels(const struct labels *labels, const struct limits *limits, struct arena *arena,
                    struct discard *discard);

#endif

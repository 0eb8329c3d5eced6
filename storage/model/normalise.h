/*
 * normalise - from a decoded pprof and a client's labels to rows that storage takes.
 *
 * The steps and their order are the reference's (../shared/spec/ingest-api.md, section
 * 3): default service name, sorted labels, language, validation, Go fix, dropping and
 * resolving, mapping version, splitting by sample labels, relabelling, label validation.
 *
 *   struct pprof ----validate----> go_fix ----> profile_build ----> struct profile
 *   struct labels --series_labels-------------------'-> rows (validate_labels)
 *
 * Purity: no files, threads, clocks or logs; the caller says what time it is.
 * Time: linear in the profile; hash tables are seeded and only where ids are not 1..n or
 * something can occur twice.
 * Memory: everything is in the arena given, whose limit bounds a hostile profile.
 */
#ifndef STORAGE_MODEL_NORMALISE_H
#define STORAGE_MODEL_NORMALISE_H

#include "base/str.h"
#include "storage/model/discard.h"
#include "storage/model/labels.h"
#include "storage/model/profile.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct limits;
struct pprof;

/* One pushed profile: a series of the request and one of its samples. */
struct normalise_input {
    struct labels labels; /* as the client sent them */
    struct str id;        /* RawSample.ID, may be empty */
    struct pprof *pprof;  /* is changed; encoded_bytes must be set */
    int64_t now_ns;
    const struct limits *limits;
    uint64_t seed; /* of hash tables; from the kernel's random source */
};

struct normalise_result {
    struct push_row *rows; /* share strings with the labels and the decoded body */
    uint32_t row_count;    /* 0: nothing worth storing, which is no error */
    bool time_set;         /* the profile is stored at receive time */
    struct str service;    /* for logs, also of refused profiles */
    struct discard discard;
};

/*
 * 0, or negative with out->discard: ERR_INVALID, the client's mistake; ERR_TOO_LARGE, the
 * arena is full. Nothing of a refused profile is to be stored.
 */
int normalise(const struct normalise_input *in, struct arena *arena, struct normalise_result *out);

#endif

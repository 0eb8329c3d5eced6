/*
 * intake - the profiles of one request on their way into storage.
 *
 *     intake_begin -> for each profile: intake_open, (changes), intake_add -> intake_store
 *                                                                          -> intake_end
 *
 * Shared by every endpoint that takes profiles: inflating, decoding, limits, rate, then
 * normalise; it collects the rows, so that a request is stored as one. A refused profile
 * is counted by reason and logged (rate limited), whichever endpoint refuses it.
 *
 * Decoders and buffers are kept between requests: a warm server allocates nothing per
 * profile. Threads: an intake has one user; the pool behind it is shared.
 */
#ifndef API_INTAKE_H
#define API_INTAKE_H

#include "base/buf.h"
#include "base/str.h"
#include "storage/model/discard.h"
#include "storage/model/labels.h"
#include "storage/model/pprof.h"
#include "storage/storage.h"

#include <stdint.h>

struct api;
struct arena;
struct err;
struct http_request;
struct intake_scratch;
struct push_row;

struct intake {
    const struct api *api;
    struct str tenant;
    struct intake_scratch *scratch; /* from the pool */
    struct arena *arena;            /* the scratch's: rows and profiles, until intake_end() */
    int64_t now_ns;
    struct push_row *rows;
    uint32_t row_count, row_capacity;
    uint64_t inflated_bytes; /* of all profiles so far */
    uint64_t reserved;       /* of the memory of the process */
};

/*
 * ERR_NOMEM; ERR_BUSY when the process has no memory for what a body of `body_bytes` may need
 * (base/budget.h). `memory_max` bounds what decoded profiles of this request may take.
 */
int intake_begin(struct intake *in, const struct api *api, struct str tenant, size_t body_bytes,
                 size_t memory_max, struct err *err);
/* Gives everything back; rows are gone. Fine after a failed begin. */
void intake_end(struct intake *in);

/*
 * Inflates and decodes one profile; *out is valid until intake_end(), may be changed.
 * Negative with *discard: ERR_TOO_LARGE (text of the size limit; reason
 * DISCARD_PROFILE_SIZE_LIMIT or DISCARD_MEMORY_LIMIT) or ERR_INVALID.
 */
int intake_open(struct intake *in, struct str raw, struct pprof *out, struct discard *discard);

/*
 * Charges the rate limit, normalises, keeps the rows. Negative with *discard:
 * ERR_RATE_LIMITED, ERR_INVALID, ERR_TOO_LARGE. Strings of labels and pprof must live
 * until intake_end().
 */
int intake_add(struct intake *in, const struct labels *labels, struct str id, struct pprof *p,
               struct discard *discard);

/* Counts and logs a profile that is refused. */
void intake_refuse(const struct intake *in, struct str service, const struct discard *discard);

/*
 * Stores all rows as one push; `done` as storage_push() says. Without rows nothing is
 * stored and *pending is false: the caller answers.
 */
int intake_store(struct intake *in, storage_push_done done, void *ctx, bool *pending,
                 struct err *err);

/* What a failed store is to a client: 507, 503 (with Retry-After), 504, 499 or 500. */
int intake_store_status(int rc);

#endif

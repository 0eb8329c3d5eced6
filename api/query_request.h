/*
 * query_request - what the questions have in common: checks in the reference's
 * order, with its texts, and a struct query made of them.
 *
 * Order decides which error wins (../shared/spec/query-api.md, section 3.4): a
 * handler calls the steps it needs in its own order. Each returns 0, or
 * negative with the text in *err (ERR_INVALID: 400), or QUERY_EMPTY when the
 * look-back limit makes the answer empty whatever else is asked.
 *
 * Ownership: a question has an arena of its own, bounded by
 * limits.query_memory_bytes_max; query_request_release() frees it and the
 * compiled matchers. Threads: one owner.
 */
#ifndef API_QUERY_REQUEST_H
#define API_QUERY_REQUEST_H

#include "storage/model/profile_type.h"
#include "storage/query.h"
#include "storage/storage.h"

#include "base/arena.h"
#include "base/budget.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct err;
struct http_request;
struct http_response;
struct tenants;

enum {
    QUERY_EMPTY = 1,
};

struct query_request {
    const struct api *api;
    struct budget_share memory; /* of the process, for `arena` */
    struct arena arena;
    struct query query; /* query.arena is `arena` */
    struct profile_type type;
    int64_t start_ms, end_ms; /* after clamping */
    struct query_explain explain;
    struct storage_missing missing;
};

/* `req` may be NULL (never canceled). Pair with query_request_release(). */
void query_request_init(struct query_request *r, const struct api *api,
                        const struct tenants *tenants, struct http_request *req);
/*
 * Also counts what was read, and tells it in the header X-Flamekeep-Plan: datasets by the
 * coarsest thing that was used of them, such as `day=30 hour=1 raw=2 vectors=54`. And what the
 * answer lacks because it is damaged, in X-Flamekeep-Missing, milliseconds and bytes:
 * `segments=1 datasets=0 logs=0 bytes=40960 from=1764000000000 until=1764086399999`.
 */
void query_request_release(struct query_request *r, struct http_response *res);
/* What it failed with; ERR_BUSY in place of it when the process had no memory to give. */
int query_request_failed(const struct query_request *r, int rc, struct err *err);

/* Section 3.3; sets start_ms, end_ms and query.time (whole range in nanoseconds). */
int query_request_time(struct query_request *r, int64_t start_ms, int64_t end_ms, struct err *err);
/* Widens query.time to whole milliseconds, as label lists count (section 5.1). */
void query_request_whole_ms(struct query_request *r);

/* Section 3.3: unset or 0 gives the default. */
int query_request_max_nodes(const struct query_request *r, bool set, int64_t max_nodes,
                            int64_t *out, struct err *err);

int query_request_type(struct query_request *r, const char *id, struct err *err);

/* One selector that must parse: `parsing label selector "…": …`. */
int query_request_selector(struct query_request *r, const char *selector, struct err *err);

/* A list of selectors, ANDed; the error text starts with `prefix`. */
int query_request_matchers(struct query_request *r, char *const *matchers, size_t count,
                           const char *prefix, struct err *err);

/* Hex ids of 16 and 32 digits. */
int query_request_spans(struct query_request *r, char *const *ids, size_t count, struct err *err);
int query_request_traces(struct query_request *r, char *const *ids, size_t count, struct err *err);

#endif

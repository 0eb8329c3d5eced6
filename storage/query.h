/*
 * query - questions to the store: trees, merged profiles, series, label lists.
 *
 * Each call pins a view, finds the series that match, visits their rows and
 * merges exactly; nothing is cut (max_nodes is for the encoders). Results live
 * in query.arena, except where a release function is named. Times compare in
 * nanoseconds, both ends inclusive (query-api.md, section 5.1), for label lists
 * in whole milliseconds.
 *
 * Damage of what is stored does not end a question: it is answered from the rest, and
 * query.missing tells what it lacks.
 *
 * A series is one sample type of one stream: its labels are the stream's plus
 * those derived from the type (ingest-api.md, section 3.14).
 *
 * Threads: one query has one thread. Cost: checks `canceled` at every row
 * batch: ERR_CANCELED; memory is the arena's limit: ERR_TOO_LARGE.
 */
#ifndef STORAGE_QUERY_H
#define STORAGE_QUERY_H

#include "storage/dataset.h"
#include "storage/model/matcher.h"
#include "storage/model/merged_profile.h"
#include "storage/model/profile_type.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;
struct storage;
struct storage_missing;
struct tree;
struct tree_names;

/* What may be used beside rows. An answer is the same whatever is chosen (storage/query_plan.h). */
enum query_force {
    QUERY_FORCE_NONE, /* the cheapest */
    QUERY_FORCE_RAW,  /* rows only */
    QUERY_FORCE_HOUR, /* no sums of more than an hour */
    QUERY_FORCE_DAY,  /* sums of whole datasets, or rows */
};

/* How an answer came about: datasets by the coarsest thing that was used of them. */
struct query_explain {
    uint32_t datasets_raw, datasets_hour, datasets_day, datasets_totals;
    uint32_t vectors; /* read */
};

struct query {
    const struct str *tenants;
    uint32_t tenant_count;
    struct matchers matchers;
    const struct profile_type *type; /* NULL: any */
    struct time_span time;
    const uint64_t *span_ids; /* only samples with one of these; none: all samples */
    uint32_t span_id_count;
    const uint8_t (*trace_ids)[16];
    uint32_t trace_id_count;
    bool (*canceled)(void *ctx);
    void *canceled_ctx;
    struct arena *arena;
    enum query_force force;
    struct query_explain *explain; /* NULL: nobody asks; added to */
    struct storage_missing
        *missing; /* NULL: nobody asks; joined to: an answer that lacks something says so */
};

/* A finished tree of everything selected; two queries may share `names` (a diff does). */
int query_tree(struct storage *s, const struct query *q, struct tree_names *names,
               struct tree **out, struct err *err);

/* Everything selected with full symbols. On success release *out with merged_profile_release(). */
int query_profile(struct storage *s, const struct query *q, struct merged_profile *out,
                  struct err *err);

/* SelectSeries: buckets by right edge, grouped (query-api.md, section 5.5). */
struct series_point {
    int64_t time_ms;
    value128 value;
};
struct series {
    struct labels labels; /* in group_by order, missing ones left out */
    struct series_point *points;
    uint32_t point_count;
};
struct series_query {
    int64_t start_ms, end_ms, step_ms; /* step_ms >= 1 */
    const struct str *group_by;
    uint32_t group_by_count;
    int64_t limit; /* <= 0: all */
};
/* Ordered by sum of values descending, then by labels. q->time and q->type as given by the caller.
 */
int query_series(struct storage *s, const struct query *q, const struct series_query *sq,
                 struct series **out, uint32_t *count, struct err *err);

/* Lists: sorted, unique. */
int query_profile_types(struct storage *s, const struct query *q, struct str **ids, uint32_t *count,
                        struct err *err);
int query_label_names(struct storage *s, const struct query *q, struct str **names, uint32_t *count,
                      struct err *err);
int query_label_values(struct storage *s, const struct query *q, struct str name,
                       struct str **values, uint32_t *count, struct err *err);
/* Projections onto `names` (none: all labels), sorted, unique; empty sets are left out. */
int query_label_sets(struct storage *s, const struct query *q, const struct str *names,
                     uint32_t name_count, struct labels **sets, uint32_t *count, struct err *err);

#endif

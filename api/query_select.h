/*
 * query_select - trees, series and diffs for the RPCs and the legacy routes alike.
 *
 * Threads: one question, one owner (api/query_request.h).
 */
#ifndef API_QUERY_SELECT_H
#define API_QUERY_SELECT_H

#include "api/proto/profile.pb-c.h"

#include <stdint.h>

struct connect_call;
struct err;
struct flamegraph;
struct query_request;
struct series;
struct series_query;
struct tree;
struct tree_names;

/*
 * The tree of a checked question, cut to max_nodes as the reference's back end
 * does. `names` NULL: the tree gets its own.
 */
int query_select_tree(struct query_request *r, int64_t max_nodes, struct tree_names *names,
                      struct tree **out, struct err *err);
int query_select_empty_tree(struct query_request *r, struct tree **out, struct err *err);

/* Series in steps of `step_s` seconds from the question's start; sq has the grouping. */
int query_select_series(struct query_request *r, double step_s, struct series_query *sq,
                        struct series **out, uint32_t *count, struct err *err);

/* One side of a diff, unchecked; `type` NULL: the request has it already. */
struct select_side {
    struct query_request *request;
    const char *type, *selector;
    int64_t start_ms, end_ms;
};

/* Checks in the order of Diff, then both trees and their diff in sides[0]'s arena. */
int query_select_diff(const struct select_side sides[2], int64_t max_nodes, struct flamegraph **out,
                      struct err *err);

/* The answer of SelectMergeStacktraces in the PPROF format. */
int query_select_wrap_pprof(struct connect_call *call, const Google__V1__Profile *profile);

#endif

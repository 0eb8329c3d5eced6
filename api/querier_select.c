/*
 * querier_select - SelectMergeStacktraces, SelectMergeSpanProfile,
 * SelectMergeProfile, SelectSeries, Diff.
 *
 * ../shared/spec/query-api.md, sections 5.5 to 5.9. Selectors and formats that
 * are known but not built answer `unimplemented`.
 */
#include "api/connect.h"

#include "api/api.h"
#include "api/query_request.h"
#include "api/query_select.h"

#include "api/encode/flamegraph_out.h"
#include "api/encode/pprof_out.h"
#include "api/encode/series_out.h"

#include "api/proto/querier.pb-c.h"

#include "storage/model/flamegraph.h"
#include "storage/model/limits.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"

#include <math.h>
#include <string.h>

static int finish(struct connect_call *call, struct query_request *r, int rc, struct err *err)
{
    if (call->code == CONNECT_OK)
        rc = query_request_failed(r, rc, err);
    query_request_release(r, call->res);
    if (rc < 0 && call->code == CONNECT_OK)
        return connect_fail_err(call, err);
    return rc;
}

static int unimplemented(struct connect_call *call, const char *what)
{
    return connect_fail(call, CONNECT_UNIMPLEMENTED, "%s is not implemented", what);
}

/* An empty answer has no flame graph bytes in TREE, and one empty box otherwise. */
static int answer_flamegraph(struct connect_call *call, struct query_request *r,
                             const struct tree *tree, int64_t raw_max_nodes, struct err *err)
{
    struct flamegraph *g;
    int rc = flamegraph_build(tree, raw_max_nodes, &r->arena, &g, err);

    if (rc != 0)
        return rc;
    if (call->codec == CONNECT_JSON)
        flamegraph_out_json(g, false, call->out);
    else
        flamegraph_out_proto(g, false, call->out);
    return 0;
}

static int answer_tree(struct connect_call *call, struct query_request *r, const struct tree *tree,
                       struct err *err)
{
    Querier__V1__SelectMergeStacktracesResponse response =
        QUERIER__V1__SELECT_MERGE_STACKTRACES_RESPONSE__INIT;
    bool saturated = false;
    struct buf bytes;
    int rc;

    buf_init(&bytes, call->out->max);
    rc = tree_out(tree, &r->arena, &bytes, &saturated, err);
    if (rc == 0 && bytes.failed)
        rc = err_set(err, ERR_TOO_LARGE, "the tree is larger than %zu bytes", bytes.max);
    if (rc == 0) {
        response.tree.data = bytes.data;
        response.tree.len = bytes.len;
        rc = connect_answer(call, &response.base);
    }
    buf_release(&bytes);
    return rc;
}

static int answer_pprof(struct connect_call *call, struct query_request *r, int64_t max_nodes,
                        bool wrapped, struct err *err)
{
    struct merged_profile merged;
    Google__V1__Profile profile;
    struct buf bytes;
    int rc = query_profile(call->api->storage, &r->query, &merged, err);

    if (rc != 0)
        return rc;
    buf_init(&bytes, call->out->max);
    rc = merged_profile_cut(&merged, max_nodes, &r->arena, err);
    if (rc == 0)
        rc = pprof_out(&merged, &r->type, r->query.time.last_ns, &r->arena, &profile, err);
    if (rc == 0 && wrapped)
        rc = query_select_wrap_pprof(call, &profile);
    else if (rc == 0)
        rc = connect_answer(call, &profile.base);
    buf_release(&bytes);
    merged_profile_release(&merged);
    return rc;
}

static int check_selectors(struct connect_call *call,
                           const Querier__V1__SelectMergeStacktracesRequest *q)
{
    if (q->n_span_selector > 0 && q->n_trace_id_selector > 0)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                            "span_selector and trace_id_selector cannot be combined");
    return 0;
}

/* Known, and not built: never answered as if they had not been asked. */
static int check_built(struct connect_call *call,
                       const Querier__V1__SelectMergeStacktracesRequest *q)
{
    if (q->n_profile_id_selector > 0)
        return unimplemented(call, "profile_id_selector");
    if (q->stack_trace_selector &&
        (q->stack_trace_selector->n_call_site > 0 || q->stack_trace_selector->go_pgo))
        return unimplemented(call, "stack_trace_selector");
    if (q->format == QUERIER__V1__PROFILE_FORMAT__PROFILE_FORMAT_DOT)
        return unimplemented(call, "the DOT format");
    return 0;
}

static bool has_max_nodes(const Querier__V1__SelectMergeStacktracesRequest *q)
{
    return q->max_nodes_presence_case ==
           QUERIER__V1__SELECT_MERGE_STACKTRACES_REQUEST__MAX_NODES_PRESENCE_MAX_NODES;
}

/* span_selector and trace_id_selector, after everything else has been checked. */
static int take_ids(struct query_request *r, const Querier__V1__SelectMergeStacktracesRequest *q,
                    struct err *err)
{
    int rc = query_request_spans(r, q->span_selector, q->n_span_selector, err);

    return rc != 0 ? rc
                   : query_request_traces(r, q->trace_id_selector, q->n_trace_id_selector, err);
}

static int empty_answer(struct connect_call *call, struct query_request *r,
                        const Querier__V1__SelectMergeStacktracesRequest *q, struct err *err)
{
    struct tree *tree;
    int rc;

    if (q->format == QUERIER__V1__PROFILE_FORMAT__PROFILE_FORMAT_PPROF) {
        Google__V1__Profile profile = GOOGLE__V1__PROFILE__INIT;

        return query_select_wrap_pprof(call, &profile);
    }
    if ((rc = query_select_empty_tree(r, &tree, err)) != 0)
        return rc;
    if (q->format == QUERIER__V1__PROFILE_FORMAT__PROFILE_FORMAT_TREE)
        return answer_tree(call, r, tree, err);
    return answer_flamegraph(call, r, tree, 0, err);
}

static int stacktraces(struct connect_call *call, struct query_request *r,
                       const Querier__V1__SelectMergeStacktracesRequest *q, struct err *err)
{
    bool pprof = q->format == QUERIER__V1__PROFILE_FORMAT__PROFILE_FORMAT_PPROF;
    int64_t raw = has_max_nodes(q) ? q->max_nodes : 0, max_nodes = raw;
    struct tree *tree;
    int rc;

    if ((rc = check_selectors(call, q)) != 0)
        return rc;
    if ((rc = query_request_time(r, q->start, q->end, err)) != 0)
        return rc == QUERY_EMPTY ? empty_answer(call, r, q, err) : rc;
    if (!pprof &&
        (rc = query_request_max_nodes(r, has_max_nodes(q), q->max_nodes, &max_nodes, err)) != 0)
        return rc;
    if ((rc = query_request_type(r, q->profile_typeid, err)) != 0 ||
        (rc = query_request_selector(r, q->label_selector, err)) != 0 ||
        (rc = take_ids(r, q, err)) != 0 || (rc = check_built(call, q)) != 0)
        return rc;
    if (pprof)
        return answer_pprof(call, r, max_nodes, true, err);
    if ((rc = query_select_tree(r, max_nodes, NULL, &tree, err)) != 0)
        return rc;
    if (q->format == QUERIER__V1__PROFILE_FORMAT__PROFILE_FORMAT_TREE)
        return answer_tree(call, r, tree, err);
    return answer_flamegraph(call, r, tree, raw, err);
}

int select_merge_stacktraces_rpc(struct connect_call *call)
{
    struct query_request r;
    struct err err;

    err_init(&err);
    query_request_init(&r, call->api, &call->tenants, call->req);
    return finish(call, &r, stacktraces(call, &r, (const void *)call->request, &err), &err);
}

/* The deprecated form: other field numbers, TREE or a flame graph. */
int select_merge_span_profile_rpc(struct connect_call *call)
{
    const Querier__V1__SelectMergeSpanProfileRequest *q = (const void *)call->request;
    Querier__V1__SelectMergeStacktracesRequest as =
        QUERIER__V1__SELECT_MERGE_STACKTRACES_REQUEST__INIT;
    struct query_request r;
    struct err err;

    as.profile_typeid = q->profile_typeid;
    as.label_selector = q->label_selector;
    as.start = q->start;
    as.end = q->end;
    as.span_selector = q->span_selector;
    as.n_span_selector = q->n_span_selector;
    if (q->max_nodes_presence_case ==
        QUERIER__V1__SELECT_MERGE_SPAN_PROFILE_REQUEST__MAX_NODES_PRESENCE_MAX_NODES) {
        as.max_nodes_presence_case =
            QUERIER__V1__SELECT_MERGE_STACKTRACES_REQUEST__MAX_NODES_PRESENCE_MAX_NODES;
        as.max_nodes = q->max_nodes;
    }
    if (q->format == QUERIER__V1__PROFILE_FORMAT__PROFILE_FORMAT_TREE)
        as.format = q->format;
    err_init(&err);
    query_request_init(&r, call->api, &call->tenants, call->req);
    return finish(call, &r, stacktraces(call, &r, &as, &err), &err);
}

static int merge_profile(struct connect_call *call, struct query_request *r, struct err *err)
{
    const Querier__V1__SelectMergeProfileRequest *q = (const void *)call->request;
    int64_t max_nodes = 0;
    int rc;

    if (q->max_nodes_presence_case ==
        QUERIER__V1__SELECT_MERGE_PROFILE_REQUEST__MAX_NODES_PRESENCE_MAX_NODES)
        max_nodes = q->max_nodes;
    if ((rc = query_request_time(r, q->start, q->end, err)) == QUERY_EMPTY) {
        Google__V1__Profile profile = GOOGLE__V1__PROFILE__INIT;

        return connect_answer(call, &profile.base);
    }
    if (rc != 0 || (rc = query_request_type(r, q->profile_typeid, err)) != 0 ||
        (rc = query_request_selector(r, q->label_selector, err)) != 0 ||
        (rc = query_request_traces(r, q->trace_id_selector, q->n_trace_id_selector, err)) != 0)
        return rc;
    if (q->n_profile_id_selector > 0)
        return unimplemented(call, "profile_id_selector");
    if (q->stack_trace_selector &&
        (q->stack_trace_selector->n_call_site > 0 || q->stack_trace_selector->go_pgo))
        return unimplemented(call, "stack_trace_selector");
    return answer_pprof(call, r, max_nodes, false, err);
}

int select_merge_profile_rpc(struct connect_call *call)
{
    struct query_request r;
    struct err err;

    err_init(&err);
    query_request_init(&r, call->api, &call->tenants, call->req);
    return finish(call, &r, merge_profile(call, &r, &err), &err);
}

static int answer_series(struct connect_call *call, struct query_request *r,
                         const struct series *series, uint32_t count, struct err *err)
{
    struct series_out *out = arena_array(&r->arena, struct series_out, (size_t)count + 1);

    if (!out)
        return err_set(err, ERR_TOO_LARGE, "%u series: out of working memory", count);
    for (uint32_t s = 0; s < count; s++) {
        uint32_t n = series[s].point_count;
        struct series_out_point *points = arena_array(&r->arena, struct series_out_point, n);
        bool saturated = false;

        if (!points)
            return err_set(err, ERR_TOO_LARGE, "%u points: out of working memory", n);
        for (uint32_t i = 0; i < n; i++) {
            points[i].time_ms = series[s].points[i].time_ms;
            points[i].value = (double)value_saturate(series[s].points[i].value, &saturated);
        }
        out[s] = (struct series_out){series[s].labels, points, n};
    }
    if (call->codec == CONNECT_JSON)
        series_out_json(out, count, call->out);
    else
        series_out_proto(out, count, call->out);
    return 0;
}

/* What is known of exemplars and not built, or not known at all. */
static int check_exemplars(struct connect_call *call, int type)
{
    switch (type) {
    case TYPES__V1__EXEMPLAR_TYPE__EXEMPLAR_TYPE_UNSPECIFIED:
    case TYPES__V1__EXEMPLAR_TYPE__EXEMPLAR_TYPE_NONE:
        return 0;
    case TYPES__V1__EXEMPLAR_TYPE__EXEMPLAR_TYPE_INDIVIDUAL:
        return unimplemented(call, "exemplar type individual");
    case TYPES__V1__EXEMPLAR_TYPE__EXEMPLAR_TYPE_SPAN:
        return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                            "exemplar type span is not implemented");
    default:
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "unknown exemplar type: %d", type);
    }
}

static int ask_series(struct connect_call *call, struct query_request *r, struct err *err)
{
    const Querier__V1__SelectSeriesRequest *q = (const void *)call->request;
    struct series_query sq = {0};
    struct series *series;
    struct str *group_by;
    uint32_t count;
    int rc = query_request_time(r, q->start, q->end, err);

    if (rc == QUERY_EMPTY)
        return answer_series(call, r, NULL, 0, err);
    if (rc != 0 || (rc = query_request_type(r, q->profile_typeid, err)) != 0)
        return rc;
    if (q->step < 0.001)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "step must be >= 1ms");
    if ((rc = query_request_selector(r, q->label_selector, err)) != 0 ||
        (rc = check_exemplars(call, q->exemplar_type)) != 0)
        return rc;
    /* The reference lets these pass and finds no bucket in them. */
    if (isnan(q->step) || isinf(q->step))
        return answer_series(call, r, NULL, 0, err);
    group_by = arena_array(&r->arena, struct str, q->n_group_by + 1);
    if (!group_by)
        return err_set(err, ERR_TOO_LARGE, "group_by: too many names (%zu)", q->n_group_by);
    for (size_t i = 0; i < q->n_group_by; i++)
        group_by[i] = str_from(q->group_by[i]);
    sq.group_by = group_by;
    sq.group_by_count = (uint32_t)q->n_group_by;
    if (q->limit_presence_case == QUERIER__V1__SELECT_SERIES_REQUEST__LIMIT_PRESENCE_LIMIT)
        sq.limit = q->limit;
    rc = query_select_series(r, q->step, &sq, &series, &count, err);
    return rc != 0 ? rc : answer_series(call, r, series, count, err);
}

int select_series_rpc(struct connect_call *call)
{
    struct query_request r;
    struct err err;

    err_init(&err);
    query_request_init(&r, call->api, &call->tenants, call->req);
    return finish(call, &r, ask_series(call, &r, &err), &err);
}

static int diff(struct connect_call *call, struct query_request side[2], struct err *err)
{
    const Querier__V1__DiffRequest *q = (const void *)call->request;
    Querier__V1__SelectMergeStacktracesRequest none =
        QUERIER__V1__SELECT_MERGE_STACKTRACES_REQUEST__INIT;
    const Querier__V1__SelectMergeStacktracesRequest *ask[2] = {q->left ? q->left : &none,
                                                                q->right ? q->right : &none};
    struct select_side sides[2];
    struct flamegraph *g;
    int64_t raw = 0;
    int rc;

    for (int s = 0; s < 2; s++) {
        int64_t n = has_max_nodes(ask[s]) ? ask[s]->max_nodes : 0;

        raw = s == 0 || n > raw ? n : raw;
        sides[s] = (struct select_side){&side[s], ask[s]->profile_typeid, ask[s]->label_selector,
                                        ask[s]->start, ask[s]->end};
        if ((rc = check_selectors(call, ask[s])) != 0 || (rc = check_built(call, ask[s])) != 0 ||
            (rc = take_ids(&side[s], ask[s], err)) != 0)
            return rc;
    }
    if ((rc = query_select_diff(sides, raw, &g, err)) != 0)
        return rc;
    if (call->codec == CONNECT_JSON)
        flamegraph_out_json(g, true, call->out);
    else
        flamegraph_out_proto(g, true, call->out);
    return 0;
}

int diff_rpc(struct connect_call *call)
{
    struct query_request side[2];
    struct err err;
    int rc;

    err_init(&err);
    for (int s = 0; s < 2; s++)
        query_request_init(&side[s], call->api, &call->tenants, call->req);
    rc = diff(call, side, &err);
    query_request_release(&side[1], call->res);
    return finish(call, &side[0], rc, &err);
}

/*
 * render - the legacy questions over GET: /pyroscope/render, render-diff, label-values.
 *
 * ../shared/spec/query-api.md, section 7. The same trees, series and diffs as
 * the RPCs; other parameters, other JSON.
 */
#include "api/handlers.h"

#include "api/api.h"
#include "api/error_shape.h"
#include "api/query_request.h"
#include "api/query_select.h"
#include "api/tenant.h"
#include "api/timeline.h"

#include "api/decode/time_form.h"
#include "api/encode/json_text.h"
#include "api/encode/render_json.h"

#include "storage/model/flamegraph.h"
#include "storage/model/labels.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <string.h>

enum {
    HOUR_MS = 3600 * 1000,
    PARAMETER_MAX = 16,
    RETRY_AFTER_S = 1,
};

/* One side: "query", "from", "until" with nothing, "left" or "right" in front. */
struct side {
    const char *query_name;
    struct query_request request;
    int64_t start_ms, end_ms;
};

static enum http_result answer_error(struct http_response *res, const struct err *err)
{
    error_shape_b(res, connect_code_of_err(err->code), str_from(err->msg));
    if (http_response_get_status(res) == 503)
        http_response_retry_after(res, RETRY_AFTER_S);
    return HTTP_DONE;
}

static int take_tenants(struct api *api, struct http_request *req, struct tenants *out,
                        struct err *err)
{
    switch (tenants_of_request(api, req, http_request_arena(req), out, err)) {
    case TENANT_OK:
        return 0;
    case TENANT_MISSING:
        err->code = ERR_UNAUTHENTICATED;
        return err->code;
    case TENANT_BAD:
        break;
    }
    err->code = ERR_INVALID; /* 400 here, 401 on the RPCs */
    return err->code;
}

/* The name matcher is the profile type; what is left selects. */
static int take_type(struct side *s, struct err *err)
{
    struct matchers *m = &s->request.query.matchers;

    for (uint32_t i = 0; i < m->count; i++) {
        struct matcher found = m->items[i];

        if (!str_eq(found.name, STR(LABEL_NAME)))
            continue;
        memmove(&m->items[i], &m->items[i + 1], (m->count - i - 1) * sizeof(found));
        m->count--;
        if (profile_type_parse(found.value, &s->request.type, NULL) != 0)
            return err_set(err, ERR_INVALID, "failed to parse \"%s\"", s->query_name);
        s->request.query.type = &s->request.type;
        return 0;
    }
    return err_set(err, ERR_INVALID, "\"%s\" must contain a profile-type selection", s->query_name);
}

static int take_query(struct side *s, struct http_request *req, struct err *err)
{
    struct str text;
    int rc;

    if (!http_request_query(req, s->query_name, &text) || text.len == 0)
        return err_set(err, ERR_INVALID, "\"%s\" is required", s->query_name);
    rc = selector_parse(text, &s->request.arena, &s->request.query.matchers, err);
    if (rc != 0) {
        (void)err_prefix(err, "failed to parse \"%s\"", s->query_name);
        return rc;
    }
    return take_type(s, err);
}

static int64_t take_time(struct http_request *req, const char *name, int64_t now_ns)
{
    struct str text;

    if (!http_request_query(req, name, &text) || text.len == 0)
        return now_ns / NS_PER_MS;
    return time_form_query_ns(text, now_ns) / NS_PER_MS;
}

/* maxNodes over max-nodes; what is no number is not there. */
static int64_t take_max_nodes(struct http_request *req)
{
    static const char *const names[] = {"max-nodes", "maxNodes"};
    int64_t max_nodes = 0, value;
    struct str text;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (http_request_query(req, names[i], &text) &&
            str_parse_i64(text, INT64_MIN, INT64_MAX, &value))
            max_nodes = value;
    return max_nodes;
}

/* Fills one side; query_request_release() its request in any case. */
static int take_side(struct side *s, struct http_request *req, const char *prefix, struct err *err)
{
    int64_t now_ns = clock_now_ns(s->request.api->clock);
    char from[PARAMETER_MAX], until[PARAMETER_MAX];
    int rc = take_query(s, req, err);

    (void)snprintf(from, sizeof(from), "%s%s", prefix, *prefix ? "From" : "from");
    (void)snprintf(until, sizeof(until), "%s%s", prefix, *prefix ? "Until" : "until");
    s->start_ms = take_time(req, from, now_ns);
    s->end_ms = take_time(req, until, now_ns);
    return rc;
}

static int out_of_memory(const struct query_request *r, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "the answer needs more than %zu bytes of working memory",
                   arena_limit(&r->arena));
}

/* Every groupBy parameter is a label to group by; empty ones are none. */
static int take_group_by(struct query_request *r, struct http_request *req, struct series_query *sq,
                         bool *grouped, struct err *err)
{
    size_t count = http_request_query_count(req);
    struct str *names = arena_array(&r->arena, struct str, count + 1);

    if (!names)
        return out_of_memory(r, err);
    *grouped = false;
    for (size_t i = 0; i < count; i++) {
        const struct http_pair *pair = http_request_query_at(req, i);

        if (!str_eq(pair->name, STR("groupBy")))
            continue;
        *grouped = true;
        names[sq->group_by_count++] = pair->value;
    }
    sq->group_by = names;
    return 0;
}

static struct str group_name(const struct series *s, struct str label)
{
    const struct label *pair = labels_find(&s->labels, label);

    return pair ? pair->value : STR("*");
}

/* Keys may collide when there are further labels: the last one wins. */
static int build_groups(struct query_request *r, const struct series *series, uint32_t count,
                        struct str label, int64_t step_s, struct render_document *d,
                        struct err *err)
{
    struct render_group *groups = arena_array(&r->arena, struct render_group, (size_t)count + 1);

    if (!groups)
        return out_of_memory(r, err);
    d->groups = groups;
    for (uint32_t i = 0; i < count; i++) {
        struct str name = group_name(&series[i], label);
        uint32_t at = 0;

        while (at < d->group_count && !str_eq(groups[at].name, name))
            at++;
        if (at == d->group_count)
            d->group_count++;
        groups[at].name = name;
        if (!timeline_build(&series[i], r->start_ms, r->end_ms, step_s, &r->arena,
                            &groups[at].timeline))
            return out_of_memory(r, err);
    }
    return 0;
}

static int build_timelines(struct query_request *r, struct http_request *req,
                           struct render_timeline *main_line, struct render_document *d,
                           struct err *err)
{
    int64_t step_s = timeline_step_s(r->start_ms, r->end_ms);
    struct series_query sq = {0};
    struct series *series;
    uint32_t count;
    int rc;

    if ((rc = take_group_by(r, req, &sq, &d->grouped, err)) != 0 ||
        (rc = query_select_series(r, (double)step_s, &sq, &series, &count, err)) != 0)
        return rc;
    if (!timeline_build(count == 1 ? series : NULL, r->start_ms, r->end_ms, step_s, &r->arena,
                        main_line))
        return out_of_memory(r, err);
    d->timeline = main_line;
    return d->grouped ? build_groups(r, series, count, sq.group_by[0], step_s, d, err) : 0;
}

static int render(struct side *s, struct http_request *req, struct http_response *res,
                  struct err *err)
{
    struct query_request *r = &s->request;
    int64_t raw = take_max_nodes(req), max_nodes;
    struct render_document d = {.type = &r->type};
    struct render_timeline main_line;
    struct flamegraph *graph;
    struct tree *tree = NULL;
    int rc = query_request_time(r, s->start_ms, s->end_ms, err);
    bool empty = rc == QUERY_EMPTY;

    if (empty) {
        r->start_ms = s->start_ms;
        r->end_ms = s->end_ms;
        rc = query_select_empty_tree(r, &tree, err);
    } else if (rc == 0 && (rc = query_request_max_nodes(r, true, raw, &max_nodes, err)) == 0) {
        rc = query_select_tree(r, max_nodes, NULL, &tree, err);
    }
    if (rc != 0 || (rc = flamegraph_build(tree, raw, &r->arena, &graph, err)) != 0)
        return rc;
    d.graph = graph;
    if (empty) {
        if (!timeline_build(NULL, r->start_ms, r->end_ms, timeline_step_s(r->start_ms, r->end_ms),
                            &r->arena, &main_line))
            return out_of_memory(r, err);
        d.timeline = &main_line;
    } else if ((rc = build_timelines(r, req, &main_line, &d, err)) != 0) {
        return rc;
    }
    http_response_type(res, "application/json");
    render_json(&d, http_response_body(res));
    return 0;
}

enum http_result render_get(struct api *api, struct http_request *req, struct http_response *res)
{
    struct side s = {.query_name = "query"};
    struct tenants tenants;
    struct str format;
    struct err err;
    int rc;

    err_init(&err);
    if (take_tenants(api, req, &tenants, &err) != 0)
        return answer_error(res, &err);
    query_request_init(&s.request, api, &tenants, req);
    rc = take_side(&s, req, "", &err);
    if (rc == 0 && http_request_query(req, "format", &format) && str_eq(format, STR("dot")))
        rc = err_set(&err, ERR_UNSUPPORTED, "format=dot is not implemented");
    if (rc == 0)
        rc = query_request_failed(&s.request, render(&s, req, res, &err), &err);
    query_request_release(&s.request, res);
    return rc == 0 ? HTTP_DONE : answer_error(res, &err);
}

static bool same_type(const struct profile_type *a, const struct profile_type *b)
{
    return str_eq(a->name, b->name) && str_eq(a->sample_type, b->sample_type) &&
           str_eq(a->sample_unit, b->sample_unit) && str_eq(a->period_type, b->period_type) &&
           str_eq(a->period_unit, b->period_unit);
}

static int render_diff(struct side sides[2], struct http_request *req, struct http_response *res,
                       struct err *err)
{
    struct render_document d = {.type = &sides[0].request.type, .diff = true};
    struct select_side select[2];
    struct flamegraph *graph;
    int rc;

    if ((rc = take_side(&sides[0], req, "left", err)) != 0 ||
        (rc = take_side(&sides[1], req, "right", err)) != 0)
        return rc;
    if (!same_type(&sides[0].request.type, &sides[1].request.type))
        return err_set(err, ERR_INVALID, "profile types must match");
    /* Type and matchers are parsed already; {} adds none. */
    for (int s = 0; s < 2; s++)
        select[s] =
            (struct select_side){&sides[s].request, NULL, "{}", sides[s].start_ms, sides[s].end_ms};
    if ((rc = query_select_diff(select, take_max_nodes(req), &graph, err)) != 0)
        return rc;
    d.graph = graph;
    http_response_type(res, "application/json");
    render_json(&d, http_response_body(res));
    return 0;
}

enum http_result render_diff_get(struct api *api, struct http_request *req,
                                 struct http_response *res)
{
    struct side sides[2] = {{.query_name = "leftQuery"}, {.query_name = "rightQuery"}};
    struct tenants tenants;
    struct err err;
    int rc;

    err_init(&err);
    if (take_tenants(api, req, &tenants, &err) != 0)
        return answer_error(res, &err);
    for (int s = 0; s < 2; s++)
        query_request_init(&sides[s].request, api, &tenants, req);
    rc = render_diff(sides, req, res, &err);
    for (int s = 0; s < 2; s++)
        rc = query_request_failed(&sides[s].request, rc, &err);
    for (int s = 0; s < 2; s++)
        query_request_release(&sides[s].request, res);
    return rc == 0 ? HTTP_DONE : answer_error(res, &err);
}

static int list_types(struct query_request *r, struct http_response *res, struct err *err)
{
    int64_t now_ms = clock_now_ns(r->api->clock) / NS_PER_MS;
    struct buf *out = http_response_body(res);
    struct str *ids;
    uint32_t count = 0;
    int rc = query_request_time(r, now_ms - HOUR_MS, now_ms, err);

    if (rc == 0) {
        query_request_whole_ms(r);
        rc = query_profile_types(r->api->storage, &r->query, &ids, &count, err);
    }
    if (rc < 0)
        return rc;
    http_response_type(res, "application/json");
    if (count == 0)
        (void)buf_append_cstr(out, "null\n");
    for (uint32_t i = 0; i < count; i++) {
        (void)buf_append_byte(out, i > 0 ? ',' : '[');
        json_text_put(out, ids[i]);
    }
    if (count > 0)
        (void)buf_append_cstr(out, "]\n");
    return 0;
}

enum http_result label_values_get(struct api *api, struct http_request *req,
                                  struct http_response *res)
{
    struct query_request r;
    struct tenants tenants;
    struct str label;
    struct err err;
    int rc;

    err_init(&err);
    if (take_tenants(api, req, &tenants, &err) != 0)
        return answer_error(res, &err);
    query_request_init(&r, api, &tenants, req);
    if (!http_request_query(req, "label", &label) || label.len == 0)
        rc = err_set(&err, ERR_INVALID, "label parameter is required");
    else if (!str_eq(label, STR(LABEL_NAME)))
        /* The route has no way to name a range; clients that want values use LabelValues. */
        rc = err_set(&err, ERR_INVALID, "missing time range in the query");
    else
        rc = query_request_failed(&r, list_types(&r, res, &err), &err);
    query_request_release(&r, res);
    return rc == 0 ? HTTP_DONE : answer_error(res, &err);
}

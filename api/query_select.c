#include "api/query_select.h"

#include "api/api.h"
#include "api/connect.h"
#include "api/json_bridge.h"
#include "api/query_request.h"

#include "storage/model/flamegraph.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"

static int out_of_memory(const struct query_request *r, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "the question needs more than %zu bytes of working memory; ask for a shorter "
                   "range or raise limits.query_memory_bytes_max",
                   arena_limit(&r->arena));
}

int query_select_empty_tree(struct query_request *r, struct tree **out, struct err *err)
{
    struct tree_names *names = tree_names_new(&r->arena);
    struct tree *tree = names ? tree_new(&r->arena, names) : NULL;
    int rc;

    if (!tree)
        return out_of_memory(r, err);
    if ((rc = tree_finish(tree, err)) == 0)
        *out = tree;
    return rc;
}

int query_select_tree(struct query_request *r, int64_t max_nodes, struct tree_names *names,
                      struct tree **out, struct err *err)
{
    struct tree *whole;
    value128 least;
    int rc;

    if (!names && !(names = tree_names_new(&r->arena)))
        return out_of_memory(r, err);
    if ((rc = query_tree(r->api->storage, &r->query, names, &whole, err)) != 0)
        return rc;
    /* Twice, as the reference: where it reads blocks, and where it merges what it read. */
    for (int i = TREE_OTHER_WINS; i <= TREE_OTHER_KEPT; i++) {
        if ((rc = tree_cut_value(whole, max_nodes, &r->arena, &least, err)) != 0)
            return rc;
        if (least != 0 && (rc = tree_truncate(whole, least, (enum tree_other_rule)i, &r->arena,
                                              &whole, err)) != 0)
            return rc;
    }
    *out = whole;
    return 0;
}

int query_select_series(struct query_request *r, double step_s, struct series_query *sq,
                        struct series **out, uint32_t *count, struct err *err)
{
    double step_ms = step_s * 1000;
    int64_t first_ns;

    sq->start_ms = r->start_ms;
    sq->end_ms = r->end_ms;
    sq->step_ms =
        step_ms >= (double)(INT64_MAX / NS_PER_MS) ? INT64_MAX / NS_PER_MS : (int64_t)step_ms;
    /* The first bucket reaches one step back. */
    if (__builtin_sub_overflow(r->query.time.first_ns, sq->step_ms * NS_PER_MS, &first_ns))
        first_ns = INT64_MIN;
    r->query.time.first_ns = first_ns;
    return query_series(r->api->storage, &r->query, sq, out, count, err);
}

/* Errors of a side's own question come wrapped, those of the diff itself do not. */
static int side_failed(int rc, struct err *err)
{
    if (rc == ERR_INVALID)
        (void)err_prefix(err, "invalid_argument");
    return rc;
}

static int side_tree(const struct select_side *side, int64_t max_nodes, struct tree_names *names,
                     struct tree **out, struct err *err)
{
    struct query_request *r = side->request;
    int rc = query_request_time(r, side->start_ms, side->end_ms, err);

    if (rc == QUERY_EMPTY) {
        *out = tree_new(&r->arena, names);
        return *out ? tree_finish(*out, err) : out_of_memory(r, err);
    }
    if (rc == 0)
        rc = query_request_selector(r, side->selector, err);
    if (rc != 0)
        return side_failed(rc, err);
    return query_select_tree(r, max_nodes, names, out, err);
}

int query_select_diff(const struct select_side sides[2], int64_t max_nodes, struct flamegraph **out,
                      struct err *err)
{
    struct query_request *left = sides[0].request;
    struct tree_names *names;
    struct tree *tree[2];
    int rc;

    if ((rc = query_request_max_nodes(left, true, max_nodes, &max_nodes, err)) != 0 ||
        (sides[0].type && (rc = query_request_type(left, sides[0].type, err)) != 0) ||
        (sides[1].type && (rc = query_request_type(sides[1].request, sides[1].type, err)) != 0))
        return rc;
    if (!(names = tree_names_new(&left->arena)))
        return out_of_memory(left, err);
    for (int s = 0; s < 2; s++)
        if ((rc = side_tree(&sides[s], max_nodes, names, &tree[s], err)) != 0)
            return rc;
    return flamegraph_diff(tree[0], tree[1], max_nodes, &left->arena, out, err);
}

/* pprof = 5 of the answer, profile = 1 of that. */
enum {
    KEY_PPROF = 5 << 3 | 2,
    KEY_PROFILE = 1 << 3 | 2,
};

int query_select_wrap_pprof(struct connect_call *call, const Google__V1__Profile *profile)
{
    size_t size, inner;
    struct err err;

    err_init(&err);
    if (call->codec == CONNECT_JSON) {
        (void)buf_append_cstr(call->out, "{\"pprof\":{\"profile\":");
        if (json_bridge_write(&profile->base, call->out, &err) != 0)
            return connect_fail_err(call, &err);
        (void)buf_append_cstr(call->out, "}}");
        return 0;
    }
    size = google__v1__profile__get_packed_size(profile);
    inner = 1 + varint_size(size) + size;
    (void)buf_append_byte(call->out, KEY_PPROF);
    buf_put_varint(call->out, inner);
    (void)buf_append_byte(call->out, KEY_PROFILE);
    buf_put_varint(call->out, size);
    if (buf_reserve(call->out, size) != 0)
        return connect_fail(call, CONNECT_RESOURCE_EXHAUSTED,
                            "the profile is larger than %zu bytes", call->out->max);
    call->out->len += google__v1__profile__pack(profile, call->out->data + call->out->len);
    return 0;
}

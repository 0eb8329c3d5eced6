/*
 * querier_lists - ProfileTypes, LabelNames, LabelValues, Series, GetProfileStats.
 *
 * What exists in a range (../shared/spec/query-api.md, sections 5.2 to 5.4 and
 * 5.11). Small answers: messages through the bridge.
 */
#include "api/connect.h"

#include "api/api.h"
#include "api/query_request.h"

#include "api/proto/querier.pb-c.h"
#include "api/proto/types.pb-c.h"

#include "server/http/request.h"

#include "storage/storage.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

#include <string.h>

enum {
    HOUR_MS = 3600 * 1000,
};

static int out_of_memory(struct connect_call *call)
{
    return connect_fail(call, CONNECT_RESOURCE_EXHAUSTED,
                        "the answer needs more memory than one request may use");
}

/* NUL-terminated copies in the call's arena, as protobuf-c wants them. */
static int copy_texts(struct connect_call *call, const struct str *texts, uint32_t count,
                      char ***out)
{
    *out = arena_array(call->arena, char *, (size_t)count + 1);
    if (!*out)
        return out_of_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        (*out)[i] = arena_strndup(call->arena, texts[i].p, texts[i].len);
        if (!(*out)[i])
            return out_of_memory(call);
    }
    return 0;
}

/* Legacy names only, unless the client said that it knows others (section 4.3). */
static bool knows_utf8_names(const struct connect_call *call)
{
    return http_request_accept_param(call->req, "allow-utf8-labelnames", "true");
}

static bool is_legacy_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0;
}

/* Runs `ask` with a prepared question; QUERY_EMPTY answers `empty`. */
typedef int (*ask_fn)(struct connect_call *call, struct query_request *r, struct err *err);

static int ask(struct connect_call *call, ask_fn fn)
{
    struct query_request r;
    struct err err;
    int rc;

    err_init(&err);
    query_request_init(&r, call->api, &call->tenants, call->req);
    rc = fn(call, &r, &err);
    if (call->code == CONNECT_OK)
        rc = query_request_failed(&r, rc, &err);
    query_request_release(&r, call->res);
    if (rc < 0 && call->code == CONNECT_OK)
        return connect_fail_err(call, &err);
    return rc;
}

static int ask_profile_types(struct connect_call *call, struct query_request *r, struct err *err)
{
    const Querier__V1__ProfileTypesRequest *q = (const void *)call->request;
    Querier__V1__ProfileTypesResponse response = QUERIER__V1__PROFILE_TYPES_RESPONSE__INIT;
    int64_t start = q->start, end = q->end;
    struct str *ids;
    uint32_t count;
    int rc;

    if (start == 0 && end == 0) {
        end = clock_now_ns(call->api->clock) / NS_PER_MS;
        start = end - HOUR_MS;
    }
    if ((rc = query_request_time(r, start, end, err)) != 0)
        return rc == QUERY_EMPTY ? connect_answer(call, &response.base) : rc;
    query_request_whole_ms(r);
    rc = query_profile_types(call->api->storage, &r->query, &ids, &count, err);
    if (rc != 0)
        return rc;
    response.profile_types = arena_array(call->arena, Types__V1__ProfileType *, (size_t)count + 1);
    if (!response.profile_types)
        return out_of_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        Types__V1__ProfileType *t = arena_new(call->arena, Types__V1__ProfileType);
        struct profile_type parsed;
        char **texts;

        if (profile_type_parse(ids[i], &parsed, NULL) != 0)
            continue; /* a part held a colon: such an id selects nothing */
        if (!t)
            return out_of_memory(call);
        rc = copy_texts(call,
                        (const struct str[]){ids[i], parsed.name, parsed.sample_type,
                                             parsed.sample_unit, parsed.period_type,
                                             parsed.period_unit},
                        6, &texts);
        if (rc != 0)
            return rc;
        types__v1__profile_type__init(t);
        t->id = texts[0];
        t->name = texts[1];
        t->sample_type = texts[2];
        t->sample_unit = texts[3];
        t->period_type = texts[4];
        t->period_unit = texts[5];
        response.profile_types[response.n_profile_types++] = t;
    }
    return connect_answer(call, &response.base);
}

int profile_types_rpc(struct connect_call *call)
{
    return ask(call, ask_profile_types);
}

static int ask_label_names(struct connect_call *call, struct query_request *r, struct err *err)
{
    const Types__V1__LabelNamesRequest *q = (const void *)call->request;
    Types__V1__LabelNamesResponse response = TYPES__V1__LABEL_NAMES_RESPONSE__INIT;
    bool all = knows_utf8_names(call);
    struct str *names;
    uint32_t count, kept = 0;
    int rc;

    if ((rc = query_request_time(r, q->start, q->end, err)) != 0)
        return rc == QUERY_EMPTY ? connect_answer(call, &response.base) : rc;
    query_request_whole_ms(r);
    rc = query_request_matchers(r, q->matchers, q->n_matchers,
                                "parsing label selector: failed to parse label selector", err);
    if (rc != 0 ||
        (rc = query_label_names(call->api->storage, &r->query, &names, &count, err)) != 0)
        return rc;
    for (uint32_t i = 0; i < count; i++)
        if (all || is_legacy_name(names[i]))
            names[kept++] = names[i];
    if ((rc = copy_texts(call, names, kept, &response.names)) != 0)
        return rc;
    response.n_names = kept;
    return connect_answer(call, &response.base);
}

int label_names_rpc(struct connect_call *call)
{
    return ask(call, ask_label_names);
}

static int ask_label_values(struct connect_call *call, struct query_request *r, struct err *err)
{
    const Types__V1__LabelValuesRequest *q = (const void *)call->request;
    Types__V1__LabelValuesResponse response = TYPES__V1__LABEL_VALUES_RESPONSE__INIT;
    struct str *values;
    uint32_t count;
    int rc;

    if ((rc = query_request_time(r, q->start, q->end, err)) != 0)
        return rc == QUERY_EMPTY ? connect_answer(call, &response.base) : rc;
    query_request_whole_ms(r);
    if (!q->name || q->name[0] == '\0')
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "name is required");
    rc = query_request_matchers(r, q->matchers, q->n_matchers,
                                "parsing label selector: failed to parse label selector", err);
    if (rc != 0 || (rc = query_label_values(call->api->storage, &r->query, str_from(q->name),
                                            &values, &count, err)) != 0)
        return rc;
    if ((rc = copy_texts(call, values, count, &response.names)) != 0)
        return rc;
    response.n_names = count;
    return connect_answer(call, &response.base);
}

int label_values_rpc(struct connect_call *call)
{
    return ask(call, ask_label_values);
}

/* The names to project on, less those that the client cannot take. */
static int series_names(struct connect_call *call, const Querier__V1__SeriesRequest *q,
                        struct str **out, uint32_t *count)
{
    bool all = knows_utf8_names(call);

    *count = 0;
    *out = arena_array(call->arena, struct str, q->n_label_names + 1);
    if (!*out)
        return out_of_memory(call);
    for (size_t i = 0; i < q->n_label_names; i++) {
        struct str name = str_from(q->label_names[i]);

        if (all || is_legacy_name(name))
            (*out)[(*count)++] = name;
    }
    return 0;
}

/*
 * The five labels of the bundled UI's list are answered by the reference from
 * metadata that knows no pyroscope_app (section 5.4).
 */
static bool is_ui_list(const struct query_request *r, const struct str *names, uint32_t count)
{
    static const char *const ui[] = {"__name__", "__profile_type__", "__type__", "pyroscope_app",
                                     "service_name"};
    uint32_t found = 0;

    if (count != 5 || r->query.matchers.count > 0)
        return false;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t u = 0; u < 5; u++)
            found += str_eq(names[i], str_from(ui[u]));
    return found == 5;
}

static int put_label_set(struct connect_call *call, const struct labels *labels, bool all,
                         Types__V1__Labels **out)
{
    Types__V1__Labels *set = arena_new(call->arena, Types__V1__Labels);
    Types__V1__LabelPair *pairs = arena_array(call->arena, Types__V1__LabelPair, labels->count);

    if (!set || !pairs)
        return out_of_memory(call);
    types__v1__labels__init(set);
    set->labels = arena_array(call->arena, Types__V1__LabelPair *, labels->count);
    if (!set->labels)
        return out_of_memory(call);
    for (uint32_t i = 0; i < labels->count; i++) {
        const struct label *l = &labels->pairs[i];
        Types__V1__LabelPair *pair = &pairs[i];

        if (!all && !is_legacy_name(l->name))
            continue;
        types__v1__label_pair__init(pair);
        pair->name = arena_strndup(call->arena, l->name.p, l->name.len);
        pair->value = arena_strndup(call->arena, l->value.p, l->value.len);
        if (!pair->name || !pair->value)
            return out_of_memory(call);
        set->labels[set->n_labels++] = pair;
    }
    *out = set;
    return 0;
}

/* Without all names, dropping some can make neighbours equal: they are sorted, so one look back. */
static bool same_as_last(const Querier__V1__SeriesResponse *response)
{
    const Types__V1__Labels *a, *b;

    if (response->n_labels_set < 2)
        return false;
    a = response->labels_set[response->n_labels_set - 2];
    b = response->labels_set[response->n_labels_set - 1];
    if (a->n_labels != b->n_labels)
        return false;
    for (size_t i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i]->name, b->labels[i]->name) != 0 ||
            strcmp(a->labels[i]->value, b->labels[i]->value) != 0)
            return false;
    return true;
}

static int answer_series(struct connect_call *call, const struct labels *sets, uint32_t count)
{
    Querier__V1__SeriesResponse response = QUERIER__V1__SERIES_RESPONSE__INIT;
    bool all = knows_utf8_names(call);
    int rc;

    response.labels_set = arena_array(call->arena, Types__V1__Labels *, (size_t)count + 1);
    if (!response.labels_set)
        return out_of_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        rc = put_label_set(call, &sets[i], all, &response.labels_set[response.n_labels_set]);
        if (rc != 0)
            return rc;
        if (response.labels_set[response.n_labels_set]->n_labels == 0)
            continue;
        response.n_labels_set++;
        response.n_labels_set -= same_as_last(&response);
    }
    return connect_answer(call, &response.base);
}

static int ask_series(struct connect_call *call, struct query_request *r, struct err *err)
{
    const Querier__V1__SeriesRequest *q = (const void *)call->request;
    struct labels *sets;
    struct str *names;
    uint32_t name_count, count;
    int rc;

    if ((rc = query_request_time(r, q->start, q->end, err)) != 0)
        return rc == QUERY_EMPTY ? answer_series(call, NULL, 0) : rc;
    query_request_whole_ms(r);
    rc = query_request_matchers(r, q->matchers, q->n_matchers, "failed to parse label selector",
                                err);
    if (rc != 0 || (rc = series_names(call, q, &names, &name_count)) != 0)
        return rc;
    /* Every name was dropped: nothing to project on, which is not the same as "all". */
    if (q->n_label_names > 0 && name_count == 0)
        return answer_series(call, NULL, 0);
    if (is_ui_list(r, names, name_count))
        for (uint32_t i = 0; i < name_count; i++)
            if (str_eq(names[i], STR("pyroscope_app")))
                names[i] = names[--name_count];
    rc = query_label_sets(call->api->storage, &r->query, names, name_count, &sets, &count, err);
    return rc != 0 ? rc : answer_series(call, sets, count);
}

int series_rpc(struct connect_call *call)
{
    return ask(call, ask_series);
}

int profile_stats_rpc(struct connect_call *call)
{
    Types__V1__GetProfileStatsResponse response = TYPES__V1__GET_PROFILE_STATS_RESPONSE__INIT;
    struct time_span span;

    if (call->tenants.count != 1)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "expected 1 tenant, got %u",
                            call->tenants.count);
    if (storage_tenant_span(call->api->storage, call->tenants.ids[0], &span)) {
        response.data_ingested = true;
        response.oldest_profile_time = span.first_ns / NS_PER_MS;
        response.newest_profile_time = span.last_ns / NS_PER_MS;
    }
    return connect_answer(call, &response.base);
}

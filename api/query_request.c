#include "api/query_request.h"

#include "api/api.h"
#include "api/tenant.h"

#include "server/http/request.h"
#include "server/http/response.h"

#include "storage/model/go_text.h"
#include "storage/model/limits.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    SPAN_HEX = 16,
    TRACE_HEX = 32,
    QUOTED_MAX = 400, /* of a selector in an error text */
};

static bool canceled(void *ctx)
{
    return ctx && http_request_canceled(ctx);
}

void query_request_init(struct query_request *r, const struct api *api,
                        const struct tenants *tenants, struct http_request *req)
{
    memset(r, 0, sizeof(*r));
    r->api = api;
    r->memory.account = BUDGET_QUERIES;
    arena_init_shared(&r->arena, api->limits->query_memory_bytes_max, &r->memory);
    r->query.arena = &r->arena;
    r->query.tenants = tenants->ids;
    r->query.tenant_count = tenants->count;
    r->query.explain = &r->explain;
    r->query.missing = &r->missing;
    r->query.canceled = canceled;
    r->query.canceled_ctx = req;
}

static void explain(const struct query_explain *e, struct http_response *res)
{
    const struct {
        const char *name;
        uint32_t count;
    } parts[] = {{"day", e->datasets_day},
                 {"hour", e->datasets_hour},
                 {"totals", e->datasets_totals},
                 {"raw", e->datasets_raw},
                 {"vectors", e->vectors}};
    char text[128] = "";
    size_t len = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int n;

        if (parts[i].count == 0)
            continue;
        n = snprintf(text + len, sizeof(text) - len, "%s%s=%u", len > 0 ? " " : "", parts[i].name,
                     parts[i].count);
        check(n > 0 && (size_t)n < sizeof(text) - len);
        len += (size_t)n;
        metric_family_add(METRIC_query_parts, str_from(parts[i].name), parts[i].count);
    }
    if (len > 0)
        http_response_header(res, "X-Flamekeep-Plan", text);
}

static void tell_missing(const struct storage_missing *m, struct http_response *res)
{
    char text[192];

    if (m->segments + m->datasets + m->logs == 0)
        return;
    (void)snprintf(text, sizeof(text),
                   "segments=%" PRIu32 " datasets=%" PRIu32 " logs=%" PRIu32 " bytes=%" PRIu64
                   " from=%" PRId64 " until=%" PRId64,
                   m->segments, m->datasets, m->logs, m->bytes,
                   (int64_t)(m->time.first_ns / NS_PER_MS), (int64_t)(m->time.last_ns / NS_PER_MS));
    http_response_header(res, "X-Flamekeep-Missing", text);
    metric_add(METRIC_queries_incomplete, 1);
}

void query_request_release(struct query_request *r, struct http_response *res)
{
    explain(&r->explain, res);
    tell_missing(&r->missing, res);
    matchers_release(&r->query.matchers);
    arena_release(&r->arena);
    budget_share_end(&r->memory);
}

int query_request_failed(const struct query_request *r, int rc, struct err *err)
{
    if (rc >= 0 || rc == ERR_BUSY || r->memory.refused == 0)
        return rc;
    return budget_refuse(r->memory.account, r->memory.refused, err);
}

static int64_t ms_to_ns(int64_t ms)
{
    int64_t ns;

    if (__builtin_mul_overflow(ms, NS_PER_MS, &ns))
        return ms < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

/* "25h0m0s" as Go prints a duration; whole seconds are enough here. */
static void put_duration(struct buf *out, int64_t ms)
{
    int64_t s = ms / 1000;

    if (s >= 3600)
        (void)buf_printf(out, "%" PRId64 "h", s / 3600);
    if (s >= 60)
        (void)buf_printf(out, "%" PRId64 "m", s / 60 % 60);
    if (ms % 1000 != 0)
        (void)buf_printf(out, "%" PRId64 ".%03" PRId64 "s", s % 60, ms % 1000);
    else
        (void)buf_printf(out, "%" PRId64 "s", s % 60);
}

/* "1d", "36h", "90s": the largest unit that divides it. */
static void put_limit(struct buf *out, int64_t ns)
{
    static const struct {
        int64_t ns;
        const char *unit;
    } units[] = {{7 * NS_PER_DAY, "w"},
                 {NS_PER_DAY, "d"},
                 {3600 * NS_PER_S, "h"},
                 {60 * NS_PER_S, "m"},
                 {NS_PER_S, "s"}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (ns % units[i].ns == 0) {
            (void)buf_printf(out, "%lld%s", (long long)(ns / units[i].ns), units[i].unit);
            return;
        }
    (void)buf_printf(out, "%lldms", (long long)(ns / NS_PER_MS));
}

static int too_long(int64_t length_ms, int64_t limit_ns, struct err *err)
{
    struct buf text;
    int rc;

    buf_init(&text, 256);
    (void)buf_append_cstr(&text,
                          "the query time range exceeds the limit (max_query_length, actual: ");
    put_duration(&text, length_ms);
    (void)buf_append_cstr(&text, ", limit: ");
    put_limit(&text, limit_ns);
    (void)buf_append_byte(&text, ')');
    rc = err_set(err, ERR_INVALID, "%" STR_FMT, STR_ARG(buf_str(&text)));
    buf_release(&text);
    return rc;
}

int query_request_time(struct query_request *r, int64_t start_ms, int64_t end_ms, struct err *err)
{
    const struct limits *l = r->api->limits;
    int64_t length_ms;

    if (start_ms == 0 || end_ms == 0)
        return err_set(err, ERR_INVALID, "missing time range in the query");
    if (start_ms > end_ms)
        return err_set(err, ERR_INVALID, "query start time is after end time");
    if (l->query_lookback_max_ns > 0) {
        int64_t oldest = (clock_now_ns(r->api->clock) - l->query_lookback_max_ns) / NS_PER_MS;

        if (end_ms < oldest)
            return QUERY_EMPTY;
        if (start_ms < oldest)
            start_ms = oldest;
    }
    if (l->query_length_max_ns > 0 && (__builtin_sub_overflow(end_ms, start_ms, &length_ms) ||
                                       length_ms > l->query_length_max_ns / NS_PER_MS))
        return too_long(length_ms, l->query_length_max_ns, err);
    r->start_ms = start_ms;
    r->end_ms = end_ms;
    r->query.time = (struct time_span){ms_to_ns(start_ms), ms_to_ns(end_ms)};
    return 0;
}

void query_request_whole_ms(struct query_request *r)
{
    if (r->query.time.last_ns <= INT64_MAX - NS_PER_MS)
        r->query.time.last_ns += NS_PER_MS - 1;
}

int query_request_max_nodes(const struct query_request *r, bool set, int64_t max_nodes,
                            int64_t *out, struct err *err)
{
    int64_t most = r->api->limits->nodes_max;

    if (!set || max_nodes == 0) {
        *out = r->api->limits->nodes_default;
        return 0;
    }
    if (max_nodes < 0)
        return err_set(err, ERR_INVALID,
                       "max flamegraph nodes limit must be set (max allowed %" PRId64 ")", most);
    if (max_nodes > most)
        return err_set(err, ERR_INVALID,
                       "max flamegraph nodes limit %" PRId64 " is greater than allowed %" PRId64,
                       max_nodes, most);
    *out = max_nodes;
    return 0;
}

int query_request_type(struct query_request *r, const char *id, struct err *err)
{
    int rc = profile_type_parse(str_from(id), &r->type, err);

    if (rc == 0)
        r->query.type = &r->type;
    return rc;
}

/* Puts `prefix "selector": ` in front of what the parser said. */
static int selector_error(const char *prefix, const char *selector, struct err *err)
{
    struct buf quoted;
    int code = err ? err->code : ERR_INVALID;

    buf_init(&quoted, QUOTED_MAX);
    go_quote_append(&quoted, str_from(selector));
    (void)err_prefix(err, "%s %" STR_FMT, prefix, STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
    return code;
}

static int add_selector(struct query_request *r, const char *selector, const char *prefix,
                        struct err *err)
{
    int rc = selector_parse(str_from(selector), &r->arena, &r->query.matchers, err);

    return rc == 0 ? 0 : selector_error(prefix, selector, err);
}

int query_request_selector(struct query_request *r, const char *selector, struct err *err)
{
    return add_selector(r, selector, "parsing label selector", err);
}

int query_request_matchers(struct query_request *r, char *const *matchers, size_t count,
                           const char *prefix, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_selector(r, matchers[i], prefix, err);
    return rc;
}

static bool parse_hex(const char *text, size_t digits, uint8_t *out)
{
    if (strlen(text) != digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        static const char hex[] = "0123456789abcdef";
        const char *at = strchr(hex, text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i]);

        if (!at || !text[i])
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (uint8_t)(at - hex));
    }
    return true;
}

int query_request_spans(struct query_request *r, char *const *ids, size_t count, struct err *err)
{
    uint64_t *spans = arena_array(&r->arena, uint64_t, count);

    if (count > 0 && !spans)
        return err_set(err, ERR_TOO_LARGE, "span_selector: too many ids (%zu)", count);
    for (size_t i = 0; i < count; i++) {
        uint8_t raw[SPAN_HEX / 2] = {0};

        if (!parse_hex(ids[i], SPAN_HEX, raw))
            return err_set(err, ERR_INVALID,
                           "span_selector: \"%.64s\" is no span id: expected %d hexadecimal digits",
                           ids[i], SPAN_HEX);
        spans[i] = get_le64(raw);
    }
    r->query.span_ids = spans;
    r->query.span_id_count = (uint32_t)count;
    return 0;
}

int query_request_traces(struct query_request *r, char *const *ids, size_t count, struct err *err)
{
    uint8_t(*traces)[TRACE_HEX / 2] = arena_calloc(&r->arena, count, sizeof(*traces));

    if (count > 0 && !traces)
        return err_set(err, ERR_TOO_LARGE, "trace_id_selector: too many ids (%zu)", count);
    for (size_t i = 0; i < count; i++)
        if (!parse_hex(ids[i], TRACE_HEX, traces[i]))
            return err_set(err, ERR_INVALID,
                           "trace_id_selector: \"%.64s\" is no trace id: expected %d hexadecimal "
                           "digits",
                           ids[i], TRACE_HEX);
    r->query.trace_ids = (const uint8_t(*)[TRACE_HEX / 2]) traces;
    r->query.trace_id_count = (uint32_t)count;
    return 0;
}

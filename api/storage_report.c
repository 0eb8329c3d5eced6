/*
 * storage_report - GET /api/v1/storage: where the bytes are, how fast they grow, what goes next.
 *
 * With multi-tenancy a request sees the segments of its own tenants; the sums of the whole
 * data directory are everybody's.
 */
#include <inttypes.h>
#include <time.h>

#include "api/api.h"
#include "api/encode/json_text.h"
#include "api/error_shape.h"
#include "api/handlers.h"
#include "api/tenant.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "storage/storage.h"

struct report {
    const struct storage_usage *usage;
    const struct tenants *tenants; /* NULL: all */
    struct buf *out;
};

static bool shows(const struct report *r, struct str tenant)
{
    if (!r->tenants)
        return true;
    for (uint32_t i = 0; i < r->tenants->count; i++)
        if (str_eq(r->tenants->ids[i], tenant))
            return true;
    return false;
}

static void put_date(struct buf *out, int32_t day)
{
    const time_t seconds = (time_t)day * (NS_PER_DAY / NS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_printf(out, "\"%04d-%02d-%02d\"", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static void put_totals(const struct report *r)
{
    const struct storage_usage *u = r->usage;
    uint64_t room = u->limit > u->used ? u->limit - u->used : 0;
    if (u->limit == 0)
        room = u->volume_available;
    buf_printf(r->out, "\"state\":\"%s\",\"used\":%" PRIu64 ",\"peak\":%" PRIu64 ",\"limit\":",
               space_state_name(u->space), u->used, u->peak);
    if (u->limit > 0)
        buf_printf(r->out, "%" PRIu64, u->limit);
    else
        buf_append_cstr(r->out, "null");
    buf_printf(r->out, ",\"volume\":{\"total\":%" PRIu64 ",\"available\":%" PRIu64 "}",
               u->volume_bytes, u->volume_available);
    buf_printf(r->out, ",\"growth_per_day\":%" PRIu64 ",\"days_left\":", u->growth_per_day);
    if (u->growth_per_day > 0)
        buf_printf(r->out, "%.1f", (double)room / (double)u->growth_per_day);
    else
        buf_append_cstr(r->out, "null");
    buf_append_cstr(r->out, ",\"used_by\":{");
    for (int k = 0; k < STORAGE_KINDS; k++)
        buf_printf(r->out, "%s\"%s\":%" PRIu64, k ? "," : "", u->kind_names[k], u->kind_bytes[k]);
    buf_append_cstr(r->out, "}");
}

static void put_share(const struct report *r, const struct storage_share *s, bool *first,
                      bool is_day)
{
    if (!shows(r, s->tenant))
        return;
    buf_append_cstr(r->out, *first ? "{\"tenant\":" : ",{\"tenant\":");
    *first = false;
    json_text_put(r->out, s->tenant);
    buf_append_cstr(r->out, is_day ? ",\"day\":" : ",\"service\":");
    if (is_day)
        put_date(r->out, s->day);
    else
        json_text_put(r->out, s->service);
    buf_printf(r->out, ",\"bytes\":%" PRIu64 ",\"profiles\":%" PRIu64 "}", s->bytes, s->rows);
}

static void put_tenants(const struct report *r)
{
    const struct storage_usage *u = r->usage;
    bool first = true;
    for (uint32_t i = 0; i < u->day_count;) {
        struct storage_share sum = {.tenant = u->days[i].tenant};
        for (; i < u->day_count && str_eq(u->days[i].tenant, sum.tenant); i++) {
            sum.bytes += u->days[i].bytes;
            sum.rows += u->days[i].rows;
        }
        if (!shows(r, sum.tenant))
            continue;
        buf_append_cstr(r->out, first ? "{\"tenant\":" : ",{\"tenant\":");
        first = false;
        json_text_put(r->out, sum.tenant);
        buf_printf(r->out, ",\"bytes\":%" PRIu64 ",\"profiles\":%" PRIu64 "}", sum.bytes, sum.rows);
    }
}

static void put_leaving(const struct report *r)
{
    bool first = true;
    for (uint32_t i = 0; i < r->usage->leaving_count; i++) {
        const struct storage_leaving *l = &r->usage->leaving[i];
        if (!shows(r, l->tenant))
            continue;
        buf_append_cstr(r->out, first ? "{\"tenant\":" : ",{\"tenant\":");
        first = false;
        json_text_put(r->out, l->tenant);
        buf_append_cstr(r->out, ",\"day\":");
        put_date(r->out, l->day);
        buf_printf(r->out, ",\"bytes\":%" PRIu64 ",\"newest_profile_ms\":%" PRId64 ",\"due\":%s",
                   l->bytes, (int64_t)(l->newest_row_ns / NS_PER_MS),
                   l->reason == RETENTION_KEEP ? "false" : "true");
        buf_printf(r->out, ",\"reason\":\"%s\"}",
                   l->reason == RETENTION_KEEP ? "when_needed" : retention_reason_name(l->reason));
    }
}

static void put_missing(const struct report *r)
{
    bool first = true;
    for (uint32_t i = 0; i < r->usage->missing_count; i++) {
        const struct storage_lacking *l = &r->usage->missing[i];
        if (!shows(r, l->tenant))
            continue;
        buf_append_cstr(r->out, first ? "{\"tenant\":" : ",{\"tenant\":");
        first = false;
        json_text_put(r->out, l->tenant);
        buf_append_cstr(r->out, ",\"service\":");
        if (l->service.len > 0)
            json_text_put(r->out, l->service);
        else
            buf_append_cstr(r->out, "null");
        buf_append_cstr(r->out, ",\"file\":");
        json_text_put(r->out, l->file);
        buf_printf(r->out,
                   ",\"from_ms\":%" PRId64 ",\"until_ms\":%" PRId64 ",\"bytes\":%" PRIu64 "}",
                   (int64_t)(l->time.first_ns / NS_PER_MS), (int64_t)(l->time.last_ns / NS_PER_MS),
                   l->bytes);
    }
}

static void put_report(const struct report *r)
{
    const struct storage_usage *u = r->usage;
    bool first = true;
    buf_append_cstr(r->out, "{\"status\":\"success\",\"data\":{");
    put_totals(r);
    buf_append_cstr(r->out, ",\"next_eviction\":[");
    put_leaving(r);
    buf_append_cstr(r->out, "],\"missing\":[");
    put_missing(r);
    buf_append_cstr(r->out, "],\"tenants\":[");
    put_tenants(r);
    buf_append_cstr(r->out, "],\"services\":[");
    for (uint32_t i = 0; i < u->service_count; i++)
        put_share(r, &u->services[i], &first, false);
    buf_append_cstr(r->out, "],\"days\":[");
    first = true;
    for (uint32_t i = 0; i < u->day_count; i++)
        put_share(r, &u->days[i], &first, true);
    buf_append_cstr(r->out, "]}}");
}

enum http_result storage_get(struct api *api, struct http_request *req, struct http_response *res)
{
    struct arena *arena = http_request_arena(req);
    struct storage_usage usage;
    struct tenants tenants;
    struct err err;
    if (tenants_of_request(api, req, arena, &tenants, &err) != TENANT_OK) {
        error_shape_a(res, 401, str_from(err.msg));
        return HTTP_DONE;
    }
    if (storage_usage(api->storage, arena, &usage, &err) != 0) {
        error_shape_a(res, 503, str_from(err.msg));
        return HTTP_DONE;
    }
    http_response_type(res, "application/json");
    put_report(
        &(struct report){&usage, api->multitenancy ? &tenants : NULL, http_response_body(res)});
    return HTTP_DONE;
}

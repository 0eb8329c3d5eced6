/*
 * status - is it alive, is it ready, what is it, what does it hold. Nothing here
 * touches a profile.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/handlers.h"
#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "storage/storage.h"
#include "web/assets.h"

/* Everything the page needs is its own; nothing may be loaded from elsewhere. */
#define PAGE_POLICY                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

enum http_result healthy_get(struct api *api, struct http_request *req, struct http_response *res)
{
    (void)api;
    (void)req;
    http_response_text(res, 200, "ok\n");
    return HTTP_DONE;
}

enum http_result ready_get(struct api *api, struct http_request *req, struct http_response *res)
{
    struct err err = {0};
    (void)req;
    if (!api->ready || api->ready(api->ready_ctx, &err) == 0) {
        http_response_text(res, 200, "ready");
        http_response_type(res, "text/plain"); /* as the reference, without a charset */
        return HTTP_DONE;
    }
    http_response_text(res, 503, err.msg);
    http_response_retry_after(res, 1);
    return HTTP_DONE;
}

/* The store keeps its own figures; they are copied when somebody looks. */
static void publish_storage(const struct storage_stats *s)
{
    metric_set_total(METRIC_pushes, s->pushes);
    metric_set_total(METRIC_push_duplicates, s->duplicates);
    metric_set(METRIC_dedup_profiles, (int64_t)s->retry_keys);
    metric_set(METRIC_dedup_bytes, (int64_t)s->retry_bytes);
    metric_set_total(METRIC_dedup_forgotten, s->retries_forgotten);
    metric_set(METRIC_storage_heads, s->heads);
    metric_set(METRIC_storage_head_bytes, (int64_t)s->head_bytes);
    metric_set(METRIC_storage_head_profiles, (int64_t)s->head_rows);
    metric_set(METRIC_storage_segments, s->segments);
    metric_set(METRIC_storage_segment_bytes, (int64_t)s->segment_bytes);
    metric_set(METRIC_storage_segment_profiles, (int64_t)s->segment_rows);
    metric_set(METRIC_storage_quarantined, s->segments_quarantined);
    metric_set(METRIC_wal_files_quarantined, s->logs_quarantined);
    metric_set(METRIC_storage_datasets_damaged, s->datasets_damaged);
    metric_set(METRIC_storage_missing_bytes, (int64_t)s->missing_bytes);
    metric_set_total(METRIC_storage_seals, s->seals);
    metric_set_total(METRIC_storage_seal_failures, s->seal_failures);
    for (int k = 0; k < STORAGE_KINDS; k++)
        metric_family_set(METRIC_disk_bytes, str_from(s->kind_names[k]), (int64_t)s->kind_bytes[k]);
    metric_set(METRIC_disk_limit_bytes, (int64_t)s->disk_limit);
    metric_set_total(METRIC_evictions, s->evictions);
    metric_set_total(METRIC_compactions, s->compactions);
    metric_set_total(METRIC_compacted_bytes_in, s->compacted_bytes_in);
    metric_set_total(METRIC_compacted_bytes_out, s->compacted_bytes_out);
    metric_set_total(METRIC_compaction_failures, s->compaction_failures);
    metric_set_total(METRIC_evicted_bytes, s->evicted_bytes);
    metric_set_total(METRIC_evict_failures, s->evict_failures);
    metric_set_total(METRIC_scrub_bytes, s->scrub_bytes);
    metric_set_total(METRIC_scrub_segments, s->scrub_segments);
    metric_set_total(METRIC_scrub_findings, s->scrub_findings);
    metric_set(METRIC_scrub_last_pass, s->scrub_pass_ns / NS_PER_S);
    metric_set(METRIC_storage_space_state, (int64_t)s->space);
    metric_set(METRIC_wal_bytes, (int64_t)s->wal.bytes_total);
    metric_set(METRIC_wal_pending_bytes, (int64_t)s->wal.bytes_pending);
    metric_set(METRIC_wal_read_only, s->wal.read_only);
    metric_set_total(METRIC_wal_records, s->wal.records);
    metric_set_total(METRIC_wal_syncs, s->wal.syncs);
    metric_set_total(METRIC_wal_sync_failures, s->wal.sync_failures);
}

static void publish_memory(void)
{
    struct budget_usage usage;

    budget_usage(&usage);
    for (int a = 0; a < BUDGET_ACCOUNTS; a++)
        metric_family_set(METRIC_memory_bytes,
                          str_from(budget_account_name((enum budget_account)a)),
                          (int64_t)usage.accounts[a]);
    metric_set(METRIC_memory_limit_bytes, (int64_t)usage.limit);
    metric_set_total(METRIC_memory_waits, usage.waits);
    metric_set_total(METRIC_memory_refusals, usage.refusals);
}

enum http_result metrics_get(struct api *api, struct http_request *req, struct http_response *res)
{
    struct storage_stats stats = {0};
    struct buf *out = http_response_body(res);
    (void)req;
    storage_stats(api->storage, &stats);
    publish_storage(&stats);
    publish_memory();
    http_response_type(res, "text/plain; version=0.0.4; charset=utf-8");
    buf_printf(out,
               "# HELP flamekeep_build_info Version of the server.\n"
               "# TYPE flamekeep_build_info gauge\n"
               "flamekeep_build_info{version=\"%s\",revision=\"%s\"} 1\n",
               api->build.version, api->build.revision);
    metrics_write(out);
    return HTTP_DONE;
}

/* The one answer in which empty members are shown, as the reference does. */
enum http_result buildinfo_get(struct api *api, struct http_request *req, struct http_response *res)
{
    const struct api_build *b = &api->build;
    struct buf *out = http_response_body(res);
    http_response_type(res, "application/json");
    if (http_request_accepts_type(req, "application/json+pretty"))
        buf_printf(out,
                   "{\n  \"status\": \"success\",\n  \"data\": {\n    \"version\": \"%s\",\n"
                   "    \"revision\": \"%s\",\n    \"branch\": \"\",\n    \"buildUser\": \"\",\n"
                   "    \"buildDate\": \"%s\",\n    \"goVersion\": \"\"\n  }\n}",
                   b->version, b->revision, b->date);
    else
        buf_printf(out,
                   "{\"status\":\"success\",\"data\":{\"version\":\"%s\",\"revision\":\"%s\","
                   "\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"%s\",\"goVersion\":\"\"}}",
                   b->version, b->revision, b->date);
    return HTTP_DONE;
}

/* What the store holds, all tenants together: the page's numbers. */
enum http_result store_get(struct api *api, struct http_request *req, struct http_response *res)
{
    struct storage_stats s = {0};
    (void)req;
    storage_stats(api->storage, &s);
    http_response_type(res, "application/json");
    buf_printf(http_response_body(res),
               "{\"status\":\"success\",\"data\":{\"multitenancy\":%s,\"heads\":%" PRIu32
               ",\"head_profiles\":%" PRIu64 ",\"head_bytes\":%" PRIu64 ",\"segments\":%" PRIu32
               ",\"segments_quarantined\":%" PRIu32 ",\"segment_profiles\":%" PRIu64
               ",\"segment_bytes\":%" PRIu64 ",\"wal_bytes\":%" PRIu64 ",\"pushes\":%" PRIu64
               ",\"duplicates\":%" PRIu64 "}}",
               api->multitenancy ? "true" : "false", s.heads, s.head_rows, s.head_bytes, s.segments,
               s.segments_quarantined, s.segment_rows, s.segment_bytes, s.wal.bytes_total, s.pushes,
               s.duplicates);
    return HTTP_DONE;
}

/* Anything else below /api/, as the reference's gateway words it. */
enum http_result api_unknown(struct api *api, struct http_request *req, struct http_response *res)
{
    (void)api;
    (void)req;
    http_response_json(res, 404, STR("{\"code\":5,\"message\":\"Not Found\",\"details\":[]}"));
    return HTTP_DONE;
}

static enum http_result send_asset(const struct web_asset *asset, const char *cache,
                                   struct http_request *req, struct http_response *res)
{
    struct str known;
    http_response_header(res, "ETag", asset->etag);
    http_response_header(res, "Cache-Control", cache);
    http_response_header(res, "X-Content-Type-Options", "nosniff");
    http_response_header(res, "Referrer-Policy", "same-origin");
    http_response_header(res, "Vary", "Accept-Encoding");
    if (http_request_header(req, "If-None-Match", &known) && str_eq(known, str_from(asset->etag))) {
        http_response_status(res, 304);
        return HTTP_DONE;
    }
    http_response_type(res, asset->content_type);
    if (http_request_accepts_gzip(req)) {
        http_response_header(res, "Content-Encoding", "gzip");
        http_response_static(res, (struct str){(const char *)asset->gzip, asset->gzip_size});
    } else {
        http_response_static(res, (struct str){(const char *)asset->data, asset->size});
    }
    return HTTP_DONE;
}

enum http_result index_get(struct api *api, struct http_request *req, struct http_response *res)
{
    const struct web_asset *asset = web_asset_find("index.html", strlen("index.html"));
    (void)api;
    http_response_header(res, "Content-Security-Policy", PAGE_POLICY);
    return send_asset(asset, "no-cache", req, res);
}

enum http_result asset_get(struct api *api, struct http_request *req, struct http_response *res)
{
    struct str path = http_request_path(req);
    size_t skip = strlen("/assets/");
    const struct web_asset *asset = web_asset_find(path.p + skip, path.len - skip);
    (void)api;
    if (asset)
        return send_asset(asset, "no-cache", req, res);
    http_response_text(res, 404, "404 page not found\n");
    http_response_header(res, "X-Content-Type-Options", "nosniff");
    return HTTP_DONE;
}

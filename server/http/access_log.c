/*
 * access_log - metrics of a request, and one line when somebody asked for it or something is odd.
 *
 * Debug level logs every request; a slow one is info, a 5xx a warning, both
 * rate limited. Bodies, query strings and credentials are never logged.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "server/http/internal.h"

#define LINE_INTERVAL_NS (100 * NS_PER_MS)

static enum log_level line_level(const struct http_request *req, int64_t duration_ns)
{
    int64_t slow_ns = req->server->options.slow_log_ns;
    if (req->res.status >= 500 && req->res.status != 503 && req->res.status != 501)
        return LOG_LEVEL_WARN;
    if (slow_ns && duration_ns >= slow_ns)
        return LOG_LEVEL_INFO;
    return LOG_LEVEL_DEBUG;
}

void exchange_log(struct http_request *req, bool complete)
{
    static struct log_limit limit;
    int64_t now_ns = server_mono_ns(req->server);
    int64_t duration_ns = now_ns - req->start_ns;
    enum log_level level = line_level(req, duration_ns);
    uint64_t held_back = 0;
    char status[8];

    struct str route = req->route ? str_from(req->route->name) : STR("none");
    snprintf(status, sizeof(status), "%d", req->res.status);
    metric_family_add(METRIC_http_requests, route, 1);
    metric_family_add(METRIC_http_responses, str_from(status), 1);
    metric_observe(METRIC_http_request_seconds, route, (double)duration_ns / (double)NS_PER_S);

    if (level < log_get_level())
        return;
    if (level > LOG_LEVEL_DEBUG && !log_limit_pass(&limit, now_ns, LINE_INTERVAL_NS, &held_back))
        return;
    LOG_AT(level, "request", LOG_STR("method", req->method), LOG_STR("path", req->path),
           LOG_I64("status", req->res.status), LOG_U64("bytes_in", req->body_seen),
           LOG_U64("bytes_out", req->reply_bytes),
           LOG_F64("seconds", (double)duration_ns / (double)NS_PER_S),
           LOG_STR("tenant", req->tenant), LOG_STR("peer", http_request_peer(req)),
           LOG_BOOL("complete", complete), LOG_U64("held_back", held_back));
}

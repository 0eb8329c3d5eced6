/* request - accessors; see request.h. The life of a request is exchange.c's. */
#include "server/http/request.h"

#include <string.h>

#include "server/http/accept.h"
#include "server/http/internal.h"

/* How often a running handler's canceled() really asks the descriptor. */
#define CANCEL_POLL_NS 50000000

struct str http_request_method(const struct http_request *req)
{
    return req->method;
}

struct str http_request_path(const struct http_request *req)
{
    return req->path;
}

struct str http_request_query_raw(const struct http_request *req)
{
    return req->query_raw;
}

bool http_request_query(const struct http_request *req, const char *name, struct str *value)
{
    struct str wanted = str_from(name);
    for (size_t i = 0; i < req->query_count; i++) {
        if (!str_eq(req->query[i].name, wanted))
            continue;
        *value = req->query[i].value;
        return true;
    }
    return false;
}

size_t http_request_query_count(const struct http_request *req)
{
    return req->query_count;
}

const struct http_pair *http_request_query_at(const struct http_request *req, size_t index)
{
    return &req->query[index];
}

bool http_request_header(const struct http_request *req, const char *name, struct str *value)
{
    struct str wanted = str_from(name);
    for (size_t i = 0; i < req->header_count; i++) {
        if (!str_eq_case(req->headers[i].name, wanted))
            continue;
        *value = req->headers[i].value;
        return true;
    }
    return false;
}

size_t http_request_header_count(const struct http_request *req, const char *name)
{
    struct str wanted = str_from(name);
    size_t n = 0;
    for (size_t i = 0; i < req->header_count; i++)
        n += str_eq_case(req->headers[i].name, wanted);
    return n;
}

bool http_request_accept_param(const struct http_request *req, const char *name, const char *value)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_eq_case(req->headers[i].name, STR("accept")) &&
            http_accept_has_param(req->headers[i].value, str_from(name), str_from(value)))
            return true;
    return false;
}

bool http_request_accepts_type(const struct http_request *req, const char *type)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_eq_case(req->headers[i].name, STR("accept")) &&
            http_accept_has_type(req->headers[i].value, str_from(type)))
            return true;
    return false;
}

bool http_request_accepts_gzip(const struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++)
        if (str_eq_case(req->headers[i].name, STR("accept-encoding")) &&
            http_list_has_token(req->headers[i].value, STR("gzip")))
            return true;
    return false;
}

struct str http_request_body(const struct http_request *req)
{
    return (struct str){req->body, req->body_len};
}

struct arena *http_request_arena(struct http_request *req)
{
    return &req->arena;
}

int64_t http_request_time_ns(const struct http_request *req)
{
    return req->wall_ns;
}

struct str http_request_peer(const struct http_request *req)
{
    return (struct str){req->conn->peer, req->conn->peer_len};
}

bool http_request_deadline_passed(const struct http_request *req)
{
    return server_mono_ns(req->server) >= atomic_load(&req->deadline_ns);
}

bool http_request_canceled(struct http_request *req)
{
    int64_t now_ns = server_mono_ns(req->server);
    if (atomic_load(&req->server->canceled) || atomic_load(&req->conn->hung_up) ||
        now_ns >= atomic_load(&req->deadline_ns))
        return true;
    if (now_ns - atomic_load(&req->polled_ns) < CANCEL_POLL_NS)
        return false;
    atomic_store(&req->polled_ns, now_ns);
    if (!conn_hung_up(req->conn->fd))
        return false;
    atomic_store(&req->conn->hung_up, true);
    return true;
}

void http_request_deadline_in(struct http_request *req, int64_t ns)
{
    int64_t wanted, now_ns = server_mono_ns(req->server);
    if (__builtin_add_overflow(now_ns, ns, &wanted))
        return;
    if (wanted < atomic_load(&req->deadline_ns))
        atomic_store(&req->deadline_ns, wanted);
}

void http_request_set_tenant(struct http_request *req, struct str tenant)
{
    req->tenant = tenant;
}

/* The token is the request itself under another type, so that it cannot be mixed up. */
struct http_reply *http_request_reply(struct http_request *req)
{
    return (struct http_reply *)req;
}

struct http_request *http_reply_request(struct http_reply *reply)
{
    return (struct http_request *)reply;
}

struct http_response *http_reply_response(struct http_reply *reply)
{
    return &((struct http_request *)reply)->res;
}

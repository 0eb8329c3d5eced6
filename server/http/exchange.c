/*
 * exchange - one request from its request line to its answer.
 *
 * Runs on the connection's thread except for the handler itself; internal.h
 * draws the phases. Decisions are made as early as libmicrohttpd allows: it
 * takes an answer before the body or after it, never in between, so a body
 * that turns out to be refused is read to its end and dropped, within bounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/thread.h"
#include "server/http/accept.h"
#include "server/http/gate.h"
#include "server/http/internal.h"
#include "server/http/target.h"

enum {
    HEADERS_MAX = 512,            /* libmicrohttpd's pool holds fewer */
    BODY_FIRST_MAX = 1024 * 1024, /* what a Content-Length alone may reserve */
    BODY_FIRST_MIN = 16 * 1024,
    TEXT_MAX = 256,
};

struct http_request *exchange_new(struct http_conn *conn, struct MHD_Connection *mhd,
                                  const char *target)
{
    struct http_server *s = conn->server;
    struct http_request *req = calloc(1, sizeof(*req));
    if (!req)
        return NULL;
    arena_init(&req->arena, s->options.arena_max);
    size_t len = strlen(target);
    char *copy = arena_strndup(&req->arena, target, len);
    if (!copy) {
        arena_release(&req->arena);
        free(req);
        return NULL;
    }
    req->target_raw = (struct str){copy, len};
    req->server = s;
    req->conn = conn;
    req->mhd = mhd;
    req->start_ns = server_mono_ns(s);
    req->wall_ns = clock_now_ns(s->clock);
    atomic_store(&req->deadline_ns, INT64_MAX);
    response_init(&req->res, &req->arena);
    return req;
}

static void drop_body(struct http_request *req)
{
    free(req->body);
    server_memory_give(req->server, req->body_capacity);
    req->body = NULL;
    req->body_len = req->body_capacity = 0;
}

void exchange_free(struct http_request *req)
{
    struct http_server *s = req->server;
    drop_body(req);
    response_release(&req->res);
    arena_release(&req->arena);
    if (req->counted)
        atomic_fetch_sub(&s->in_flight, 1);
    free(req);
}

/* ---- refusals ---- */

/* In the shape of Go's http.Error: text, newline, nosniff. */
static void fill_text(struct http_request *req, int status, const char *text)
{
    char line[ERR_MSG_MAX + 1]; /* a message and its newline */
    snprintf(line, sizeof(line), "%s\n", text);
    http_response_text(&req->res, status, line);
    http_response_header(&req->res, "X-Content-Type-Options", "nosniff");
}

static void fill_failure(struct http_request *req, int status, const char *text)
{
    const struct http_app *app = &req->server->app;
    if (app->fail)
        app->fail(app->ctx, req->route, status, text, &req->res);
    else
        fill_text(req, status, text);
    http_response_status(&req->res, status);
    if (status == 429 || status == 503)
        http_response_retry_after(&req->res, RETRY_AFTER_SECONDS);
    if (status == 507)
        http_response_retry_after(&req->res, RETRY_AFTER_FULL_SECONDS);
}

/*
 * libmicrohttpd closes after an early answer to POST and PUT only; to other
 * methods it would wait for the body first. There the bytes go out directly.
 */
static enum MHD_Result answer_raw(struct http_request *req)
{
    char head[TEXT_MAX];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/plain; "
                     "charset=utf-8\r\nContent-Length: %zu\r\n\r\n",
                     req->res.status, MHD_get_reason_phrase_for((unsigned int)req->res.status),
                     req->res.body.len);
    if (send(req->conn->fd, head, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE) == n)
        (void)!send(req->conn->fd, req->res.body.data, req->res.body.len,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    req->phase = EXCHANGE_ANSWERED;
    return MHD_NO;
}

/* Answers what is in the response before the body is read, and closes. */
static enum MHD_Result refuse_now(struct http_request *req, bool body_follows)
{
    bool upload = str_eq(req->method, STR("POST")) || str_eq(req->method, STR("PUT"));
    http_response_close(&req->res);
    if (body_follows && !upload)
        return answer_raw(req);
    return exchange_answer(req);
}

/* The same, but a small body is read first so that the connection stays usable. */
static enum MHD_Result refuse(struct http_request *req, const struct gate_verdict *gate)
{
    struct str expect;
    bool body = gate->chunked || gate->length > 0;
    bool waits = http_request_header(req, "Expect", &expect);
    if (body && (waits || (!gate->chunked && gate->length > REFUSED_BODY_MAX)))
        return refuse_now(req, true);
    req->phase = EXCHANGE_DRAIN;
    req->drain_max = gate->chunked ? REFUSED_CHUNKED_MAX : gate->length;
    return MHD_YES;
}

/* A body that was let in and turned out too much: read the rest and drop it. */
static void refuse_midway(struct http_request *req, int status, const char *text)
{
    drop_body(req);
    fill_failure(req, status, text);
    req->phase = EXCHANGE_DRAIN;
    req->drain_max = req->body_seen + REFUSED_CHUNKED_MAX;
}

/* ---- headers ---- */

struct header_list {
    struct http_pair *pairs;
    size_t count;
};

static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    struct header_list *list = cls;
    (void)kind;
    if (list->count == HEADERS_MAX)
        return MHD_NO;
    list->pairs[list->count++] =
        (struct http_pair){{name, name_len}, {value ? value : "", value ? value_len : 0}};
    return MHD_YES;
}

/* libmicrohttpd keeps the texts until the request is complete. */
static bool collect_headers(struct http_request *req)
{
    int n = MHD_get_connection_values_n(req->mhd, MHD_HEADER_KIND, NULL, NULL);
    if (n > HEADERS_MAX)
        return false;
    struct header_list list = {arena_alloc(&req->arena, (size_t)(n + 1) * sizeof(*list.pairs)), 0};
    if (!list.pairs)
        return false;
    MHD_get_connection_values_n(req->mhd, MHD_HEADER_KIND, collect_header, &list);
    req->headers = list.pairs;
    req->header_count = list.count;
    return true;
}

/* Takes the base path off; false when the path is not below it. */
static bool strip_base_path(struct http_request *req)
{
    const struct http_server *s = req->server;
    struct str path = req->path;
    if (s->base_path_len == 0)
        return true;
    if (path.len <= s->base_path_len || memcmp(path.p, s->base_path, s->base_path_len) != 0 ||
        path.p[s->base_path_len] != '/')
        return false;
    req->path = (struct str){path.p + s->base_path_len, path.len - s->base_path_len};
    return true;
}

static void fill_not_found(struct http_request *req)
{
    const struct http_server *s = req->server;
    char location[TEXT_MAX];
    /* The page's own links are relative, so it must be reached with the slash. */
    if (s->base_path_len && str_eq(req->path, (struct str){s->base_path, s->base_path_len}) &&
        s->base_path_len + 2 < sizeof(location)) {
        snprintf(location, sizeof(location), "%s/", s->base_path);
        http_response_status(&req->res, 308);
        http_response_header(&req->res, "Location", location);
        return;
    }
    fill_text(req, 404, "404 page not found");
}

/* Finds the route or fills in why there is none. */
static bool find_route(struct http_request *req)
{
    const struct http_app *app = &req->server->app;
    const char *allow = NULL;
    int status = 404;
    if (strip_base_path(req))
        req->route = app->find(app->ctx, req->method, req->path, &status, &allow);
    if (req->route)
        return true;
    if (status != 405) {
        fill_not_found(req);
        return false;
    }
    http_response_status(&req->res, 405);
    if (allow)
        http_response_header(&req->res, "Allow", allow);
    return false;
}

static bool accept_is_sound(struct http_request *req)
{
    for (size_t i = 0; i < req->header_count; i++) {
        char text[TEXT_MAX];
        const char *reason = NULL;
        if (str_eq_case(req->headers[i].name, STR("accept")))
            reason = http_accept_check(req->headers[i].value);
        if (!reason)
            continue;
        snprintf(text, sizeof(text), "Invalid header format: %s", reason);
        fill_text(req, 400, text);
        return false;
    }
    return true;
}

/* Reserves memory for the body so far; false: over the budget or none left. */
static bool grow_body(struct http_request *req, size_t capacity)
{
    if (!server_memory_take(req->server, capacity - req->body_capacity))
        return false;
    char *bigger = realloc(req->body, capacity);
    if (!bigger) {
        server_memory_give(req->server, capacity - req->body_capacity);
        return false;
    }
    req->body = bigger;
    req->body_capacity = capacity;
    return true;
}

/* What the route says about the body to come. Fills in a refusal and returns false. */
static bool admit_body(struct http_request *req, const struct gate_verdict *gate)
{
    uint64_t max = req->route->body_max ? req->route->body_max : REFUSED_BODY_MAX;
    char text[TEXT_MAX];
    if (gate->length > max) {
        snprintf(text, sizeof(text), "request body of %llu bytes is larger than the limit of %llu",
                 (unsigned long long)gate->length, (unsigned long long)max);
        fill_failure(req, 413, text);
        return false;
    }
    size_t first = gate->length < BODY_FIRST_MAX ? (size_t)gate->length : BODY_FIRST_MAX;
    if (req->route->body_max == 0 || first == 0 || grow_body(req, first))
        return true;
    fill_failure(req, 503, "too many request bodies in memory");
    return false;
}

/* Does the upper layer want the body at all? */
static bool is_admitted(struct http_request *req)
{
    const struct http_app *app = &req->server->app;
    char text[ERR_MSG_MAX];
    int status = app->admit ? app->admit(app->ctx, req->route, text, sizeof(text)) : 0;
    if (status == 0)
        return true;
    fill_failure(req, status, text);
    return false;
}

enum MHD_Result exchange_begin(struct http_request *req, const char *method, const char *version)
{
    struct http_server *s = req->server;
    struct http_target target;
    struct err err;

    conn_enter(req->conn, CONN_BODY);
    atomic_store(&req->conn->body_bytes, 0);
    atomic_fetch_add(&s->in_flight, 1);
    req->counted = true;
    req->method = str_from(method);
    if (!collect_headers(req)) {
        fill_text(req, 431, "too many headers");
        return refuse_now(req, true);
    }
    struct gate_verdict gate = gate_check(&(struct gate_input){
        .method = req->method,
        .http_1_0 = strcmp(version, "HTTP/1.0") == 0,
        .headers = req->headers,
        .header_count = req->header_count,
    });
    if (gate.status) {
        fill_text(req, gate.status, gate.reason);
        return refuse_now(req, true);
    }
    bool body = gate.chunked || gate.length > 0;
    if (http_target_parse(req->target_raw, &req->arena, &target, &err) != 0 ||
        http_query_parse(target.query_raw, &req->arena, &req->query, &req->query_count, &err) !=
            0) {
        fill_text(req, 400, err.msg);
        return refuse_now(req, body);
    }
    req->path = target.path;
    req->query_raw = target.query_raw;
    if (!accept_is_sound(req) || !find_route(req))
        return refuse(req, &gate);
    /* No connection may be suspended when the daemon stops. */
    if (atomic_load(&s->draining) &&
        (req->route->flags & (HTTP_EXEMPT | HTTP_WORKER)) != HTTP_EXEMPT) {
        fill_failure(req, 503, "the server is stopping");
        return refuse_now(req, body);
    }
    if (!is_admitted(req) || !admit_body(req, &gate))
        return refuse(req, &gate);
    req->phase = EXCHANGE_BODY;
    return MHD_YES;
}

/* ---- body ---- */

static bool keep_bytes(struct http_request *req, const char *data, size_t size)
{
    size_t need = req->body_len + size;
    if (need > req->body_capacity) {
        size_t capacity = req->body_capacity ? req->body_capacity : BODY_FIRST_MIN;
        while (capacity < need)
            capacity *= 2;
        if (capacity > req->route->body_max)
            capacity = (size_t)req->route->body_max;
        if (!grow_body(req, capacity))
            return false;
    }
    memcpy(req->body + req->body_len, data, size);
    req->body_len = need;
    return true;
}

enum MHD_Result exchange_upload(struct http_request *req, const char *data, size_t *size)
{
    size_t n = *size;
    *size = 0;
    req->body_seen += n;
    atomic_store(&req->conn->body_bytes, req->body_seen);
    if (req->phase == EXCHANGE_DRAIN)
        return req->body_seen > req->drain_max ? MHD_NO : MHD_YES;
    if (req->phase != EXCHANGE_BODY)
        return MHD_YES; /* answered already: what still comes is dropped */

    const struct http_route *route = req->route;
    uint64_t max = route->body_max ? route->body_max : REFUSED_BODY_MAX;
    if (req->body_seen > max) {
        char text[TEXT_MAX];
        snprintf(text, sizeof(text), "request body is larger than the limit of %llu bytes",
                 (unsigned long long)max);
        refuse_midway(req, 413, text);
    } else if (route->body_max && !keep_bytes(req, data, n)) {
        refuse_midway(req, 503, "too many request bodies in memory");
    }
    return MHD_YES;
}

/* ---- handler ---- */

/*
 * Waited for a worker until its deadline. A client that only closed its sending
 * side still waits for the answer, so hanging up is the handler's to ask about.
 */
static bool expired(struct http_request *req)
{
    if (atomic_load(&req->server->canceled))
        fill_failure(req, 503, "the server is stopping");
    else if (http_request_deadline_passed(req))
        fill_failure(req, 504, "the request waited too long for a worker");
    else
        return false;
    return true;
}

/* Runs the handler. True: the response is complete. */
static bool handle(struct http_request *req)
{
    const struct http_route *route = req->route;
    enum http_result rc = route->handler(req->server->app.ctx, route, req, &req->res);
    if (rc == HTTP_DONE) {
        response_compress(&req->res, req);
        return true;
    }
    return false;
}

/* The handler has returned HTTP_PENDING. True: the reply was sent already. */
static bool wait_turn(struct http_request *req)
{
    int turn = TURN_HANDLER;
    return !atomic_compare_exchange_strong(&req->turn, &turn, TURN_WAITING);
}

static void work(void *arg)
{
    struct http_request *req = arg;
    struct MHD_Connection *mhd = req->mhd;
    if (expired(req) || handle(req) || wait_turn(req))
        MHD_resume_connection(mhd); /* from here on req is not ours */
}

void http_reply_send(struct http_reply *reply)
{
    struct http_request *req = http_reply_request(reply);
    struct MHD_Connection *mhd = req->mhd;
    response_compress(&req->res, req);
    int turn = atomic_exchange(&req->turn, TURN_SENT);
    check(turn != TURN_SENT);
    if (turn == TURN_WAITING)
        MHD_resume_connection(mhd); /* from here on req is not ours */
}

static enum MHD_Result dispatch_inline(struct http_request *req)
{
    if (handle(req))
        return exchange_answer(req);
    MHD_suspend_connection(req->mhd);
    if (wait_turn(req))
        MHD_resume_connection(req->mhd);
    return MHD_YES;
}

enum MHD_Result exchange_dispatch(struct http_request *req)
{
    struct http_server *s = req->server;
    req->phase = EXCHANGE_RUNNING;
    conn_enter(req->conn, CONN_HANDLING);
    atomic_store(&req->deadline_ns, server_mono_ns(s) + s->options.request_timeout_ns);
    if (!(req->route->flags & HTTP_WORKER))
        return dispatch_inline(req);

    /* Suspended first: the worker may be done before pool_try_submit() returns. */
    MHD_suspend_connection(req->mhd);
    if (!pool_try_submit(s->pool, work, req)) {
        fill_failure(req, 503, "too many requests are waiting");
        MHD_resume_connection(req->mhd);
    }
    return MHD_YES;
}

enum MHD_Result exchange_answer(struct http_request *req)
{
    req->phase = EXCHANGE_ANSWERED;
    conn_enter(req->conn, CONN_REPLY);
    drop_body(req); /* a slow reader of the reply must not hold it */
    if (atomic_load(&req->server->draining))
        http_response_close(&req->res);
    return response_queue(&req->res, req);
}

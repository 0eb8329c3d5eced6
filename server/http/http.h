/*
 * http - an HTTP/1.1 server that knows nothing of profiles.
 *
 * It wraps libmicrohttpd so that nothing above includes <microhttpd.h>. The
 * upper layer hands in one function that picks a route for (method, path);
 * everything else happens here: request sanity, header and body deadlines,
 * body and memory caps, admission, worker threads, cancellation, replies,
 * access log and metrics.
 *
 * Life of a request, each arrow one step:
 *
 *   headers -> gate -> app.find() -> body (counted, capped) -> handler -> reply
 *                |          |               |
 *               400    404/405/507    413 / 429 / 503
 *
 * A handler runs when the whole body is in memory. It fills the response and
 * returns HTTP_DONE, or keeps the reply token, returns HTTP_PENDING and any
 * thread calls http_reply_send() later: no thread is held in between. That is
 * how a push is acknowledged after its log is on stable storage.
 *
 * Threads: HTTP_INLINE handlers run on a connection thread and must not wait
 * for anything; HTTP_WORKER handlers run on a bounded pool and may. Handlers
 * run concurrently. One request is never touched by two threads at once.
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct clock;
struct err;
struct http_request;
struct http_response;
struct http_server;

/* What a handler says about its reply. */
enum http_result {
    HTTP_DONE,    /* the response is complete: send it */
    HTTP_PENDING, /* http_reply_send() was or will be called, exactly once */
};

enum http_route_flags {
    HTTP_INLINE = 0,      /* quick: runs on the connection's thread */
    HTTP_WORKER = 1 << 0, /* may wait or compute: runs on the worker pool, 503 when it is full */
    HTTP_EXEMPT = 1 << 1, /* served while draining and over the memory budget: health, metrics */
    HTTP_GZIP = 1 << 2, /* compress 200 replies of HTTP_GZIP_MIN bytes for clients that accept it */
};

/* The reference compresses plain (not Connect) replies from this size on. */
#define HTTP_GZIP_MIN 1400

struct http_route;

typedef enum http_result (*http_handler)(void *ctx, const struct http_route *route,
                                         struct http_request *req, struct http_response *res);

/* One row of the upper layer's table; must outlive the server. */
struct http_route {
    const char *name;   /* for metrics and the access log: the path's template */
    uint64_t body_max;  /* bytes as sent; more is 413. 0: the route takes no body */
    unsigned int flags; /* enum http_route_flags */
    http_handler handler;
};

/*
 * The upper layer. find() gets the decoded path without the base path and
 * returns a route, or NULL with *status 404, or 405 with *allow (a static
 * string such as "POST"). It runs before the body is read, on a connection
 * thread, and must be quick.
 */
struct http_app {
    void *ctx;
    const struct http_route *(*find)(void *ctx, struct str method, struct str path, int *status,
                                     const char **allow);
    /*
     * Optional: 0 lets the request's body come; a status refuses it unread, with the
     * reason in `text`. Runs after find(), on a connection thread, and must be quick.
     */
    int (*admit)(void *ctx, const struct http_route *route, char *text, size_t size);
    /*
     * Optional: words a refusal that the server itself decides (413, 429, 503, 507)
     * the way the route's clients expect. Status, Retry-After and Connection
     * are set by the server afterwards. route is NULL before one was found.
     */
    void (*fail)(void *ctx, const struct http_route *route, int status, const char *message,
                 struct http_response *res);
};

struct http_options {
    const char *listen;     /* "host:port", "[::1]:4040", ":4040" = every interface, port 0 = any */
    const char *base_path;  /* "" or "/x": no slash at the end */
    unsigned int threads;   /* connection threads; 0 = one per CPU */
    unsigned int workers;   /* worker threads; 0 = twice the CPUs, at least 4 */
    unsigned int queue_max; /* requests that wait for a worker; more is 503 */
    unsigned int connections_max;
    uint64_t memory_max;        /* sum of all request bodies in memory, bytes */
    uint64_t arena_max;         /* memory of one request beside its body, bytes */
    int64_t header_timeout_ns;  /* from connect or first byte to the end of the headers */
    int64_t idle_timeout_ns;    /* a kept-alive connection without a request */
    int64_t body_timeout_ns;    /* the whole body */
    uint64_t body_rate_min;     /* bytes per second after the first header_timeout; 0 = off */
    int64_t request_timeout_ns; /* body complete to reply: then http_request_canceled() */
    int64_t reply_timeout_ns;   /* sending the reply */
    int64_t slow_log_ns;        /* log requests slower than this at info; 0 = never */
};

/* Fills in values that suit a small machine. */
void http_options_init(struct http_options *o);

/*
 * Binds, starts the threads and serves. app and clock are borrowed until
 * http_server_stop(). ERR_CONFIG for an address that cannot be parsed, ERR_IO
 * (with os_errno) when it cannot be bound. *out untouched on failure.
 */
int http_server_start(const struct http_options *o, const struct http_app *app,
                      const struct clock *clock, struct http_server **out, struct err *err);

/* The port in use, for listen port 0. */
uint16_t http_server_port(const struct http_server *s);

/* Requests that began and are not answered yet. */
unsigned int http_server_in_flight(const struct http_server *s);

/*
 * Refuses new connections, answers new requests on old ones with 503, waits
 * until every request is answered. After timeout_ns the rest is canceled and
 * gets a last grace of 500 ms. Returns true when nothing is in flight.
 */
bool http_server_drain(struct http_server *s, int64_t timeout_ns);

/*
 * Stops the threads and frees everything. Call http_server_drain() first: if
 * requests are still in flight, memory and threads are left to the process's
 * exit, because libmicrohttpd aborts when stopped with suspended connections.
 * NULL is fine.
 */
void http_server_stop(struct http_server *s);

/* Version of the libmicrohttpd in use, static. */
const char *http_library_version(void);

#endif

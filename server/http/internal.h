/*
 * internal - the structures behind http.h, for the files of server/http only.
 *
 * Ownership: the server owns its connections (a list), a connection its current
 * exchange through libmicrohttpd's per-request pointer, an exchange everything
 * of one request. An exchange is made when the request line has arrived and
 * freed in the completion callback, always on the connection's thread.
 *
 * Phases of an exchange:
 *
 *   NEW --headers--> BODY --last byte--> RUNNING --reply--> ANSWERED
 *     \                \                    |
 *      \                `-> DRAIN           `- suspended while a worker or a
 *       `--> DRAIN (refused, body read      `  pending reply has it
 *            and dropped) --> ANSWERED
 *
 * Hand-over of a suspended exchange: handler's return and http_reply_send()
 * each mark `turn`; whoever comes second resumes the connection. So nothing is
 * freed under a handler that is still unwinding.
 */
#ifndef SERVER_HTTP_INTERNAL_H
#define SERVER_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/thread.h"
#include "server/http/http.h"
#include "server/http/request.h"
#include "server/http/response.h"

struct clock;
struct pool;

enum {
    PEER_MAX = 64,
    /* A refused body this small is read and dropped, so the connection stays usable. */
    REFUSED_BODY_MAX = 1024 * 1024,
    /* A refused chunked body is read this far before the connection is dropped. */
    REFUSED_CHUNKED_MAX = 64 * 1024 * 1024,
    RETRY_AFTER_SECONDS = 1,
    RETRY_AFTER_FULL_SECONDS = 10, /* somebody has to make room */
};

/* What the reaper waits for on a connection. */
enum conn_state {
    CONN_IDLE,     /* no request yet, or kept alive */
    CONN_HEADERS,  /* a request line came */
    CONN_BODY,     /* headers came */
    CONN_HANDLING, /* a handler has it */
    CONN_REPLY,    /* the answer is being sent */
};

struct http_conn {
    struct http_conn *prev, *next; /* in server->conns; guarded by server->mu */
    struct http_server *server;
    int fd;
    _Atomic int state;             /* enum conn_state */
    _Atomic int64_t since_ns;      /* monotonic; when the state began */
    _Atomic uint64_t body_bytes;   /* of the current request */
    _Atomic bool hung_up;          /* the client of the current request left */
    _Atomic bool doomed;           /* shut down by the reaper */
    _Atomic unsigned int requests; /* answered */
    char peer[PEER_MAX];
    size_t peer_len;
};

struct http_server {
    struct http_options options;
    struct http_app app;
    const struct clock *clock;
    char *base_path;
    size_t base_path_len;
    struct MHD_Daemon *daemon;
    int listen_fd;
    uint16_t port;
    struct pool *pool;
    pthread_t reaper;
    bool reaper_runs;
    struct mutex mu;  /* guards conns, reaper_stop; a leaf but for the log */
    struct cond wake; /* the reaper sleeps on it */
    struct cond idle; /* draining sleeps on it */
    struct http_conn *conns;
    bool reaper_stop;
    _Atomic bool draining; /* refuse new requests */
    _Atomic bool canceled; /* every request is canceled */
    _Atomic unsigned int in_flight;
    _Atomic uint64_t memory_used; /* request bodies, bytes */
};

struct http_response {
    int status;
    const char *type;
    struct {
        const char *name;
        const char *value;
    } headers[HTTP_RESPONSE_HEADERS_MAX];
    size_t header_count;
    struct buf body;
    struct str fixed; /* instead of body when ptr is set */
    bool no_gzip, close;
    struct arena *arena;
};

enum exchange_phase {
    EXCHANGE_NEW,
    EXCHANGE_BODY,
    EXCHANGE_DRAIN,
    EXCHANGE_RUNNING,
    EXCHANGE_ANSWERED
};

enum exchange_turn {
    TURN_HANDLER, /* the handler runs, nothing sent */
    TURN_WAITING, /* the handler returned HTTP_PENDING */
    TURN_SENT,    /* http_reply_send() was called */
};

struct http_request {
    struct http_server *server;
    struct http_conn *conn;
    struct MHD_Connection *mhd;
    struct arena arena;
    enum exchange_phase phase;
    bool counted; /* in server->in_flight */
    bool inline_; /* the handler runs on the connection's thread */
    _Atomic int turn;
    const struct http_route *route;
    struct str method, target_raw, path, query_raw;
    struct http_pair *query, *headers;
    size_t query_count, header_count;
    char *body;
    size_t body_len, body_capacity;
    uint64_t body_seen, drain_max;
    int64_t wall_ns, start_ns; /* start: monotonic */
    _Atomic int64_t deadline_ns;
    _Atomic int64_t polled_ns; /* when canceled() last asked the descriptor */
    struct str tenant;
    struct http_response res;
    uint64_t reply_bytes;
};

/* exchange.c */
struct http_request *exchange_new(struct http_conn *conn, struct MHD_Connection *mhd,
                                  const char *target);
void exchange_free(struct http_request *req);
/* Headers are complete: gate, route, limits. MHD_NO drops the connection. */
enum MHD_Result exchange_begin(struct http_request *req, const char *method, const char *version);
enum MHD_Result exchange_upload(struct http_request *req, const char *data, size_t *size);
enum MHD_Result exchange_dispatch(struct http_request *req);
/* Hands the finished response to libmicrohttpd. */
enum MHD_Result exchange_answer(struct http_request *req);
void exchange_log(struct http_request *req, bool complete);

/* response.c */
void response_init(struct http_response *res, struct arena *arena);
void response_release(struct http_response *res);
/* Compresses the body when route and client allow it. */
void response_compress(struct http_response *res, const struct http_request *req);
enum MHD_Result response_queue(struct http_response *res, struct http_request *req);

/* http.c */
int64_t server_mono_ns(const struct http_server *s);
void conn_enter(struct http_conn *conn, enum conn_state state);
/* Counts bytes of body memory; false: the budget is used up. */
bool server_memory_take(struct http_server *s, uint64_t bytes);
void server_memory_give(struct http_server *s, uint64_t bytes);

/* reaper.c */
int reaper_start(struct http_server *s, struct err *err);
void reaper_stop(struct http_server *s);
/* One round: closes connections that are too slow. Returns how many. */
unsigned int reaper_step(struct http_server *s);
/* Whether the peer of fd closed or reset. */
bool conn_hung_up(int fd);

#endif

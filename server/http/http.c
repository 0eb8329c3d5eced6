/*
 * http - start, stop, and the callbacks of libmicrohttpd.
 *
 * Order of stopping: quiesce (new connections are refused), drain (our own
 * count of requests, because libmicrohttpd's counts idle connections), reaper,
 * daemon, workers. A daemon stopped with a suspended connection aborts the
 * process, so it is not stopped then.
 */
#include "server/http/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/thread.h"
#include "server/http/internal.h"
#include "server/http/listener.h"

#define MIB (UINT64_C(1) << 20)

#define IDLE_POLL_NS (5 * NS_PER_MS)

enum {
    POOL_BYTES = 32 * 1024, /* wiped at every request: larger is slower, see docs/adr */
    OPTION_COUNT_MAX = 16,
};

void http_options_init(struct http_options *o)
{
    *o = (struct http_options){
        .listen = ":4040",
        .base_path = "",
        .queue_max = 2048,
        .connections_max = 4096,
        .memory_max = 256 * MIB,
        .arena_max = 256 * MIB,
        .header_timeout_ns = 10 * NS_PER_S,
        .idle_timeout_ns = 120 * NS_PER_S,
        .body_timeout_ns = 300 * NS_PER_S,
        .body_rate_min = 1024,
        .request_timeout_ns = 60 * NS_PER_S,
        .reply_timeout_ns = 300 * NS_PER_S,
        .slow_log_ns = 5 * NS_PER_S,
    };
}

int64_t server_mono_ns(const struct http_server *s)
{
    return clock_mono_ns(s->clock);
}

void conn_enter(struct http_conn *conn, enum conn_state state)
{
    atomic_store(&conn->since_ns, server_mono_ns(conn->server));
    atomic_store(&conn->state, (int)state);
}

bool server_memory_take(struct http_server *s, uint64_t bytes)
{
    if (atomic_fetch_add(&s->memory_used, bytes) + bytes <= s->options.memory_max &&
        budget_take(BUDGET_BODIES, bytes))
        return true;
    atomic_fetch_sub(&s->memory_used, bytes);
    return false;
}

void server_memory_give(struct http_server *s, uint64_t bytes)
{
    atomic_fetch_sub(&s->memory_used, bytes);
    budget_give(BUDGET_BODIES, bytes);
}

/* ---- connections ---- */

static void print_peer(struct http_conn *conn, const struct sockaddr *addr)
{
    char host[INET6_ADDRSTRLEN] = "?";
    int n = 0;
    if (addr && addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        n = snprintf(conn->peer, sizeof(conn->peer), "%s:%u", host, ntohs(in->sin_port));
    } else if (addr && addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        n = snprintf(conn->peer, sizeof(conn->peer), "[%s]:%u", host, ntohs(in6->sin6_port));
    }
    conn->peer_len = n > 0 ? (size_t)n : 0;
}

static struct http_conn *conn_new(struct http_server *s, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info;
    struct http_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return NULL;
    conn->server = s;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    conn->fd = info ? info->connect_fd : -1;
    info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    print_peer(conn, info ? info->client_addr : NULL);
    conn_enter(conn, CONN_IDLE);
    mutex_lock(&s->mu);
    conn->next = s->conns;
    if (s->conns)
        s->conns->prev = conn;
    s->conns = conn;
    mutex_unlock(&s->mu);
    return conn;
}

static void conn_free(struct http_conn *conn)
{
    struct http_server *s = conn->server;
    mutex_lock(&s->mu);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        s->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    mutex_unlock(&s->mu);
    free(conn);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = conn_new(cls, mhd);
    } else if (*context) {
        conn_free(*context);
        *context = NULL;
    }
}

/* The request line is complete; what is returned becomes the request's context. */
static void *on_request_line(void *cls, const char *target, struct MHD_Connection *mhd)
{
    (void)cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_conn *conn = info ? info->socket_context : NULL;
    if (!conn)
        return NULL;
    atomic_store(&conn->hung_up, false);
    conn_enter(conn, CONN_HEADERS);
    return exchange_new(conn, mhd, target);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    struct http_request *req = *context;
    (void)cls;
    (void)mhd;
    (void)url;
    if (!req)
        return MHD_NO; /* out of memory at the request line */
    if (req->phase == EXCHANGE_NEW)
        return exchange_begin(req, method, version);
    if (*size > 0)
        return exchange_upload(req, data, size);
    if (req->phase == EXCHANGE_BODY)
        return exchange_dispatch(req);
    return exchange_answer(req);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct http_request *req = *context;
    (void)cls;
    (void)mhd;
    if (!req)
        return;
    *context = NULL;
    struct http_conn *conn = req->conn;
    exchange_log(req, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    exchange_free(req);
    atomic_fetch_add(&conn->requests, 1);
    conn_enter(conn, CONN_IDLE);
}

/* Its messages can repeat whole replies: one short line, at debug. */
__attribute__((format(printf, 2, 0))) static void on_library_log(void *cls, const char *format,
                                                                 va_list args)
{
    char text[160];
    (void)cls;
    vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\r\n")] = 0;
    log_debug("http library", LOG_CSTR("text", text));
}

/* ---- start ---- */

static int start_daemon(struct http_server *s, struct err *err)
{
    const struct http_options *o = &s->options;
    struct MHD_OptionItem items[OPTION_COUNT_MAX] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_library_log, s},
        {MHD_OPTION_LISTEN_SOCKET, s->listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, o->connections_max, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_BYTES, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_ns / NS_PER_S, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, s},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_request_line, s},
        {MHD_OPTION_END, 0, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    if (o->threads > 1)
        items[9] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, o->threads, NULL};
    s->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_request, s, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (!s->daemon)
        return err_set(err, ERR_IO, "http: the server library did not start");
    s->listen_fd = -1; /* the daemon's until it is quiesced */
    return 0;
}

static int start_parts(struct http_server *s, struct err *err)
{
    struct listen_address address;
    int rc = listen_address_parse(s->options.listen, &address, err);
    if (rc == 0)
        rc = listener_open(&address, &s->listen_fd, &s->port, err);
    if (rc == 0)
        rc = pool_start("http", s->options.workers, s->options.queue_max, &s->pool, err);
    if (rc == 0)
        rc = reaper_start(s, err);
    if (rc == 0)
        rc = start_daemon(s, err);
    return rc;
}

static void free_parts(struct http_server *s)
{
    reaper_stop(s);
    pool_stop(s->pool);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    mutex_destroy(&s->mu);
    cond_destroy(&s->wake);
    cond_destroy(&s->idle);
    free(s->base_path);
    free(s);
}

int http_server_start(const struct http_options *o, const struct http_app *app,
                      const struct clock *clock, struct http_server **out, struct err *err)
{
    struct http_server *s = calloc(1, sizeof(*s));
    char *base_path = strdup(o->base_path ? o->base_path : "");
    if (!s || !base_path) {
        free(s);
        free(base_path);
        return err_set(err, ERR_NOMEM, "http: out of memory");
    }
    s->options = *o;
    s->app = *app;
    s->clock = clock;
    s->base_path = base_path;
    s->base_path_len = strlen(base_path);
    s->listen_fd = -1;
    if (s->options.threads == 0)
        s->options.threads = cpu_count();
    if (s->options.workers == 0)
        s->options.workers = cpu_count() > 2 ? 2 * cpu_count() : 4;
    if (s->options.connections_max < s->options.threads)
        s->options.connections_max = s->options.threads;
    mutex_init(&s->mu, MUTEX_RANK_HTTP, "http");
    cond_init(&s->wake);
    cond_init(&s->idle);
    int rc = start_parts(s, err);
    if (rc != 0) {
        free_parts(s);
        return rc;
    }
    *out = s;
    return 0;
}

uint16_t http_server_port(const struct http_server *s)
{
    return s->port;
}

unsigned int http_server_in_flight(const struct http_server *s)
{
    return atomic_load(&s->in_flight);
}

/* ---- stop ---- */

static bool wait_idle(struct http_server *s, int64_t timeout_ns)
{
    int64_t end_ns = server_mono_ns(s) + timeout_ns;
    mutex_lock(&s->mu);
    while (atomic_load(&s->in_flight) > 0) {
        int64_t left_ns = end_ns - server_mono_ns(s);
        if (left_ns <= 0)
            break;
        /* Nobody signals: an exchange ends without taking the mutex. */
        cond_wait_for(&s->idle, &s->mu, left_ns < IDLE_POLL_NS ? left_ns : IDLE_POLL_NS);
    }
    mutex_unlock(&s->mu);
    return atomic_load(&s->in_flight) == 0;
}

bool http_server_drain(struct http_server *s, int64_t timeout_ns)
{
    atomic_store(&s->draining, true);
    /* Who connects from now on is refused; a worker may still hold it, so it is closed at the end.
     */
    s->listen_fd = MHD_quiesce_daemon(s->daemon);
    if (s->listen_fd != MHD_INVALID_SOCKET)
        (void)shutdown(s->listen_fd, SHUT_RDWR);
    if (wait_idle(s, timeout_ns))
        return true;
    log_warn("requests still running, canceling them", LOG_U64("count", http_server_in_flight(s)));
    atomic_store(&s->canceled, true);
    return wait_idle(s, 500 * NS_PER_MS);
}

void http_server_stop(struct http_server *s)
{
    if (!s)
        return;
    reaper_stop(s);
    if (atomic_load(&s->in_flight) > 0)
        return;
    MHD_stop_daemon(s->daemon);
    free_parts(s);
}

const char *http_library_version(void)
{
    return MHD_get_version();
}

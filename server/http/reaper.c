/*
 * reaper - ends what libmicrohttpd would wait for without end.
 *
 * Its time-out counts inactivity only: one byte per second keeps a header or
 * a body alive for as long as the client likes. The reaper looks at every
 * connection four times a second and shuts the descriptors of slow ones down;
 * libmicrohttpd then closes them. It also notices clients that hung up while
 * their connection was suspended, which libmicrohttpd cannot see.
 *
 * Safe because a connection leaves the list, under the same mutex, before its
 * descriptor is closed.
 */
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "server/http/internal.h"

enum { PERIOD_NS = 250000000 };

bool conn_hung_up(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

/* Bytes a body must have brought after `age`: nothing in the first grace period. */
static bool too_slow(const struct http_options *o, int64_t age_ns, uint64_t bytes)
{
    if (o->body_rate_min == 0 || age_ns <= o->header_timeout_ns)
        return false;
    uint64_t seconds = (uint64_t)((age_ns - o->header_timeout_ns) / NS_PER_S);
    return bytes / o->body_rate_min < seconds;
}

/* Why the connection must go, or NULL. */
static const char *overdue(const struct http_server *s, struct http_conn *conn, int64_t now_ns)
{
    const struct http_options *o = &s->options;
    int64_t age = now_ns - atomic_load(&conn->since_ns);
    switch ((enum conn_state)atomic_load(&conn->state)) {
    case CONN_IDLE:
        if (age > o->header_timeout_ns + (conn->requests ? o->idle_timeout_ns : 0))
            return "header_timeout";
        /* A client that closed its sending side got its answer: the rest is waiting for nothing. */
        if (conn->requests && age < 3 * (int64_t)PERIOD_NS && conn_hung_up(conn->fd))
            return "hung_up";
        return NULL;
    case CONN_HEADERS:
        return age > o->header_timeout_ns ? "header_timeout" : NULL;
    case CONN_BODY:
        if (age > o->body_timeout_ns || atomic_load(&s->canceled))
            return "body_timeout";
        return too_slow(o, age, atomic_load(&conn->body_bytes)) ? "body_rate" : NULL;
    case CONN_HANDLING:
        if (age > NS_PER_S && !atomic_load(&conn->hung_up) && conn_hung_up(conn->fd))
            atomic_store(&conn->hung_up, true);
        return NULL;
    case CONN_REPLY:
        return age > o->reply_timeout_ns ? "reply_timeout" : NULL;
    }
    return NULL;
}

unsigned int reaper_step(struct http_server *s)
{
    unsigned int closed = 0, open = 0;
    int64_t now_ns = server_mono_ns(s);
    mutex_lock(&s->mu);
    for (struct http_conn *conn = s->conns; conn; conn = conn->next) {
        open++;
        if (atomic_load(&conn->doomed))
            continue;
        const char *reason = overdue(s, conn, now_ns);
        if (!reason)
            continue;
        atomic_store(&conn->doomed, true);
        shutdown(conn->fd, SHUT_RDWR);
        metric_family_add(METRIC_http_connections_closed, str_from(reason), 1);
        log_debug("connection closed", LOG_CSTR("reason", reason),
                  LOG_STR("peer", ((struct str){conn->peer, conn->peer_len})));
        closed++;
    }
    mutex_unlock(&s->mu);
    metric_set(METRIC_http_connections, open);
    metric_set(METRIC_http_in_flight, atomic_load(&s->in_flight));
    metric_set(METRIC_http_body_bytes, (int64_t)atomic_load(&s->memory_used));
    return closed;
}

static void *reaper_main(void *arg)
{
    struct http_server *s = arg;
    mutex_lock(&s->mu);
    while (!s->reaper_stop) {
        cond_wait_for(&s->wake, &s->mu, PERIOD_NS);
        mutex_unlock(&s->mu);
        reaper_step(s);
        mutex_lock(&s->mu);
    }
    mutex_unlock(&s->mu);
    return NULL;
}

int reaper_start(struct http_server *s, struct err *err)
{
    int rc = thread_start(&s->reaper, "http-reaper", reaper_main, s, err);
    s->reaper_runs = rc == 0;
    return rc;
}

void reaper_stop(struct http_server *s)
{
    if (!s->reaper_runs)
        return;
    mutex_lock(&s->mu);
    s->reaper_stop = true;
    cond_signal(&s->wake);
    mutex_unlock(&s->mu);
    thread_join(s->reaper);
    s->reaper_runs = false;
}

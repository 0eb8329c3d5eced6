/* http - a live server on loopback: handlers, late replies, cancellation, stopping. */
#include "server/http/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/gzip.h"
#include "server/http/request.h"
#include "server/http/response.h"

enum { REPLY_MAX = 1 << 16 };

struct world {
    struct http_server *server;
    _Atomic int entered, canceled, timed_out;
    _Atomic bool release;
    _Atomic(struct http_reply *) parked;
};

static struct world world;

static void nap_ms(int ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    nanosleep(&t, NULL);
}

/* ---- handlers ---- */

static enum http_result echo(void *ctx, const struct http_route *route, struct http_request *req,
                             struct http_response *res)
{
    (void)ctx;
    (void)route;
    buf_append_str(http_response_body(res), http_request_body(req));
    return HTTP_DONE;
}

static enum http_result show(void *ctx, const struct http_route *route, struct http_request *req,
                             struct http_response *res)
{
    struct str a = STR("-"), h = STR("-");
    struct buf *out = http_response_body(res);
    (void)ctx;
    http_request_query(req, "a", &a);
    http_request_header(req, "x-thing", &h);
    buf_printf(out, "%s %" STR_FMT " a=%" STR_FMT " h=%" STR_FMT " pairs=%zu", route->name,
               STR_ARG(http_request_path(req)), STR_ARG(a), STR_ARG(h),
               http_request_query_count(req));
    http_response_type(res, "text/plain");
    http_response_header(res, "X-Split", "one\r\nInjected: two");
    return HTTP_DONE;
}

static enum http_result large(void *ctx, const struct http_route *route, struct http_request *req,
                              struct http_response *res)
{
    struct str n = STR("0");
    uint64_t size = 0;
    (void)ctx;
    (void)route;
    http_request_query(req, "n", &n);
    str_parse_u64(n, 1 << 20, &size);
    for (uint64_t i = 0; i < size; i++)
        buf_append_byte(http_response_body(res), 'x');
    return HTTP_DONE;
}

static void *answer_late(void *arg)
{
    struct http_reply *reply = arg;
    nap_ms(50);
    http_response_text(http_reply_response(reply), 202, "late");
    http_reply_send(reply);
    return NULL;
}

static enum http_result late(void *ctx, const struct http_route *route, struct http_request *req,
                             struct http_response *res)
{
    pthread_t t;
    (void)ctx;
    (void)route;
    (void)res;
    assert_int_equal(pthread_create(&t, NULL, answer_late, http_request_reply(req)), 0);
    pthread_detach(t);
    return HTTP_PENDING;
}

/* The answer is sent before the handler returns. */
static enum http_result early(void *ctx, const struct http_route *route, struct http_request *req,
                              struct http_response *res)
{
    struct http_reply *reply = http_request_reply(req);
    (void)ctx;
    (void)route;
    (void)res;
    http_response_text(http_reply_response(reply), 200, "early");
    http_reply_send(reply);
    nap_ms(20);
    /* The request must still be there. */
    assert_true(http_request_path(req).len > 0);
    return HTTP_PENDING;
}

static enum http_result park(void *ctx, const struct http_route *route, struct http_request *req,
                             struct http_response *res)
{
    struct world *w = ctx;
    (void)route;
    (void)res;
    atomic_store(&w->parked, http_request_reply(req));
    atomic_fetch_add(&w->entered, 1);
    return HTTP_PENDING;
}

/* Works until it is canceled or released. */
static enum http_result busy(void *ctx, const struct http_route *route, struct http_request *req,
                             struct http_response *res)
{
    struct world *w = ctx;
    (void)route;
    atomic_fetch_add(&w->entered, 1);
    while (!atomic_load(&w->release) && !http_request_canceled(req))
        nap_ms(5);
    if (http_request_canceled(req))
        atomic_fetch_add(&w->canceled, 1);
    if (http_request_deadline_passed(req)) {
        atomic_fetch_add(&w->timed_out, 1);
        http_response_text(res, 504, "too late");
        return HTTP_DONE;
    }
    http_response_text(res, 200, "done");
    return HTTP_DONE;
}

static const struct http_route routes[] = {
    {"/echo", 1 << 20, HTTP_WORKER, echo}, {"/inline-echo", 1 << 20, HTTP_INLINE, echo},
    {"/show", 0, HTTP_INLINE, show},       {"/large", 0, HTTP_WORKER | HTTP_GZIP, large},
    {"/late", 1000, HTTP_INLINE, late},    {"/worker-late", 1000, HTTP_WORKER, late},
    {"/early", 0, HTTP_INLINE, early},     {"/worker-early", 0, HTTP_WORKER, early},
    {"/park", 0, HTTP_INLINE, park},       {"/busy", 0, HTTP_WORKER, busy},
};

static const struct http_route *find(void *ctx, struct str method, struct str path, int *status,
                                     const char **allow)
{
    (void)ctx;
    *status = 404;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!str_eq(path, str_from(routes[i].name)))
            continue;
        if (!str_eq(method, STR("PUT")))
            return &routes[i];
        *status = 405;
        *allow = "GET, POST";
    }
    return NULL;
}

static void start(const struct http_options *changes)
{
    struct http_options o;
    struct http_app app = {.ctx = &world, .find = find};
    struct err err = {0};
    memset(&world, 0, sizeof(world));
    if (changes)
        o = *changes;
    else
        http_options_init(&o);
    o.listen = "127.0.0.1:0";
    o.threads = 2;
    if (http_server_start(&o, &app, clock_system(), &world.server, &err) != 0)
        fail_msg("%s", err.msg);
}

static void stop(void)
{
    assert_true(http_server_drain(world.server, 2 * NS_PER_S));
    http_server_stop(world.server);
}

/* ---- a client ---- */

static int dial(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(world.server))};
    struct timeval limit = {10, 0};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads one reply with a Content-Length; returns its status, the body in `body`. */
static int hear(int fd, char *head, char *body, size_t *body_len)
{
    static _Thread_local char all[REPLY_MAX * 2];
    size_t len = 0, want = 0;
    char *end = NULL;
    for (;;) {
        ssize_t n = recv(fd, all + len, 1, 0);
        if (n <= 0)
            return 0;
        len++;
        all[len] = 0;
        if (len >= 4 && memcmp(all + len - 4, "\r\n\r\n", 4) == 0)
            break;
        assert_true(len < REPLY_MAX);
    }
    memcpy(head, all, len + 1);
    char *length = strstr(head, "Content-Length: ");
    if (length)
        want = strtoul(length + 16, &end, 10);
    assert_true(want < REPLY_MAX);
    for (size_t got = 0; got < want;) {
        ssize_t n = recv(fd, body + got, want - got, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    body[want] = 0;
    *body_len = want;
    return (int)strtol(head + 9, NULL, 10);
}

static int ask(const char *request, char *head, char *body)
{
    size_t len;
    int fd = dial();
    say(fd, request);
    int status = hear(fd, head, body, &len);
    close(fd);
    return status;
}

static void wait_for(_Atomic int *counter, int value)
{
    for (int i = 0; i < 2000 && atomic_load(counter) < value; i++)
        nap_ms(5);
    assert_true(atomic_load(counter) >= value);
}

/* ---- claims ---- */

static char head[REPLY_MAX], body[REPLY_MAX];

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_a_handler_sees_path_query_and_headers(void **state)
{
    (void)state;
    start(NULL);
    assert_int_equal(
        ask("GET /sh%6fw?b=2&a=x%20+y&a=z HTTP/1.1\r\nHost: x\r\nX-Thing: t\r\n\r\n", head, body),
        200);
    assert_string_equal(body, "/show /show a=x  y h=t pairs=3");
    assert_null(strstr(head, "\r\nInjected"));
    stop();
}

static void test_bodies_come_whole_in_both_codings(void **state)
{
    static char request[300000];
    static const char *const paths[] = {"/echo", "/inline-echo"};
    (void)state;
    start(NULL);
    for (size_t i = 0; i < 2; i++) {
        int n = snprintf(request, sizeof(request),
                         "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", paths[i]);
        memset(request + n, 'b', 60000);
        request[n + 60000] = 0;
        assert_int_equal(ask(request, head, body), 200);
        assert_int_equal(strlen(body), 60000);
        snprintf(request, sizeof(request),
                 "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n",
                 paths[i]);
        assert_int_equal(ask(request, head, body), 200);
        assert_string_equal(body, "abcde");
    }
    stop();
}

static void test_late_replies_hold_no_thread(void **state)
{
    enum { COUNT = 40 };
    static const char *const paths[] = {GET("/late"), GET("/worker-late")};
    int fds[COUNT];
    size_t len;
    (void)state;
    start(NULL);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = dial();
        say(fds[i], paths[i % 2]);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(hear(fds[i], head, body, &len), 202);
        assert_string_equal(body, "late");
        close(fds[i]);
    }
    stop();
}

enum { STALL_CLIENTS = 24, STALL_REQUESTS = 60 };

/* One client that mixes inline, worker and late requests; counts answers it got. */
static void *mix_requests(void *arg)
{
    static const char *const requests[] = {
        GET("/show"), GET("/late"),
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", GET("/worker-early")};
    _Atomic int *answers = arg;
    char *own_head = malloc(REPLY_MAX), *own_body = malloc(REPLY_MAX);
    size_t len;
    int fd = dial();
    for (int i = 0; i < STALL_REQUESTS; i++) {
        say(fd, requests[i % 4]);
        if (hear(fd, own_head, own_body, &len) < 200)
            break;
        atomic_fetch_add(answers, 1);
    }
    close(fd);
    free(own_head);
    free(own_body);
    return NULL;
}

/* libmicrohttpd before 1.0.3 was said to skip ready connections beside suspended ones. */
static void test_suspended_connections_do_not_stall_others(void **state)
{
    pthread_t threads[STALL_CLIENTS];
    _Atomic int answers = 0;
    (void)state;
    start(NULL);
    for (int i = 0; i < STALL_CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mix_requests, &answers), 0);
    for (int i = 0; i < STALL_CLIENTS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&answers), STALL_CLIENTS * STALL_REQUESTS);
    stop();
}

static void test_a_reply_may_come_before_the_handler_returns(void **state)
{
    (void)state;
    start(NULL);
    assert_int_equal(ask(GET("/early"), head, body), 200);
    assert_int_equal(ask(GET("/worker-early"), head, body), 200);
    assert_string_equal(body, "early");
    stop();
}

static void test_a_connection_serves_many_requests(void **state)
{
    size_t len;
    (void)state;
    start(NULL);
    int fd = dial();
    for (int i = 0; i < 50; i++) {
        say(fd, i % 2 ? GET("/show") : GET("/late"));
        assert_int_equal(hear(fd, head, body, &len), i % 2 ? 200 : 202);
    }
    close(fd);
    stop();
}

static void test_a_full_queue_is_a_503_with_retry_after(void **state)
{
    struct http_options o;
    int fds[2];
    (void)state;
    http_options_init(&o);
    o.workers = 1;
    o.queue_max = 1;
    start(&o);
    fds[0] = dial();
    say(fds[0], GET("/busy"));
    wait_for(&world.entered, 1);
    fds[1] = dial();
    say(fds[1], GET("/busy"));
    nap_ms(200);
    assert_int_equal(ask(GET("/busy"), head, body), 503);
    assert_non_null(strstr(head, "Retry-After: 1\r\n"));
    atomic_store(&world.release, true);
    for (int i = 0; i < 2; i++) {
        size_t len;
        assert_int_equal(hear(fds[i], head, body, &len), 200);
        close(fds[i]);
    }
    stop();
}

static void test_a_client_that_hangs_up_cancels_its_request(void **state)
{
    (void)state;
    start(NULL);
    int fd = dial();
    say(fd, GET("/busy"));
    wait_for(&world.entered, 1);
    close(fd);
    wait_for(&world.canceled, 1);
    stop();
}

static void test_a_deadline_cancels_a_request(void **state)
{
    struct http_options o;
    (void)state;
    http_options_init(&o);
    o.request_timeout_ns = 100 * NS_PER_MS;
    start(&o);
    assert_int_equal(ask(GET("/busy"), head, body), 504);
    assert_int_equal(atomic_load(&world.timed_out), 1);
    stop();
}

static void test_replies_are_compressed_from_the_threshold_on(void **state)
{
    struct buf plain;
    struct err err = {0};
    size_t len;
    (void)state;
    start(NULL);
    assert_int_equal(
        ask("GET /large?n=1399 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n", head, body),
        200);
    assert_null(strstr(head, "Content-Encoding"));
    assert_non_null(strstr(head, "Vary: Accept-Encoding\r\n"));
    assert_int_equal(ask(GET("/large?n=1400"), head, body), 200);
    assert_null(strstr(head, "Content-Encoding"));
    int fd = dial();
    say(fd, "GET /large?n=1400 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br, gzip\r\n\r\n");
    assert_int_equal(hear(fd, head, body, &len), 200);
    close(fd);
    assert_non_null(strstr(head, "Content-Encoding: gzip\r\n"));
    buf_init(&plain, 1 << 20);
    assert_int_equal(gzip_inflate((struct str){body, len}, &plain, 1 << 20, &err), 0);
    assert_int_equal(plain.len, 1400);
    buf_release(&plain);
    stop();
}

static void test_wrong_methods_and_paths(void **state)
{
    (void)state;
    start(NULL);
    assert_int_equal(
        ask("PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", head, body), 405);
    assert_non_null(strstr(head, "Allow: GET, POST\r\n"));
    assert_string_equal(body, "");
    assert_int_equal(ask(GET("/none"), head, body), 404);
    assert_string_equal(body, "404 page not found\n");
    stop();
}

static void test_body_memory_is_bounded_and_given_back(void **state)
{
    struct http_options o;
    static char request[70000];
    (void)state;
    http_options_init(&o);
    o.memory_max = 50000;
    start(&o);
    int n = snprintf(request, sizeof(request),
                     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n");
    memset(request + n, 'b', 40000);
    request[n + 40000] = 0;
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(request, head, body), 200);
    /* One body takes it all until its end. */
    int fd = dial();
    request[n + 39999] = 0;
    say(fd, request);
    nap_ms(200);
    request[n + 39999] = 'b';
    assert_int_equal(ask(request, head, body), 503);
    assert_non_null(strstr(head, "Retry-After"));
    close(fd);
    nap_ms(200);
    assert_int_equal(ask(request, head, body), 200);
    stop();
}

static void test_draining_waits_for_replies_that_come(void **state)
{
    size_t len;
    (void)state;
    start(NULL);
    int fd = dial();
    say(fd, GET("/late"));
    nap_ms(10);
    assert_true(http_server_drain(world.server, 2 * NS_PER_S));
    assert_int_equal(hear(fd, head, body, &len), 202);
    assert_non_null(strstr(head, "Connection: close\r\n"));
    close(fd);
    http_server_stop(world.server);
}

static void test_draining_cancels_what_does_not_end(void **state)
{
    (void)state;
    start(NULL);
    int fd = dial();
    say(fd, GET("/busy"));
    wait_for(&world.entered, 1);
    assert_true(http_server_drain(world.server, 100 * NS_PER_MS));
    assert_int_equal(atomic_load(&world.canceled), 1);
    close(fd);
    http_server_stop(world.server);
}

static void test_draining_reports_a_reply_that_never_comes(void **state)
{
    size_t len;
    (void)state;
    start(NULL);
    int fd = dial();
    say(fd, GET("/park"));
    wait_for(&world.entered, 1);
    assert_false(http_server_drain(world.server, 100 * NS_PER_MS));
    struct http_reply *reply = atomic_load(&world.parked);
    http_response_text(http_reply_response(reply), 200, "at last");
    http_reply_send(reply);
    assert_int_equal(hear(fd, head, body, &len), 200);
    close(fd);
    assert_true(http_server_drain(world.server, NS_PER_S));
    http_server_stop(world.server);
}

static void test_an_address_that_is_taken_or_none_is_an_error(void **state)
{
    struct http_options o;
    struct http_app app = {.ctx = &world, .find = find};
    struct http_server *other = NULL;
    struct err err = {0};
    char taken[32];
    (void)state;
    start(NULL);
    http_options_init(&o);
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", http_server_port(world.server));
    o.listen = taken;
    assert_int_equal(http_server_start(&o, &app, clock_system(), &other, &err), ERR_IO);
    o.listen = "nonsense";
    assert_int_equal(http_server_start(&o, &app, clock_system(), &other, &err), ERR_INVALID);
    o.listen = "127.0.0.1:99999";
    assert_int_equal(http_server_start(&o, &app, clock_system(), &other, &err), ERR_INVALID);
    assert_null(other);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_handler_sees_path_query_and_headers),
        cmocka_unit_test(test_bodies_come_whole_in_both_codings),
        cmocka_unit_test(test_late_replies_hold_no_thread),
        cmocka_unit_test(test_suspended_connections_do_not_stall_others),
        cmocka_unit_test(test_a_reply_may_come_before_the_handler_returns),
        cmocka_unit_test(test_a_connection_serves_many_requests),
        cmocka_unit_test(test_a_full_queue_is_a_503_with_retry_after),
        cmocka_unit_test(test_a_client_that_hangs_up_cancels_its_request),
        cmocka_unit_test(test_a_deadline_cancels_a_request),
        cmocka_unit_test(test_replies_are_compressed_from_the_threshold_on),
        cmocka_unit_test(test_wrong_methods_and_paths),
        cmocka_unit_test(test_body_memory_is_bounded_and_given_back),
        cmocka_unit_test(test_draining_waits_for_replies_that_come),
        cmocka_unit_test(test_draining_cancels_what_does_not_end),
        cmocka_unit_test(test_draining_reports_a_reply_that_never_comes),
        cmocka_unit_test(test_an_address_that_is_taken_or_none_is_an_error),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

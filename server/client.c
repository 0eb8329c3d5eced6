#include "server/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "server/http/listener.h"

enum {
    READ_BYTES = 16 << 10,
    HEAD_BYTES_MAX = 16 << 10,
};

/* The address to ask: a server on every interface is asked over loopback. */
static void target_address(const struct listen_address *listen, struct listen_address *out)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons(listen_address_port(listen));
    *out = *listen;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&listen->addr;
    bool any4 = listen->addr.ss_family == AF_INET && v4->sin_addr.s_addr == htonl(INADDR_ANY);
    if (!listen->any && !any4)
        return;
    memset(&out->addr, 0, sizeof(out->addr));
    memcpy(&out->addr, &in, sizeof(in));
    out->len = sizeof(in);
}

static int64_t now_ms(void)
{
    return clock_mono_ns(clock_system()) / NS_PER_MS;
}

/* Waits until fd is ready for events or the deadline has passed. */
static bool wait_for(int fd, short events, int64_t deadline_ms)
{
    int64_t left = deadline_ms - now_ms();
    struct pollfd p = {.fd = fd, .events = events};
    return left > 0 && poll(&p, 1, (int)left) == 1;
}

/* Reads until the peer closes; the connection is for one request. */
static int read_reply(int fd, struct buf *reply, int64_t deadline_ms, struct err *err)
{
    for (;;) {
        if (!wait_for(fd, POLLIN, deadline_ms))
            return err_set(err, ERR_IO, "no answer in time");
        if (buf_reserve(reply, READ_BYTES) != 0)
            return err_set(err, ERR_TOO_LARGE, "the answer is longer than %zu bytes", reply->max);
        ssize_t n = recv(fd, reply->data + reply->len, READ_BYTES, 0);
        if (n < 0)
            return err_io(err, "receive", "server");
        if (n == 0)
            return 0;
        reply->len += (size_t)n;
    }
}

static int exchange(int fd, const struct listen_address *to, struct str request,
                    int64_t deadline_ms, struct buf *reply, struct err *err)
{
    int problem = 0;
    socklen_t len = sizeof(problem);
    if (connect(fd, (const struct sockaddr *)&to->addr, to->len) != 0 && errno != EINPROGRESS)
        return err_io(err, "connect", "server");
    if (!wait_for(fd, POLLOUT, deadline_ms))
        return err_set(err, ERR_IO, "cannot connect: timed out");
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    errno = problem;
    if (problem)
        return err_io(err, "connect", "server");
    if (send(fd, request.p, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
        return err_io(err, "send", "server");
    return read_reply(fd, reply, deadline_ms, err);
}

/* "HTTP/1.1 200 OK", headers, an empty line, the body, which the length says is whole. */
static int take_reply(const struct buf *reply, struct buf *body, struct err *err)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *text = (const char *)reply->data;
    size_t head_max = reply->len < HEAD_BYTES_MAX ? reply->len : HEAD_BYTES_MAX;
    const char *end = memmem(text, head_max, "\r\n\r\n", 4);
    if (!end || strncmp(text, "HTTP/1.1 ", 9) != 0)
        return err_set(err, ERR_IO, "the answer is not HTTP");
    size_t head = (size_t)(end - text) + 4;
    const char *length = memmem(text, head, name, sizeof(name) - 1);
    if (!length ||
        strtoull(length + sizeof(name) - 1, NULL, 10) != (unsigned long long)(reply->len - head))
        return err_set(err, ERR_IO, "the answer was cut off");
    int rc = buf_append(body, text + head, reply->len - head);
    return rc == 0 ? (int)strtoul(text + 9, NULL, 10) : rc;
}

int client_ask(const struct client_request *r, struct buf *body, struct err *err)
{
    struct listen_address address, to;
    struct buf request, reply;
    int rc = listen_address_parse(r->listen, &address, err);
    if (rc != 0)
        return rc;
    target_address(&address, &to);
    buf_init(&request, HEAD_BYTES_MAX);
    buf_init(&reply, body->max < SIZE_MAX - HEAD_BYTES_MAX ? body->max + HEAD_BYTES_MAX : SIZE_MAX);
    rc = buf_printf(
        &request, "%s %s%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%s\r\n", r->method,
        r->base_path, r->target, r->header ? r->header : "", r->header ? "\r\n" : "");
    int fd = socket(to.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (rc != 0)
        rc = err_set(err, ERR_INVALID, "base path of %zu bytes", strlen(r->base_path));
    else if (fd < 0)
        rc = err_io(err, "socket", "server");
    else
        rc = exchange(fd, &to, buf_str(&request), now_ms() + r->timeout_ms, &reply, err);
    if (fd >= 0)
        close(fd);
    if (rc == 0)
        rc = take_reply(&reply, body, err);
    buf_release(&request);
    buf_release(&reply);
    return rc;
}

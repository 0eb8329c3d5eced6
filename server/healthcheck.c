/* healthcheck - see healthcheck.h. */
#include "server/healthcheck.h"

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

enum { REPLY_MAX = 1024, REQUEST_MAX = 512 };

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

/* Reads until the peer closes, the buffer is full or time is up. */
static size_t read_reply(int fd, char *reply, size_t size, int64_t deadline_ms)
{
    size_t len = 0;
    while (len + 1 < size && wait_for(fd, POLLIN, deadline_ms)) {
        ssize_t n = recv(fd, reply + len, size - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    reply[len] = 0;
    return len;
}

static int exchange(int fd, const struct listen_address *to, const char *request,
                    int64_t deadline_ms, char *reply, size_t size, struct err *err)
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
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
        return err_io(err, "send", "server");
    if (read_reply(fd, reply, size, deadline_ms) == 0)
        return err_set(err, ERR_IO, "no answer");
    return 0;
}

int healthcheck_run(const char *listen, const char *base_path, int timeout_ms, struct err *err)
{
    struct listen_address address, to;
    char request[REQUEST_MAX], reply[REPLY_MAX];
    int rc = listen_address_parse(listen, &address, err);
    if (rc != 0)
        return rc;
    target_address(&address, &to);
    int n = snprintf(request, sizeof(request),
                     "GET %s/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                     base_path);
    if (n < 0 || (size_t)n >= sizeof(request))
        return err_set(err, ERR_INVALID, "base path of %zu bytes", strlen(base_path));
    int fd = socket(to.addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_io(err, "socket", "server");
    rc = exchange(fd, &to, request, now_ms() + timeout_ms, reply, sizeof(reply), err);
    close(fd);
    if (rc != 0)
        return rc;
    if (strncmp(reply, "HTTP/1.1 200 ", 13) == 0)
        return 0;
    const char *body = strstr(reply, "\r\n\r\n");
    return err_set(err, ERR_IO, "not ready: %.*s: %.100s", (int)strcspn(reply, "\r\n"), reply,
                   body ? body + 4 : "");
}

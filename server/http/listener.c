/* listener - see listener.h. */
#include "server/http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

enum { BACKLOG = 1024, HOST_MAX = 256 };

static int bad_address(const char *text, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "listen: '%s' is not an address; expected host:port, [::1]:port or :port", text);
}

static bool parse_port(const char *text, uint16_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long n = strtoul(text, &end, 10);
    *out = (uint16_t)n;
    return *end == 0 && n <= 65535 && end - text <= 5;
}

/* Every interface: an IPv6 socket that takes IPv4 too, or IPv4 where there is no IPv6. */
static void any_address(uint16_t port, struct listen_address *out)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->addr;
    memset(out, 0, sizeof(*out));
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = in6addr_any;
    in6->sin6_port = htons(port);
    out->len = sizeof(*in6);
    out->any = true;
}

int listen_address_parse(const char *text, struct listen_address *out, struct err *err)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char host[HOST_MAX];
    uint16_t port;

    const char *colon = strrchr(text, ':');
    if (!colon || !parse_port(colon + 1, &port))
        return bad_address(text, err);
    size_t len = (size_t)(colon - text);
    const char *start = text;
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        start++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return bad_address(text, err);
    }
    if (len >= sizeof(host))
        return bad_address(text, err);
    if (len == 0) {
        any_address(port, out);
        return 0;
    }
    memcpy(host, start, len);
    host[len] = 0;
    int rc = getaddrinfo(host, colon + 1, &hints, &list);
    if (rc != 0)
        return err_set(err, ERR_INVALID, "listen: host '%s': %s", host, gai_strerror(rc));
    memset(out, 0, sizeof(*out));
    memcpy(&out->addr, list->ai_addr, list->ai_addrlen);
    out->len = list->ai_addrlen;
    freeaddrinfo(list);
    return 0;
}

bool listen_address_is_loopback(const struct listen_address *a)
{
    if (a->addr.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->addr;
        return (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    }
    if (a->addr.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&a->addr)->sin6_addr);
    return false;
}

uint16_t listen_address_port(const struct listen_address *a)
{
    if (a->addr.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a->addr)->sin_port);
    return ntohs(((const struct sockaddr_in6 *)&a->addr)->sin6_port);
}

static int open_socket(const struct listen_address *a)
{
    int one = 1, zero = 0;
    int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* A restart must not wait for connections of the last run to time out. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (a->addr.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->any ? &zero : &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&a->addr, a->len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int listen_failed(const char *op, uint16_t port, struct err *err)
{
    char name[16];
    snprintf(name, sizeof(name), "port %u", port);
    return err_io(err, op, name);
}

int listener_open(const struct listen_address *a, int *fd, uint16_t *port, struct err *err)
{
    struct listen_address bound = *a;
    int s = open_socket(a);
    if (s < 0 && a->any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        struct sockaddr_in *in = (struct sockaddr_in *)&bound.addr;
        memset(&bound.addr, 0, sizeof(bound.addr));
        in->sin_family = AF_INET;
        in->sin_port = htons(listen_address_port(a));
        bound.len = sizeof(*in);
        s = open_socket(&bound);
    }
    if (s < 0)
        return listen_failed("bind", listen_address_port(a), err);
    socklen_t len = sizeof(bound.addr);
    if (getsockname(s, (struct sockaddr *)&bound.addr, &len) != 0) {
        int rc = listen_failed("getsockname", listen_address_port(a), err);
        close(s);
        return rc;
    }
    *port = listen_address_port(&bound);
    *fd = s;
    return 0;
}

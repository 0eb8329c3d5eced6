/*
 * listener - from "host:port" to a listening socket.
 *
 * Ours and not libmicrohttpd's, so that the address is understood, refused and
 * reported in one place, and so that the first bytes of a connection can be
 * looked at one day.
 */
#ifndef SERVER_HTTP_LISTENER_H
#define SERVER_HTTP_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;

struct listen_address {
    struct sockaddr_storage addr;
    socklen_t len;
    bool any; /* no host was named: every interface, IPv6 and IPv4 */
};

/* ERR_INVALID for a text that is no address. Names are looked up. */
int listen_address_parse(const char *text, struct listen_address *out, struct err *err);
/* Only this machine can reach it. */
bool listen_address_is_loopback(const struct listen_address *a);
uint16_t listen_address_port(const struct listen_address *a);

/* On success *fd is bound, listening, non-blocking and the caller's. */
int listener_open(const struct listen_address *a, int *fd, uint16_t *port, struct err *err);

#endif

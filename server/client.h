/*
 * client - one request to the server on this machine, over a plain socket.
 *
 * For the subcommands that need the running server: the image's health check, which has no
 * curl, and backup. `listen` and `base_path` are as the server was given them; one that
 * listens on every interface is asked over loopback. Nothing else is ever connected to.
 */
#ifndef SERVER_CLIENT_H
#define SERVER_CLIENT_H

#include "base/buf.h"

struct err;

struct client_request {
    const char *listen, *base_path;
    const char *method, *target; /* "/ready", or with a query */
    const char *header;          /* "Name: value", or NULL */
    int timeout_ms;
};

/*
 * The status of the answer, its body in *body (whose maximum holds); negative when there
 * is none: ERR_IO with the reason, ERR_INVALID for an address that cannot be.
 */
int client_ask(const struct client_request *request, struct buf *body, struct err *err);

#endif

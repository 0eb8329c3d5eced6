/*
 * gate - refuses requests that two parsers could read in two ways.
 *
 * libmicrohttpd 0.9.75 lets through what RFC 9112 forbids: two lengths, a
 * length beside chunked, unknown transfer codings. Behind a proxy each of them
 * is a smuggled request, so the gate answers 400 and closes before the body is
 * read. Pure: looks at parsed headers only.
 */
#ifndef SERVER_HTTP_GATE_H
#define SERVER_HTTP_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "server/http/request.h"

struct gate_input {
    struct str method;
    bool http_1_0;
    const struct http_pair *headers;
    size_t header_count;
};

struct gate_verdict {
    int status;         /* 0: let it in; else answer this and close */
    const char *reason; /* static */
    bool has_length;    /* Content-Length was given */
    bool chunked;       /* Transfer-Encoding: chunked */
    uint64_t length;    /* of the body when has_length */
};

struct gate_verdict gate_check(const struct gate_input *in);

#endif

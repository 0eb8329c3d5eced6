/*
 * response - what a handler answers.
 *
 * Starts as 200 without a body and without Content-Type. The body is a struct
 * buf (base/buf.h) that the handler fills; the server takes its memory over.
 * A static body (embedded page) is sent without a copy.
 *
 * Threads: whoever owns the request (request.h).
 */
#ifndef SERVER_HTTP_RESPONSE_H
#define SERVER_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct buf;
struct http_response;

void http_response_status(struct http_response *res, int status);
int http_response_get_status(const struct http_response *res);

/* Content-Type; must be static or live in the request's arena. NULL: none. */
void http_response_type(struct http_response *res, const char *type);

/*
 * Adds a header. `name` must be static; the value is copied. Control
 * characters in it become spaces. At most HTTP_RESPONSE_HEADERS_MAX, more are
 * a bug and stop the process.
 */
#define HTTP_RESPONSE_HEADERS_MAX 16
void http_response_header(struct http_response *res, const char *name, const char *value);

/* The body to fill, limited to HTTP_RESPONSE_BYTES_MAX. */
#define HTTP_RESPONSE_BYTES_MAX ((size_t)1 << 30)
struct buf *http_response_body(struct http_response *res);

/* Sends `body`, which must outlive the server, instead of the buffer. */
void http_response_static(struct http_response *res, struct str body);

/* Never compress this reply, whatever the route says (it is compressed already). */
void http_response_no_gzip(struct http_response *res);

/* Close the connection after this reply. */
void http_response_close(struct http_response *res);

/* Drops body, headers and type, keeps nothing: to answer an error instead. */
void http_response_reset(struct http_response *res);

/* Whole answers in one call. The text is copied; no newline is added. */
void http_response_text(struct http_response *res, int status, const char *text);
void http_response_json(struct http_response *res, int status, struct str json);

/* `Retry-After: seconds`. */
void http_response_retry_after(struct http_response *res, unsigned int seconds);

#endif

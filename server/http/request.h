/*
 * request - what a handler sees of an HTTP request.
 *
 * Everything is complete and in memory when the handler runs, and lives until
 * the reply has been sent; the body only until it is given (handler returned
 * HTTP_DONE, or http_reply_send()). Strings carry their length; they may hold any byte
 * (query values are percent-decoded), but never come from a request with NUL.
 *
 * Threads: one at a time; http_request_canceled() from any thread.
 */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena;
struct http_reply;
struct http_request;

struct http_pair {
    struct str name, value;
};

struct str http_request_method(const struct http_request *req);
/* Percent-decoded, without base path and query; starts with '/'. */
struct str http_request_path(const struct http_request *req);
/* As sent, after '?'; empty when there is none. */
struct str http_request_query_raw(const struct http_request *req);

/*
 * The first value of query parameter `name`, percent-decoded, '+' is a space.
 * False when absent. A pair with a broken escape or a ';' is not there, as in
 * Go's net/url.
 */
bool http_request_query(const struct http_request *req, const char *name, struct str *value);
/* All pairs in order. */
size_t http_request_query_count(const struct http_request *req);
const struct http_pair *http_request_query_at(const struct http_request *req, size_t index);

/* First value of a header, name in any case; false when absent. */
bool http_request_header(const struct http_request *req, const char *name, struct str *value);
size_t http_request_header_count(const struct http_request *req, const char *name);

/* Accept lists a media type with parameter name=value (any type). */
bool http_request_accept_param(const struct http_request *req, const char *name, const char *value);
/* Accept lists exactly this media type (parameters ignored, no wildcards). */
bool http_request_accepts_type(const struct http_request *req, const char *type);
/* Accept-Encoding lists gzip as a bare token, as Connect reads it (no q-values). */
bool http_request_accepts_gzip(const struct http_request *req);

/* The body as sent (no Content-Encoding undone). Gone once the reply is given: see top. */
struct str http_request_body(const struct http_request *req);

/* Memory that lives until the reply is sent, bounded by http_options.arena_max. */
struct arena *http_request_arena(struct http_request *req);

/* When the headers arrived: wall clock, unix nanoseconds. */
int64_t http_request_time_ns(const struct http_request *req);
/* "127.0.0.1:40000" or "[::1]:40000". */
struct str http_request_peer(const struct http_request *req);

/*
 * True when nobody waits for the answer any more: the client hung up, the
 * request's deadline passed, or the server stops. Cheap: asks the descriptor
 * at most every 50 ms. Long work asks it in its loops.
 */
bool http_request_canceled(struct http_request *req);
/* True when the reason is the deadline (answer 504), not a hang-up (499). */
bool http_request_deadline_passed(const struct http_request *req);
/* Shortens the deadline to `ns` from now (Connect-Timeout-Ms); never extends it. */
void http_request_deadline_in(struct http_request *req, int64_t ns);

/*
 * Names the tenant for the access log; the bytes must live as long as the
 * request (its arena, or static).
 */
void http_request_set_tenant(struct http_request *req, struct str tenant);

/*
 * Asynchronous completion. A handler that cannot answer yet takes the token,
 * gives it to whoever will finish, and returns HTTP_PENDING. The finisher fills
 * http_reply_response() and calls http_reply_send() exactly once; it may do so
 * before the handler has returned. After http_reply_send() the finisher must
 * not touch request, response or arena; the handler may until it returns,
 * except for the response.
 */
struct http_reply *http_request_reply(struct http_request *req);
struct http_request *http_reply_request(struct http_reply *reply);
struct http_response *http_reply_response(struct http_reply *reply);
void http_reply_send(struct http_reply *reply);

#endif

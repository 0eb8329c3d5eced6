/* response - see response.h. */
#include "server/http/response.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "base/gzip.h"
#include "server/http/internal.h"

/* Replies are read once: speed before size. */
enum { GZIP_LEVEL = 1 };

void response_init(struct http_response *res, struct arena *arena)
{
    memset(res, 0, sizeof(*res));
    res->status = 200;
    res->arena = arena;
    buf_init(&res->body, HTTP_RESPONSE_BYTES_MAX);
}

void response_release(struct http_response *res)
{
    buf_release(&res->body);
}

void http_response_reset(struct http_response *res)
{
    struct arena *arena = res->arena;
    bool close = res->close;
    response_release(res);
    response_init(res, arena);
    res->close = close;
}

void http_response_status(struct http_response *res, int status)
{
    check(status >= 200 && status <= 599);
    res->status = status;
}

int http_response_get_status(const struct http_response *res)
{
    return res->status;
}

void http_response_type(struct http_response *res, const char *type)
{
    res->type = type;
}

void http_response_header(struct http_response *res, const char *name, const char *value)
{
    size_t len = strlen(value);
    check(res->header_count < HTTP_RESPONSE_HEADERS_MAX);
    char *copy = arena_alloc(res->arena, len + 1);
    /* Without memory the reply goes out with one header less. */
    if (!copy)
        return;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        copy[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    copy[len] = 0;
    res->headers[res->header_count].name = name;
    res->headers[res->header_count].value = copy;
    res->header_count++;
}

struct buf *http_response_body(struct http_response *res)
{
    return &res->body;
}

void http_response_static(struct http_response *res, struct str body)
{
    res->fixed = body;
}

void http_response_no_gzip(struct http_response *res)
{
    res->no_gzip = true;
}

void http_response_close(struct http_response *res)
{
    res->close = true;
}

static void set_body(struct http_response *res, int status, const char *type, struct str text)
{
    http_response_reset(res);
    http_response_status(res, status);
    http_response_type(res, type);
    if (buf_append_str(&res->body, text) != 0)
        http_response_status(res, 500);
}

void http_response_text(struct http_response *res, int status, const char *text)
{
    set_body(res, status, "text/plain; charset=utf-8", str_from(text));
}

void http_response_json(struct http_response *res, int status, struct str json)
{
    set_body(res, status, "application/json", json);
}

void http_response_retry_after(struct http_response *res, unsigned int seconds)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", seconds);
    http_response_header(res, "Retry-After", text);
}

static struct str reply_bytes(const struct http_response *res)
{
    return res->fixed.p ? res->fixed : buf_str(&res->body);
}

void response_compress(struct http_response *res, const struct http_request *req)
{
    struct str plain = reply_bytes(res);
    struct err err;
    if (!req->route || !(req->route->flags & HTTP_GZIP) || res->no_gzip)
        return;
    http_response_header(res, "Vary", "Accept-Encoding");
    if (plain.len < HTTP_GZIP_MIN || !http_request_accepts_gzip(req))
        return;
    struct buf packed;
    buf_init(&packed, HTTP_RESPONSE_BYTES_MAX);
    /* Out of memory: the plain body is as good. */
    if (gzip_deflate(plain, GZIP_LEVEL, &packed, &err) != 0) {
        buf_release(&packed);
        return;
    }
    buf_release(&res->body);
    res->body = packed;
    res->fixed = (struct str){NULL, 0};
    http_response_header(res, "Content-Encoding", "gzip");
}

/*
 * The bytes stay in the exchange, which outlives the sending: no copy, no free
 * callback.
 */
enum MHD_Result response_queue(struct http_response *res, struct http_request *req)
{
    struct str bytes = reply_bytes(res);
    struct MHD_Response *reply = MHD_create_response_from_buffer(
        bytes.len, (void *)(uintptr_t)(bytes.len ? bytes.p : ""), MHD_RESPMEM_PERSISTENT);
    if (!reply)
        return MHD_NO;
    if (res->type)
        MHD_add_response_header(reply, "Content-Type", res->type);
    for (size_t i = 0; i < res->header_count; i++)
        MHD_add_response_header(reply, res->headers[i].name, res->headers[i].value);
    if (res->close)
        MHD_add_response_header(reply, "Connection", "close");
    enum MHD_Result rc = MHD_queue_response(req->mhd, (unsigned int)res->status, reply);
    MHD_destroy_response(reply);
    req->reply_bytes = bytes.len;
    return rc;
}

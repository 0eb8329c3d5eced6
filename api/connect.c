/* connect - see connect.h. */
#include "api/connect.h"

#include "api/api.h"
#include "api/handlers.h"
#include "api/json_bridge.h"
#include "api/proto_scan.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/gzip.h"
#include "storage/model/limits.h"

#include <inttypes.h>
#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* What the generated headers of all requests in rpcs.def declare. */
#include "api/proto/push.pb-c.h"
#include "api/proto/querier.pb-c.h"

enum {
    GZIP_ANSWER_MIN = 512, /* below, a packet is a packet */
    GZIP_LEVEL = 1,        /* answers are read once */
    TIMEOUT_DIGITS_MAX = 10,
    RETRY_AFTER_S = 1,
    ERROR_TEXT_MAX = 1024 * 1024,
};

/* A timeout without end is as good as none. */
#define TIMEOUT_NS_MAX (INT64_C(365) * 86400 * 1000000000)

/* Ours are the two without grpc; the others are what clients of the reference know. */
#define ACCEPT_POST                                                                                \
    "application/grpc, application/grpc+json, application/grpc+json; charset=utf-8, "              \
    "application/grpc+proto, application/grpc-web, application/grpc-web+json, "                    \
    "application/grpc-web+json; charset=utf-8, application/grpc-web+proto, application/json, "     \
    "application/json; charset=utf-8, application/proto"

struct rpc {
    const char *path;
    const ProtobufCMessageDescriptor *request; /* NULL: the handler decodes */
    connect_handler handler;
    size_t body_max; /* offset of the limit */
};

static const ProtobufCMessageDescriptor none__descriptor; /* rpcs.def: none */

static const struct rpc rpcs[] = {
#define RPC(path, request, handler, body_max)                                                      \
    {path, &request##__descriptor, handler, offsetof(struct limits, body_max)},
#include "api/rpcs.def"
#undef RPC
};

static const struct rpc *find_rpc(struct str path)
{
    for (size_t i = 0; i < sizeof(rpcs) / sizeof(rpcs[0]); i++)
        if (str_eq(path, str_from(rpcs[i].path)))
            return &rpcs[i];
    check_unreachable(); /* the router has matched it */
}

/* --- failing --- */

int connect_fail(struct connect_call *call, enum connect_code code, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int length;

    call->code = code;
    call->error = (struct str){0};
    va_start(args, format);
    length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        return ERR_NOMEM;
    if (length > ERROR_TEXT_MAX)
        length = ERROR_TEXT_MAX;
    call->error.p = arena_memdup(call->arena, text, (size_t)length);
    call->error.len = call->error.p != NULL ? (size_t)length : 0;
    free(text);
    return ERR_INVALID;
}

int connect_fail_err(struct connect_call *call, const struct err *err)
{
    (void)connect_fail(call, connect_code_of_err(err->code), "%s", err->msg);
    return err->code;
}

/* --- what comes before the handler --- */

/* Lower case, without the blanks around ';'. False when it does not fit. */
static bool canonical_type(struct str type, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < type.len; i++) {
        char c = type.p[i];

        if (c == ' ' || c == '\t')
            continue;
        if (n + 1 >= size)
            return false;
        out[n++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[n] = '\0';
    return true;
}

static bool read_content_type(struct connect_call *call)
{
    struct str type;
    char text[64];

    if (!http_request_header(call->req, "Content-Type", &type) ||
        !canonical_type(type, text, sizeof(text)))
        return false;
    if (strcmp(text, "application/proto") == 0)
        call->codec = CONNECT_PROTO;
    else if (strcmp(text, "application/json") == 0 ||
             strcmp(text, "application/json;charset=utf-8") == 0)
        call->codec = CONNECT_JSON;
    else
        return false;
    return true;
}

static int read_timeout(struct connect_call *call)
{
    struct str text;
    int64_t ms;

    if (!http_request_header(call->req, "Connect-Timeout-Ms", &text) || text.len == 0)
        return 0;
    if (text.len > TIMEOUT_DIGITS_MAX)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                            "parse timeout: \"%" STR_FMT "\" has >%d digits", STR_ARG(text),
                            TIMEOUT_DIGITS_MAX);
    if (!str_parse_i64(text, INT64_MIN, INT64_MAX, &ms))
        return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                            "parse timeout: \"%" STR_FMT "\" is not a number", STR_ARG(text));
    if (ms <= 0)
        return connect_fail(call, CONNECT_DEADLINE_EXCEEDED, "context deadline exceeded");
    http_request_deadline_in(call->req,
                             ms < TIMEOUT_NS_MAX / 1000000 ? ms * 1000000 : TIMEOUT_NS_MAX);
    return 0;
}

static int read_headers(struct connect_call *call, bool *gzipped)
{
    struct str text;

    *gzipped = false;
    if (http_request_header(call->req, "Content-Encoding", &text) && text.len > 0 &&
        !str_eq(text, STR("identity"))) {
        if (!str_eq(text, STR("gzip")))
            return connect_fail(call, CONNECT_UNIMPLEMENTED,
                                "unknown compression \"%" STR_FMT
                                "\": supported encodings are gzip",
                                STR_ARG(text));
        *gzipped = true;
    }
    call->wants_gzip = *gzipped || http_request_accepts_gzip(call->req);
    if (http_request_header(call->req, "Connect-Protocol-Version", &text) && text.len > 0 &&
        !str_eq(text, STR("1")))
        return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                            "Connect-Protocol-Version must be \"1\": got \"%" STR_FMT "\"",
                            STR_ARG(text));
    return read_timeout(call);
}

/* Not resource_exhausted as the reference says: that makes clients send it again. */
static int fail_size(struct connect_call *call, uint64_t size)
{
    return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                        "message size %" PRIu64 " is larger than configured max %" PRIu64, size,
                        call->message_max);
}

/* The size that the gzip trailer claims, for the error text. */
static uint64_t claimed_size(struct str gzip)
{
    const uint8_t *p = (const uint8_t *)gzip.p + gzip.len - 4;

    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
}

/* `inflated` keeps the bytes that call->message then points to. */
static int read_message(struct connect_call *call, bool gzipped, struct buf *inflated)
{
    struct err err;
    int rc;

    call->message = http_request_body(call->req);
    if (call->message.len > call->message_max)
        return fail_size(call, call->message.len);
    if (!gzipped || call->message.len == 0)
        return 0;
    if (!gzip_is(call->message))
        return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                            "get decompressor: gzip: invalid header");
    rc = gzip_inflate(call->message, inflated, call->message_max, &err);
    if (rc == ERR_TOO_LARGE) {
        uint64_t claimed = claimed_size(call->message);

        return fail_size(call, claimed > call->message_max ? claimed : call->message_max + 1);
    }
    if (rc == ERR_INVALID)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "decompress: %s", err.msg);
    if (rc != 0)
        return connect_fail_err(call, &err);
    call->message = buf_str(inflated);
    return 0;
}

int connect_unmarshal(struct connect_call *call, const ProtobufCMessageDescriptor *descriptor,
                      ProtobufCMessage **out)
{
    struct err err;
    int rc;

    if (call->codec == CONNECT_PROTO)
        rc = proto_unpack(descriptor, call->message, arena_limit(call->arena), call->arena, out,
                          &err);
    else if (call->message.len == 0)
        rc = err_set(&err, ERR_INVALID, "zero-length payload is not a valid JSON object");
    else
        rc = json_bridge_read(descriptor, call->message, call->arena, out, &err);
    if (rc == ERR_INVALID || rc == ERR_TOO_LARGE)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "unmarshal message: %s", err.msg);
    return rc == 0 ? 0 : connect_fail_err(call, &err);
}

int connect_tenants(struct connect_call *call)
{
    struct err err;

    if (tenants_of_request(call->api, call->req, call->arena, &call->tenants, &err) != TENANT_OK)
        return connect_fail(call, CONNECT_UNAUTHENTICATED, "%s", err.msg);
    return 0;
}

/* --- answers --- */

int connect_answer(struct connect_call *call, const ProtobufCMessage *response)
{
    struct err err;
    int rc;

    if (call->codec == CONNECT_JSON) {
        rc = json_bridge_write(response, call->out, &err);
    } else {
        size_t size = protobuf_c_message_get_packed_size(response);

        rc = buf_reserve(call->out, size);
        if (rc == 0)
            call->out->len += protobuf_c_message_pack(response, call->out->data + call->out->len);
        else
            (void)err_set(&err, rc, "answer of %zu bytes is too large", size);
    }
    return rc == 0 ? 0 : connect_fail_err(call, &err);
}

/* Compressing may fail for lack of memory; the answer is as good without. */
static void compress_answer(struct connect_call *call)
{
    struct buf packed;

    if (!call->wants_gzip || call->out->len < GZIP_ANSWER_MIN)
        return;
    /* Room for what the compressor may need; what does not shrink is sent as it is. */
    buf_init(&packed, call->out->len + call->out->len / 8 + GZIP_ANSWER_MIN);
    if (gzip_deflate(buf_str(call->out), GZIP_LEVEL, &packed, NULL) == 0 &&
        packed.len < call->out->len) {
        buf_reset(call->out);
        if (buf_append(call->out, packed.data, packed.len) == 0)
            http_response_header(call->res, "Content-Encoding", "gzip");
    }
    buf_release(&packed);
}

static void complete(struct connect_call *call, int rc)
{
    if (rc == 0 && call->out->failed)
        rc = connect_fail(call, CONNECT_RESOURCE_EXHAUSTED, "answer is larger than %zu bytes",
                          call->out->max);
    if (rc != 0) {
        if (call->code == CONNECT_OK)
            call->code = connect_code_of_err(rc);
        error_shape_b(call->res, call->code, call->error);
        if (call->status != 0)
            http_response_status(call->res, call->status);
        if (http_response_get_status(call->res) == 503)
            http_response_retry_after(call->res, RETRY_AFTER_S);
        return;
    }
    http_response_status(call->res, 200);
    http_response_type(call->res,
                       call->codec == CONNECT_JSON ? "application/json" : "application/proto");
    http_response_no_gzip(call->res);
    http_response_header(call->res, "Accept-Encoding", "gzip");
    compress_answer(call);
}

void connect_finish(struct connect_call *call, int rc)
{
    struct http_reply *reply = http_request_reply(call->req);

    complete(call, rc);
    http_reply_send(reply);
}

/* --- the route --- */

static int call_handler(struct connect_call *call, const struct rpc *rpc)
{
    ProtobufCMessage *request = NULL;
    int rc;

    if (rpc->request == &none__descriptor)
        return rpc->handler(call);
    rc = connect_unmarshal(call, rpc->request, &request);
    if (rc == 0)
        rc = connect_tenants(call);
    if (rc != 0)
        return rc;
    call->request = request;
    return rpc->handler(call);
}

enum http_result rpc_post(struct api *api, struct http_request *req, struct http_response *res)
{
    const struct rpc *rpc = find_rpc(http_request_path(req));
    struct arena *arena = http_request_arena(req);
    struct connect_call *call = arena_calloc(arena, 1, sizeof(*call));
    struct buf inflated;
    bool gzipped;
    int rc;

    if (call == NULL) {
        error_shape_b(res, CONNECT_UNAVAILABLE, STR("no memory for the request"));
        return HTTP_DONE;
    }
    *call = (struct connect_call){.api = api, .req = req, .res = res, .arena = arena};
    call->out = http_response_body(res);
    memcpy(&call->message_max, (const char *)api->limits + rpc->body_max,
           sizeof(call->message_max));
    if (!read_content_type(call)) {
        http_response_status(res, 415);
        http_response_header(res, "Accept-Post", ACCEPT_POST);
        return HTTP_DONE;
    }
    buf_init(&inflated, call->message_max);
    rc = read_headers(call, &gzipped);
    if (rc == 0)
        rc = read_message(call, gzipped, &inflated);
    if (rc == 0)
        rc = call_handler(call, rpc);
    buf_release(&inflated);
    if (rc == CONNECT_PENDING)
        return HTTP_PENDING;
    complete(call, rc);
    return HTTP_DONE;
}

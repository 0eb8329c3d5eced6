/*
 * connect - the Connect protocol, unary calls over HTTP/1.1.
 *
 * One POST route per line of rpcs.def ends in rpc_post(), which does everything
 * that is the same for every RPC, in the reference's order:
 *
 *   content type (415) -> Content-Encoding (501) -> Connect-Protocol-Version ->
 *   Connect-Timeout-Ms -> size, gzip -> unmarshal (400) -> tenant (401) ->
 *   handler -> marshal, gzip
 *
 * A new RPC is one line in rpcs.def and one function:
 *
 *     int profile_types_rpc(struct connect_call *call)
 *     {
 *         const Querier__V1__ProfileTypesRequest *q = (const void *)call->request;
 *         ...
 *         if (bad)
 *             return connect_fail(call, CONNECT_INVALID_ARGUMENT, "missing time range");
 *         return connect_answer(call, &response.base);
 *     }
 *
 * A large answer is not built as a message: its encoder appends to call->out in
 * call->codec and the handler returns 0.
 *
 * Rules: ../shared/spec/query-api.md, sections 2.1 to 2.3, ingest-api.md, 1.2 and 1.4.
 * Threads: a call has one owner, the worker that runs the handler, until it is given away
 * with CONNECT_PENDING.
 */
#ifndef API_CONNECT_H
#define API_CONNECT_H

#include "api/error_shape.h"
#include "api/tenant.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;
struct api;
struct arena;
struct buf;
struct err;
struct http_request;
struct http_response;

enum connect_codec {
    CONNECT_PROTO,
    CONNECT_JSON,
};

enum {
    CONNECT_PENDING = 1, /* connect_finish() was or will be called, exactly once */
};

/* One call; in the request's arena, lives until the reply is sent. */
struct connect_call {
    struct api *api;
    struct http_request *req; /* http_request_canceled(), time, peer */
    struct http_response *res;
    struct arena *arena;
    enum connect_codec codec;               /* of request and answer */
    uint64_t message_max;                   /* bytes of the message after inflating */
    struct str message;                     /* inflated */
    const struct ProtobufCMessage *request; /* NULL when rpcs.def says none */
    struct tenants tenants;
    bool wants_gzip;

    struct buf *out;        /* the answer's body; the response owns it */
    enum connect_code code; /* CONNECT_OK, or why the call failed */
    struct str error;
    int status; /* of a failed call where the code's is not exact enough; 0: the code's */
};

/*
 * 0: the answer is in call->out (or the call has failed: connect_fail() returns
 * negative, which is passed on). CONNECT_PENDING: the answer comes later.
 */
typedef int (*connect_handler)(struct connect_call *call);

#define RPC(path, request, handler, body_max) int handler(struct connect_call *call);
#include "api/rpcs.def"
#undef RPC

/* Appends `response` in the call's codec. 0, or negative when the answer would be too large. */
int connect_answer(struct connect_call *call, const struct ProtobufCMessage *response);

/* Remembers code and text (the last wins); always negative. */
int connect_fail(struct connect_call *call, enum connect_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from an error: its code by connect_code_of_err(), its message as text. */
int connect_fail_err(struct connect_call *call, const struct err *err);

/*
 * For handlers that decode themselves: the message as `descriptor` says, in the
 * call's arena, or the call fails with "unmarshal message: ...".
 */
int connect_unmarshal(struct connect_call *call,
                      const struct ProtobufCMessageDescriptor *descriptor,
                      struct ProtobufCMessage **out);
/* And then the tenants; fails with 401. rpc_post() did both unless rpcs.def says none. */
int connect_tenants(struct connect_call *call);

/* Completes a CONNECT_PENDING call from any thread; `rc` as a handler would return it. */
void connect_finish(struct connect_call *call, int rc);

#endif

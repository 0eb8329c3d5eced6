/* error_shape - see error_shape.h. */
#include "api/error_shape.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "server/http/response.h"
#include "storage/model/go_text.h"

static const struct {
    const char *name;
    int status;
} codes[CONNECT_CODE_COUNT] = {
    [CONNECT_OK] = {"ok", 200},
    [CONNECT_CANCELED] = {"canceled", 499},
    [CONNECT_UNKNOWN] = {"unknown", 500},
    [CONNECT_INVALID_ARGUMENT] = {"invalid_argument", 400},
    [CONNECT_DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
    [CONNECT_NOT_FOUND] = {"not_found", 404},
    [CONNECT_ALREADY_EXISTS] = {"already_exists", 409},
    [CONNECT_PERMISSION_DENIED] = {"permission_denied", 403},
    [CONNECT_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [CONNECT_FAILED_PRECONDITION] = {"failed_precondition", 400},
    [CONNECT_ABORTED] = {"aborted", 409},
    [CONNECT_OUT_OF_RANGE] = {"out_of_range", 400},
    [CONNECT_UNIMPLEMENTED] = {"unimplemented", 501},
    [CONNECT_INTERNAL] = {"internal", 500},
    [CONNECT_UNAVAILABLE] = {"unavailable", 503},
    [CONNECT_DATA_LOSS] = {"data_loss", 500},
    [CONNECT_UNAUTHENTICATED] = {"unauthenticated", 401},
};

const char *connect_code_name(enum connect_code code)
{
    check((unsigned int)code < CONNECT_CODE_COUNT);
    return codes[code].name;
}

int connect_code_status(enum connect_code code)
{
    check((unsigned int)code < CONNECT_CODE_COUNT);
    return codes[code].status;
}

enum connect_code connect_code_of_status(int status)
{
    switch (status) {
    case 400:
    case 413:
        return CONNECT_INVALID_ARGUMENT;
    case 401:
        return CONNECT_UNAUTHENTICATED;
    case 403:
        return CONNECT_PERMISSION_DENIED;
    case 404:
        return CONNECT_UNIMPLEMENTED;
    case 412:
        return CONNECT_FAILED_PRECONDITION;
    case 429:
    case 431:
        return CONNECT_RESOURCE_EXHAUSTED;
    case 499:
        return CONNECT_CANCELED;
    case 502:
    case 503:
        return CONNECT_UNAVAILABLE;
    case 504:
        return CONNECT_DEADLINE_EXCEEDED;
    default:
        return CONNECT_UNKNOWN;
    }
}

enum connect_code connect_code_of_err(int rc)
{
    switch (rc) {
    case ERR_INVALID:
    case ERR_TOO_LARGE: /* not resource_exhausted, which clients retry */
        return CONNECT_INVALID_ARGUMENT;
    case ERR_NOT_FOUND:
        return CONNECT_NOT_FOUND;
    case ERR_EXISTS:
        return CONNECT_ALREADY_EXISTS;
    case ERR_UNAUTHENTICATED:
        return CONNECT_UNAUTHENTICATED;
    case ERR_RATE_LIMITED:
        return CONNECT_RESOURCE_EXHAUSTED;
    case ERR_FAILED_PRECONDITION:
        return CONNECT_FAILED_PRECONDITION;
    case ERR_UNSUPPORTED:
        return CONNECT_UNIMPLEMENTED;
    case ERR_BUSY:
    case ERR_NOMEM:
    case ERR_NO_SPACE:
        return CONNECT_UNAVAILABLE;
    case ERR_CANCELED:
        return CONNECT_CANCELED;
    case ERR_TIMEOUT:
        return CONNECT_DEADLINE_EXCEEDED;
    case ERR_INTERNAL:
        return CONNECT_INTERNAL;
    case ERR_CORRUPT:
        return CONNECT_DATA_LOSS;
    default:
        return CONNECT_UNKNOWN;
    }
}

static void write_json(struct http_response *res, int status, enum connect_code code,
                       struct str message)
{
    struct buf *body;

    http_response_reset(res);
    http_response_status(res, status);
    http_response_type(res, "application/json");
    http_response_no_gzip(res);
    body = http_response_body(res);
    (void)buf_printf(body, "{\"code\":\"%s\"", connect_code_name(code));
    if (message.len > 0) {
        (void)buf_append_cstr(body, ",\"message\":");
        go_json_append(body, message, true);
    }
    (void)buf_append_cstr(body, "}");
}

void error_shape_a(struct http_response *res, int status, struct str message)
{
    write_json(res, status, connect_code_of_status(status), message);
    (void)buf_append_cstr(http_response_body(res), "\n");
    http_response_header(res, "X-Content-Type-Options", "nosniff");
}

void error_shape_b(struct http_response *res, enum connect_code code, struct str message)
{
    write_json(res, connect_code_status(code), code, message);
}

void error_shape_c(struct http_response *res, int status, struct str message)
{
    struct buf *body;

    http_response_reset(res);
    http_response_status(res, status);
    http_response_type(res, "text/plain; charset=utf-8");
    http_response_header(res, "X-Content-Type-Options", "nosniff");
    body = http_response_body(res);
    (void)buf_append_str(body, message);
    (void)buf_append_cstr(body, "\n");
}

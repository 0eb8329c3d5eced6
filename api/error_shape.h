/*
 * error_shape - error codes of the Connect protocol and the bodies they come in.
 *
 * Three shapes, told apart by clients (../shared/spec/ingest-api.md, section 1.3):
 *
 *   A  {"code":"...","message":"..."} and a newline, nosniff; code from the status
 *   B  the same without newline and nosniff; status from the code; every RPC
 *   C  plain text and a newline, nosniff
 *
 * The table between our error codes, Connect's and HTTP statuses is here and
 * nowhere else. Pure functions over a response.
 */
#ifndef API_ERROR_SHAPE_H
#define API_ERROR_SHAPE_H

#include "base/str.h"

struct err;
struct http_response;

/* The numbers are gRPC's. */
enum connect_code {
    CONNECT_OK = 0,
    CONNECT_CANCELED = 1,
    CONNECT_UNKNOWN = 2,
    CONNECT_INVALID_ARGUMENT = 3,
    CONNECT_DEADLINE_EXCEEDED = 4,
    CONNECT_NOT_FOUND = 5,
    CONNECT_ALREADY_EXISTS = 6,
    CONNECT_PERMISSION_DENIED = 7,
    CONNECT_RESOURCE_EXHAUSTED = 8,
    CONNECT_FAILED_PRECONDITION = 9,
    CONNECT_ABORTED = 10,
    CONNECT_OUT_OF_RANGE = 11,
    CONNECT_UNIMPLEMENTED = 12,
    CONNECT_INTERNAL = 13,
    CONNECT_UNAVAILABLE = 14,
    CONNECT_DATA_LOSS = 15,
    CONNECT_UNAUTHENTICATED = 16,
    CONNECT_CODE_COUNT,
};

const char *connect_code_name(enum connect_code code);
int connect_code_status(enum connect_code code);
/* The code that shape A shows for a status. */
enum connect_code connect_code_of_status(int status);
/* What a client is told for one of our error codes (enum err_code); unknown ones are `unknown`. */
enum connect_code connect_code_of_err(int rc);

/* Each drops what the response held before. */
void error_shape_a(struct http_response *res, int status, struct str message);
void error_shape_b(struct http_response *res, enum connect_code code, struct str message);
void error_shape_c(struct http_response *res, int status, struct str message);

#endif

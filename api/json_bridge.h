/*
 * json_bridge - protobuf messages from and to JSON, by their descriptors.
 *
 * The proto3 JSON mapping as the reference speaks it (../shared/spec/query-api.md,
 * section 2.3). Reading: field names in lowerCamelCase or as in the .proto, a field
 * given twice refused, unknown fields and unknown enum names ignored, null is absent,
 * 64-bit integers as numbers or strings, base64 standard or URL-safe. Writing:
 * lowerCamelCase, 64-bit integers as strings, defaults left out unless presence is
 * kept (one-member oneof).
 *
 * For requests and small answers; flame graphs and series have writers of their own.
 * Errors name message and field: "querier.v1.SelectSeriesRequest.step: expected a number".
 * While a text is parsed its tree takes up to
 * JSON_BRIDGE_MEMORY_MAX from the heap; what would need more is refused before.
 *
 * Threads: pure functions.
 */
#ifndef API_JSON_BRIDGE_H
#define API_JSON_BRIDGE_H

#include "base/str.h"

#include <stddef.h>

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;
struct arena;
struct buf;
struct err;

enum {
    JSON_BRIDGE_DEPTH_MAX = 64,                 /* our deepest message has 5 */
    JSON_BRIDGE_MEMORY_MAX = 256 * 1024 * 1024, /* four times the largest real push */
};

/*
 * The message and everything in it is in `arena`. ERR_INVALID: not JSON or not this
 * message; ERR_TOO_LARGE: the arena is full. *out is left alone on failure.
 */
int json_bridge_read(const struct ProtobufCMessageDescriptor *descriptor, struct str json,
                     struct arena *arena, struct ProtobufCMessage **out, struct err *err);

/* Appends the message as one JSON object without blanks. ERR_TOO_LARGE: `out` is full. */
int json_bridge_write(const struct ProtobufCMessage *message, struct buf *out, struct err *err);

/* max_self -> maxSelf; writes at most size bytes with the final NUL, returns the length. */
size_t json_bridge_name(const char *proto_name, char *out, size_t size);

#endif

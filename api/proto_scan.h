/*
 * proto_scan - looks at protobuf bytes before the generated decoder may.
 *
 * protobuf-c recurses without a limit, keeps a copy of every unknown field and turns
 * one byte into eighty. This scan walks the wire bytes once, along the descriptor,
 * without recursion, and refuses what is malformed, too deep or would unpack into more
 * than `memory_max` bytes; a NUL inside a string too, since a C string would hide the
 * rest. What it accepts, proto_unpack() turns into a message in an arena.
 *
 * Threads: pure functions. Time is linear in the input.
 */
#ifndef API_PROTO_SCAN_H
#define API_PROTO_SCAN_H

#include "base/str.h"

#include <stddef.h>

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;
struct arena;
struct err;

enum {
    PROTO_SCAN_DEPTH_MAX = 32, /* our deepest message has 5 */
};

/*
 * ERR_INVALID with message, field number and offset; ERR_TOO_LARGE beyond memory_max.
 * *memory is an upper bound of what unpacking takes.
 */
int proto_scan(const struct ProtobufCMessageDescriptor *descriptor, struct str wire,
               size_t memory_max, size_t *memory, struct err *err);

/* Scan, then unpack into `arena`; unknown fields are dropped. *out left alone on failure. */
int proto_unpack(const struct ProtobufCMessageDescriptor *descriptor, struct str wire,
                 size_t memory_max, struct arena *arena, struct ProtobufCMessage **out,
                 struct err *err);

#endif

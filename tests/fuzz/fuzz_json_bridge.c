/*
 * A question from JSON or protobuf: what is accepted can be written, and reads back as the
 * same message.
 */
#include "api/json_bridge.h"
#include "api/proto_scan.h"

#include "api/proto/querier.pb-c.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const descriptors[] = {
    &querier__v1__diff_request__descriptor,
    &querier__v1__select_series_request__descriptor,
    &querier__v1__select_series_response__descriptor,
    &querier__v1__series_request__descriptor,
};

static void written_reads_back(const ProtobufCMessage *message, struct arena *arena)
{
    ProtobufCMessage *back;
    struct buf first, second;
    struct err err;

    buf_init(&first, 64 << 20);
    buf_init(&second, 64 << 20);
    if (json_bridge_write(message, &first, &err) == 0 &&
        json_bridge_read(message->descriptor, buf_str(&first), arena, &back, &err) == 0) {
        check(json_bridge_write(back, &second, &err) == 0);
        check(str_eq(buf_str(&first), buf_str(&second)));
    }
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ProtobufCMessageDescriptor *descriptor;
    ProtobufCMessage *message;
    struct arena arena;
    struct str body;
    struct err err;
    size_t memory;

    if (size == 0)
        return 0;
    descriptor = descriptors[data[0] % (sizeof(descriptors) / sizeof(descriptors[0]))];
    body = (struct str){(const char *)data + 1, size - 1};
    arena_init(&arena, 32 << 20);
    if (json_bridge_read(descriptor, body, &arena, &message, &err) == 0)
        written_reads_back(message, &arena);
    arena_release(&arena);

    arena_init(&arena, 32 << 20);
    if (proto_scan(descriptor, body, 4 << 20, &memory, &err) == 0 &&
        proto_unpack(descriptor, body, 4 << 20, &arena, &message, &err) == 0)
        written_reads_back(message, &arena);
    arena_release(&arena);
    return 0;
}

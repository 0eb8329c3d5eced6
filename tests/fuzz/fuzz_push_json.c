/* Any bytes as the JSON of a push: refused with a text, or read. */
#include "api/json_bridge.h"
#include "api/push_request.h"

#include "api/proto/push.pb-c.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct push_request request;
    ProtobufCMessage *message;
    struct arena arena;
    struct err err;

    arena_init(&arena, 16 << 20);
    if (json_bridge_read(&push__v1__push_request__descriptor,
                         (struct str){(const char *)data, size}, &arena, &message, &err) == 0)
        (void)push_request_from_message(message, &arena, &request, &err);
    else
        check(err.msg[0] != '\0');
    arena_release(&arena);
    return 0;
}

/* proto_scan - see proto_scan.h. */
#include "api/proto_scan.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

#include <protobuf-c/protobuf-c.h>

enum {
    /*
     * What protobuf-c takes per field it meets, beside the value: a note of where it is
     * (32 bytes, in slabs that double), an array element or an unknown field, alignment.
     */
    MEMBER_BYTES = 2 * 32 + 8 + 16,
    UNKNOWN_BYTES = 64,
    ALIGN_BYTES = 16,
};

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_SIZED = 2,
    WIRE_32 = 5,
};

struct frame {
    const ProtobufCMessageDescriptor *descriptor;
    const uint8_t *end;
};

struct scan {
    struct frame frames[PROTO_SCAN_DEPTH_MAX];
    uint32_t depth;
    struct bytes in; /* its end is that of the innermost message */
    const uint8_t *start;
    size_t memory, memory_max;
    struct err *err;
};

static int bad(const struct scan *s, uint32_t field, const char *what)
{
    return err_set(s->err, ERR_INVALID, "%s: field %u at offset %zu: %s",
                   s->frames[s->depth - 1].descriptor->name, field, (size_t)(s->in.p - s->start),
                   what);
}

static int take_memory(struct scan *s, size_t bytes)
{
    s->memory += bytes;
    if (s->memory > s->memory_max)
        return err_set(s->err, ERR_TOO_LARGE,
                       "%s: needs more than %zu bytes of memory when unpacked",
                       s->frames[0].descriptor->name, s->memory_max);
    return 0;
}

static int enter(struct scan *s, const ProtobufCMessageDescriptor *descriptor, size_t size,
                 uint32_t field)
{
    if (s->depth == PROTO_SCAN_DEPTH_MAX)
        return bad(s, field, "nested too deeply");
    s->frames[s->depth++] = (struct frame){descriptor, s->in.p + size};
    s->in.end = s->in.p + size;
    return take_memory(s, descriptor->sizeof_message + ALIGN_BYTES);
}

static void leave(struct scan *s)
{
    s->depth--;
    if (s->depth > 0)
        s->in.end = s->frames[s->depth - 1].end;
}

/* Elements of a packed field; at most one per byte. */
static size_t packed_count(const ProtobufCFieldDescriptor *field, struct str bytes)
{
    size_t count = 0;

    switch (field->type) {
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return bytes.len / 8;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return bytes.len / 4;
    default:
        for (size_t i = 0; i < bytes.len; i++)
            count += ((uint8_t)bytes.p[i] & 0x80) == 0;
        return count;
    }
}

static int scan_sized(struct scan *s, const ProtobufCFieldDescriptor *field, uint32_t number)
{
    uint64_t size;
    struct str value = {0};

    if (!bytes_varint(&s->in, &size) || size > bytes_left(&s->in))
        return bad(s, number, "ends past the message");
    if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE)
        return enter(s, field->descriptor, (size_t)size, number);
    (void)bytes_take(&s->in, (size_t)size, &value);
    if (field == NULL)
        return take_memory(s, UNKNOWN_BYTES + value.len);
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (str_find_byte(value, '\0') != SIZE_MAX)
            return bad(s, number, "string with a NUL byte");
        if (!str_is_utf8(value))
            return bad(s, number, "string is not UTF-8");
        return take_memory(s, value.len + 1 + ALIGN_BYTES);
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return take_memory(s, value.len + ALIGN_BYTES);
    return take_memory(s, packed_count(field, value) * sizeof(uint64_t));
}

static int scan_field(struct scan *s)
{
    const ProtobufCMessageDescriptor *descriptor = s->frames[s->depth - 1].descriptor;
    const ProtobufCFieldDescriptor *field;
    uint64_t tag, value;
    uint32_t number;
    int rc;

    if (!bytes_varint(&s->in, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return bad(s, 0, "bad tag");
    number = (uint32_t)tag >> 3;
    field = protobuf_c_message_descriptor_get_field(descriptor, number);
    rc = take_memory(s, MEMBER_BYTES + (field == NULL ? UNKNOWN_BYTES : 0));
    if (rc != 0)
        return rc;
    switch (tag & 7) {
    case WIRE_VARINT:
        return bytes_varint(&s->in, &value) ? 0 : bad(s, number, "bad varint");
    case WIRE_64:
        return bytes_le64(&s->in, &value) ? 0 : bad(s, number, "ends past the message");
    case WIRE_32: {
        uint32_t half;

        return bytes_le32(&s->in, &half) ? 0 : bad(s, number, "ends past the message");
    }
    case WIRE_SIZED:
        return scan_sized(s, field, number);
    default:
        return bad(s, number, "unsupported wire type");
    }
}

int proto_scan(const ProtobufCMessageDescriptor *descriptor, struct str wire, size_t memory_max,
               size_t *memory, struct err *err)
{
    struct scan s = {.in = bytes_of(wire), .memory_max = memory_max, .err = err};
    int rc;

    s.start = s.in.p;
    s.frames[0] = (struct frame){descriptor, s.in.end};
    s.depth = 1;
    rc = take_memory(&s, descriptor->sizeof_message + ALIGN_BYTES);
    while (rc == 0 && s.depth > 0) {
        if (s.in.p == s.in.end)
            leave(&s);
        else
            rc = scan_field(&s);
    }
    if (rc == 0)
        *memory = s.memory;
    return rc;
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void release(void *arena, void *p)
{
    (void)arena;
    (void)p; /* goes with the arena */
}

int proto_unpack(const ProtobufCMessageDescriptor *descriptor, struct str wire, size_t memory_max,
                 struct arena *arena, ProtobufCMessage **out, struct err *err)
{
    ProtobufCAllocator allocator = {allocate, release, arena};
    ProtobufCMessage *message;
    size_t memory;
    int rc = proto_scan(descriptor, wire, memory_max, &memory, err);

    if (rc != 0)
        return rc;
    message = protobuf_c_message_unpack(descriptor, &allocator, wire.len,
                                        (const uint8_t *)(wire.len > 0 ? wire.p : ""));
    if (message == NULL && arena_limit(arena) - arena_used(arena) < memory)
        return err_set(err, ERR_TOO_LARGE, "%s: needs %zu bytes of memory, more than is left",
                       descriptor->name, memory);
    if (message == NULL)
        return err_set(err, ERR_INVALID, "%s: cannot parse invalid wire-format data",
                       descriptor->name);
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
    *out = message;
    return 0;
}

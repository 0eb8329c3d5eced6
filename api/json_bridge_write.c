/* json_bridge - writing: see json_bridge.h. */
#include "api/json_bridge.h"

#include "api/base64.h"
#include "base/buf.h"
#include "base/err.h"
#include "storage/model/go_text.h"

#include <inttypes.h>
#include <math.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NAME_MAX_LENGTH = 128,
};

static void write_message(const ProtobufCMessage *message, struct buf *out);

/* The shortest decimal that reads back as the same number. */
static void write_double(double d, struct buf *out)
{
    char text[32];

    if (isnan(d)) {
        (void)buf_append_cstr(out, "\"NaN\"");
        return;
    }
    if (isinf(d)) {
        (void)buf_append_cstr(out, d > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    /* "-0" would be read as an integer, which has no sign of zero. */
    (void)buf_append_cstr(out, d == 0 && signbit(d) ? "-0.0" : text);
}

static void write_enum(const ProtobufCFieldDescriptor *field, int32_t number, struct buf *out)
{
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value(field->descriptor, number);

    if (value != NULL)
        (void)buf_printf(out, "\"%s\"", value->name);
    else
        (void)buf_printf(out, "%" PRId32, number);
}

static void write_value(const ProtobufCFieldDescriptor *field, const void *value, struct buf *out)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
        (void)buf_printf(out, "\"%" PRId64 "\"", *(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        (void)buf_printf(out, "\"%" PRIu64 "\"", *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT32:
        (void)buf_printf(out, "%" PRId32, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        (void)buf_printf(out, "%" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        write_double(*(const double *)value, out);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        (void)buf_append_cstr(out, *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(field, *(const int32_t *)value, out);
        break;
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)value;

        go_json_append(out, text != NULL ? str_from(text) : (struct str){0}, false);
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *bytes = value;

        (void)buf_append_byte(out, '"');
        base64_append(out, bytes->data, bytes->len);
        (void)buf_append_byte(out, '"');
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        write_message(*(ProtobufCMessage *const *)value, out);
        break;
    default:
        (void)buf_append_cstr(out, "null");
    }
}

static size_t value_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(int32_t);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(uint64_t);
    }
}

/* Not the default, or its presence is kept and it is there. */
static bool is_present(const ProtobufCFieldDescriptor *field, const uint8_t *message)
{
    const void *value = message + field->offset;
    uint32_t number = 0;
    size_t count = 0;

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        memcpy(&count, message + field->quantifier_offset, sizeof(count));
        return count > 0;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        memcpy(&number, message + field->quantifier_offset, sizeof(number));
        return number == field->id;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)value;

        return text != NULL && text[0] != '\0';
    }
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)value)->len > 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)value != NULL;
    case PROTOBUF_C_TYPE_DOUBLE:
        return *(const double *)value != 0 || signbit(*(const double *)value);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return *(const uint64_t *)value != 0;
    default:
        return *(const uint32_t *)value != 0;
    }
}

static void write_list(const ProtobufCFieldDescriptor *field, const uint8_t *message,
                       struct buf *out)
{
    size_t count, size = value_size(field->type);
    const uint8_t *items;

    memcpy(&count, message + field->quantifier_offset, sizeof(count));
    memcpy(&items, message + field->offset, sizeof(items));
    (void)buf_append_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            (void)buf_append_byte(out, ',');
        write_value(field, items + i * size, out);
    }
    (void)buf_append_byte(out, ']');
}

/* Recursion as deep as our own message types, which do not contain themselves. */
static void write_message(const ProtobufCMessage *message, struct buf *out)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    const uint8_t *base = (const uint8_t *)message;
    char name[NAME_MAX_LENGTH];
    bool first = true;

    (void)buf_append_byte(out, '{');
    for (unsigned int i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (!is_present(field, base))
            continue;
        (void)json_bridge_name(field->name, name, sizeof(name));
        (void)buf_printf(out, "%s\"%s\":", first ? "" : ",", name);
        first = false;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            write_list(field, base, out);
        else
            write_value(field, base + field->offset, out);
    }
    (void)buf_append_byte(out, '}');
}

int json_bridge_write(const ProtobufCMessage *message, struct buf *out, struct err *err)
{
    write_message(message, out);
    if (out->failed)
        return err_set(err, ERR_TOO_LARGE, "%s: answer is larger than %zu bytes",
                       message->descriptor->name, out->max);
    return 0;
}

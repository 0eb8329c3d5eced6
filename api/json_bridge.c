/* json_bridge - reading: see json_bridge.h. Writing is json_bridge_write.c. */
#include "api/json_bridge.h"

#include "api/base64.h"
#include "api/json_scan.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>

enum {
    NAME_MAX_LENGTH = 128, /* longest field name with its NUL; ours have 25 */
    NESTING_MAX = 8,       /* of our message types, which do not contain themselves */
    FIELDS_MAX = 64,       /* of one message, bits of a word; ours have 14 */
};

struct reader {
    struct arena *arena;
    struct err *err;
    unsigned int depth;
};

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
                        json_t *object, ProtobufCMessage **out);

size_t json_bridge_name(const char *proto_name, char *out, size_t size)
{
    size_t length = 0;

    for (const char *p = proto_name; *p != '\0' && length + 1 < size; p++) {
        if (*p != '_')
            out[length++] = *p;
        else if (p[1] >= 'a' && p[1] <= 'z')
            out[length++] = (char)(*++p - 'a' + 'A');
    }
    out[length] = '\0';
    return length;
}

static int mismatch(const struct reader *r, const ProtobufCMessageDescriptor *message,
                    const ProtobufCFieldDescriptor *field, const char *expected)
{
    return err_set(r->err, ERR_INVALID, "%s.%s: expected %s", message->name, field->name, expected);
}

static int no_memory(const struct reader *r, const ProtobufCMessageDescriptor *message)
{
    return err_set(r->err, ERR_TOO_LARGE, "%s: needs more than %zu bytes of memory", message->name,
                   arena_limit(r->arena));
}

/* --- scalars --- */

static bool real_to_i64(double d, int64_t *out)
{
    /* 2^63 is exact in a double, 2^63 - 1 is not. */
    if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0) || d != trunc(d))
        return false;
    *out = (int64_t)d;
    return true;
}

static bool json_i64(json_t *value, int64_t *out)
{
    struct str text;
    double d;

    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    if (json_is_real(value))
        return real_to_i64(json_real_value(value), out);
    if (!json_is_string(value))
        return false;
    text = (struct str){json_string_value(value), json_string_length(value)};
    if (str_parse_i64(text, INT64_MIN, INT64_MAX, out))
        return text.p[0] != '+';
    return str_parse_double(text, &d) && real_to_i64(d, out);
}

static bool json_u64(json_t *value, uint64_t *out)
{
    int64_t number;

    if (json_is_string(value) &&
        str_parse_u64((struct str){json_string_value(value), json_string_length(value)}, UINT64_MAX,
                      out))
        return true;
    if (!json_i64(value, &number) || number < 0)
        return false;
    *out = (uint64_t)number;
    return true;
}

static bool json_double(json_t *value, double *out)
{
    struct str text;

    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    if (!json_is_string(value))
        return false;
    text = (struct str){json_string_value(value), json_string_length(value)};
    if (str_eq(text, STR("NaN")))
        *out = (double)NAN;
    else if (str_eq(text, STR("Infinity")))
        *out = (double)INFINITY;
    else if (str_eq(text, STR("-Infinity")))
        *out = -(double)INFINITY;
    else
        return str_parse_double(text, out) && isfinite(*out);
    return true;
}

static int read_string(struct reader *r, const ProtobufCMessageDescriptor *message,
                       const ProtobufCFieldDescriptor *field, json_t *value, char **out)
{
    if (!json_is_string(value))
        return mismatch(r, message, field, "a string");
    *out = arena_strndup(r->arena, json_string_value(value), json_string_length(value));
    return *out != NULL ? 0 : no_memory(r, message);
}

static int read_bytes(struct reader *r, const ProtobufCMessageDescriptor *message,
                      const ProtobufCFieldDescriptor *field, json_t *value,
                      ProtobufCBinaryData *out)
{
    struct str text;

    if (!json_is_string(value))
        return mismatch(r, message, field, "base64 in a string");
    text = (struct str){json_string_value(value), json_string_length(value)};
    out->data = arena_alloc(r->arena, base64_decoded_max(text.len));
    if (out->data == NULL)
        return no_memory(r, message);
    return base64_decode(text, out->data, &out->len) ? 0 : mismatch(r, message, field, "base64");
}

/* *known stays false for a name that nobody knows: such a value is ignored. */
static int read_enum(struct reader *r, const ProtobufCMessageDescriptor *message,
                     const ProtobufCFieldDescriptor *field, json_t *value, int32_t *out,
                     bool *known)
{
    const ProtobufCEnumValue *named;
    int64_t number;

    if (json_is_string(value)) {
        named = protobuf_c_enum_descriptor_get_value_by_name(field->descriptor,
                                                             json_string_value(value));
        *known = named != NULL;
        *out = named != NULL ? named->value : 0;
        return 0;
    }
    if (!json_is_number(value) || !json_i64(value, &number) || number < INT32_MIN ||
        number > INT32_MAX)
        return mismatch(r, message, field, "a name or number of an enum");
    *out = (int32_t)number;
    *known = true;
    return 0;
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
        return sizeof(uint64_t); /* 64-bit numbers and pointers */
    }
}

/* One value into `out`; *present false: as if it were not there. */
static int read_value(struct reader *r, const ProtobufCMessageDescriptor *message,
                      const ProtobufCFieldDescriptor *field, json_t *value, void *out,
                      bool *present)
{
    int64_t number;
    uint64_t positive;

    *present = true;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT64:
        return json_i64(value, out) ? 0 : mismatch(r, message, field, "an integer of 64 bits");
    case PROTOBUF_C_TYPE_UINT64:
        return json_u64(value, out) ? 0
                                    : mismatch(r, message, field, "a positive integer of 64 bits");
    case PROTOBUF_C_TYPE_INT32:
        if (!json_i64(value, &number) || number < INT32_MIN || number > INT32_MAX)
            return mismatch(r, message, field, "an integer of 32 bits");
        *(int32_t *)out = (int32_t)number;
        return 0;
    case PROTOBUF_C_TYPE_UINT32:
        if (!json_u64(value, &positive) || positive > UINT32_MAX)
            return mismatch(r, message, field, "a positive integer of 32 bits");
        *(uint32_t *)out = (uint32_t)positive;
        return 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_double(value, out) ? 0 : mismatch(r, message, field, "a number");
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(value))
            return mismatch(r, message, field, "true or false");
        *(protobuf_c_boolean *)out = json_is_true(value);
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(r, message, field, value, out, present);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(r, message, field, value, out);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(r, message, field, value, out);
    case PROTOBUF_C_TYPE_MESSAGE:
        if (!json_is_object(value))
            return mismatch(r, message, field, "an object");
        return read_message(r, field->descriptor, value, out);
    default:
        return err_set(r->err, ERR_UNSUPPORTED, "%s.%s: its type has no JSON form here",
                       message->name, field->name);
    }
}

/* --- messages --- */

static int read_list(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
                     const ProtobufCFieldDescriptor *field, json_t *value, uint8_t *message)
{
    size_t size = value_size(field->type), count = json_array_size(value), used = 0;
    uint8_t *items;

    if (!json_is_array(value))
        return mismatch(r, descriptor, field, "a list");
    items = arena_alloc_array(r->arena, count, size);
    if (items == NULL)
        return no_memory(r, descriptor);
    for (size_t i = 0; i < count; i++) {
        bool present;
        int rc = read_value(r, descriptor, field, json_array_get(value, i), items + used * size,
                            &present);

        if (rc != 0)
            return rc;
        used += present;
    }
    memcpy(message + field->quantifier_offset, &used, sizeof(used));
    memcpy(message + field->offset, &items, sizeof(items));
    return 0;
}

static int read_single(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
                       const ProtobufCFieldDescriptor *field, json_t *value, uint8_t *message)
{
    bool present;
    int rc = read_value(r, descriptor, field, value, message + field->offset, &present);

    if (rc == 0 && present && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)
        memcpy(message + field->quantifier_offset, &field->id, sizeof(field->id));
    return rc;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *descriptor,
                                                  const char *key, unsigned int *index)
{
    char name[NAME_MAX_LENGTH];

    for (unsigned int i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        (void)json_bridge_name(field->name, name, sizeof(name));
        if (strcmp(key, field->name) == 0 || strcmp(key, name) == 0) {
            *index = i;
            return field;
        }
    }
    return NULL;
}

static int read_members(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
                        json_t *object, ProtobufCMessage *message)
{
    uint64_t seen = 0;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        unsigned int index = 0;
        const ProtobufCFieldDescriptor *field = find_field(descriptor, key, &index);
        int rc = 0;

        if (field == NULL)
            continue;
        if ((seen >> index & 1) != 0)
            return err_set(r->err, ERR_INVALID, "%s.%s: given twice", descriptor->name,
                           field->name);
        seen |= UINT64_C(1) << index;
        if (json_is_null(value))
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            rc = read_list(r, descriptor, field, value, (uint8_t *)message);
        else
            rc = read_single(r, descriptor, field, value, (uint8_t *)message);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_message(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
                        json_t *object, ProtobufCMessage **out)
{
    ProtobufCMessage *message;
    int rc;

    check(descriptor->n_fields <= FIELDS_MAX);
    if (r->depth == JSON_BRIDGE_DEPTH_MAX)
        return err_set(r->err, ERR_INVALID, "%s: nested too deeply", descriptor->name);
    message = arena_alloc(r->arena, descriptor->sizeof_message);
    if (message == NULL)
        return no_memory(r, descriptor);
    protobuf_c_message_init(descriptor, message);
    r->depth++;
    rc = read_members(r, descriptor, object, message);
    r->depth--;
    if (rc == 0)
        *out = message;
    return rc;
}

/* --- the text --- */

/* True when some message that can occur has a field of that name. */
static bool is_field_name(const ProtobufCMessageDescriptor *descriptor, const char *key,
                          unsigned int depth)
{
    unsigned int index;

    if (depth == 0)
        return false;
    if (find_field(descriptor, key, &index) != NULL)
        return true;
    for (unsigned int i = 0; i < descriptor->n_fields; i++)
        if (descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
            is_field_name(descriptor->fields[i].descriptor, key, depth - 1))
            return true;
    return false;
}

/* The key that ends before the parser's position. False when it is not plain. */
static bool key_at(struct str json, int position, char *out, size_t size)
{
    size_t end = position > 0 && (size_t)position <= json.len ? (size_t)position : 0, start;

    while (end > 0 && json.p[end - 1] != '"')
        end--;
    if (end < 2)
        return false;
    for (start = end - 1; start > 0 && json.p[start - 1] != '"'; start--)
        if (json.p[start - 1] == '\\')
            return false;
    if (end - 1 - start >= size)
        return false;
    memcpy(out, json.p + start, end - 1 - start);
    out[end - 1 - start] = '\0';
    return true;
}

/* A field given twice is refused, an unknown one is not looked at. */
static json_t *parse(const ProtobufCMessageDescriptor *descriptor, struct str json,
                     json_error_t *error)
{
    char key[NAME_MAX_LENGTH];
    json_t *root = json_loadb(json.p, json.len, JSON_REJECT_DUPLICATES, error);

    if (root == NULL && json_error_code(error) == json_error_duplicate_key &&
        key_at(json, error->position, key, sizeof(key)) &&
        !is_field_name(descriptor, key, NESTING_MAX))
        root = json_loadb(json.p, json.len, 0, error);
    return root;
}

int json_bridge_read(const ProtobufCMessageDescriptor *descriptor, struct str json,
                     struct arena *arena, ProtobufCMessage **out, struct err *err)
{
    struct reader r = {.arena = arena, .err = err};
    json_error_t error;
    json_t *root;
    int rc;

    rc = json_scan(json, JSON_BRIDGE_DEPTH_MAX, JSON_BRIDGE_MEMORY_MAX, err);
    if (rc != 0)
        return rc;
    root = parse(descriptor, json, &error);
    if (root == NULL)
        return err_set(err, ERR_INVALID, "syntax error (line %d:%d): %s", error.line, error.column,
                       error.text);
    if (json_is_object(root))
        rc = read_message(&r, descriptor, root, out);
    else
        rc = err_set(err, ERR_INVALID, "%s: expected an object", descriptor->name);
    json_decref(root);
    return rc;
}

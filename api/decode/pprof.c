#include "api/decode/pprof.h"

#include "api/decode/packed.h"
#include "api/decode/pprof_scratch.h"
#include "api/decode/wire.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

/*
 * Each decode_*() reads the fields of one message in [p, end), appends to the
 * arrays of `d`, and returns false after noting what failed and where. A field is
 * told by its whole tag, number and wire type; a tag that matches no case goes to
 * unknown_field(), which knows how many fields the message defines.
 *
 * Numbers are read without a look at the end: behind the end of every message
 * there are WIRE_SLACK readable bytes (see message_at_tail()), and a number that
 * was cut off shows when its loop ends past the end.
 */
typedef bool decode_fn(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end);

#define MSG_VARINT "malformed number"
#define MSG_PACKED "malformed packed numbers"
#define MSG_LENGTH "length is malformed or past the end"

__attribute__((noinline, cold)) static bool fail(struct pprof_decoder *d, const uint8_t *at,
                                                 const char *reason)
{
    d->fail_at = at;
    d->fail_reason = reason;
    d->fail_code = ERR_INVALID;
    return false;
}

/* Returns the place after the field, or NULL with the failure noted. `at` is its tag. */
__attribute__((noinline, cold)) static const uint8_t *
unknown_field(struct pprof_decoder *d, const uint8_t *at, const uint8_t *end, uint32_t fields)
{
    uint64_t tag = 0;
    const uint8_t *p = wire_tag(at, end, &tag);
    uint32_t field = (uint32_t)(tag >> 3);

    if (p == NULL)
        fail(d, at, "malformed tag");
    else if (field == 0 || field > INT32_MAX)
        fail(d, at, "illegal field number");
    else if ((tag & 7) == WIRE_GROUP_END)
        fail(d, at, "end of a group that was not begun");
    else if (field <= fields)
        fail(d, at, "wrong wire type of a known field");
    else if ((p = wire_skip(p, end, tag)) == NULL)
        fail(d, at, "malformed unknown field");
    else
        return p;
    return NULL;
}

/* The steps of every message's loop. They use its d, p, end and tag, and return on failure. */

#define READ_TAG()                                                                                 \
    do {                                                                                           \
        at = p;                                                                                    \
        tag = *p++;                                                                                \
        if (!WIRE_LIKELY(tag < 0x80))                                                              \
            p = wire_tag(at, end, &tag); /* NULL leaves a tag that no case has */                  \
    } while (0)

#define READ_NUMBER(target, type) READ_NUMBER_BY(wire_varint_fast, target, type)

#define READ_NUMBER_BY(read, target, type)                                                         \
    do {                                                                                           \
        uint64_t number_;                                                                          \
        p = read(p, &number_);                                                                     \
        if (p == NULL)                                                                             \
            return fail(d, at, MSG_VARINT);                                                        \
        (target) = (type)number_;                                                                  \
    } while (0)

#define READ_BOOL(target)                                                                          \
    do {                                                                                           \
        uint64_t flag_;                                                                            \
        READ_NUMBER(flag_, uint64_t);                                                              \
        (target) = flag_ != 0;                                                                     \
    } while (0)

/* Leaves the payload of a length-delimited field at [p, p + len). */
#define READ_LENGTH(len)                                                                           \
    do {                                                                                           \
        uint64_t length_;                                                                          \
        p = wire_varint_fast(p, &length_);                                                         \
        if (p == NULL || p > end || length_ > (uint64_t)(end - p))                                 \
            return fail(d, at, MSG_LENGTH);                                                        \
        (len) = (size_t)length_;                                                                   \
    } while (0)

#define OTHER_FIELD(fields)                                                                        \
    do {                                                                                           \
        p = unknown_field(d, at, end, (fields));                                                   \
        if (p == NULL)                                                                             \
            return false;                                                                          \
    } while (0)

#define END_OF_MESSAGE()                                                                           \
    do {                                                                                           \
        if (p != end)                                                                              \
            return fail(d, at, MSG_VARINT);                                                        \
    } while (0)

/*
 * Appends the packed varints in [p, p + len). The length is a cheap upper bound of
 * their number; they are counted only when that much room is not there.
 */
#define READ_PACKED(array, count, len, unpack)                                                     \
    do {                                                                                           \
        size_t n_;                                                                                 \
        if ((len) == 0)                                                                            \
            break;                                                                                 \
        if (p[(len)-1] >= 0x80)                                                                    \
            return fail(d, at, MSG_PACKED);                                                        \
        if (d->capacity.array - d->p.count < (len) + PACKED_SPILL &&                               \
            !PPROF_RESERVE(d, array, count, wire_count_varints(p, p + (len)) + PACKED_SPILL))      \
            return false;                                                                          \
        n_ = unpack(p, p + (len), (uint64_t *)d->p.array + d->p.count);                            \
        if (n_ == SIZE_MAX)                                                                        \
            return fail(d, at, MSG_PACKED);                                                        \
        d->p.count += (uint32_t)n_;                                                                \
        p += (len);                                                                                \
    } while (0)

#define READ_ONE_OF_PACKED(array, count, type)                                                     \
    do {                                                                                           \
        if (!PPROF_RESERVE(d, array, count, 1))                                                    \
            return false;                                                                          \
        READ_NUMBER(d->p.array[d->p.count], type);                                                 \
        d->p.count++;                                                                              \
    } while (0)

static bool decode_value_type(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end,
                              struct pprof_value_type *v)
{
    const uint8_t *at = p;
    uint64_t tag;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            READ_NUMBER(v->type, int64_t);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            READ_NUMBER(v->unit, int64_t);
            break;
        default:
            OTHER_FIELD(2);
        }
    }
    END_OF_MESSAGE();
    return true;
}

static bool decode_sample_type(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    struct pprof_value_type v = {0};

    if (!decode_value_type(d, p, end, &v) || !PPROF_RESERVE(d, sample_types, sample_type_count, 1))
        return false;
    d->p.sample_types[d->p.sample_type_count++] = v;
    return true;
}

static bool decode_period_type(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    d->p.has_period_type = true;
    return decode_value_type(d, p, end, &d->p.period_type);
}

static bool decode_label(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    struct pprof_label l = {0};
    const uint8_t *at = p;
    uint64_t tag;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            READ_NUMBER(l.key, int64_t);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            READ_NUMBER(l.str, int64_t);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            READ_NUMBER(l.num, int64_t);
            break;
        case WIRE_TAG(4, WIRE_VARINT):
            READ_NUMBER(l.num_unit, int64_t);
            break;
        default:
            OTHER_FIELD(4);
        }
    }
    END_OF_MESSAGE();
    if (!PPROF_RESERVE(d, labels, label_count, 1))
        return false;
    d->p.labels[d->p.label_count++] = l;
    return true;
}

static bool decode_sample(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    struct pprof_sample s = {.location_first = d->p.location_id_count,
                             .value_first = d->p.value_count,
                             .label_first = d->p.label_count};
    const uint8_t *at = p;
    uint64_t tag;
    size_t len;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            READ_LENGTH(len);
            READ_PACKED(location_ids, location_id_count, len, packed_ids);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            READ_LENGTH(len);
            READ_PACKED(values, value_count, len, packed_numbers);
            break;
        case WIRE_TAG(3, WIRE_BYTES):
            READ_LENGTH(len);
            if (!decode_label(d, p, p + len))
                return false;
            p += len;
            break;
        case WIRE_TAG(1, WIRE_VARINT):
            READ_ONE_OF_PACKED(location_ids, location_id_count, uint64_t);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            READ_ONE_OF_PACKED(values, value_count, int64_t);
            break;
        default:
            OTHER_FIELD(3);
        }
    }
    END_OF_MESSAGE();
    if (!PPROF_RESERVE(d, samples, sample_count, 1))
        return false;
    s.location_count = d->p.location_id_count - s.location_first;
    s.value_count = d->p.value_count - s.value_first;
    s.label_count = d->p.label_count - s.label_first;
    d->p.samples[d->p.sample_count++] = s;
    return true;
}

static bool decode_mapping(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    struct pprof_mapping m = {0};
    const uint8_t *at = p;
    uint64_t tag;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            READ_NUMBER(m.id, uint64_t);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            READ_NUMBER(m.memory_start, uint64_t);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            READ_NUMBER(m.memory_limit, uint64_t);
            break;
        case WIRE_TAG(4, WIRE_VARINT):
            READ_NUMBER(m.file_offset, uint64_t);
            break;
        case WIRE_TAG(5, WIRE_VARINT):
            READ_NUMBER(m.filename, int64_t);
            break;
        case WIRE_TAG(6, WIRE_VARINT):
            READ_NUMBER(m.build_id, int64_t);
            break;
        case WIRE_TAG(7, WIRE_VARINT):
            READ_BOOL(m.has_functions);
            break;
        case WIRE_TAG(8, WIRE_VARINT):
            READ_BOOL(m.has_filenames);
            break;
        case WIRE_TAG(9, WIRE_VARINT):
            READ_BOOL(m.has_line_numbers);
            break;
        case WIRE_TAG(10, WIRE_VARINT):
            READ_BOOL(m.has_inline_frames);
            break;
        default:
            OTHER_FIELD(10);
        }
    }
    END_OF_MESSAGE();
    if (!PPROF_RESERVE(d, mappings, mapping_count, 1))
        return false;
    d->p.mappings[d->p.mapping_count++] = m;
    return true;
}

static bool decode_line(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    struct pprof_line l = {0};
    const uint8_t *at = p;
    uint64_t tag;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            READ_NUMBER_BY(wire_varint_mixed, l.function_id, uint64_t);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            READ_NUMBER_BY(wire_varint_mixed, l.line, int64_t);
            break;
        default:
            OTHER_FIELD(2);
        }
    }
    END_OF_MESSAGE();
    if (!PPROF_RESERVE(d, lines, line_count, 1))
        return false;
    d->p.lines[d->p.line_count++] = l;
    return true;
}

static bool decode_location(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    struct pprof_location l = {.line_first = d->p.line_count};
    const uint8_t *at = p;
    uint64_t tag;
    size_t len;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            READ_NUMBER(l.id, uint64_t);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            READ_NUMBER(l.mapping_id, uint64_t);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            READ_NUMBER(l.address, uint64_t);
            break;
        case WIRE_TAG(4, WIRE_BYTES):
            READ_LENGTH(len);
            if (!decode_line(d, p, p + len))
                return false;
            p += len;
            break;
        case WIRE_TAG(5, WIRE_VARINT):
            READ_BOOL(l.is_folded);
            break;
        default:
            OTHER_FIELD(5);
        }
    }
    END_OF_MESSAGE();
    if (!PPROF_RESERVE(d, locations, location_count, 1))
        return false;
    l.line_count = d->p.line_count - l.line_first;
    d->p.locations[d->p.location_count++] = l;
    return true;
}

static bool decode_function(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    struct pprof_function f = {0};
    const uint8_t *at = p;
    uint64_t tag;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_VARINT):
            READ_NUMBER(f.id, uint64_t);
            break;
        case WIRE_TAG(2, WIRE_VARINT):
            READ_NUMBER_BY(wire_varint_mixed, f.name, int64_t);
            break;
        case WIRE_TAG(3, WIRE_VARINT):
            READ_NUMBER_BY(wire_varint_mixed, f.system_name, int64_t);
            break;
        case WIRE_TAG(4, WIRE_VARINT):
            READ_NUMBER_BY(wire_varint_mixed, f.filename, int64_t);
            break;
        case WIRE_TAG(5, WIRE_VARINT):
            READ_NUMBER_BY(wire_varint_mixed, f.start_line, int64_t);
            break;
        default:
            OTHER_FIELD(5);
        }
    }
    END_OF_MESSAGE();
    if (!PPROF_RESERVE(d, functions, function_count, 1))
        return false;
    d->p.functions[d->p.function_count++] = f;
    return true;
}

static bool decode_comments(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *at = p;
    size_t len = (size_t)(end - p);

    READ_PACKED(comments, comment_count, len, packed_numbers);
    return true;
}

static bool add_string(struct pprof_decoder *d, const uint8_t *p, size_t len)
{
    if (!PPROF_RESERVE(d, strings, string_count, 1))
        return false;
    d->p.strings[d->p.string_count++] = (struct str){(const char *)p, len};
    return true;
}

/* A message too near to the end of the body is read from a copy with the slack behind it. */
__attribute__((noinline, cold)) static bool
message_at_tail(struct pprof_decoder *d, decode_fn *decode, const uint8_t *p, size_t len)
{
    if (d->tail_capacity < len + WIRE_SLACK) {
        uint8_t *grown = realloc(d->tail, len + WIRE_SLACK);

        if (grown == NULL) {
            d->fail_code = ERR_NOMEM;
            return false;
        }
        d->tail = grown;
        d->tail_capacity = len + WIRE_SLACK;
    }
    memcpy(d->tail, p, len);
    memset(d->tail + len, 0, WIRE_SLACK);
    if (decode(d, d->tail, d->tail + len))
        return true;
    if (d->fail_code == ERR_INVALID)
        d->fail_at = p + (d->fail_at - d->tail);
    return false;
}

/* The fields of the profile itself: these look at the end, as nothing is behind it. */

#define READ_LENGTH_CHECKED(len)                                                                   \
    do {                                                                                           \
        p = wire_length(p, end, &(len));                                                           \
        if (p == NULL)                                                                             \
            return fail(d, at, MSG_LENGTH);                                                        \
    } while (0)

#define READ_NUMBER_CHECKED(target)                                                                \
    do {                                                                                           \
        uint64_t number_;                                                                          \
        p = wire_varint(p, end, &number_);                                                         \
        if (p == NULL)                                                                             \
            return fail(d, at, MSG_VARINT);                                                        \
        (target) = (int64_t)number_;                                                               \
    } while (0)

#define READ_MESSAGE(decode)                                                                       \
    do {                                                                                           \
        READ_LENGTH_CHECKED(len);                                                                  \
        if (WIRE_LIKELY((size_t)(end - p) - len >= WIRE_SLACK)                                     \
                ? !decode(d, p, p + len)                                                           \
                : !message_at_tail(d, decode, p, len))                                             \
            return false;                                                                          \
        p += len;                                                                                  \
    } while (0)

static bool decode_profile(struct pprof_decoder *d, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *at;
    uint64_t tag;
    size_t len;

    while (p < end) {
        READ_TAG();
        switch (tag) {
        case WIRE_TAG(1, WIRE_BYTES):
            READ_MESSAGE(decode_sample_type);
            break;
        case WIRE_TAG(2, WIRE_BYTES):
            READ_MESSAGE(decode_sample);
            break;
        case WIRE_TAG(3, WIRE_BYTES):
            READ_MESSAGE(decode_mapping);
            break;
        case WIRE_TAG(4, WIRE_BYTES):
            READ_MESSAGE(decode_location);
            break;
        case WIRE_TAG(5, WIRE_BYTES):
            READ_MESSAGE(decode_function);
            break;
        case WIRE_TAG(6, WIRE_BYTES):
            READ_LENGTH_CHECKED(len);
            if (!add_string(d, p, len))
                return false;
            p += len;
            break;
        case WIRE_TAG(7, WIRE_VARINT):
            READ_NUMBER_CHECKED(d->p.drop_frames);
            break;
        case WIRE_TAG(8, WIRE_VARINT):
            READ_NUMBER_CHECKED(d->p.keep_frames);
            break;
        case WIRE_TAG(9, WIRE_VARINT):
            READ_NUMBER_CHECKED(d->p.time_ns);
            break;
        case WIRE_TAG(10, WIRE_VARINT):
            READ_NUMBER_CHECKED(d->p.duration_ns);
            break;
        case WIRE_TAG(11, WIRE_BYTES):
            READ_MESSAGE(decode_period_type);
            break;
        case WIRE_TAG(12, WIRE_VARINT):
            READ_NUMBER_CHECKED(d->p.period);
            break;
        case WIRE_TAG(13, WIRE_BYTES):
            READ_MESSAGE(decode_comments);
            break;
        case WIRE_TAG(13, WIRE_VARINT):
            if (!PPROF_RESERVE(d, comments, comment_count, 1))
                return false;
            READ_NUMBER_CHECKED(d->p.comments[d->p.comment_count]);
            d->p.comment_count++;
            break;
        case WIRE_TAG(14, WIRE_VARINT):
            READ_NUMBER_CHECKED(d->p.default_sample_type);
            break;
        default:
            OTHER_FIELD(14);
        }
    }
    return true;
}

static int failure(const struct pprof_decoder *d, struct str body, struct err *err)
{
    if (d->fail_code == ERR_INVALID)
        return err_set(err, ERR_INVALID, "pprof: %s at byte %zu of %zu", d->fail_reason,
                       (size_t)(d->fail_at - (const uint8_t *)body.p), body.len);
    if (d->fail_code == ERR_TOO_LARGE)
        return err_set(err, ERR_TOO_LARGE,
                       "pprof: the %zu bytes would unfold into more than %zu bytes of tables",
                       body.len, d->bytes_max);
    return err_set(err, d->fail_code, "pprof: no memory to decode %zu bytes", body.len);
}

int pprof_decode(struct pprof_decoder *d, struct str body, size_t decoded_bytes_max,
                 struct pprof *out, struct err *err)
{
    const uint8_t *p = (const uint8_t *)body.p;

    if (body.len > INT32_MAX)
        return err_set(err, ERR_TOO_LARGE, "pprof: %zu bytes, more than the %d that can be decoded",
                       body.len, INT32_MAX);
    pprof_scratch_reset(d);
    d->bytes_max = body.len * PPROF_DECODED_PER_BYTE + PPROF_DECODED_FREE;
    if (decoded_bytes_max != 0 && d->bytes_max > decoded_bytes_max)
        d->bytes_max = decoded_bytes_max;
    if (body.len > 0 && !decode_profile(d, p, p + body.len))
        return failure(d, body, err);
    /* Growth was checked already; what fitted into warm arrays must pass the same rule. */
    if (pprof_scratch_used(d) > d->bytes_max) {
        d->fail_code = ERR_TOO_LARGE;
        return failure(d, body, err);
    }
    *out = d->p;
    return 0;
}

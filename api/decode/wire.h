/*
 * wire - reading protobuf's wire form: varints, tags, unknown fields.
 *
 * Functions take the place to read and the end, and return the place after what
 * they read, or NULL when it is malformed. They accept what the reference's
 * generated decoder accepts: varints of up to ten bytes with the excess bits of
 * the tenth ignored, tags of any length, groups closed by any end tag.
 *
 * Nothing recurses and no byte is read twice. Pure functions.
 */
#ifndef API_DECODE_WIRE_H
#define API_DECODE_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP_START = 3,
    WIRE_GROUP_END = 4,
    WIRE_FIXED32 = 5,
};

/* A tag as one number, for use in a switch: tags below 128 are one byte on the wire. */
#define WIRE_TAG(field, type) ((uint64_t)(field) << 3 | (uint64_t)(type))

#define WIRE_LIKELY(x) __builtin_expect(!!(x), 1)

/*
 * Readable bytes behind the end of a message that the unchecked readers need: a tag
 * and a number of ten bytes each may begin at its last byte.
 */
enum {
    WIRE_SLACK = 24,
};

/* A varint of any length; NULL when the end cuts it off. */
const uint8_t *wire_varint(const uint8_t *p, const uint8_t *end, uint64_t *value);

/* Varints of three bytes or more, ten readable bytes at `p`. */
const uint8_t *wire_varint_long(const uint8_t *p, uint64_t *value);

/*
 * A varint without a look at the end: WIRE_SLACK readable bytes at `p`. The caller
 * finds out by the returned place that it has left its message. One and two bytes
 * cover most ids, indexes and counts; branches beat the branch-free forms, as
 * stacks repeat and are predicted.
 */
static inline const uint8_t *wire_varint_fast(const uint8_t *p, uint64_t *value)
{
    uint64_t low = p[0], high = p[1];

    if (WIRE_LIKELY(low < 0x80)) {
        *value = low;
        return p + 1;
    }
    if (WIRE_LIKELY(high < 0x80)) {
        *value = (low & 0x7f) | high << 7;
        return p + 2;
    }
    return wire_varint_long(p, value);
}

/* The same without a branch on one byte or two, for numbers that no stack repeats: lines. */
static inline const uint8_t *wire_varint_mixed(const uint8_t *p, uint64_t *value)
{
    uint64_t low = p[0], high = p[1], more = low >> 7;

    if (WIRE_LIKELY((low & high & 0x80) == 0)) {
        *value = (low & 0x7f) | (high << 7 & -more);
        return p + 1 + more;
    }
    return wire_varint_long(p, value);
}

/* The length of a WIRE_BYTES field; NULL too when the bytes are not all there. */
static inline const uint8_t *wire_length(const uint8_t *p, const uint8_t *end, size_t *len)
{
    uint64_t value;

    if (WIRE_LIKELY(end - p >= WIRE_SLACK))
        p = wire_varint_fast(p, &value);
    else
        p = wire_varint(p, end, &value);
    if (p == NULL || value > (uint64_t)(end - p))
        return NULL;
    *len = (size_t)value;
    return p;
}

/* A tag of any length, brought to the form of WIRE_TAG; NULL when malformed. */
const uint8_t *wire_tag_long(const uint8_t *p, const uint8_t *end, uint64_t *tag);

static inline const uint8_t *wire_tag(const uint8_t *p, const uint8_t *end, uint64_t *tag)
{
    if (WIRE_LIKELY(p < end && *p < 0x80)) {
        *tag = *p;
        return p + 1;
    }
    return wire_tag_long(p, end, tag);
}

/* Past the payload of an unknown field whose tag has been read; a group up to its end. */
const uint8_t *wire_skip(const uint8_t *p, const uint8_t *end, uint64_t tag);

/* How many varints end within [p, end). */
size_t wire_count_varints(const uint8_t *p, const uint8_t *end);

#endif

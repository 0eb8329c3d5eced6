#include "api/decode/wire.h"

#include "base/bytes.h"

/* Squeezes out the top bit of every byte: eight groups of seven bits become one number. */
static inline uint64_t join_groups(uint64_t w)
{
    w = (w & 0x007f007f007f007f) | (w & 0x7f007f007f007f00) >> 1;
    w = (w & 0x00003fff00003fff) | (w & 0x3fff00003fff0000) >> 2;
    return (w & 0x000000000fffffff) | (w & 0x0fffffff00000000) >> 4;
}

const uint8_t *wire_varint(const uint8_t *p, const uint8_t *end, uint64_t *value)
{
    ptrdiff_t left = end - p;
    ptrdiff_t n = left < VARINT_BYTES_MAX ? left : VARINT_BYTES_MAX;
    uint64_t v = 0;

    for (ptrdiff_t i = 0; i < n; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80) {
            *value = v;
            return p + i + 1;
        }
    }
    return NULL;
}

const uint8_t *wire_varint_long(const uint8_t *p, uint64_t *value)
{
    uint64_t w = get_le64(p);
    uint64_t stop = ~w & 0x8080808080808080;

    if (WIRE_LIKELY(stop != 0)) {
        *value = join_groups(w & (stop ^ (stop - 1))); /* bytes up to the first stop */
        return p + ((__builtin_ctzll(stop) >> 3) + 1);
    }
    return wire_varint(p, p + VARINT_BYTES_MAX, value);
}

const uint8_t *wire_tag_long(const uint8_t *p, const uint8_t *end, uint64_t *tag)
{
    uint64_t v;

    p = wire_varint(p, end, &v);
    if (p == NULL)
        return NULL;
    /* The field number is the low 32 bits, as in the reference: more is cut off, not refused. */
    *tag = WIRE_TAG((uint32_t)(v >> 3), v & 7);
    return p;
}

static const uint8_t *skip_payload(const uint8_t *p, const uint8_t *end, uint64_t type)
{
    uint64_t ignored;
    size_t len;

    switch (type) {
    case WIRE_VARINT:
        return wire_varint(p, end, &ignored);
    case WIRE_FIXED64:
        return end - p < 8 ? NULL : p + 8;
    case WIRE_FIXED32:
        return end - p < 4 ? NULL : p + 4;
    case WIRE_BYTES:
        p = wire_length(p, end, &len);
        return p == NULL ? NULL : p + len;
    default:
        return NULL;
    }
}

const uint8_t *wire_skip(const uint8_t *p, const uint8_t *end, uint64_t tag)
{
    size_t depth = 0;

    for (;;) {
        uint64_t type = tag & 7;

        if (type == WIRE_GROUP_START) {
            depth++;
        } else if (type == WIRE_GROUP_END) {
            if (depth == 0)
                return NULL;
            depth--;
        } else {
            p = skip_payload(p, end, type);
        }
        if (p == NULL || depth == 0)
            return p;
        p = wire_tag(p, end, &tag);
        if (p == NULL)
            return NULL;
    }
}

size_t wire_count_varints(const uint8_t *p, const uint8_t *end)
{
    size_t n = 0;

    for (; p < end; p++)
        n += *p < 0x80;
    return n;
}

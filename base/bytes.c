#include "base/bytes.h"

bool bytes_varint_slow(struct bytes *b, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned int shift = 0; b->p < b->end && shift < 64; shift += 7) {
        uint8_t byte = *b->p++;

        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return true;
        }
    }
    return bytes_fail(b);
}

bool bytes_varint128(struct bytes *b, uint128 *out)
{
    uint128 v = 0;

    for (unsigned int shift = 0; b->p < b->end && shift < 128; shift += 7) {
        uint8_t byte = *b->p++;

        if (shift == 126 && byte > 3)
            break;
        v |= (uint128)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return true;
        }
    }
    return bytes_fail(b);
}

void buf_put_le16(struct buf *b, uint16_t v)
{
    uint8_t raw[sizeof(v)];

    put_le16(raw, v);
    (void)buf_append(b, raw, sizeof(raw));
}

void buf_put_le32(struct buf *b, uint32_t v)
{
    uint8_t raw[sizeof(v)];

    put_le32(raw, v);
    (void)buf_append(b, raw, sizeof(raw));
}

void buf_put_le64(struct buf *b, uint64_t v)
{
    uint8_t raw[sizeof(v)];

    put_le64(raw, v);
    (void)buf_append(b, raw, sizeof(raw));
}

void buf_put_varint128(struct buf *b, uint128 v)
{
    uint8_t raw[VARINT128_BYTES_MAX];
    size_t len = 0;

    for (; v >= 0x80; v >>= 7)
        raw[len++] = (uint8_t)(v | 0x80);
    raw[len++] = (uint8_t)v;
    (void)buf_append(b, raw, len);
}

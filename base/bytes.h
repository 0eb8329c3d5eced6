/*
 * bytes - integers as bytes: little endian, varint (LEB128), zigzag.
 *
 * Disk and wire integers go through these; no struct is ever cast onto bytes.
 * A reader never moves past its end: a read that does not fit returns
 * false, sets `bad` and leaves the reader at its end.
 *
 * Pure functions.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/buf.h"
#include "base/int128.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    VARINT_BYTES_MAX = 10,
    VARINT128_BYTES_MAX = 19,
};

static inline uint16_t get_le16(const void *p)
{
    const uint8_t *b = p;

    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t get_le32(const void *p)
{
    const uint8_t *b = p;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t get_le64(const void *p)
{
    return (uint64_t)get_le32(p) | (uint64_t)get_le32((const uint8_t *)p + 4) << 32;
}

static inline void put_le16(void *p, uint16_t v)
{
    uint8_t *b = p;

    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
}

static inline void put_le32(void *p, uint32_t v)
{
    uint8_t *b = p;

    b[0] = (uint8_t)v;
    b[1] = (uint8_t)(v >> 8);
    b[2] = (uint8_t)(v >> 16);
    b[3] = (uint8_t)(v >> 24);
}

static inline void put_le64(void *p, uint64_t v)
{
    put_le32(p, (uint32_t)v);
    put_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

static inline uint64_t zigzag_encode(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t zigzag_decode(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Writes at most VARINT_BYTES_MAX bytes at p; returns the end. */
static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

static inline size_t varint_size(uint64_t v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

/* A bounded reader; a failed read sets `bad` for good. */
struct bytes {
    const uint8_t *p, *end;
    bool bad;
};

static inline struct bytes bytes_of(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;

    return (struct bytes){p, p ? p + s.len : p, false};
}

static inline size_t bytes_left(const struct bytes *b)
{
    return (size_t)(b->end - b->p);
}

static inline bool bytes_fail(struct bytes *b)
{
    b->bad = true;
    b->p = b->end;
    return false;
}

/* The slow path of bytes_varint(): more than one byte, checked for end, length and 64 bits. */
bool bytes_varint_slow(struct bytes *b, uint64_t *out);

static inline bool bytes_varint(struct bytes *b, uint64_t *out)
{
    if (__builtin_expect(b->p < b->end && *b->p < 0x80, 1)) {
        *out = *b->p++;
        return true;
    }
    return bytes_varint_slow(b, out);
}

/* False also when the value is over `max`. */
static inline bool bytes_varint32(struct bytes *b, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;

    if (!bytes_varint(b, &v) || v > max)
        return bytes_fail(b);
    *out = (uint32_t)v;
    return true;
}

static inline bool bytes_zigzag(struct bytes *b, int64_t *out)
{
    uint64_t v;

    if (!bytes_varint(b, &v))
        return false;
    *out = zigzag_decode(v);
    return true;
}

bool bytes_varint128(struct bytes *b, uint128 *out);

static inline bool bytes_u8(struct bytes *b, uint8_t *out)
{
    if (b->p == b->end)
        return bytes_fail(b);
    *out = *b->p++;
    return true;
}

static inline bool bytes_le16(struct bytes *b, uint16_t *out)
{
    if (bytes_left(b) < 2)
        return bytes_fail(b);
    *out = get_le16(b->p);
    b->p += 2;
    return true;
}

static inline bool bytes_le32(struct bytes *b, uint32_t *out)
{
    if (bytes_left(b) < 4)
        return bytes_fail(b);
    *out = get_le32(b->p);
    b->p += 4;
    return true;
}

static inline bool bytes_le64(struct bytes *b, uint64_t *out)
{
    if (bytes_left(b) < 8)
        return bytes_fail(b);
    *out = get_le64(b->p);
    b->p += 8;
    return true;
}

/* The next `size` bytes, in place. */
static inline bool bytes_take(struct bytes *b, size_t size, struct str *out)
{
    if (bytes_left(b) < size)
        return bytes_fail(b);
    *out = (struct str){(const char *)b->p, size};
    b->p += size;
    return true;
}

/* A varint length, then that many bytes. */
static inline bool bytes_take_sized(struct bytes *b, struct str *out)
{
    uint64_t size;

    return bytes_varint(b, &size) && (size <= bytes_left(b) || bytes_fail(b)) &&
           bytes_take(b, (size_t)size, out);
}

/* Writers append to a buf and rely on its sticky `failed`. */
void buf_put_le16(struct buf *b, uint16_t v);
void buf_put_le32(struct buf *b, uint32_t v);
void buf_put_le64(struct buf *b, uint64_t v);
void buf_put_varint128(struct buf *b, uint128 v);

static inline void buf_put_varint(struct buf *b, uint64_t v)
{
    if (b->cap - b->len < VARINT_BYTES_MAX && buf_reserve(b, VARINT_BYTES_MAX) != 0) {
        uint8_t small[VARINT_BYTES_MAX];

        (void)buf_append(b, small, (size_t)(put_varint(small, v) - small));
        return;
    }
    b->len = (size_t)(put_varint(b->data + b->len, v) - b->data);
}

static inline void buf_put_zigzag(struct buf *b, int64_t v)
{
    buf_put_varint(b, zigzag_encode(v));
}

static inline void buf_put_sized(struct buf *b, struct str s)
{
    buf_put_varint(b, s.len);
    (void)buf_append(b, s.p, s.len);
}

#endif

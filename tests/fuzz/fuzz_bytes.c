/*
 * fuzz_bytes - any bytes through the bounded readers and the text functions, the first
 * ones choosing what is read next.
 *
 * A reader never leaves its bytes, and fails for good. What was read and is written again
 * reads the same.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read_again(uint64_t v, uint128 wide)
{
    struct bytes in;
    struct buf b;
    uint128 wide_again = 0;
    uint64_t again = 0;
    int64_t z = 0;

    buf_init(&b, 64);
    buf_put_varint(&b, v);
    check(b.len == varint_size(v));
    buf_put_zigzag(&b, (int64_t)v);
    buf_put_varint128(&b, wide);
    in = bytes_of(buf_str(&b));
    check(bytes_varint(&in, &again) && again == v);
    check(bytes_zigzag(&in, &z) && z == (int64_t)v);
    check(bytes_varint128(&in, &wide_again) && wide_again == wide);
    check(bytes_left(&in) == 0 && !in.bad && !b.failed);
    buf_release(&b);
}

static void read_text(struct str s)
{
    struct str rest = s, part;
    size_t total = 0;
    double d;
    int64_t i;

    while (str_split(&rest, ',', &part))
        total += part.len + 1;
    check(total == s.len + 1);
    part = str_trim(s);
    check(part.len <= s.len);
    (void)str_is_utf8(s);
    if (str_parse_i64(s, -1000, 1000, &i))
        check(i >= -1000 && i <= 1000 && (s.len > STR_DOUBLE_MAX || str_parse_double(s, &d)));
    check(str_find(s, part) <= s.len);
}

static bool read_one(struct bytes *in, uint8_t what)
{
    struct str part;
    uint128 wide = 0;
    uint64_t v = 0;
    int64_t z;
    uint32_t v32;
    uint16_t v16;

    switch (what % 9) {
    case 0:
        return bytes_varint(in, &v) && (write_and_read_again(v, v), true);
    case 1:
        return bytes_varint128(in, &wide) && (write_and_read_again((uint64_t)wide, wide), true);
    case 2:
        return bytes_zigzag(in, &z);
    case 3:
        return bytes_varint32(in, 1000, &v32) && (check(v32 <= 1000), true);
    case 4:
        return bytes_le16(in, &v16);
    case 5:
        return bytes_le32(in, &v32);
    case 6:
        return bytes_le64(in, &v);
    case 7:
        return bytes_take_sized(in, &part) && (read_text(part), true);
    default:
        return bytes_take(in, what / 9, &part) && (read_text(part), true);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of((struct str){(const char *)data, size});
    uint8_t what;

    while (bytes_u8(&in, &what)) {
        const uint8_t *before = in.p;
        bool good = read_one(&in, what);

        check(in.p >= before && in.p <= in.end && good == !in.bad);
    }
    check(in.bad && bytes_left(&in) == 0);
    read_text((struct str){(const char *)data, size});
    return 0;
}

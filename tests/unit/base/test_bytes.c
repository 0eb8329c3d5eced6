/* What is written is read back; what is cut short or too long is refused, once and for good. */
#include "base/bytes.h"

#include "base/err.h"
#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct bytes reader(const struct buf *b)
{
    return bytes_of(buf_str(b));
}

static void test_integers_are_little_endian(void **state)
{
    uint8_t raw[8];

    (void)state;
    put_le16(raw, 0x0102);
    assert_memory_equal(raw, "\2\1", 2);
    put_le32(raw, 0x01020304);
    assert_memory_equal(raw, "\4\3\2\1", 4);
    put_le64(raw, 0x0102030405060708);
    assert_memory_equal(raw, "\10\7\6\5\4\3\2\1", 8);
    assert_int_equal(get_le16(raw), 0x0708);
    assert_int_equal(get_le32(raw), 0x05060708);
    assert_true(get_le64(raw) == 0x0102030405060708);
}

static uint64_t odd_value(struct rng *r)
{
    return rng_next(r) >> rng_below(r, 64);
}

static void test_every_integer_comes_back(void **state)
{
    struct rng r = rng_of(test_seed(7)), again = r;
    struct bytes in;
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 2000; i++) {
        uint64_t v = odd_value(&r);

        buf_put_varint(&b, v);
        buf_put_zigzag(&b, (int64_t)v);
        buf_put_le64(&b, v);
        buf_put_le32(&b, (uint32_t)v);
        buf_put_le16(&b, (uint16_t)v);
        buf_put_varint128(&b, (uint128)v << (i % 65));
    }
    assert_false(b.failed);
    in = reader(&b);
    for (int i = 0; i < 2000; i++) {
        uint64_t want = odd_value(&again), v;
        uint128 wide;
        uint32_t v32;
        uint16_t v16;
        int64_t z;

        assert_true(bytes_varint(&in, &v) && v == want);
        assert_true(bytes_zigzag(&in, &z) && z == (int64_t)want);
        assert_true(bytes_le64(&in, &v) && v == want);
        assert_true(bytes_le32(&in, &v32) && v32 == (uint32_t)want);
        assert_true(bytes_le16(&in, &v16) && v16 == (uint16_t)want);
        assert_true(bytes_varint128(&in, &wide) && wide == (uint128)want << (i % 65));
    }
    assert_int_equal(bytes_left(&in), 0);
    assert_false(in.bad);
    buf_release(&b);
}

static void test_sizes_of_varints(void **state)
{
    (void)state;
    for (unsigned int bits = 0; bits < 64; bits++) {
        uint8_t raw[VARINT_BYTES_MAX];
        uint64_t v = (uint64_t)1 << bits;

        assert_int_equal(varint_size(v), put_varint(raw, v) - raw);
        assert_int_equal(varint_size(v - 1), put_varint(raw, v - 1) - raw);
    }
    assert_int_equal(varint_size(UINT64_MAX), VARINT_BYTES_MAX);
}

static void test_zigzag_keeps_small_negatives_small(void **state)
{
    static const int64_t values[] = {0, -1, 1, -2, 2, INT64_MAX, INT64_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        assert_true(zigzag_decode(zigzag_encode(values[i])) == values[i]);
        assert_true(i > 4 || zigzag_encode(values[i]) == i);
    }
}

static void test_a_varint_that_is_cut_or_too_long_is_bad(void **state)
{
    static const struct {
        const char *raw;
        size_t len;
        bool good;
    } rows[] = {
        {"", 0, false},
        {"\x80", 1, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, false},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, false},
        {"\x80\x00", 2, true}, /* longer than needed: protobuf allows it */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes in = bytes_of((struct str){rows[i].raw, rows[i].len});
        uint64_t v;

        assert_int_equal(bytes_varint(&in, &v), rows[i].good);
        assert_int_equal(in.bad, !rows[i].good);
        assert_int_equal(bytes_left(&in), 0);
    }
}

static void test_nothing_is_read_after_a_failure(void **state)
{
    struct bytes in = bytes_of(STR("\x01\x02\x03"));
    struct str part = STR("untouched");
    uint32_t v32 = 7;
    uint8_t v;

    (void)state;
    assert_true(bytes_u8(&in, &v));
    assert_false(bytes_le32(&in, &v32));
    assert_int_equal(v32, 7);
    assert_true(in.bad);
    assert_false(bytes_u8(&in, &v));
    assert_false(bytes_take(&in, 1, &part));
    assert_true(str_eq(part, STR("untouched")));
}

static void test_a_length_beyond_the_end_is_refused(void **state)
{
    struct bytes in = bytes_of(STR("\x03"
                                   "abc"
                                   "\x00"
                                   "\x05"
                                   "abcd"));
    struct str part;
    uint32_t v;

    (void)state;
    assert_true(bytes_take_sized(&in, &part) && str_eq(part, STR("abc")));
    assert_true(bytes_take_sized(&in, &part) && part.len == 0);
    assert_false(bytes_take_sized(&in, &part));
    in = bytes_of(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    assert_false(bytes_take_sized(&in, &part));
    in = bytes_of(STR("\x10"));
    assert_false(bytes_varint32(&in, 15, &v));
    assert_true(in.bad);
    in = bytes_of((struct str){NULL, 0});
    assert_int_equal(bytes_left(&in), 0);
}

static void test_writers_stop_at_the_maximum(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 3);
    buf_put_varint(&b, 300);
    assert_false(b.len != 2);
    buf_put_varint(&b, 300);
    assert_true(b.failed);
    assert_int_equal(b.len, 2);
    buf_release(&b);
    buf_init(&b, 4);
    buf_put_sized(&b, STR("abc"));
    assert_memory_equal(b.data,
                        "\x03"
                        "abc",
                        4);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_little_endian),
        cmocka_unit_test(test_every_integer_comes_back),
        cmocka_unit_test(test_sizes_of_varints),
        cmocka_unit_test(test_zigzag_keeps_small_negatives_small),
        cmocka_unit_test(test_a_varint_that_is_cut_or_too_long_is_bad),
        cmocka_unit_test(test_nothing_is_read_after_a_failure),
        cmocka_unit_test(test_a_length_beyond_the_end_is_refused),
        cmocka_unit_test(test_writers_stop_at_the_maximum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

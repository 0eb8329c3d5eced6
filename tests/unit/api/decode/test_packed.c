#include "api/decode/packed.h"

#include "api/decode/wire.h"
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    NUMBERS_MAX = 300,
    ROUNDS = 20000,
};

static uint32_t state32 = 12345;

static uint32_t random_below(uint32_t n)
{
    state32 = state32 * 1664525 + 1013904223;
    return (state32 >> 8) % n;
}

/* Numbers of `bits` bits at most, written at `at`; returns the end. */
static uint8_t *write_numbers(uint64_t *numbers, uint32_t count, uint32_t bits, uint8_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t wide = (uint64_t)random_below(1 << 24) << 40 ^
                        (uint64_t)random_below(1 << 24) << 20 ^ random_below(1 << 24);

        numbers[i] = wide >> (64 - 1 - random_below(bits));
        at = put_varint(at, numbers[i]);
    }
    return at;
}

/* All lengths, all mixes of sizes, all positions in the window of eight. */
static void test_both_ways_read_what_was_written(void **state)
{
    static const uint32_t widths[] = {7, 8, 14, 15, 21, 63};
    static uint64_t numbers[NUMBERS_MAX], got[NUMBERS_MAX + PACKED_SPILL];

    (void)state;
    packed_init();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t count = random_below(round % 10 == 0 ? NUMBERS_MAX : 20);
        uint8_t bytes[NUMBERS_MAX * VARINT_BYTES_MAX + WIRE_SLACK];
        uint8_t *end = write_numbers(numbers, count, widths[round % 6], bytes);

        memset(end, (int)random_below(256), WIRE_SLACK);
        assert_int_equal(packed_ids(bytes, end, got), count);
        assert_memory_equal(got, numbers, count * sizeof(got[0]));
        assert_int_equal(packed_numbers(bytes, end, got), count);
        assert_memory_equal(got, numbers, count * sizeof(got[0]));
    }
}

static void test_nothing_beyond_the_spill_is_written(void **state)
{
    uint8_t bytes[64 + WIRE_SLACK] = {0};
    uint64_t out[64 + PACKED_SPILL + 1];

    (void)state;
    packed_init();
    for (size_t count = 0; count <= 64; count++) {
        memset(out, 0xee, sizeof(out));
        assert_int_equal(packed_ids(bytes, bytes + count, out), count);
        assert_true(out[count + PACKED_SPILL] == 0xeeeeeeeeeeeeeeee);
    }
}

static void test_a_number_of_eleven_bytes_is_refused(void **state)
{
    uint8_t bytes[20 + WIRE_SLACK];
    uint64_t out[20 + PACKED_SPILL];

    (void)state;
    packed_init();
    memset(bytes, 0xff, sizeof(bytes));
    bytes[10] = 1;
    assert_int_equal(packed_ids(bytes, bytes + 11, out), SIZE_MAX);
    assert_int_equal(packed_numbers(bytes, bytes + 11, out), SIZE_MAX);
    assert_int_equal(packed_ids(bytes + 1, bytes + 11, out), 1);
    assert_true(out[0] == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways_read_what_was_written),
        cmocka_unit_test(test_nothing_beyond_the_spill_is_written),
        cmocka_unit_test(test_a_number_of_eleven_bytes_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

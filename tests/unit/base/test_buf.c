/* Growable bytes never pass their maximum, and a failure is not forgotten. */
#include "base/buf.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_appending_stops_at_the_maximum_and_adds_nothing(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, "12345678", 8), 0);
    assert_int_equal(buf_append(&b, "abc", 3), ERR_TOO_LARGE);
    assert_int_equal(b.len, 8);
    assert_true(b.failed);
    assert_int_equal(buf_append(&b, "ab", 2), 0);
    assert_int_equal(buf_append_byte(&b, 'c'), ERR_TOO_LARGE);
    assert_memory_equal(b.data, "12345678ab", 10);
    assert_true(b.failed); /* for good */
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_TOO_LARGE);
    buf_reset(&b);
    assert_false(b.failed);
    assert_int_equal(b.len, 0);
    buf_release(&b);
    assert_int_equal(b.max, 10);
}

static void test_text_of_any_length_is_formatted(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 5000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_printf(&b, "%04d", i), 0);
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data + 4 * 789, "0789", 4);
    assert_int_equal(buf_printf(&b, "%*d", 1001, 7), ERR_TOO_LARGE);
    assert_int_equal(b.len, 4000);
    assert_int_equal(buf_printf(&b, "%*d", 1000, 7), 0); /* to the last byte */
    assert_int_equal(b.len, 5000);
    assert_int_equal(buf_printf(&b, "%s", ""), 0);
    buf_release(&b);
    buf_init(&b, 0);
    assert_int_equal(buf_printf(&b, "%s", ""), 0);
    assert_int_equal(buf_printf(&b, "x"), ERR_TOO_LARGE);
    buf_release(&b);
}

static void test_empty_parts_and_zeroes(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_append_str(&b, STR("")), 0);
    assert_int_equal(buf_append_zeroes(&b, 3), 0);
    assert_int_equal(buf_append_cstr(&b, "x"), 0);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "\0\0\0x", 4);
    assert_int_equal(buf_append_zeroes(&b, 97), ERR_TOO_LARGE);
    assert_true(str_eq(buf_str(&b), (struct str){"\0\0\0x", 4}));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appending_stops_at_the_maximum_and_adds_nothing),
        cmocka_unit_test(test_text_of_any_length_is_formatted),
        cmocka_unit_test(test_empty_parts_and_zeroes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

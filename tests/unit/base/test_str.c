/* Strings by pointer and length: NUL is a byte, NULL is empty. */
#include "base/str.h"

#include <math.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_comparing_is_by_bytes_and_a_prefix_comes_first(void **state)
{
    (void)state;
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
    assert_true(str_eq((struct str){NULL, 0}, STR("")));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp((struct str){NULL, 0}, STR("")), 0);
    assert_true(str_eq_case(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_case(STR("a"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), STR("")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")) && str_ends(STR(""), STR("")));
    assert_false(str_ends(STR("c"), STR("bc")));
}

static void test_finding_and_cutting(void **state)
{
    (void)state;
    assert_int_equal(str_find(STR("hay needle"), STR("needle")), 4);
    assert_int_equal(str_find(STR("hay"), STR("needle")), SIZE_MAX);
    assert_int_equal(str_find(STR(""), STR("")), 0);
    assert_int_equal(str_find_byte(STR("a.b.c"), '.'), 1);
    assert_int_equal(str_rfind_byte(STR("a.b.c"), '.'), 3);
    assert_int_equal(str_find_byte((struct str){NULL, 0}, '.'), SIZE_MAX);
    assert_true(str_eq(str_slice(STR("abcdef"), 2, 4), STR("cd")));
    assert_true(str_eq(str_slice(STR("abc"), 2, 100), STR("c")));
    assert_true(str_eq(str_slice(STR("abc"), 7, 100), STR("")));
    assert_true(str_eq(str_trim(STR(" \t\r\n a b \f\v")), STR("a b")));
    assert_int_equal(str_trim(STR("  ")).len, 0);
}

static void test_splitting_gives_every_part_the_empty_ones_too(void **state)
{
    static const char *const want[] = {"a", "", "b", ""};
    struct str rest = STR("a,,b,"), part;
    size_t n = 0;

    (void)state;
    while (str_split(&rest, ',', &part))
        assert_true(n < 4 && str_eq(part, str_from(want[n++])));
    assert_int_equal(n, 4);
    rest = STR("");
    assert_true(str_split(&rest, ',', &part));
    assert_int_equal(part.len, 0);
    assert_false(str_split(&rest, ',', &part));
}

static void test_whole_numbers_in_range_are_read_and_nothing_else(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "x",
                                      "1x",
                                      "0x1",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "1.0",
                                      "18446744073709551616"};
    uint64_t u = 7;
    int64_t i = 7;

    (void)state;
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
        assert_false(str_parse_i64(str_from(bad[n]), INT64_MIN, INT64_MAX, &i));
    assert_int_equal(i, 7);
    assert_true(str_parse_i64(STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &i));
    assert_true(i == INT64_MIN);
    assert_true(str_parse_i64(STR("+5"), 0, 5, &i) && i == 5);
    assert_false(str_parse_i64(STR("6"), 0, 5, &i));
    assert_false(str_parse_i64(STR("-1"), 0, 5, &i));
    assert_true(str_parse_u64(STR("18446744073709551615"), UINT64_MAX, &u) && u == UINT64_MAX);
    assert_false(str_parse_u64(STR("18446744073709551616"), UINT64_MAX, &u));
    assert_false(str_parse_u64(STR("184467440737095516150"), UINT64_MAX, &u));
    assert_false(str_parse_u64(STR("-1"), UINT64_MAX, &u));
    assert_false(str_parse_u64(STR("11"), 10, &u));
    assert_true(str_parse_u64(STR("0000"), 10, &u) && u == 0);
}

static void test_reals_are_decimal_and_finite(void **state)
{
    static const char *const bad[] = {"", "x", "1x", " 1", "inf", "nan", "0x10", "1e999"};
    double d = 7;

    (void)state;
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
        assert_false(str_parse_double(str_from(bad[n]), &d));
    assert_false(str_parse_double(STR("1\0"), &d));
    assert_true(str_parse_double(STR("-12.5e1"), &d));
    assert_true(fabs(d + 125) < 1e-12);
    assert_true(str_parse_double(STR("1e-999"), &d));
    assert_true(d < 1e-300);
}

static void test_utf8_has_one_form(void **state)
{
    static const char *const good[] = {"",
                                       "ascii only, longer than a word",
                                       "gr\xc3\xbc\xc3\x9f",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x94\xa5",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xed\x9f\xbf",
                                       "12345678\xc3\xa4"};
    static const char *const bad[] = {"\x80",
                                      "\xc3",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "12345678\xe2\x82",
                                      "\xe2\x28\xa1",
                                      "\xf0\x9f\x94"};

    (void)state;
    for (size_t n = 0; n < sizeof(good) / sizeof(good[0]); n++)
        assert_true(str_is_utf8(str_from(good[n])));
    for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
        assert_false(str_is_utf8(str_from(bad[n])));
    assert_true(str_is_utf8((struct str){NULL, 0}));
    assert_true(str_is_utf8(STR("nul \0 is text")));
}

static void test_printing_takes_the_length(void **state)
{
    char text[32];

    (void)state;
    (void)snprintf(text, sizeof(text), "<%" STR_FMT "|%" STR_FMT ">",
                   STR_ARG(str_slice(STR("abcdef"), 1, 3)), STR_ARG(((struct str){NULL, 0})));
    assert_string_equal(text, "<bc|>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparing_is_by_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(test_finding_and_cutting),
        cmocka_unit_test(test_splitting_gives_every_part_the_empty_ones_too),
        cmocka_unit_test(test_whole_numbers_in_range_are_read_and_nothing_else),
        cmocka_unit_test(test_reals_are_decimal_and_finite),
        cmocka_unit_test(test_utf8_has_one_form),
        cmocka_unit_test(test_printing_takes_the_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

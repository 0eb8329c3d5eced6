#include "api/decode/time_form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t second = 1000000000;
static const int64_t now = 1700000000 * INT64_C(1000000000);

struct form {
    const char *text;
    int64_t ns;
};

static void assert_ingest(const struct form *forms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(time_form_ingest_ns(str_from(forms[i].text), now), forms[i].ns);
}

static void test_the_number_of_digits_tells_the_unit(void **state)
{
    const struct form forms[] = {
        {"1577836800", 1577836800 * second},
        {"1577836800001", 1577836800001 * 1000000},
        {"1577836800000001", 1577836800000001 * 1000},
        {"1577836800000000001", 1577836800000000001},
        {"0", 0},
    };

    (void)state;
    assert_ingest(forms, sizeof(forms) / sizeof(forms[0]));
    assert_int_equal(time_form_ingest_ns(STR("12345678901"), now), INT64_MAX);
    assert_int_equal(time_form_ingest_ns(STR("99999999999999999999"), now), now);
}

static void test_eight_digits_are_a_date_if_there_is_such_a_day(void **state)
{
    const struct form forms[] = {
        {"20200101", 1577836800 * second}, {"20200229", 1582934400 * second},
        {"20210229", 20210229 * second},   {"19700102", 86400 * second},
        {"19000101", 19000101 * second},   {"20201301", 20201301 * second},
        {"20201131", 20201131 * second},   {"20201200", 20201200 * second},
    };

    (void)state;
    assert_ingest(forms, sizeof(forms) / sizeof(forms[0]));
}

static void test_blanks_commas_and_underscores_do_not_matter(void **state)
{
    const struct form forms[] = {
        {" 1577836800 ", 1577836800 * second},
        {"1_577_836_800", 1577836800 * second},
        {"1,577,836,800,", 1577836800 * second},
        {"1577 836800\n", 1577836800 * second},
    };

    (void)state;
    assert_ingest(forms, sizeof(forms) / sizeof(forms[0]));
}

static void test_offsets_are_from_now(void **state)
{
    const struct form forms[] = {
        {"now-1h", now - 3600 * second},        {"now-1min", now - 60 * second},
        {"now-10m", now - 600 * second},        {"now-1mon", now - 2592000 * second},
        {"now-1M", now - 2592000 * second},     {"now+1s", now + second},
        {"-30min", now - 1800 * second},        {"now-1d", now - 86400 * second},
        {"now-2weeks", now - 1209600 * second}, {"now-1y", now - 31536000 * second},
        {"yesterday-1h", now - 3600 * second},  {"now-0mon", now},
    };

    (void)state;
    assert_ingest(forms, sizeof(forms) / sizeof(forms[0]));
}

static void test_what_is_not_understood_is_now(void **state)
{
    const struct form forms[] = {
        {"", now},
        {"now", now},
        {"yesterday", now},
        {"now-1", now},
        {"1615709120.5", now},
        {"2020-01-01T00:00:00Z", now},
        {"now-x", now},
        {"+", now},
        {"\xff\xfe", now},
        {"now-1parsec", now},
    };

    (void)state;
    assert_ingest(forms, sizeof(forms) / sizeof(forms[0]));
}

static void test_ingest_reads_one_offset_and_queries_add_them(void **state)
{
    (void)state;
    assert_int_equal(time_form_ingest_ns(STR("now-1h30m"), now), now - 3600 * second);
    assert_int_equal(time_form_query_ns(STR("now-1h30m"), now), now - 5400 * second);
    assert_int_equal(time_form_query_ns(STR("-1h"), now), now - 3600 * second);
    assert_int_equal(time_form_query_ns(STR("now-1h30"), now), now - 3600 * second);
    assert_int_equal(time_form_query_ns(STR("20200101"), now), 1577836800 * second);
}

static void test_huge_offsets_stop_at_the_end_of_time(void **state)
{
    (void)state;
    assert_true(time_form_ingest_ns(STR("now-99999999999999999999y"), now) < 0);
    assert_int_equal(time_form_ingest_ns(STR("now+9999999999999y"), now), INT64_MAX);
    assert_int_equal(time_form_query_ns(STR("now+9999999999999y9999999999999y"), now), INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_number_of_digits_tells_the_unit),
        cmocka_unit_test(test_eight_digits_are_a_date_if_there_is_such_a_day),
        cmocka_unit_test(test_blanks_commas_and_underscores_do_not_matter),
        cmocka_unit_test(test_offsets_are_from_now),
        cmocka_unit_test(test_what_is_not_understood_is_now),
        cmocka_unit_test(test_ingest_reads_one_offset_and_queries_add_them),
        cmocka_unit_test(test_huge_offsets_stop_at_the_end_of_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Texts that clients of the reference know, letter for letter. */
#include "storage/model/go_text.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_and_reset(struct buf *text, const char *want)
{
    assert_int_equal(text->len, strlen(want));
    assert_memory_equal(text->data, want, text->len);
    buf_reset(text);
}

static void test_json_escapes_what_go_escapes(void **state)
{
    struct buf t;

    (void)state;
    buf_init(&t, 4096);
    go_json_append(&t, STR("a<b>&\"\\\n\r\t\b\f\x01\x7f\xc3\xa9\xe2\x80\xa8"), true);
    expect_and_reset(
        &t, "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\r\\t\\b\\f\\u0001\x7f\xc3\xa9\\u2028\"");
    go_json_append(&t, STR("<&>"), false);
    expect_and_reset(&t, "\"<&>\"");
    go_json_append(&t, STR(""), true);
    expect_and_reset(&t, "\"\"");
    buf_release(&t);
}

static void test_json_replaces_each_byte_that_is_no_utf8(void **state)
{
    struct buf t;

    (void)state;
    buf_init(&t, 4096);
    /* A stray byte, an overlong form, a surrogate, a cut sequence. */
    go_json_append(&t, STR("\xff|\xc0\x80|\xed\xa0\x80|\xe2\x82"), true);
    expect_and_reset(&t, "\"\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"
                         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_release(&t);
}

static void test_times_show_milliseconds_only_when_there_are_some(void **state)
{
    struct buf t;

    (void)state;
    buf_init(&t, 4096);
    go_time_append(&t, 1676639594000);
    expect_and_reset(&t, "2023-02-17 13:13:14 +0000 UTC");
    go_time_append(&t, 1676639594120);
    expect_and_reset(&t, "2023-02-17 13:13:14.12 +0000 UTC");
    go_time_append(&t, 1676639594001);
    expect_and_reset(&t, "2023-02-17 13:13:14.001 +0000 UTC");
    go_time_append(&t, 1676639594500);
    expect_and_reset(&t, "2023-02-17 13:13:14.5 +0000 UTC");
    go_time_append(&t, -1);
    expect_and_reset(&t, "1969-12-31 23:59:59.999 +0000 UTC");
    buf_release(&t);
}

static void test_sizes_have_one_decimal_below_ten(void **state)
{
    struct buf t;

    (void)state;
    buf_init(&t, 4096);
    go_bytes_si_append(&t, 4194304);
    expect_and_reset(&t, "4.2 MB");
    go_bytes_si_append(&t, 268435456);
    expect_and_reset(&t, "268 MB");
    go_bytes_si_append(&t, 1048576);
    expect_and_reset(&t, "1.0 MB");
    go_bytes_si_append(&t, 9);
    expect_and_reset(&t, "9 B");
    go_bytes_iec_append(&t, 4194304);
    expect_and_reset(&t, "4.0 MiB");
    go_bytes_iec_append(&t, 15360);
    expect_and_reset(&t, "15 KiB");
    buf_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_escapes_what_go_escapes),
        cmocka_unit_test(test_json_replaces_each_byte_that_is_no_utf8),
        cmocka_unit_test(test_times_show_milliseconds_only_when_there_are_some),
        cmocka_unit_test(test_sizes_have_one_decimal_below_ten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

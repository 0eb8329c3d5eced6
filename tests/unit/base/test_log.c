/* One line per event, whatever a client put into the values. */
#include "base/log.h"

#include "base/err.h"
#include "base/metrics.h"

#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char said[3 * LOG_LINE_MAX];
static int real_stderr, capture;

static void listen_to_stderr(void)
{
    capture = memfd_create("stderr", 0);
    assert_true(capture >= 0);
    real_stderr = dup(STDERR_FILENO);
    (void)dup2(capture, STDERR_FILENO);
}

/* What was logged since; without the time stamp, which is checked. */
static const char *heard(void)
{
    ssize_t n;

    (void)dup2(real_stderr, STDERR_FILENO);
    (void)close(real_stderr);
    n = pread(capture, said, sizeof(said) - 1, 0);
    (void)close(capture);
    assert_true(n >= 0);
    said[n] = '\0';
    if (n == 0)
        return said;
    assert_memory_equal(said, "ts=20", 5);
    assert_memory_equal(said + 13, "T", 1);
    assert_memory_equal(said + 22, ".", 1);
    assert_memory_equal(said + 26, "Z ", 2);
    assert_int_equal(said[n - 1], '\n');
    return said + 28;
}

static void test_a_line_is_logfmt_with_typed_values(void **state)
{
    struct err err = {.msg = "read 'x': failed"};

    (void)state;
    listen_to_stderr();
    log_info("segment published", LOG_CSTR("tenant", "a"), LOG_I64("i", -1),
             LOG_U64("u", UINT64_MAX), LOG_F64("f", 0.25), LOG_BOOL("b", true), LOG_ERR(&err));
    assert_string_equal(heard(), "level=info msg=\"segment published\" tenant=a i=-1 "
                                 "u=18446744073709551615 f=0.25 b=true err=\"read 'x': failed\"\n");
    listen_to_stderr();
    log_warn("bare");
    assert_string_equal(heard(), "level=warn msg=bare\n");
}

static void test_hostile_values_cannot_forge_lines_or_reach_the_terminal(void **state)
{
    static const struct str none;

    (void)state;
    listen_to_stderr();
    log_error("x", LOG_STR("a", STR("1\nts=now level=info msg=forged")),
              LOG_STR("b", STR("say \"hi\" \\")), LOG_STR("c", STR("\x1b[31m\0\x7f")),
              LOG_STR("d", STR("\xff\xfe raw")), LOG_STR("e", STR("")), LOG_STR("f", STR("k=v")),
              LOG_STR("g", STR("gr\xc3\xbc\xc3\x9f")),
              LOG_STR("h", STR("\xc2\x9b"
                               "31m")),
              LOG_STR("i", none));
    assert_string_equal(heard(),
                        "level=error msg=x a=\"1\\nts=now level=info msg=forged\" "
                        "b=\"say \\\"hi\\\" \\\\\" c=\"\\x1b[31m\\x00\\x7f\" d=\"\\xff\\xfe raw\" "
                        "e=\"\" f=\"k=v\" g=\"gr\xc3\xbc\xc3\x9f\" h=\"\\u009b31m\" i=\"\"\n");
}

static void test_a_long_value_is_cut_and_the_line_still_ends_well(void **state)
{
    static char text[2 * LOG_LINE_MAX];
    const char *line;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    for (size_t lead = 0; lead < 6; lead++) {
        size_t len;

        listen_to_stderr();
        log_info("m", LOG_STR("lead", str_slice(STR("123456"), 0, lead)), LOG_CSTR("text", text),
                 LOG_I64("after", 1));
        line = heard();
        len = strlen(line);
        assert_true(strlen(said) <= LOG_LINE_MAX);
        assert_string_equal(line + len - 6, "x...\"\n");
        assert_null(strstr(line, "after"));
    }
    for (size_t i = 0; i + 1 < sizeof(text); i++)
        text[i] = i % 2 ? '"' : '\n';
    for (size_t fill = LOG_LINE_MAX - 120; fill < LOG_LINE_MAX; fill++) {
        size_t len;

        listen_to_stderr();
        log_info("m", LOG_STR("a", str_slice(str_from(text), 0, 10)), LOG_STR("b", STR("")),
                 LOG_STR("c", str_from(text)), LOG_U64("n", fill));
        len = strlen(heard());
        assert_true(len > 0);
        assert_int_equal(said[28 + len - 2], '"');
    }
}

static void test_numbers_that_do_not_fit_are_left_out_with_their_key(void **state)
{
    static char text[LOG_LINE_MAX];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    for (size_t len = LOG_LINE_MAX - 100; len < LOG_LINE_MAX - 30; len++) {
        struct str value = {text, len};
        const char *line, *key;

        listen_to_stderr();
        log_info("m", LOG_STR("t", value), LOG_U64("number", 12345678901234));
        line = heard();
        key = strstr(line, " number");
        assert_true(!key || strcmp(key, " number=12345678901234\n") == 0);
    }
}

static void test_what_is_below_the_level_is_not_written(void **state)
{
    enum log_level level;
    uint64_t before = metric_family_get(METRIC_log_lines, STR("warn"));

    (void)state;
    assert_true(log_level_parse(STR("warn"), &level));
    assert_false(log_level_parse(STR("loud"), &level));
    log_set_level(level);
    listen_to_stderr();
    log_info("no");
    log_debug("no");
    assert_string_equal(heard(), "");
    listen_to_stderr();
    log_warn("yes");
    assert_string_equal(heard(), "level=warn msg=yes\n");
    assert_int_equal(metric_family_get(METRIC_log_lines, STR("warn")), before + 1);
    log_set_level(LOG_LEVEL_INFO);
}

static void test_repeats_are_held_back_and_counted(void **state)
{
    struct log_limit limit = {0};
    uint64_t held_back = 99;

    (void)state;
    assert_true(log_limit_pass(&limit, 1000, 100, &held_back));
    assert_int_equal(held_back, 0);
    for (int i = 0; i < 5; i++)
        assert_false(log_limit_pass(&limit, 1099, 100, &held_back));
    assert_true(log_limit_pass(&limit, 1100, 100, &held_back));
    assert_int_equal(held_back, 5);
    assert_true(log_limit_pass(&limit, 1300, 100, &held_back));
    assert_int_equal(held_back, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_is_logfmt_with_typed_values),
        cmocka_unit_test(test_hostile_values_cannot_forge_lines_or_reach_the_terminal),
        cmocka_unit_test(test_a_long_value_is_cut_and_the_line_still_ends_well),
        cmocka_unit_test(test_numbers_that_do_not_fit_are_left_out_with_their_key),
        cmocka_unit_test(test_what_is_below_the_level_is_not_written),
        cmocka_unit_test(test_repeats_are_held_back_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "api/decode/app_name.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Parses `text` and compares with app, then name=value of every label, all joined by |. */
static void assert_name(const char *text, const char *expected)
{
    struct arena arena;
    struct app_name name;
    struct err err;
    char got[512];
    int n;

    arena_init(&arena, 1 << 16);
    assert_int_equal(app_name_parse(str_from(text), &arena, &name, &err), 0);
    n = snprintf(got, sizeof(got), "%" STR_FMT, STR_ARG(name.app));
    for (uint32_t i = 0; i < name.labels.count; i++)
        n += snprintf(got + n, sizeof(got) - (size_t)n, "|%" STR_FMT "=%" STR_FMT,
                      STR_ARG(name.labels.pairs[i].name), STR_ARG(name.labels.pairs[i].value));
    assert_string_equal(got, expected);
    arena_release(&arena);
}

static void assert_refused(const char *text, const char *message)
{
    struct arena arena;
    struct app_name name;
    struct err err;

    arena_init(&arena, 1 << 16);
    assert_int_equal(app_name_parse(str_from(text), &arena, &name, &err), ERR_INVALID);
    assert_string_equal(err.msg, message);
    arena_release(&arena);
}

static void test_names_and_labels_are_trimmed(void **state)
{
    (void)state;
    assert_name("foo", "foo");
    assert_name(" foo { bar = 1 , baz = 2 } ", "foo|bar=1|baz=2");
    assert_name("foo/x-y.cpu{}", "foo/x-y.cpu");
}

static void test_what_is_not_finished_is_dropped(void **state)
{
    (void)state;
    assert_name("foo{a=b", "foo");
    assert_name("foo{a}", "foo");
    assert_name("foo{a=1,b", "foo|a=1");
    assert_name("foo{", "foo");
}

static void test_values_may_hold_nearly_everything(void **state)
{
    (void)state;
    assert_name("foo{a=}", "foo|a=");
    assert_name("foo{a=\"x\"}", "foo|a=\"x\"");
    assert_name("foo{a=x{y}", "foo|a=x{y");
    assert_name("foo{a=b=c}", "foo|a=b=c");
    assert_name("foo{1a.b_=\xc3\xbc\xe6\x97\xa5,}", "foo|1a.b_=\xc3\xbc\xe6\x97\xa5");
}

static void test_labels_are_sorted_and_the_last_of_a_name_wins(void **state)
{
    (void)state;
    assert_name("foo{b=1,a=1,b=2,a=3,a=2}", "foo|a=2|b=2");
    assert_name("foo{a=1}b=2}", "foo|a=1|b=2");
}

static void test_the_name_label_replaces_the_name(void **state)
{
    (void)state;
    assert_name("foo{__name__=b r}", "b r");
}

static void test_refusals_name_the_character(void **state)
{
    (void)state;
    assert_refused("", "service name is required");
    assert_refused("{a=b}", "service name is required");
    assert_refused("foo{=b}", "label name is required");
    assert_refused("my app", "invalid service name: my app: character is not allowed: ' '");
    assert_refused("f\xc3\xbc",
                   "invalid service name: f\xc3\xbc: character is not allowed: '\xc3\xbc'");
    assert_refused("foo{a-b=c}", "invalid label name: a-b: character is not allowed: '-'");
    assert_refused("foo{a=1}zzz{b=2}", "invalid label name: zzz{b: character is not allowed: '{'");
}

static void test_many_repeated_labels_are_read(void **state)
{
    struct arena arena;
    struct app_name name;
    struct buf text;

    (void)state;
    arena_init(&arena, 64 << 20);
    buf_init(&text, 1 << 20);
    buf_append_cstr(&text, "foo{");
    for (int i = 0; i < 100000; i++)
        buf_append_cstr(&text, i % 2 ? "a=," : "b=,");
    buf_append_cstr(&text, "}");
    assert_int_equal(app_name_parse(buf_str(&text), &arena, &name, NULL), 0);
    assert_int_equal(name.labels.count, 2);
    arena_release(&arena);
    arena_init(&arena, 1000);
    assert_int_equal(app_name_parse(buf_str(&text), &arena, &name, NULL), ERR_TOO_LARGE);
    arena_release(&arena);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_labels_are_trimmed),
        cmocka_unit_test(test_what_is_not_finished_is_dropped),
        cmocka_unit_test(test_values_may_hold_nearly_everything),
        cmocka_unit_test(test_labels_are_sorted_and_the_last_of_a_name_wins),
        cmocka_unit_test(test_the_name_label_replaces_the_name),
        cmocka_unit_test(test_refusals_name_the_character),
        cmocka_unit_test(test_many_repeated_labels_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "api/decode/sample_type_config.h"

#include "base/arena.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct arena arena;

    arena_init(&arena, 1 << 20);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    return 0;
}

static void assert_display_name(const struct sample_type_config *c, const char *type,
                                const char *name)
{
    const struct sample_type_config_entry *e = sample_type_config_find(c, str_from(type));

    assert_non_null(e);
    assert_true(str_eq(e->display_name, str_from(name)));
}

static void test_display_names_are_read_and_the_rest_is_dropped(void **state)
{
    struct sample_type_config c;

    assert_int_equal(
        sample_type_config_parse(STR("{\"contentions\":{\"display-name\":\"block_count\",\"units\":"
                                     "\"lock_samples\",\"aggregation\":\"sum\",\"cumulative\":true,"
                                     "\"sampled\":false,\"other\":[1,2]},\"delay\":{},\"x\":null,"
                                     "\"y\":{\"Display-Name\":\"z\",\"units\":null}}"),
                                 *state, &c, NULL),
        0);
    assert_true(c.is_set);
    assert_int_equal(c.count, 4);
    assert_display_name(&c, "contentions", "block_count");
    assert_display_name(&c, "delay", "");
    assert_display_name(&c, "x", "");
    assert_display_name(&c, "y", "z");
    assert_null(sample_type_config_find(&c, STR("Delay")));
}

static void test_null_is_not_a_config_but_an_empty_object_is(void **state)
{
    struct sample_type_config c;

    assert_int_equal(sample_type_config_parse(STR("null"), *state, &c, NULL), 0);
    assert_false(c.is_set);
    assert_int_equal(sample_type_config_parse(STR(" {} "), *state, &c, NULL), 0);
    assert_true(c.is_set);
    assert_int_equal(c.count, 0);
}

static void test_other_shapes_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "{bad",
        "[]",
        "1",
        "\"x\"",
        "{\"a\":1}",
        "{\"a\":[]}",
        "{\"a\":{\"display-name\":1}}",
        "{\"a\":{\"units\":{}}}",
        "{\"a\":{\"sampled\":\"true\"}}",
        "{} x",
    };
    struct sample_type_config c;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(sample_type_config_parse(str_from(cases[i]), *state, &c, NULL),
                         ERR_INVALID);
}

static void test_a_large_or_deep_config_is_refused(void **state)
{
    static char text[SAMPLE_TYPE_CONFIG_BYTES_MAX + 1];
    struct sample_type_config c;

    memset(text, '[', sizeof(text));
    assert_int_equal(sample_type_config_parse((struct str){text, sizeof(text)}, *state, &c, NULL),
                     ERR_TOO_LARGE);
    assert_int_equal(
        sample_type_config_parse((struct str){text, sizeof(text) - 1}, *state, &c, NULL),
        ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_display_names_are_read_and_the_rest_is_dropped),
        TEST(test_null_is_not_a_config_but_an_empty_object_is),
        TEST(test_other_shapes_are_refused),
        TEST(test_a_large_or_deep_config_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

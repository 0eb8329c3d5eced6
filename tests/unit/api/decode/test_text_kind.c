#include "api/decode/text_kind.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_str(actual, expected) assert_true(str_eq((actual), str_from(expected)))

static void test_a_name_without_a_dot_is_cpu(void **state)
{
    struct text_kind k;

    (void)state;
    assert_int_equal(text_kind_of(STR("shop"), 100, &k, NULL), 0);
    assert_str(k.app, "shop");
    assert_str(k.metric_name, "process_cpu");
    assert_str(k.sample_type, "cpu");
    assert_str(k.sample_unit, "nanoseconds");
    assert_str(k.period_type, "cpu");
    assert_int_equal(k.period, 10000000);
    assert_int_equal(k.scale, 10000000);
}

static void test_only_the_last_component_is_the_suffix(void **state)
{
    struct text_kind k;

    (void)state;
    assert_int_equal(text_kind_of(STR("a.b.alloc_space"), 100, &k, NULL), 0);
    assert_str(k.app, "a.b");
    assert_str(k.metric_name, "memory");
    assert_str(k.sample_type, "alloc_space");
    assert_str(k.sample_unit, "bytes");
    assert_int_equal(k.period_type.len, 0);
    assert_int_equal(k.scale, 1);
}

static void test_wall_has_the_period_type_cpu(void **state)
{
    struct text_kind k;

    (void)state;
    assert_int_equal(text_kind_of(STR("a.seconds"), 1, &k, NULL), 0);
    assert_str(k.metric_name, "wall");
    assert_str(k.sample_type, "wall");
    assert_str(k.period_type, "cpu");
    assert_int_equal(k.period, 1000000000);
}

static void test_a_sample_rate_of_zero_counts_samples(void **state)
{
    struct text_kind k;

    (void)state;
    assert_int_equal(text_kind_of(STR("a.cpu"), 0, &k, NULL), 0);
    assert_str(k.sample_type, "samples");
    assert_str(k.sample_unit, "count");
    assert_int_equal(k.period_type.len, 0);
    assert_int_equal(k.period, 0);
    assert_int_equal(k.scale, 1);
}

static void test_a_sample_rate_above_a_billion_leaves_nothing(void **state)
{
    struct text_kind k;

    (void)state;
    assert_int_equal(text_kind_of(STR("a.cpu"), 1000000001, &k, NULL), 0);
    assert_int_equal(k.scale, 0);
}

static void test_an_unknown_suffix_is_refused_by_name(void **state)
{
    static const char *const names[][2] = {
        {"python.example", "unknown profile type: example"},
        {"x.CPU", "unknown profile type: CPU"},
        {"x.", "unknown profile type: "},
    };
    struct text_kind k;
    struct err err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(text_kind_of(str_from(names[i][0]), 100, &k, &err), ERR_INVALID);
        assert_string_equal(err.msg, names[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_without_a_dot_is_cpu),
        cmocka_unit_test(test_only_the_last_component_is_the_suffix),
        cmocka_unit_test(test_wall_has_the_period_type_cpu),
        cmocka_unit_test(test_a_sample_rate_of_zero_counts_samples),
        cmocka_unit_test(test_a_sample_rate_above_a_billion_leaves_nothing),
        cmocka_unit_test(test_an_unknown_suffix_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

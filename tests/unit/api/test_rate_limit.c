/* A bucket per tenant: bursts pass, rates hold, one tenant does not take another's. */
#include "api/rate_limit.h"

#include "storage/model/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

static const struct limits limits = {.push_rate_bytes = 100, .push_burst_bytes = 50};

static void test_off_unless_a_rate_is_set(void **state)
{
    const struct limits off = {0};

    (void)state;
    assert_true(rate_limit_take(&off, STR("off"), UINT64_MAX, 0));
}

static void test_a_burst_passes_and_then_the_rate_holds(void **state)
{
    (void)state;
    assert_true(rate_limit_take(&limits, STR("a"), 50, 10 * S));
    assert_false(rate_limit_take(&limits, STR("a"), 1, 10 * S));
    assert_true(rate_limit_take(&limits, STR("a"), 10, 10 * S + S / 10));
    assert_false(rate_limit_take(&limits, STR("a"), 1, 10 * S + S / 10));
    assert_true(rate_limit_take(&limits, STR("a"), 50, 100 * S));
    assert_false(rate_limit_take(&limits, STR("a"), 1, 100 * S));
}

static void test_more_than_the_burst_never_passes_and_costs_nothing(void **state)
{
    (void)state;
    assert_false(rate_limit_take(&limits, STR("b"), 51, 10 * S));
    assert_true(rate_limit_take(&limits, STR("b"), 50, 10 * S));
}

static void test_tenants_have_buckets_of_their_own(void **state)
{
    (void)state;
    assert_true(rate_limit_take(&limits, STR("c"), 50, 10 * S));
    assert_true(rate_limit_take(&limits, STR("d"), 50, 10 * S));
    assert_false(rate_limit_take(&limits, STR("c"), 50, 10 * S));
}

static void test_any_number_of_tenants_takes_bounded_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * RATE_LIMIT_TENANTS_MAX; i++) {
        char name[32];

        snprintf(name, sizeof(name), "tenant-%d", i);
        assert_true(rate_limit_take(&limits, str_from(name), 50, (200 + i) * S));
    }
    /* The newest is still known. */
    assert_false(rate_limit_take(&limits, STR("tenant-1023"), 1, 1223 * S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_unless_a_rate_is_set),
        cmocka_unit_test(test_a_burst_passes_and_then_the_rate_holds),
        cmocka_unit_test(test_more_than_the_burst_never_passes_and_costs_nothing),
        cmocka_unit_test(test_tenants_have_buckets_of_their_own),
        cmocka_unit_test(test_any_number_of_tenants_takes_bounded_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

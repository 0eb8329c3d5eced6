/* Time goes on by itself, or as a test says. */
#include "base/clock.h"

#include "tests/support/clock_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_the_system_s_clocks_are_plausible_and_monotonic(void **state)
{
    const struct clock *c = clock_system();
    int64_t last = clock_mono_ns(c);

    (void)state;
    assert_true(clock_now_ns(c) > 1700000000 * NS_PER_S);
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_ns(c);

        assert_true(now >= last);
        last = now;
    }
}

static void test_a_fake_clock_stands_until_moved_and_can_jump_back(void **state)
{
    struct clock_fake c;
    int64_t mono;

    (void)state;
    clock_fake_init(&c, 5 * NS_PER_DAY);
    mono = clock_mono_ns(&c.clock);
    assert_true(clock_now_ns(&c.clock) == 5 * NS_PER_DAY);
    clock_fake_advance(&c, 3 * NS_PER_S);
    assert_true(clock_now_ns(&c.clock) == 5 * NS_PER_DAY + 3 * NS_PER_S);
    assert_true(clock_mono_ns(&c.clock) == mono + 3 * NS_PER_S);
    clock_fake_jump(&c, NS_PER_DAY);
    assert_true(clock_now_ns(&c.clock) == NS_PER_DAY);
    assert_true(clock_mono_ns(&c.clock) == mono + 3 * NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_system_s_clocks_are_plausible_and_monotonic),
        cmocka_unit_test(test_a_fake_clock_stands_until_moved_and_can_jump_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

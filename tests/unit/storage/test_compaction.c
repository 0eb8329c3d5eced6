/* Which segments become one, and when. */
#include "storage/compaction.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOUR_NS (3600 * NS_PER_S)
#define DAY 20780
#define NOON (DAY * 24 * HOUR_NS + 12 * HOUR_NS)

enum {
    ITEMS_MAX = 64,
};

struct world {
    struct compaction_item items[ITEMS_MAX];
    uint32_t count;
    struct compaction_rules rules;
    struct compaction_job job;
};

static struct world world_make(void)
{
    return (struct world){.rules = {.bytes_max = 1000, .age_ns = 2 * HOUR_NS}};
}

static void add(struct world *w, uint8_t level, uint64_t bytes, int64_t created_ns)
{
    w->items[w->count++] = (struct compaction_item){STR("t"), DAY, level, bytes, created_ns};
}

static bool plan(struct world *w, int64_t now_ns)
{
    return compaction_plan(w->items, w->count, &w->rules, now_ns, &w->job);
}

static void test_nothing_alone_is_joined(void **state)
{
    struct world w = world_make();

    (void)state;
    assert_false(plan(&w, NOON));
    add(&w, 0, 10, NOON);
    assert_false(plan(&w, NOON + 40 * 24 * HOUR_NS));
}

static void test_eight_of_an_open_day_become_one_oldest_first(void **state)
{
    struct world w = world_make();

    (void)state;
    for (int i = 0; i < COMPACTION_FANIN_MIN - 1; i++)
        add(&w, 0, 10, NOON - i);
    assert_false(plan(&w, NOON));
    add(&w, 0, 10, NOON - 100);
    assert_true(plan(&w, NOON));
    assert_int_equal(w.job.count, COMPACTION_FANIN_MIN);
    assert_int_equal(w.job.level, 1);
    assert_int_equal(w.job.inputs[0], COMPACTION_FANIN_MIN - 1);
}

static void test_two_are_enough_when_one_is_old(void **state)
{
    struct world w = world_make();

    (void)state;
    add(&w, 0, 10, NOON);
    add(&w, 0, 10, NOON + 1);
    assert_false(plan(&w, NOON + 2 * HOUR_NS - 1));
    assert_true(plan(&w, NOON + 2 * HOUR_NS));
    assert_int_equal(w.job.count, 2);
}

static void test_a_day_that_is_over_becomes_one(void **state)
{
    struct world w = world_make();
    int64_t over = (DAY + 1) * 24 * HOUR_NS + 2 * HOUR_NS;

    (void)state;
    add(&w, 1, 300, NOON);
    add(&w, 0, 10, NOON + 1);
    add(&w, 1, 300, NOON + 2);
    assert_false(plan(&w, over - 1 - 24 * HOUR_NS));
    assert_true(plan(&w, over));
    assert_int_equal(w.job.count, 3);
    assert_int_equal(w.job.level, 2);
}

static void test_what_comes_late_waits_for_a_day_or_for_more(void **state)
{
    int64_t over = (DAY + 1) * 24 * HOUR_NS + 2 * HOUR_NS;
    struct world w = world_make();

    (void)state;
    add(&w, 2, 500, over);
    add(&w, 0, 40, over + 1);
    assert_false(plan(&w, over + HOUR_NS));
    assert_true(plan(&w, over + 24 * HOUR_NS));
    w.items[1].bytes = 50;
    assert_true(plan(&w, over + HOUR_NS));
    assert_int_equal(w.job.level, 2);
}

static void test_no_output_is_larger_than_allowed(void **state)
{
    struct world w = world_make();
    uint64_t bytes = 0;

    (void)state;
    for (int i = 0; i < COMPACTION_FANIN_MIN; i++)
        add(&w, 0, 300, NOON + i);
    assert_true(plan(&w, NOON + HOUR_NS));
    for (uint32_t i = 0; i < w.job.count; i++)
        bytes += w.items[w.job.inputs[i]].bytes;
    assert_int_equal(w.job.count, 3);
    assert_true(bytes <= w.rules.bytes_max);
    w.rules.bytes_max = 500;
    assert_false(plan(&w, NOON + HOUR_NS));
}

static void test_days_and_tenants_stay_apart(void **state)
{
    struct world w = world_make();

    (void)state;
    for (int i = 0; i < COMPACTION_FANIN_MIN; i++)
        add(&w, 0, 10, NOON);
    w.items[6].tenant = w.items[7].tenant = STR("u");
    assert_false(plan(&w, NOON));
    w.items[6].tenant = w.items[7].tenant = STR("t");
    w.items[7].day = DAY + 1;
    assert_false(plan(&w, NOON));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_alone_is_joined),
        cmocka_unit_test(test_eight_of_an_open_day_become_one_oldest_first),
        cmocka_unit_test(test_two_are_enough_when_one_is_old),
        cmocka_unit_test(test_a_day_that_is_over_becomes_one),
        cmocka_unit_test(test_what_comes_late_waits_for_a_day_or_for_more),
        cmocka_unit_test(test_no_output_is_larger_than_allowed),
        cmocka_unit_test(test_days_and_tenants_stay_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

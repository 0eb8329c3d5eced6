/* One number for all memory: what fits, what waits, what is refused and with which words. */
#include "base/budget.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    LIMIT = 1 << 20,
    LONG_S = 60,
};

static int set_limit(void **state)
{
    (void)state;
    budget_limit(LIMIT);
    return 0;
}

static int all_is_given_back(void **state)
{
    struct budget_usage usage;

    (void)state;
    budget_usage(&usage);
    assert_int_equal(usage.used, 0);
    return 0;
}

static void test_what_does_not_fit_is_not_taken(void **state)
{
    struct budget_usage usage;

    (void)state;
    assert_true(budget_take(BUDGET_INTAKE, LIMIT - 1));
    assert_false(budget_take(BUDGET_QUERIES, 2));
    assert_false(budget_take(BUDGET_QUERIES, UINT64_MAX));
    assert_true(budget_take(BUDGET_QUERIES, 1));
    budget_usage(&usage);
    assert_int_equal(usage.accounts[BUDGET_INTAKE], LIMIT - 1);
    assert_int_equal(usage.accounts[BUDGET_QUERIES], 1);
    budget_give(BUDGET_INTAKE, LIMIT - 1);
    budget_give(BUDGET_QUERIES, 1);
}

static void test_what_is_added_may_go_above_and_then_nothing_fits(void **state)
{
    (void)state;
    budget_add(BUDGET_CACHE, LIMIT);
    assert_false(budget_is_over());
    budget_add(BUDGET_CACHE, 1);
    assert_true(budget_is_over());
    assert_false(budget_take(BUDGET_BODIES, 0));
    budget_give(BUDGET_CACHE, LIMIT + 1);
    assert_false(budget_is_over());
}

static void test_a_refusal_says_wanted_free_limit_and_setting(void **state)
{
    struct budget_usage before, after;
    struct err err;

    (void)state;
    budget_usage(&before);
    budget_add(BUDGET_HEADS, LIMIT - 100);
    assert_int_equal(budget_take_wait(BUDGET_QUERIES, 333, 0, &err), ERR_BUSY);
    budget_usage(&after);
    assert_non_null(strstr(err.msg, "queries: 333 bytes"));
    assert_non_null(strstr(err.msg, " 100 of memory.max_bytes 1048576"));
    assert_int_equal(after.refusals, before.refusals + 1);
    assert_int_equal(after.waits, before.waits + 1);
    budget_give(BUDGET_HEADS, LIMIT - 100);
}

static void *give_all(void *arg)
{
    struct budget_usage usage;

    (void)arg;
    do
        budget_usage(&usage);
    while (usage.waits == 0); /* the other thread found nothing */
    budget_give(BUDGET_HEADS, LIMIT);
    return NULL;
}

static void test_who_waits_gets_what_another_gives(void **state)
{
    pthread_t other;
    struct err err;

    (void)state;
    budget_add(BUDGET_HEADS, LIMIT);
    assert_int_equal(thread_start(&other, "giver", give_all, NULL, &err), 0);
    assert_int_equal(budget_take_wait(BUDGET_QUERIES, LIMIT, LONG_S * INT64_C(1000000000), &err),
                     0);
    thread_join(other);
    budget_give(BUDGET_QUERIES, LIMIT);
}

static void test_a_part_taken_in_advance_is_used_first(void **state)
{
    struct budget_share s = {.account = BUDGET_QUERIES};
    struct budget_usage usage;
    struct err err;

    (void)state;
    assert_int_equal(budget_share_expect(&s, 1000, 0, &err), 0);
    assert_true(budget_share_use(&s, 400));
    assert_true(budget_share_use(&s, 600));
    budget_usage(&usage);
    assert_int_equal(usage.used, 1000);
    assert_true(budget_share_use(&s, 1));
    budget_usage(&usage);
    assert_int_equal(usage.used, 1001);
    assert_false(budget_share_use(&s, LIMIT));
    assert_int_equal(s.refused, LIMIT);
    budget_share_unuse(&s, 1001);
    budget_share_end(&s);
}

static void test_an_arena_takes_what_it_holds_and_is_refused_the_rest(void **state)
{
    struct budget_share s = {.account = BUDGET_QUERIES};
    struct budget_usage usage;
    struct arena a;

    (void)state;
    arena_init_shared(&a, SIZE_MAX, &s);
    assert_non_null(arena_alloc(&a, LIMIT / 2));
    budget_usage(&usage);
    assert_true(usage.used >= LIMIT / 2);
    assert_null(arena_alloc(&a, LIMIT / 2));
    assert_true(s.refused >= LIMIT / 2);
    assert_non_null(arena_alloc(&a, 64)); /* a small one still fits */
    arena_release(&a);
    assert_non_null(arena_alloc(&a, 64)); /* and it counts after a release, too */
    budget_usage(&usage);
    assert_true(usage.used > 0);
    arena_release(&a);
    budget_share_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_waits_gets_what_another_gives, set_limit,
                                        all_is_given_back),
        cmocka_unit_test_setup_teardown(test_what_does_not_fit_is_not_taken, set_limit,
                                        all_is_given_back),
        cmocka_unit_test_setup_teardown(test_what_is_added_may_go_above_and_then_nothing_fits,
                                        set_limit, all_is_given_back),
        cmocka_unit_test_setup_teardown(test_a_refusal_says_wanted_free_limit_and_setting,
                                        set_limit, all_is_given_back),
        cmocka_unit_test_setup_teardown(test_a_part_taken_in_advance_is_used_first, set_limit,
                                        all_is_given_back),
        cmocka_unit_test_setup_teardown(test_an_arena_takes_what_it_holds_and_is_refused_the_rest,
                                        set_limit, all_is_given_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* space: when a disk counts as full, and when no more. */
#include "storage/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct space_look plenty = {.available = 1000, .reserve = 100};

static void test_only_a_write_that_met_the_end_makes_it_full(void **state)
{
    struct space_look look = plenty;

    (void)state;
    assert_int_equal(space_next(SPACE_OK, &look), SPACE_OK);
    look.available = 0;
    assert_int_equal(space_next(SPACE_OK, &look), SPACE_LOW);
    look.met_end = true;
    assert_int_equal(space_next(SPACE_OK, &look), SPACE_FULL);
}

static void test_it_is_full_until_what_comes_next_has_room(void **state)
{
    struct space_look look = plenty;

    (void)state;
    look.available = 99;
    assert_int_equal(space_next(SPACE_FULL, &look), SPACE_FULL);
    assert_int_equal(space_next(SPACE_STUCK, &look), SPACE_FULL);
    look.available = 100;
    assert_int_equal(space_next(SPACE_FULL, &look), SPACE_LOW);
    look.available = 200;
    assert_int_equal(space_next(SPACE_FULL, &look), SPACE_OK);
    look.met_end = true;
    assert_int_equal(space_next(SPACE_FULL, &look), SPACE_FULL);
}

static void test_a_log_that_cannot_be_written_is_stuck_whatever_else_holds(void **state)
{
    struct space_look look = plenty;

    (void)state;
    look.log_blocked = true;
    assert_int_equal(space_next(SPACE_OK, &look), SPACE_STUCK);
    look.log_blocked = false;
    look.log_read_only = true;
    assert_int_equal(space_next(SPACE_LOW, &look), SPACE_STUCK);
    assert_int_equal(space_next(SPACE_STUCK, &plenty), SPACE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_a_write_that_met_the_end_makes_it_full),
        cmocka_unit_test(test_it_is_full_until_what_comes_next_has_room),
        cmocka_unit_test(test_a_log_that_cannot_be_written_is_stuck_whatever_else_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

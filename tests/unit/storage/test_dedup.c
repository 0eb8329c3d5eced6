/* dedup: a row that comes again within the window is known, and memory has a limit. */
#include "storage/dedup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define START_NS INT64_C(1000000000)

static bool known(struct dedup *d, uint64_t key, int64_t mono_ns)
{
    uint64_t lsn = 0;

    return dedup_find(d, key, mono_ns, &lsn) && lsn == key + 1;
}

static void test_a_key_is_known_for_the_window_and_not_for_twice_of_it(void **state)
{
    struct dedup *d = dedup_new(1 << 20);

    (void)state;
    assert_false(known(d, 7, START_NS));
    dedup_add(d, 7, START_NS, 8);
    assert_true(known(d, 7, START_NS));
    assert_true(known(d, 7, START_NS + DEDUP_WINDOW_NS));
    dedup_add(d, 9, START_NS + DEDUP_WINDOW_NS + 1, 10);
    assert_true(known(d, 7, START_NS + 2 * DEDUP_WINDOW_NS - 1));
    assert_false(known(d, 7, START_NS + 2 * DEDUP_WINDOW_NS));
    assert_true(known(d, 9, START_NS + 2 * DEDUP_WINDOW_NS + 1));
    dedup_free(d);
}

static void test_the_log_must_keep_the_oldest_that_is_remembered(void **state)
{
    struct dedup *d = dedup_new(1 << 20);

    (void)state;
    assert_true(dedup_oldest_lsn(d, START_NS) == UINT64_MAX);
    dedup_add(d, 1, START_NS, 50);
    dedup_add(d, 2, START_NS, 40);
    dedup_add(d, 3, START_NS + DEDUP_WINDOW_NS, 60);
    assert_int_equal(dedup_oldest_lsn(d, START_NS + DEDUP_WINDOW_NS), 40);
    assert_int_equal(dedup_oldest_lsn(d, START_NS + 2 * DEDUP_WINDOW_NS), 60);
    assert_true(dedup_oldest_lsn(d, START_NS + 3 * DEDUP_WINDOW_NS) == UINT64_MAX);
    dedup_free(d);
}

static void test_beyond_its_memory_the_older_half_is_forgotten_and_counted(void **state)
{
    enum { BYTES = 64 << 10 };
    struct dedup *d = dedup_new(BYTES);
    struct dedup_stats stats = {0};
    uint64_t key = 0;

    (void)state;
    while (stats.turned_early < 2) {
        assert_true(key < BYTES);
        key++;
        dedup_add(d, key, START_NS, key + 1);
        assert_true(known(d, key, START_NS));
        dedup_stats(d, &stats);
        assert_true(stats.bytes <= BYTES);
    }
    assert_false(known(d, 1, START_NS));
    assert_int_equal(stats.keys, key / 2 + 1); /* the last full half and the newest */
    assert_true(known(d, key / 2 + 1, START_NS));
    dedup_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_known_for_the_window_and_not_for_twice_of_it),
        cmocka_unit_test(test_the_log_must_keep_the_oldest_that_is_remembered),
        cmocka_unit_test(test_beyond_its_memory_the_older_half_is_forgotten_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Items never move while others are added. */
#include "base/stable_array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_items_keep_their_place_and_value(void **state)
{
    enum {
        COUNT = 100000,
    };
    struct stable_array a;
    uint64_t *first[3], allocated = 0;

    (void)state;
    stable_array_init(&a, sizeof(uint64_t));
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t bytes = stable_array_next_bytes(&a);
        uint64_t *item = stable_array_add(&a);

        assert_non_null(item);
        assert_true(*item == 0);
        if (bytes > 0)
            allocated += bytes;
        assert_true(i < 1024 || allocated / 4 * 3 <= (i + 1) * sizeof(uint64_t));
        *item = i;
        if (i < 3)
            first[i] = item;
    }
    assert_int_equal(a.count, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_true(*(uint64_t *)stable_array_at(&a, i) == i);
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(stable_array_at(&a, i), first[i]);
    stable_array_release(&a);
    assert_int_equal(a.count, 0);
}

static void test_places_are_dense_over_all_indexes(void **state)
{
    const uint32_t probes[] = {0,   63,  64,       255,      256,           257,
                               383, 384, 1u << 20, 1u << 31, UINT32_MAX - 1};

    (void)state;
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        struct stable_place here = stable_array_place(probes[i]),
                            next = stable_array_place(probes[i] + 1);

        assert_true(here.block < STABLE_BLOCKS);
        if (next.block == here.block)
            assert_int_equal(next.offset, here.offset + 1);
        else
            assert_true(next.block == here.block + 1 && next.offset == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_keep_their_place_and_value),
        cmocka_unit_test(test_places_are_dense_over_all_indexes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
    uint64_t *first[3];

    (void)state;
    stable_array_init(&a, sizeof(uint64_t));
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t bytes = stable_array_next_bytes(&a);
        uint64_t *item = stable_array_add(&a);

        assert_non_null(item);
        assert_true(*item == 0);
        assert_true(bytes == 0 || i == 0 || bytes >= 512 * sizeof(uint64_t));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_keep_their_place_and_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

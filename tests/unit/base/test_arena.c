/* Memory with a limit that goes all at once and comes back warm. */
#include "base/arena.h"

#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MIB = 1 << 20,
};

static void test_the_limit_is_an_answer_not_an_abort(void **state)
{
    volatile size_t huge = SIZE_MAX; /* gcc would refuse to compile it */
    struct arena a;

    (void)state;
    arena_init(&a, 1024);
    assert_null(arena_alloc(&a, 1025));
    assert_non_null(arena_alloc(&a, 1000));
    assert_null(arena_alloc(&a, 100));
    assert_true(arena_used(&a) <= 1024);
    assert_null(arena_strndup(&a, "x", 2000));
    arena_release(&a);
    arena_init(&a, SIZE_MAX);
    assert_null(arena_alloc(&a, huge));
    assert_null(arena_alloc(&a, huge - 8));
    arena_release(&a);
}

static void test_a_count_that_overflows_is_refused(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_array(&a, uint64_t, SIZE_MAX / 8 + 1));
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
    arena_release(&a);
}

static void test_memory_is_aligned_disjoint_and_whole(void **state)
{
    struct rng r = rng_of(1);
    unsigned char *at[500];
    size_t size[500];
    struct arena a;

    (void)state;
    arena_init(&a, 64 * MIB);
    for (int i = 0; i < 500; i++) {
        size[i] = rng_below(&r, i % 50 == 0 ? 100000 : 200);
        at[i] = arena_alloc(&a, size[i]);
        assert_non_null(at[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        memset(at[i], i & 0xff, size[i]);
    }
    for (int i = 0; i < 500; i++)
        for (size_t k = 0; k < size[i]; k++)
            assert_int_equal(at[i][k], i & 0xff);
    arena_release(&a);
}

static void test_copies_are_equal_and_strings_end(void **state)
{
    struct arena a;
    int *zeroes;

    (void)state;
    arena_init(&a, MIB);
    assert_memory_equal(arena_memdup(&a, "abc", 3), "abc", 3);
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(&a, NULL, 0), "");
    assert_non_null(arena_memdup(&a, NULL, 0));
    zeroes = arena_calloc(&a, 100, sizeof(*zeroes));
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroes[i], 0);
    arena_release(&a);
}

static void test_a_rewind_forgets_only_what_came_after_the_mark(void **state)
{
    struct arena_mark mark;
    struct arena a;
    size_t used;
    char *kept;

    (void)state;
    arena_init(&a, 4 * MIB);
    kept = arena_strndup(&a, "kept", 4);
    mark = arena_mark(&a);
    used = arena_used(&a);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++)
            assert_non_null(memset(arena_alloc(&a, 5000), 'x', 5000));
        arena_rewind(&a, mark);
        assert_int_equal(arena_used(&a), used);
    }
    assert_string_equal(kept, "kept");
    arena_release(&a);
    arena_init(&a, MIB);
    mark = arena_mark(&a); /* of an arena without memory */
    assert_non_null(arena_alloc(&a, 10));
    arena_rewind(&a, mark);
    assert_int_equal(arena_used(&a), 0);
    arena_release(&a);
}

#if !defined(__SANITIZE_ADDRESS__)
static void test_a_reset_arena_is_warm(void **state)
{
    struct arena a;
    void *first;

    (void)state;
    arena_init(&a, 16 * MIB);
    first = arena_alloc(&a, 100);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 50000));
    arena_reset(&a);
    assert_int_equal(arena_used(&a), 0);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    arena_reset(&a);
    arena_trim(&a, 20000);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    arena_reset(&a);
    arena_trim(&a, 0);
    assert_null(a.first);
    assert_non_null(arena_alloc(&a, 100));
    arena_release(&a);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_limit_is_an_answer_not_an_abort),
        cmocka_unit_test(test_a_count_that_overflows_is_refused),
        cmocka_unit_test(test_memory_is_aligned_disjoint_and_whole),
        cmocka_unit_test(test_copies_are_equal_and_strings_end),
        cmocka_unit_test(test_a_rewind_forgets_only_what_came_after_the_mark),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(test_a_reset_arena_is_warm),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

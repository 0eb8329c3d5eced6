/* Hash tables: what was put is found, in any number, from any memory. */
#include "base/map.h"

#include "base/arena.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MANY = 20000,
};

static char names[MANY][16];

static struct str name(int i)
{
    (void)snprintf(names[i], sizeof(names[i]), "key-%d", i);
    return str_from(names[i]);
}

static void fill_and_find(struct map *m)
{
    struct map_slot *slot;
    bool added;
    size_t at = 0, count = 0;

    for (int i = 0; i < MANY; i++) {
        slot = map_put(m, name(i), &added);
        assert_non_null(slot);
        assert_true(added);
        assert_true(slot->value == 0);
        slot->value = (uint64_t)i;
    }
    assert_int_equal(m->count, MANY);
    for (int i = 0; i < MANY; i++) {
        slot = map_get(m, name(i));
        assert_true(slot && slot->value == (uint64_t)i);
        assert_true(map_put(m, name(i), &added) == slot && !added);
    }
    assert_null(map_get(m, STR("key-")));
    while ((slot = map_next(m, &at)) != NULL)
        count++;
    assert_int_equal(count, MANY);
}

static void test_what_was_put_is_found(void **state)
{
    struct map m;

    (void)state;
    map_init(&m, NULL, SIZE_MAX);
    assert_null(map_get(&m, STR("x")));
    fill_and_find(&m);
    map_reset(&m);
    assert_null(map_get(&m, name(1)));
    fill_and_find(&m);
    map_release(&m);
    assert_null(map_get(&m, name(1)));
    map_release(&m);
}

static void test_an_arena_can_hold_it_and_its_limit_is_an_answer(void **state)
{
    struct arena a;
    struct map m;
    bool added = true;
    int i = 0;

    (void)state;
    arena_init(&a, 16 << 20);
    map_init(&m, &a, SIZE_MAX);
    fill_and_find(&m);
    arena_release(&a);
    arena_init(&a, 8192);
    map_init(&m, &a, SIZE_MAX);
    while (map_put(&m, name(i), &added))
        i++;
    assert_true(i > 16 && i < 200);
    assert_false(added);
    for (int k = 0; k < i; k++)
        assert_non_null(map_get(&m, name(k)));
    arena_release(&a);
}

static void test_more_keys_than_allowed_are_refused(void **state)
{
    struct map m;
    bool added;

    (void)state;
    map_init(&m, NULL, 3);
    for (int i = 0; i < 3; i++)
        assert_non_null(map_put(&m, name(i), &added));
    assert_null(map_put(&m, name(3), &added));
    assert_non_null(map_put(&m, name(2), &added));
    map_release(&m);
}

static void test_any_bytes_are_a_key(void **state)
{
    struct map m;
    bool added;

    (void)state;
    map_init(&m, NULL, SIZE_MAX);
    assert_non_null(map_put(&m, (struct str){NULL, 0}, &added));
    assert_true(added);
    assert_non_null(map_put(&m, STR(""), &added));
    assert_false(added);
    assert_non_null(map_put(&m, STR("a\0b"), &added));
    assert_null(map_get(&m, STR("a\0c")));
    assert_null(map_get(&m, STR("a")));
    assert_int_equal(m.count, 2);
    map_release(&m);
}

static void test_tables_have_seeds_of_their_own(void **state)
{
    struct map a, b;

    (void)state;
    map_init(&a, NULL, 1);
    map_init(&b, NULL, 1);
    assert_true(a.seed != b.seed);
}

static void test_integers_of_any_value_are_keys(void **state)
{
    struct u64map m;
    struct u64map_slot *slot;
    struct arena a;
    size_t at = 0, count = 0;
    bool added;

    (void)state;
    arena_init(&a, 16 << 20);
    for (int round = 0; round < 2; round++) {
        u64map_init(&m, round ? &a : NULL, MANY);
        assert_null(u64map_get(&m, 0));
        for (uint64_t i = 0; i < MANY; i++) {
            slot = u64map_put(&m, i << 40, &added);
            assert_true(slot && added);
            slot->value = ~i;
        }
        assert_null(u64map_put(&m, 1, &added));
        for (uint64_t i = 0; i < MANY; i++) {
            slot = u64map_get(&m, i << 40);
            assert_true(slot && slot->value == ~i);
        }
        assert_null(u64map_get(&m, 1));
        for (at = 0, count = 0; u64map_next(&m, &at) != NULL;)
            count++;
        assert_int_equal(count, MANY);
        u64map_reset(&m);
        assert_null(u64map_get(&m, 0));
        u64map_release(&m);
    }
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put_is_found),
        cmocka_unit_test(test_an_arena_can_hold_it_and_its_limit_is_an_answer),
        cmocka_unit_test(test_more_keys_than_allowed_are_refused),
        cmocka_unit_test(test_any_bytes_are_a_key),
        cmocka_unit_test(test_tables_have_seeds_of_their_own),
        cmocka_unit_test(test_integers_of_any_value_are_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

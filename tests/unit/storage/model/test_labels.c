/* What labels promise: order, look-up, comparison, hash, and the text that errors show. */
#include "storage/model/labels.h"

#include "base/arena.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SET(array) ((struct labels){(array), sizeof(array) / sizeof((array)[0])})

static void assert_str(struct str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.p, want, got.len);
}

static void assert_format(struct labels set, const char *want)
{
    struct buf text;

    buf_init(&text, 4096);
    labels_format(&set, &text);
    assert_str(buf_str(&text), want);
    buf_release(&text);
}

static void test_names_are_sorted_bytewise_and_equal_names_keep_their_order(void **state)
{
    struct label pairs[] = {{STR("b"), STR("2")}, {STR("a"), STR("1")}, {STR("B"), STR("3")},
                            {STR("_"), STR("4")}, {STR("a"), STR("0")}, {STR(""), STR("5")}};
    struct labels set = SET(pairs);

    (void)state;
    labels_sort(&set);
    assert_format(set, "{=\"5\", B=\"3\", _=\"4\", a=\"1\", a=\"0\", b=\"2\"}");
}

static void test_large_sets_are_sorted_stably_too(void **state)
{
    struct label pairs[200];
    char names[200];
    struct labels set = SET(pairs);

    (void)state;
    for (int i = 0; i < 200; i++) {
        names[i] = (char)('a' + i * 7 % 13);
        pairs[i] = (struct label){{&names[i], 1}, {(const char *)NULL, (size_t)0}};
        pairs[i].value.p = &names[i]; /* tells equal names apart */
    }
    labels_sort(&set);
    for (int i = 1; i < 200; i++) {
        int order = str_cmp(pairs[i - 1].name, pairs[i].name);

        assert_true(order < 0 || (order == 0 && pairs[i - 1].value.p < pairs[i].value.p));
    }
}

static void test_a_missing_label_reads_as_empty(void **state)
{
    struct label pairs[] = {{STR("a"), STR("1")}, {STR("e"), STR("")}};
    struct labels set = SET(pairs), none = {0};

    (void)state;
    assert_str(labels_get(&set, STR("a")), "1");
    assert_int_equal(labels_get(&set, STR("e")).len, 0);
    assert_int_equal(labels_get(&set, STR("x")).len, 0);
    assert_non_null(labels_find(&set, STR("e")));
    assert_null(labels_find(&set, STR("x")));
    assert_null(labels_find(&none, STR("a")));
}

static void test_sets_compare_pair_by_pair_and_a_prefix_comes_first(void **state)
{
    struct label a[] = {{STR("a"), STR("1")}, {STR("b"), STR("2")}};
    struct label b[] = {{STR("a"), STR("1")}, {STR("b"), STR("3")}};
    struct labels sa = SET(a), sb = SET(b), prefix = {a, 1}, none = {0};

    (void)state;
    assert_true(labels_cmp(&sa, &sb) < 0);
    assert_true(labels_cmp(&sb, &sa) > 0);
    assert_true(labels_cmp(&prefix, &sa) < 0);
    assert_true(labels_cmp(&none, &prefix) < 0);
    assert_int_equal(labels_cmp(&sa, &sa), 0);
    assert_true(labels_eq(&sa, &sa));
    assert_false(labels_eq(&sa, &sb));
    assert_false(labels_eq(&sa, &prefix));
}

static void test_hash_depends_on_seed_and_on_where_a_string_ends(void **state)
{
    struct label a[] = {{STR("ab"), STR("c")}}, b[] = {{STR("a"), STR("bc")}};
    struct labels sa = SET(a), sb = SET(b), sa2 = SET(a);

    (void)state;
    assert_int_equal(labels_hash(&sa, 1), labels_hash(&sa2, 1));
    assert_int_not_equal(labels_hash(&sa, 1), labels_hash(&sa, 2));
    assert_int_not_equal(labels_hash(&sa, 1), labels_hash(&sb, 1));
}

static void test_a_copy_shares_nothing_and_a_full_arena_says_so(void **state)
{
    char value[] = "1";
    struct label pairs[] = {{STR("a"), {value, 1}}};
    struct labels set = SET(pairs), copy;
    struct arena arena;

    (void)state;
    arena_init(&arena, 4096);
    assert_true(labels_copy(&set, &arena, &copy));
    value[0] = '2';
    assert_str(labels_get(&copy, STR("a")), "1");
    arena_release(&arena);

    arena_init(&arena, 8);
    assert_false(labels_copy(&set, &arena, &copy));
    arena_release(&arena);
}

static void test_values_are_quoted_as_go_does_and_names_are_not(void **state)
{
    struct label pairs[] = {{STR("n\"m"), STR("a\"b\\c\n\t\x01\x7f")},
                            {STR("u"), STR("h\xc3\xa9 \xf0\x9f\x98\x80")},
                            {STR("z"), STR("\xff\xe2\x80\xa8\xc2\xa0")}};

    (void)state;
    assert_format(SET(pairs), "{n\"m=\"a\\\"b\\\\c\\n\\t\\x01\\x7f\", "
                              "u=\"h\xc3\xa9 \xf0\x9f\x98\x80\", z=\"\\xff\\u2028\\u00a0\"}");
    assert_format((struct labels){0}, "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_sorted_bytewise_and_equal_names_keep_their_order),
        cmocka_unit_test(test_large_sets_are_sorted_stably_too),
        cmocka_unit_test(test_a_missing_label_reads_as_empty),
        cmocka_unit_test(test_sets_compare_pair_by_pair_and_a_prefix_comes_first),
        cmocka_unit_test(test_hash_depends_on_seed_and_on_where_a_string_ends),
        cmocka_unit_test(test_a_copy_shares_nothing_and_a_full_arena_says_so),
        cmocka_unit_test(test_values_are_quoted_as_go_does_and_names_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

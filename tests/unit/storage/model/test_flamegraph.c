/* The worked examples A to E of the encodings, number for number, and the cut rules. */
#include "storage/model/flamegraph.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    ARENA_BYTES = 8 << 20,
};

struct fixture {
    struct arena arena;
    struct tree_names *names;
};

static int setup(void **state)
{
    static struct fixture f;

    arena_init(&f.arena, ARENA_BYTES);
    f.names = tree_names_new(&f.arena);
    *state = &f;
    return f.names ? 0 : -1;
}

static int teardown(void **state)
{
    arena_release(&((struct fixture *)*state)->arena);
    return 0;
}

/* Adds `stack`, root first, frames separated by ';'. */
static void add(struct tree *t, const char *stack, uint64_t value)
{
    uint32_t node = TREE_ROOT;

    while (*stack) {
        size_t len = strcspn(stack, ";");
        uint32_t name;

        assert_int_equal(tree_names_intern(tree_names_of(t), (struct str){stack, len}, &name, NULL),
                         0);
        assert_int_equal(tree_child(t, node, name, &node, NULL), 0);
        stack += len + (stack[len] == ';');
    }
    tree_add(t, node, value);
}

static struct tree *example_a(struct fixture *f)
{
    struct tree *t = tree_new(&f->arena, f->names);

    add(t, "a;b;e", 1);
    add(t, "a;c", 2);
    add(t, "a;c;d", 1);
    assert_int_equal(tree_finish(t, NULL), 0);
    return t;
}

static struct tree *example_b(struct fixture *f)
{
    struct tree *t = tree_new(&f->arena, f->names);

    add(t, "main;work;parse", 30);
    add(t, "main;work;hash", 50);
    add(t, "main;work", 5);
    add(t, "main;idle", 10);
    add(t, "gc", 5);
    assert_int_equal(tree_finish(t, NULL), 0);
    return t;
}

static void assert_names(const struct flamegraph *g, const char *expected)
{
    char text[256] = "";

    for (uint32_t i = 0; i < g->name_count; i++) {
        size_t at = strlen(text);

        assert_true(at + g->names[i].len + 2 < sizeof(text));
        if (i > 0)
            text[at++] = ',';
        memcpy(text + at, g->names[i].p, g->names[i].len);
        text[at + g->names[i].len] = '\0';
    }
    assert_string_equal(text, expected);
}

static void assert_level(const struct flamegraph *g, uint32_t level, const int64_t *expected,
                         uint32_t count)
{
    assert_true(level < g->level_count);
    assert_int_equal(g->levels[level].value_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(g->levels[level].values[i], expected[i]);
}

#define ASSERT_LEVEL(g, level, ...)                                                                \
    assert_level(g, level, (const int64_t[]){__VA_ARGS__},                                         \
                 sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void test_example_a_has_the_reference_layout(void **state)
{
    struct fixture *f = *state;
    struct flamegraph *g = NULL;

    assert_int_equal(flamegraph_build(example_a(f), 0, &f->arena, &g, NULL), 0);
    assert_names(g, "total,a,c,d,b,e");
    assert_int_equal(g->level_count, 4);
    ASSERT_LEVEL(g, 0, 0, 4, 0, 0);
    ASSERT_LEVEL(g, 1, 0, 4, 0, 1);
    ASSERT_LEVEL(g, 2, 0, 1, 0, 4, 0, 3, 2, 2);
    ASSERT_LEVEL(g, 3, 0, 1, 1, 5, 2, 1, 1, 3);
    assert_int_equal(g->total, 4);
    assert_int_equal(g->max_self, 2);
    assert_false(g->saturated);
}

static void test_example_b_draws_self_time_left_of_the_children(void **state)
{
    struct fixture *f = *state;
    struct flamegraph *g = NULL;

    assert_int_equal(flamegraph_build(example_b(f), 0, &f->arena, &g, NULL), 0);
    assert_names(g, "total,main,work,parse,hash,idle,gc");
    ASSERT_LEVEL(g, 1, 0, 5, 5, 6, 0, 95, 0, 1);
    ASSERT_LEVEL(g, 2, 5, 10, 10, 5, 0, 85, 5, 2);
    ASSERT_LEVEL(g, 3, 20, 50, 50, 4, 0, 30, 30, 3);
    assert_int_equal(g->max_self, 50);
}

static void test_example_c_folds_small_nodes_into_one_other_per_parent(void **state)
{
    struct fixture *f = *state;
    struct flamegraph *g = NULL;

    assert_int_equal(flamegraph_build(example_b(f), 3, &f->arena, &g, NULL), 0);
    assert_names(g, "total,other,main,work,hash");
    ASSERT_LEVEL(g, 0, 0, 100, 0, 0);
    ASSERT_LEVEL(g, 1, 0, 95, 0, 2, 0, 5, 5, 1);
    ASSERT_LEVEL(g, 2, 0, 85, 5, 3, 0, 10, 10, 1);
    ASSERT_LEVEL(g, 3, 5, 50, 50, 4, 0, 30, 30, 1);
}

static void test_an_empty_tree_is_one_empty_box(void **state)
{
    struct fixture *f = *state;
    struct tree *t = tree_new(&f->arena, f->names);
    struct flamegraph *g = NULL;

    assert_int_equal(tree_finish(t, NULL), 0);
    assert_int_equal(flamegraph_build(t, 0, &f->arena, &g, NULL), 0);
    assert_names(g, "total");
    assert_int_equal(g->level_count, 1);
    ASSERT_LEVEL(g, 0, 0, 0, 0, 0);
}

static void test_a_function_named_total_shares_the_root_s_name(void **state)
{
    struct fixture *f = *state;
    struct tree *t = tree_new(&f->arena, f->names);
    struct flamegraph *g = NULL;

    add(t, "total;x", 3);
    assert_int_equal(tree_finish(t, NULL), 0);
    assert_int_equal(flamegraph_build(t, 0, &f->arena, &g, NULL), 0);
    assert_names(g, "total,x");
    ASSERT_LEVEL(g, 1, 0, 3, 0, 0);
}

static void test_a_real_other_is_folded_even_when_nothing_is_cut(void **state)
{
    struct fixture *f = *state;
    struct tree *t = tree_new(&f->arena, f->names);
    struct flamegraph *g = NULL;

    add(t, "main;other;deep", 50);
    add(t, "main;zz", 20);
    assert_int_equal(tree_finish(t, NULL), 0);
    assert_int_equal(flamegraph_build(t, 0, &f->arena, &g, NULL), 0);
    assert_names(g, "total,main,other,zz");
    ASSERT_LEVEL(g, 2, 0, 20, 20, 3, 0, 50, 50, 2);
    assert_int_equal(g->level_count, 3);
}

static void test_truncating_keeps_other_in_its_sorted_place(void **state)
{
    struct fixture *f = *state;
    struct tree *t = example_b(f), *cut_tree = NULL;
    const struct tree_node *n;
    value128 cut = 0;

    assert_int_equal(tree_cut_value(t, 3, &f->arena, &cut, NULL), 0);
    assert_int_equal((int)cut, 50);
    assert_int_equal(tree_truncate(t, cut, TREE_OTHER_KEPT, &f->arena, &cut_tree, NULL), 0);
    n = tree_nodes(cut_tree);
    assert_int_equal(tree_node_count(cut_tree), 7); /* root, main, work, hash, three others */
    assert_int_equal(n[TREE_ROOT].child_count, 2);
    assert_int_equal((int)n[tree_children(cut_tree)[n[TREE_ROOT].child_first + 1]].total, 5);
    assert_int_equal((int)n[TREE_ROOT].total, 100);
}

static void test_a_real_other_that_survives_takes_no_cut_values(void **state)
{
    struct fixture *f = *state;
    struct tree *t = tree_new(&f->arena, f->names), *cut_tree = NULL;

    add(t, "main;other;deep", 50);
    add(t, "main;other", 5);
    add(t, "main;small", 3);
    add(t, "other", 7);
    assert_int_equal(tree_finish(t, NULL), 0);
    assert_int_equal(tree_truncate(t, 50, TREE_OTHER_WINS, &f->arena, &cut_tree, NULL), 0);
    assert_int_equal((int)tree_nodes(cut_tree)[TREE_ROOT].total, 62);
    /* Below the cut it is one of those that make the synthetic one. */
    assert_int_equal(tree_truncate(t, 58, TREE_OTHER_WINS, &f->arena, &cut_tree, NULL), 0);
    assert_int_equal((int)tree_nodes(cut_tree)[TREE_ROOT].total, 65);
    assert_int_equal(tree_node_count(cut_tree), 4); /* root, main, other, main's other */
    /* Where blocks are merged, nothing is lost. */
    assert_int_equal(tree_truncate(t, 58, TREE_OTHER_KEPT, &f->arena, &cut_tree, NULL), 0);
    assert_int_equal((int)tree_nodes(cut_tree)[TREE_ROOT].total, 65);
    assert_int_equal(tree_node_count(cut_tree), 5);
}

static void test_equal_totals_at_the_cut_all_survive(void **state)
{
    struct fixture *f = *state;
    struct tree *t = tree_new(&f->arena, f->names), *cut_tree = NULL;
    value128 cut = 0;

    add(t, "a", 5);
    add(t, "b", 5);
    add(t, "c", 5);
    add(t, "d", 1);
    assert_int_equal(tree_finish(t, NULL), 0);
    assert_int_equal(tree_cut_value(t, 2, &f->arena, &cut, NULL), 0);
    assert_int_equal(tree_truncate(t, cut, TREE_OTHER_KEPT, &f->arena, &cut_tree, NULL), 0);
    assert_int_equal(tree_node_count(cut_tree), 5); /* root, a, b, c, other */
}

static void test_example_d_counts_both_sides(void **state)
{
    struct fixture *f = *state;
    struct tree *left = tree_new(&f->arena, f->names), *right = tree_new(&f->arena, f->names);
    struct flamegraph *g = NULL;

    add(left, "a;b", 1);
    add(left, "a;c", 2);
    add(right, "a;b", 4);
    add(right, "a;c", 8);
    assert_int_equal(tree_finish(left, NULL), 0);
    assert_int_equal(tree_finish(right, NULL), 0);
    assert_int_equal(flamegraph_diff(left, right, 0, &f->arena, &g, NULL), 0);
    assert_names(g, "total,a,c,b");
    ASSERT_LEVEL(g, 0, 0, 3, 0, 0, 12, 0, 0);
    ASSERT_LEVEL(g, 1, 0, 3, 0, 0, 12, 0, 1);
    ASSERT_LEVEL(g, 2, 0, 1, 1, 0, 4, 4, 3, 0, 2, 2, 0, 8, 8, 2);
    assert_int_equal(g->total, 15);
    assert_int_equal(g->left_ticks, 3);
    assert_int_equal(g->right_ticks, 12);
    assert_int_equal(g->max_self, 8);

    assert_int_equal(flamegraph_diff(left, right, 2, &f->arena, &g, NULL), 0);
    assert_names(g, "total,a,other");
    ASSERT_LEVEL(g, 2, 0, 3, 3, 0, 12, 12, 2);
    assert_int_equal(g->max_self, 12);
}

static void test_example_e_aligns_nodes_that_one_side_lacks(void **state)
{
    struct fixture *f = *state;
    struct tree *left = tree_new(&f->arena, f->names), *right = tree_new(&f->arena, f->names);
    struct flamegraph *g = NULL;

    add(left, "main;work", 6);
    add(left, "main;idle", 4);
    add(right, "main;work", 5);
    add(right, "main;work;alloc", 7);
    add(right, "main;gc", 3);
    assert_int_equal(tree_finish(left, NULL), 0);
    assert_int_equal(tree_finish(right, NULL), 0);
    assert_int_equal(flamegraph_diff(left, right, 0, &f->arena, &g, NULL), 0);
    assert_names(g, "total,main,work,alloc,idle,gc");
    ASSERT_LEVEL(g, 1, 0, 10, 0, 0, 15, 0, 1);
    ASSERT_LEVEL(g, 2, 0, 0, 0, 0, 3, 3, 5, 0, 4, 4, 0, 0, 0, 4, 0, 6, 6, 0, 12, 5, 2);
    ASSERT_LEVEL(g, 3, 10, 0, 0, 8, 7, 7, 3);

    assert_int_equal(flamegraph_diff(left, right, 3, &f->arena, &g, NULL), 0);
    assert_names(g, "total,main,other,work");
    ASSERT_LEVEL(g, 2, 0, 6, 6, 0, 12, 5, 3, 0, 4, 4, 0, 3, 3, 2);
    ASSERT_LEVEL(g, 3, 6, 0, 0, 5, 7, 7, 2);
}

static void test_a_sum_beyond_int64_saturates_and_says_so(void **state)
{
    struct fixture *f = *state;
    struct tree *t = tree_new(&f->arena, f->names);
    struct flamegraph *g = NULL;

    add(t, "a", INT64_MAX);
    add(t, "a", INT64_MAX);
    assert_int_equal(tree_finish(t, NULL), 0);
    assert_int_equal(flamegraph_build(t, 0, &f->arena, &g, NULL), 0);
    assert_true(g->saturated);
    assert_true(g->total == INT64_MAX);
}

static void test_the_arena_s_limit_is_an_error_not_an_abort(void **state)
{
    struct fixture *f = *state;
    struct arena small;
    struct tree_names *names;
    struct tree *t;
    struct err err = {0};
    uint32_t node, name = 0;
    int rc = 0;

    (void)f;
    arena_init(&small, 128 << 10);
    names = tree_names_new(&small);
    assert_non_null(names);
    t = tree_new(&small, names);
    assert_non_null(t);
    for (uint32_t parent = 0; rc == 0; parent = node)
        rc = tree_child(t, parent, name, &node, &err);
    assert_int_equal(rc, ERR_TOO_LARGE);
    assert_non_null(strstr(err.msg, "131072 bytes"));
    arena_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_a_has_the_reference_layout),
        cmocka_unit_test(test_example_b_draws_self_time_left_of_the_children),
        cmocka_unit_test(test_example_c_folds_small_nodes_into_one_other_per_parent),
        cmocka_unit_test(test_an_empty_tree_is_one_empty_box),
        cmocka_unit_test(test_a_function_named_total_shares_the_root_s_name),
        cmocka_unit_test(test_a_real_other_is_folded_even_when_nothing_is_cut),
        cmocka_unit_test(test_truncating_keeps_other_in_its_sorted_place),
        cmocka_unit_test(test_a_real_other_that_survives_takes_no_cut_values),
        cmocka_unit_test(test_equal_totals_at_the_cut_all_survive),
        cmocka_unit_test(test_example_d_counts_both_sides),
        cmocka_unit_test(test_example_e_aligns_nodes_that_one_side_lacks),
        cmocka_unit_test(test_a_sum_beyond_int64_saturates_and_says_so),
        cmocka_unit_test(test_the_arena_s_limit_is_an_error_not_an_abort),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

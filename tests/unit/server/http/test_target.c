/* target - path and query, decoded by our own rules. */
#include "server/http/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"

static void expect_target(const char *raw, const char *path, const char *query)
{
    struct http_target t;
    struct arena arena;
    struct err err = {0};
    arena_init(&arena, 1 << 16);
    assert_int_equal(http_target_parse(str_from(raw), &arena, &t, &err), 0);
    assert_true(str_eq(t.path, str_from(path)));
    assert_true(str_eq(t.query_raw, str_from(query)));
    arena_release(&arena);
}

static void expect_refusal(struct str raw)
{
    struct http_target t;
    struct arena arena;
    struct err err = {0};
    arena_init(&arena, 1 << 16);
    assert_int_equal(http_target_parse(raw, &arena, &t, &err), ERR_INVALID);
    arena_release(&arena);
}

static void test_origin_and_absolute_forms(void **state)
{
    (void)state;
    expect_target("/a/b?c=d", "/a/b", "c=d");
    expect_target("/a%2Fb%20c+d", "/a/b c+d", "");
    expect_target("http://host:1/x?y", "/x", "y");
    expect_target("HTTPS://host", "/", "");
    expect_target("http://host?q=1", "/", "q=1");
    expect_target("/?", "/", "");
}

static void test_other_forms_are_refused(void **state)
{
    (void)state;
    expect_refusal(STR("*"));
    expect_refusal(STR(""));
    expect_refusal(STR("host:443"));
    expect_refusal(STR("http:///x"));
    expect_refusal(STR("/a%0"));
    expect_refusal(STR("/a%zz"));
    expect_refusal(STR("/a%00b"));
    expect_refusal(STR("/a\0b"));
    expect_refusal(STR("/a b"));
}

static void test_query_pairs_as_go_keeps_them(void **state)
{
    struct http_pair *pairs;
    size_t count;
    struct arena arena;
    struct err err = {0};
    (void)state;
    arena_init(&arena, 1 << 16);
    struct str raw = STR("a=1&&b=x+y%26&c&a=2&bad=%zz&semi;colon=1&=v&d==e");
    assert_int_equal(http_query_parse(raw, &arena, &pairs, &count, &err), 0);
    static const char *const want[][2] = {{"a", "1"}, {"b", "x y&"}, {"c", ""},
                                          {"a", "2"}, {"", "v"},     {"d", "=e"}};
    assert_int_equal(count, 6);
    for (size_t i = 0; i < count; i++) {
        assert_true(str_eq(pairs[i].name, str_from(want[i][0])));
        assert_true(str_eq(pairs[i].value, str_from(want[i][1])));
    }
    assert_int_equal(http_query_parse(STR(""), &arena, &pairs, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(http_query_parse(STR("a=%00"), &arena, &pairs, &count, &err), ERR_INVALID);
    arena_release(&arena);
}

static void test_a_full_arena_is_an_error(void **state)
{
    struct http_pair *pairs;
    size_t count;
    struct arena arena;
    struct err err = {0};
    (void)state;
    arena_init(&arena, 16);
    assert_int_equal(http_query_parse(STR("a&b&c&d&e&f"), &arena, &pairs, &count, &err),
                     ERR_TOO_LARGE);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origin_and_absolute_forms),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_query_pairs_as_go_keeps_them),
        cmocka_unit_test(test_a_full_arena_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

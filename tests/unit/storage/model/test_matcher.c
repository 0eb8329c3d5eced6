/* matcher, selector, regex, profile_type: what a question's text selects. */
#include "storage/model/matcher.h"

#include "storage/model/labels.h"
#include "storage/model/profile_type.h"
#include "storage/model/regex.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    MEMORY = 1 << 20,
    REASON_MAX = 160,
    RANDOM_PATTERNS = 4000,
};

struct world {
    struct arena arena;
    struct matchers m;
    struct err err;
};

static void init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    arena_init(&w->arena, MEMORY);
}

static void release(struct world *w)
{
    matchers_release(&w->m);
    arena_release(&w->arena);
}

static void assert_str(struct str got, struct str want)
{
    if (!str_eq(got, want))
        fail_msg("got \"%.*s\", want \"%.*s\"", STR_ARG(got), STR_ARG(want));
}

/* --- selectors --- */

struct wanted {
    enum matcher_op op;
    const char *name, *value;
};

static void assert_selects(const char *text, const struct wanted *want, uint32_t count)
{
    struct world w;

    init(&w);
    if (selector_parse(str_from(text), &w.arena, &w.m, &w.err) != 0)
        fail_msg("%s: %s", text, w.err.msg);
    assert_int_equal(w.m.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(w.m.items[i].op, want[i].op);
        assert_str(w.m.items[i].name, str_from(want[i].name));
        assert_str(w.m.items[i].value, str_from(want[i].value));
    }
    release(&w);
}

static void test_a_selector_is_its_matchers_in_order(void **state)
{
    const struct wanted four[] = {{MATCH_EQ, "a", "1"},
                                  {MATCH_NE, "b", "2"},
                                  {MATCH_RE, "c", "3.*"},
                                  {MATCH_NRE, "d", "4|5"}};
    const struct wanted metric[] = {{MATCH_EQ, LABEL_NAME, "cpu:x:y"}, {MATCH_EQ, "a", "1"}};
    const struct wanted twice[] = {{MATCH_EQ, "a", "1"}, {MATCH_EQ, "a", "2"}};
    const struct wanted strings[] = {{MATCH_EQ, LABEL_NAME, "m"}, {MATCH_EQ, "k8s.pod", "x"}};

    (void)state;
    assert_selects("{}", NULL, 0);
    assert_selects(" { } # all", NULL, 0);
    assert_selects("{a=\"1\",b!=\"2\",c=~\"3.*\",d!~\"4|5\"}", four, 4);
    assert_selects("{ a = '1' ,\n b != `2`, # two\n c =~ \"3.*\", d!~\"4|5\" , }", four, 4);
    assert_selects("cpu:x:y", metric, 1);
    assert_selects("cpu:x:y{a=\"1\"}", metric, 2);
    assert_selects("{a=\"1\",a=\"2\"}", twice, 2);
    assert_selects("{\"m\",\"k8s.pod\"=\"x\"}", strings, 2);
}

static void test_strings_hold_escapes_and_raw_ones_do_not(void **state)
{
    const struct {
        const char *text, *value;
    } cases[] = {
        {"{a=\"x\\ty\\n\\\\\\\"\"}", "x\ty\n\\\""},
        {"{a='\\''}", "'"},
        {"{a=\"\\x41\\102\\u00e9\\U0001F525\"}", "AB\xc3\xa9\xf0\x9f\x94\xa5"},
        {"{a=`\\x41\n`}", "\\x41\n"},
        {"{a=\"# no comment\"}", "# no comment"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct wanted want = {MATCH_EQ, "a", cases[i].value};

        assert_selects(cases[i].text, &want, 1);
    }
}

static void test_what_is_no_selector_is_refused_at_its_place(void **state)
{
    const struct {
        const char *text, *reason;
    } cases[] = {
        {"", "unexpected end of input at offset 0, expected '{' or a metric name"},
        {"{", "unexpected end of input at offset 1, expected a label name or '}'"},
        {"{a}", "unexpected character at offset 2, expected one of = != =~ !~"},
        {"{a=}", "unexpected character at offset 3, expected a quoted string"},
        {"{a=\"1\" b=\"2\"}", "unexpected character at offset 7, expected ',' or '}'"},
        {"{,}", "unexpected character at offset 1, expected a label name or '}'"},
        {"{a=\"1}", "unexpected end of input at offset 6, expected the closing quote"},
        {"{a=\"1\n\"}", "unexpected character at offset 5, expected the closing quote"},
        {"{a=\"\\xg0\"}", "unexpected character at offset 6, expected two hexadecimal digits"},
        {"{a=\"\\ud800\"}", "unexpected character at offset 10, expected the digits of a Unicode "
                            "code point"},
        {"{a=\"\\400\"}", "unexpected character at offset 8, expected three octal digits up to "
                          "377"},
        {"{a:b=\"1\"}", "unexpected character at offset 2, expected one of = != =~ !~"},
        {"{}[5m]", "unexpected character at offset 2, expected the end of the selector"},
        {"{a=~\"(\"}", "label \"a\": regular expression: missing ): ("},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world w;

        init(&w);
        assert_int_equal(selector_parse(str_from(cases[i].text), &w.arena, &w.m, &w.err),
                         ERR_INVALID);
        assert_string_equal(w.err.msg, cases[i].reason);
        release(&w);
    }
}

static void test_every_cut_of_a_selector_is_refused_or_read_without_its_rest(void **state)
{
    static const char text[] = "cpu{a=\"\\u00e9\",\"b c\"=~'x|y.*', d!~`z` } # end";

    (void)state;
    for (size_t len = 0; len <= strlen(text); len++) {
        char cut[sizeof(text)]; /* a copy of its own, so that a sanitizer sees the end */
        struct world w;

        init(&w);
        memcpy(cut, text, len);
        if (selector_parse((struct str){cut, len}, &w.arena, &w.m, &w.err) != 0)
            assert_true(w.err.msg[0] != '\0');
        else
            assert_true(w.m.count == 1 || w.m.count == 4);
        release(&w);
    }
}

static void test_a_selector_beyond_its_memory_is_too_large(void **state)
{
    struct world w;

    (void)state;
    memset(&w, 0, sizeof(w));
    arena_init(&w.arena, 64);
    assert_int_equal(selector_parse(STR("{a=\"0123456789012345678901234567890123456789"
                                        "0123456789012345678901234567890123456789\"}"),
                                    &w.arena, &w.m, &w.err),
                     ERR_TOO_LARGE);
    release(&w);
}

static void test_the_value_that_a_label_must_equal_is_that_of_the_first_equals(void **state)
{
    struct world w;
    struct str value;

    (void)state;
    init(&w);
    assert_int_equal(
        selector_parse(STR("{a!=\"0\",a=~\"1\",a=\"2\",a=\"3\"}"), &w.arena, &w.m, &w.err), 0);
    assert_true(matchers_equal_value(&w.m, STR("a"), &value));
    assert_str(value, STR("2"));
    assert_false(matchers_equal_value(&w.m, STR("b"), &value));
    release(&w);
}

/* --- matching --- */

static bool matches(enum matcher_op op, struct str pattern, struct str value)
{
    struct world w;
    bool found;

    init(&w);
    if (matchers_add(&w.m, op, STR("l"), pattern, &w.arena, &w.err) != 0)
        fail_msg("%.*s: %s", STR_ARG(pattern), w.err.msg);
    found = matcher_matches(&w.m.items[0], value);
    release(&w);
    return found;
}

static void test_a_missing_label_is_an_empty_one(void **state)
{
    const struct str none = STR("");

    (void)state;
    assert_true(matches(MATCH_EQ, STR(""), none));
    assert_true(matches(MATCH_NE, STR("x"), none));
    assert_true(matches(MATCH_RE, STR(".*"), none));
    assert_true(matches(MATCH_RE, STR("x|"), none));
    assert_true(matches(MATCH_NRE, STR("x"), none));
    assert_false(matches(MATCH_NE, STR(""), none));
    assert_false(matches(MATCH_RE, STR(".+"), none));
    assert_false(matches(MATCH_NRE, STR(".*"), none));
}

static void test_expressions_match_the_whole_value_and_newlines(void **state)
{
    (void)state;
    assert_false(matches(MATCH_RE, STR("b"), STR("abc")));
    assert_true(matches(MATCH_RE, STR("a.c"), STR("a\nc")));
    assert_true(matches(MATCH_RE, STR("a.*"), STR("a\nc")));
    assert_false(matches(MATCH_RE, STR("a|bc"), STR("abc")));
    assert_true(matches(MATCH_RE, STR("(?i)ABC"), STR("abc")));
    assert_true(matches(MATCH_RE, STR("a\\.b"), STR("a.b")));
    assert_false(matches(MATCH_RE, STR("a\\.b"), STR("axb")));
}

static struct str random_text(struct rng *r, const char *const *parts, uint64_t count, char *out,
                              size_t size)
{
    size_t len = 0;

    for (uint64_t n = rng_below(r, 5); n > 0; n--) {
        const char *part = parts[rng_below(r, count)];

        assert_true(len + strlen(part) < size);
        memcpy(out + len, part, strlen(part));
        len += strlen(part);
    }
    return (struct str){out, len};
}

/* Literals, sets, prefixes and so on never reach RE2, and must answer as it does. */
static void test_short_cuts_answer_as_the_expression_would(void **state)
{
    static const char *const patterns[] = {"a",   "b", "|",   ".*", ".+",   ".",
                                           "\\.", "",  "(a)", "a?", "[ab]", ".*.*"};
    static const char *const values[] = {"a", "b", "ab", ".", "\n", "|", ""};
    struct rng rng = rng_of(test_seed(11));

    (void)state;
    for (int i = 0; i < RANDOM_PATTERNS; i++) {
        char pattern_text[64], value_text[64], reason[REASON_MAX];
        struct str pattern = random_text(&rng, patterns, 12, pattern_text, sizeof(pattern_text));
        struct str value = random_text(&rng, values, 7, value_text, sizeof(value_text));
        struct regex *re;
        bool want;

        if (!regex_compile(pattern.p, pattern.len, &re, reason, sizeof(reason)))
            continue;
        want = regex_matches(re, value.p, value.len);
        regex_free(re);
        if (matches(MATCH_RE, pattern, value) != want || matches(MATCH_NRE, pattern, value) == want)
            fail_msg("pattern \"%.*s\", value \"%.*s\": RE2 says %d", STR_ARG(pattern),
                     STR_ARG(value), want);
    }
}

static void test_patterns_that_re2_refuses_are_refused_with_its_reason(void **state)
{
    static const char *const patterns[] = {
        "(", "[a", "a**", "\\1", "(?=a)", "a{2000}", "((a{100}){100}){100}", "\xff("};

    (void)state;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char reason[REASON_MAX] = "", tiny[4];
        struct regex *re = NULL;

        assert_false(regex_compile(patterns[i], strlen(patterns[i]), &re, reason, sizeof(reason)));
        assert_true(reason[0] != '\0');
        assert_null(re);
        assert_false(regex_compile(patterns[i], strlen(patterns[i]), &re, tiny, sizeof(tiny)));
        assert_true(strlen(tiny) < sizeof(tiny));
        assert_false(regex_compile(patterns[i], strlen(patterns[i]), &re, NULL, 0));
    }
    regex_free(NULL);
}

/* --- profile types --- */

static void test_a_profile_type_has_five_parts_and_a_sixth_that_means_nothing(void **state)
{
    static const char *const good[] = {"a:b:c:d:e", "a:b:c:d:e:delta", "::::", "a b:\xc3\xa9:c::"};
    static const char *const written[] = {"a:b:c:d:e", "a:b:c:d:e", "::::", "a b:\xc3\xa9:c::"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct profile_type t;
        struct buf out;

        assert_int_equal(profile_type_parse(str_from(good[i]), &t, NULL), 0);
        buf_init(&out, 64);
        profile_type_format(&t, &out);
        assert_str(buf_str(&out), str_from(written[i]));
        buf_release(&out);
    }
}

static void test_another_number_of_parts_is_refused_and_counted(void **state)
{
    static const char form[] = "profile-type selection must be of the form <name>:<sample-type>:"
                               "<sample-unit>:<period-type>:<period-unit>(:delta), got";
    const struct {
        const char *id, *got;
    } cases[] = {
        {"", "(1): \"\""},
        {"cpu", "(1): \"cpu\""},
        {"a:b:c:d", "(4): \"a:b:c:d\""},
        {"a:b:c:d:e:f:g", "(7): \"a:b:c:d:e:f:g\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct profile_type t;
        struct err err = {0};
        char want[256];

        assert_int_equal(profile_type_parse(str_from(cases[i].id), &t, &err), ERR_INVALID);
        (void)snprintf(want, sizeof(want), "%s%s", form, cases[i].got);
        assert_string_equal(err.msg, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_selector_is_its_matchers_in_order),
        cmocka_unit_test(test_strings_hold_escapes_and_raw_ones_do_not),
        cmocka_unit_test(test_what_is_no_selector_is_refused_at_its_place),
        cmocka_unit_test(test_every_cut_of_a_selector_is_refused_or_read_without_its_rest),
        cmocka_unit_test(test_a_selector_beyond_its_memory_is_too_large),
        cmocka_unit_test(test_the_value_that_a_label_must_equal_is_that_of_the_first_equals),
        cmocka_unit_test(test_a_missing_label_is_an_empty_one),
        cmocka_unit_test(test_expressions_match_the_whole_value_and_newlines),
        cmocka_unit_test(test_short_cuts_answer_as_the_expression_would),
        cmocka_unit_test(test_patterns_that_re2_refuses_are_refused_with_its_reason),
        cmocka_unit_test(test_a_profile_type_has_five_parts_and_a_sixth_that_means_nothing),
        cmocka_unit_test(test_another_number_of_parts_is_refused_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "api/decode/folded.h"

#include "api/decode/text_kind.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct text_kind kind;
    struct folded folded;
    struct err err;
    char text[8192];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    arena_init(&f->arena, 64 << 20);
    assert_int_equal(text_kind_of(STR("app.alloc_space"), 100, &f->kind, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->arena);
    free(f);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Writes the samples as sorted lines `root;..;leaf value`. */
static const char *samples(struct fixture *f)
{
    const struct pprof *p = &f->folded.pprof;
    char *lines[64];
    size_t n = 0;

    assert_true(p->sample_count <= 64);
    for (uint32_t i = 0; i < p->sample_count; i++) {
        const struct pprof_sample *s = &p->samples[i];
        char line[1024] = "";

        for (uint32_t k = s->location_count; k-- > 0;) {
            uint64_t location = p->location_ids[s->location_first + k] - 1;
            uint64_t function = p->lines[p->locations[location].line_first].function_id - 1;
            struct str name = p->strings[p->functions[function].name];

            snprintf(line + strlen(line), sizeof(line) - strlen(line), "%" STR_FMT "%s",
                     STR_ARG(name), k > 0 ? ";" : "");
        }
        snprintf(line + strlen(line), sizeof(line) - strlen(line), " %lld|",
                 (long long)p->values[s->value_first]);
        lines[i] = strdup(line);
    }
    qsort(lines, p->sample_count, sizeof(lines[0]), by_text);
    f->text[0] = '\0';
    for (uint32_t i = 0; i < p->sample_count; i++) {
        n += (size_t)snprintf(f->text + n, sizeof(f->text) - n, "%s", lines[i]);
        free(lines[i]);
    }
    return f->text;
}

static int decode(struct fixture *f, const char *body, enum folded_form form)
{
    return folded_decode(str_from(body), form, &f->kind, 42, &f->arena, &f->folded, &f->err);
}

static void assert_samples(struct fixture *f, const char *body, enum folded_form form,
                           const char *expected)
{
    assert_int_equal(decode(f, body, form), 0);
    assert_string_equal(samples(f), expected);
}

static void test_odd_lines_mean_what_the_reference_takes_them_for(void **state)
{
    assert_samples(*state,
                   "a;b 1\n\n\nnospace\r\na;b 2\r\na;;c 3\na;d; 4\n 5\n;lead 6\na b c 7\n"
                   "\xc3\xbcml;\xe6\x97\xa5\xe6\x9c\xac 8\nx\ty 9\n",
                   FOLDED_GROUPS,
                   " 5|;lead 6|a b c 7|a;;c 3|a;b 3|a;d 4|x\ty 9|"
                   "\xc3\xbcml;\xe6\x97\xa5\xe6\x9c\xac 8|");
}

static void test_lines_are_counted(void **state)
{
    assert_samples(*state, "a;b\na;b\na;c\n\nd e;f\r\n", FOLDED_LINES, "a;b 2|a;c 1|d e;f 1|");
    assert_samples(*state, "a;b\na;b\n;x\na;;b\na;", FOLDED_LINES, ";x 1|a 1|a;;b 1|a;b 2|");
}

static void test_counts_that_add_up_to_nothing_make_no_sample(void **state)
{
    struct fixture *f = *state;

    assert_samples(f, "a 0\nb -5\nc 5\nc -5\nd +5\ne 7\ne -3", FOLDED_GROUPS, "d 5|e 4|");
    assert_samples(f, "", FOLDED_GROUPS, "");
    assert_samples(f, "\n", FOLDED_GROUPS, "");
}

static void test_sums_and_scaling_stop_at_the_largest_number(void **state)
{
    struct fixture *f = *state;

    assert_samples(f, "a 9223372036854775807\na 1", FOLDED_GROUPS, "a 9223372036854775807|");
    assert_int_equal(text_kind_of(STR("app"), 100, &f->kind, NULL), 0);
    assert_samples(f, "a 9223372036854775807\nb 3", FOLDED_GROUPS,
                   "a 9223372036854775807|b 30000000|");
}

static void test_counts_that_are_no_integers_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"a;b \n", "strconv.Atoi: parsing \"\": invalid syntax"},
        {"a;b 1.5\n", "strconv.Atoi: parsing \"1.5\": invalid syntax"},
        {"a;b 3 \n", "strconv.Atoi: parsing \"\": invalid syntax"},
        {"a 0x10\n", "strconv.Atoi: parsing \"0x10\": invalid syntax"},
        {"a 1_000\n", "strconv.Atoi: parsing \"1_000\": invalid syntax"},
        {"a -\n", "strconv.Atoi: parsing \"-\": invalid syntax"},
        {"a 99999999999999999999\n",
         "strconv.Atoi: parsing \"99999999999999999999\": value out of range"},
        {"a 1\"\\\t\x01\xff\n", "strconv.Atoi: parsing \"1\\\"\\\\\\t\\x01\\xff\": invalid syntax"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(decode(f, cases[i][0], FOLDED_GROUPS), ERR_INVALID);
        assert_string_equal(f->err.msg, cases[i][1]);
    }
    assert_samples(f, "a -9223372036854775808\nb 1", FOLDED_GROUPS, "b 1|");
}

static void put_long_line(struct buf *body, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_append_byte(body, 'x');
}

static void test_a_line_that_is_too_long_ends_groups_and_is_reported(void **state)
{
    struct fixture *f = *state;
    struct buf body;

    buf_init(&body, 1 << 20);
    buf_append_cstr(&body, "a 1\n");
    put_long_line(&body, FOLDED_LINE_MAX - 2);
    buf_append_cstr(&body, " 2\n");
    assert_int_equal(
        folded_decode(buf_str(&body), FOLDED_GROUPS, &f->kind, 0, &f->arena, &f->folded, &f->err),
        0);
    assert_int_equal(f->folded.pprof.sample_count, 2);
    assert_int_equal(f->folded.unread_bytes, 0);
    put_long_line(&body, FOLDED_LINE_MAX + 1);
    buf_append_cstr(&body, "\nb 3\n");
    assert_int_equal(
        folded_decode(buf_str(&body), FOLDED_GROUPS, &f->kind, 0, &f->arena, &f->folded, &f->err),
        0);
    assert_int_equal(f->folded.pprof.sample_count, 2);
    assert_int_equal(f->folded.unread_bytes, FOLDED_LINE_MAX + 1 + 5);
    assert_int_equal(
        folded_decode(buf_str(&body), FOLDED_LINES, &f->kind, 0, &f->arena, &f->folded, &f->err),
        ERR_INVALID);
    assert_string_equal(f->err.msg, "bufio.Scanner: token too long");
    buf_release(&body);
}

static void test_the_profile_says_what_the_kind_says(void **state)
{
    struct fixture *f = *state;
    const struct pprof *p = &f->folded.pprof;

    assert_int_equal(text_kind_of(STR("app"), 100, &f->kind, NULL), 0);
    assert_int_equal(decode(f, "main;foo 10\nfoo 2", FOLDED_GROUPS), 0);
    assert_int_equal(p->sample_type_count, 1);
    assert_true(str_eq(p->strings[p->sample_types[0].type], STR("cpu")));
    assert_true(str_eq(p->strings[p->sample_types[0].unit], STR("nanoseconds")));
    assert_true(p->has_period_type);
    assert_true(str_eq(p->strings[p->period_type.type], STR("cpu")));
    assert_int_equal(p->period, 10000000);
    assert_int_equal(p->time_ns, 42);
    assert_int_equal(p->mapping_count, 1);
    assert_int_equal(p->mappings[0].id, 1);
    assert_false(p->mappings[0].has_functions);
    assert_int_equal(p->function_count, 2); /* foo is one function at two depths */
    assert_int_equal(p->location_count, 2);
    assert_int_equal(p->locations[0].mapping_id, 1);
    assert_string_equal(samples(f), "foo 20000000|main;foo 100000000|");
}

/* Two hostile texts: very deep, and very wide under one parent. */
static void test_very_deep_and_very_wide_stacks_are_read(void **state)
{
    struct fixture *f = *state;
    struct buf body;

    buf_init(&body, 4 << 20);
    for (int i = 0; i < 30000; i++)
        buf_append_cstr(&body, "a;");
    buf_append_cstr(&body, " 1\n");
    for (int i = 0; i < 60000; i++)
        buf_printf(&body, "r;%d 1\n", i);
    assert_int_equal(
        folded_decode(buf_str(&body), FOLDED_GROUPS, &f->kind, 0, &f->arena, &f->folded, &f->err),
        0);
    assert_int_equal(f->folded.pprof.sample_count, 60001);
    buf_release(&body);
}

static void test_a_full_arena_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct arena small;

    arena_init(&small, 1024);
    assert_int_equal(folded_decode(STR("a;b;c;d;e;f;g;h;i;j;k;l;m;n;o;p;q;r;s;t;u 1"),
                                   FOLDED_GROUPS, &f->kind, 0, &small, &f->folded, &f->err),
                     ERR_TOO_LARGE);
    arena_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_odd_lines_mean_what_the_reference_takes_them_for),
        TEST(test_lines_are_counted),
        TEST(test_counts_that_add_up_to_nothing_make_no_sample),
        TEST(test_sums_and_scaling_stop_at_the_largest_number),
        TEST(test_counts_that_are_no_integers_are_refused),
        TEST(test_a_line_that_is_too_long_ends_groups_and_is_reported),
        TEST(test_the_profile_says_what_the_kind_says),
        TEST(test_very_deep_and_very_wide_stacks_are_read),
        TEST(test_a_full_arena_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

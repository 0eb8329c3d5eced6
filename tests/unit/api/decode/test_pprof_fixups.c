#include "api/decode/pprof_fixups.h"

#include "api/decode/sample_type_config.h"
#include "base/arena.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    STRINGS = 16,
};

/* Strings, then what each test sets. */
struct fixture {
    struct arena arena;
    struct str strings[STRINGS];
    struct pprof_value_type types[4];
    struct pprof_function functions[4];
    struct pprof_location locations[4];
    struct pprof_line lines[4];
    struct pprof p;
};

static int setup(void **state)
{
    static const char *const texts[STRINGS] = {
        "",           "cpu",       "run",     "b.py",   "/usr/a.py",   "main",
        "alloc-size", "samples",   "wall",    "space",  "inuse_space", "contentions",
        "delay",      "goroutine", "bananas", "block_x"};
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    arena_init(&f->arena, 1 << 20);
    for (size_t i = 0; i < STRINGS; i++)
        f->strings[i] = str_from(texts[i]);
    f->p = (struct pprof){
        .strings = f->strings,
        .string_count = STRINGS,
        .sample_types = f->types,
        .functions = f->functions,
        .locations = f->locations,
        .lines = f->lines,
        .time_ns = 1700000000000000000,
    };
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

static int apply(struct fixture *f, const char *spy, const struct sample_type_config *config)
{
    const struct pprof_fixups fixups = {.spy_name = str_from(spy), .from_ns = 77, .config = config};

    return pprof_fixups_apply(&f->p, &fixups, &f->arena, NULL);
}

static void test_times_of_1970_become_from(void **state)
{
    static const int64_t day = INT64_C(86400) * 1000000000;
    const int64_t times[][2] = {
        {0, 77},  {1700000000, 77},       {1700000000000000, 77}, {365 * day - 1, 77},
        {-5, -5}, {365 * day, 365 * day},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        f->p.time_ns = times[i][0];
        assert_int_equal(apply(f, "gospy", NULL), 0);
        assert_int_equal(f->p.time_ns, times[i][1]);
    }
}

/* Two functions of b.py that are one, one with an absolute path, and a line of none. */
static void set_scripting_profile(struct fixture *f)
{
    f->functions[0] = (struct pprof_function){.id = 9, .name = 2, .system_name = 2, .filename = 3};
    f->functions[1] = (struct pprof_function){.id = 3, .name = 2, .filename = 3, .start_line = 5};
    f->functions[2] = (struct pprof_function){.id = 4, .name = 5, .filename = 4};
    f->p.function_count = 3;
    f->lines[0].function_id = 9;
    f->lines[1].function_id = 3;
    f->lines[2].function_id = 4;
    f->lines[3].function_id = 12345;
    f->p.line_count = 4;
}

static void assert_function_name(struct fixture *f, uint32_t line, const char *name)
{
    for (uint32_t i = 0; i < f->p.function_count; i++)
        if (f->p.functions[i].id == f->p.lines[line].function_id)
            assert_true(str_eq(f->p.strings[f->p.functions[i].name], str_from(name)));
}

static void test_script_functions_get_their_file_in_front(void **state)
{
    struct fixture *f = *state;

    set_scripting_profile(f);
    assert_int_equal(apply(f, "rbspy", NULL), 0);
    assert_int_equal(f->p.function_count, 5);
    assert_int_equal(f->p.lines[0].function_id, 10);
    assert_int_equal(f->p.lines[1].function_id, 10);
    assert_function_name(f, 0, "b.py run");
    assert_function_name(f, 2, "/usr/a.py main");
    assert_int_equal(f->p.functions[3].system_name, 2);
    assert_int_equal(f->p.functions[3].filename, 3);
    assert_int_equal(f->p.lines[3].function_id, 12345);
    assert_true(f->p.functions[0].name == 2);
}

static void test_python_keeps_absolute_paths_apart(void **state)
{
    struct fixture *f = *state;

    set_scripting_profile(f);
    assert_int_equal(apply(f, "pyspy", NULL), 0);
    assert_function_name(f, 0, "b.py run");
    assert_function_name(f, 2, "main");
    assert_int_equal(f->p.lines[2].function_id, 4);
}

static void test_bad_references_are_left_for_validation(void **state)
{
    struct fixture *f = *state;

    set_scripting_profile(f);
    f->functions[0].name = -1;
    f->functions[1].filename = STRINGS;
    f->functions[2].name = INT64_MAX;
    assert_int_equal(apply(f, "scripting", NULL), 0);
    assert_int_equal(f->p.function_count, 3);
    assert_int_equal(f->p.lines[0].function_id, 9);
    f->functions[0].id = UINT64_MAX;
    assert_int_equal(apply(f, "scripting", NULL), 0);
    f->types[0].type = 1000;
    f->p.sample_type_count = 1;
    assert_int_equal(apply(f, "dotnetspy", NULL), 0);
    assert_int_equal(pprof_metric_name(&f->p, NULL).len, 0);
}

/* One past the end must not become good because a string was added meanwhile. */
static void test_new_strings_do_not_mend_bad_references(void **state)
{
    struct fixture *f = *state;

    set_scripting_profile(f);
    f->functions[2].name = STRINGS;
    assert_int_equal(apply(f, "scripting", NULL), 0);
    assert_int_equal(f->p.lines[0].function_id, 10);
    assert_int_equal(f->p.lines[2].function_id, 4);
    assert_int_equal(f->p.function_count, 4);
}

static void test_a_full_arena_is_an_error(void **state)
{
    struct fixture *f = *state;

    set_scripting_profile(f);
    arena_release(&f->arena);
    arena_init(&f->arena, 64);
    assert_int_equal(apply(f, "scripting", NULL), ERR_TOO_LARGE);
}

static void test_dotnet_functions_take_the_ids_of_locations(void **state)
{
    struct fixture *f = *state;

    f->p.function_count = f->p.location_count = 2;
    f->locations[0].id = 7;
    f->locations[1].id = 8;
    assert_int_equal(apply(f, "unknown", NULL), 0);
    assert_int_equal(f->functions[0].id, 0);
    assert_int_equal(apply(f, "dotnetspy", NULL), 0);
    assert_int_equal(f->functions[0].id, 7);
    assert_int_equal(f->functions[1].id, 8);
    f->locations[0].id = 9; /* one id is enough to leave them alone */
    assert_int_equal(apply(f, "dotnetspy", NULL), 0);
    assert_int_equal(f->functions[0].id, 7);
}

static void test_dotnet_type_names_lose_their_dashes(void **state)
{
    struct sample_type_config_entry entry = {.sample_type = STR("inuse-space")};
    struct sample_type_config config = {.is_set = true, .entries = &entry, .count = 1};
    struct fixture *f = *state;

    f->types[0].type = 6;
    f->types[1].type = 1;
    f->p.sample_type_count = 2;
    assert_int_equal(apply(f, "unknown", NULL), 0);
    assert_true(str_eq(f->p.strings[6], STR("alloc-size")));
    assert_int_equal(apply(f, "unknown", &config), 0);
    assert_true(str_eq(f->p.strings[6], STR("alloc_size")));
}

static void assert_metric(struct fixture *f, int64_t first, int64_t second,
                          const struct sample_type_config *config, const char *expected)
{
    f->types[0].type = first;
    f->types[1].type = second;
    f->p.sample_type_count = second > 0 ? 2 : 1;
    assert_true(str_eq(pprof_metric_name(&f->p, config), str_from(expected)));
}

static void test_the_metric_is_named_after_the_sample_types(void **state)
{
    struct fixture *f = *state;

    assert_metric(f, 1, 0, NULL, "process_cpu");
    assert_metric(f, 7, 0, NULL, "process_cpu"); /* samples are shown as cpu */
    assert_metric(f, 1, 8, NULL, "wall");
    assert_metric(f, 9, 0, NULL, "memory");
    assert_metric(f, 10, 0, NULL, "memory");
    assert_metric(f, 11, 12, NULL, "mutex");
    assert_metric(f, 13, 0, NULL, "goroutines");
    assert_metric(f, 15, 0, NULL, "block");
    assert_metric(f, 14, 0, NULL, "bananas");
    assert_metric(f, 14, 1, NULL, "process_cpu");
    f->p.sample_type_count = 0;
    assert_int_equal(pprof_metric_name(&f->p, NULL).len, 0);
}

static void test_a_config_replaces_the_built_in_names(void **state)
{
    struct sample_type_config_entry entries[] = {
        {.sample_type = STR("contentions"), .display_name = STR("block_count")},
        {.sample_type = STR("bananas"), .display_name = STR("zzz")},
    };
    struct sample_type_config config = {.is_set = true, .entries = entries, .count = 2};
    struct fixture *f = *state;

    assert_metric(f, 11, 0, &config, "block");
    assert_metric(f, 12, 0, &config, "delay"); /* no longer mutex_duration */
    assert_metric(f, 14, 0, &config, "zzz");
    config.is_set = false;
    assert_metric(f, 12, 0, &config, "mutex");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_times_of_1970_become_from),
        TEST(test_script_functions_get_their_file_in_front),
        TEST(test_python_keeps_absolute_paths_apart),
        TEST(test_bad_references_are_left_for_validation),
        TEST(test_new_strings_do_not_mend_bad_references),
        TEST(test_a_full_arena_is_an_error),
        TEST(test_dotnet_functions_take_the_ids_of_locations),
        TEST(test_dotnet_type_names_lose_their_dashes),
        TEST(test_the_metric_is_named_after_the_sample_types),
        TEST(test_a_config_replaces_the_built_in_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

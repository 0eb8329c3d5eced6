/* head_columns: a dictionary learns what samples use, each thing once, told apart by all it is. */
#include "storage/head_columns.h"

#include "storage/model/symbols.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LOCATIONS = 3 };

/* One sample per location. Functions 0..2 with one line each; function 3 has no location. */
struct fixture {
    struct str strings[8];
    struct profile_function functions[LOCATIONS + 1];
    struct profile_mapping mapping;
    struct profile_line lines[LOCATIONS];
    struct profile_location locations[LOCATIONS];
    uint32_t stacks[LOCATIONS];
    int64_t values[LOCATIONS];
    struct profile_sample samples[LOCATIONS];
    struct profile_value_type type;
    struct profile profile;
    struct head_columns *columns;
    struct symbols *symbols;
};

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;

    *f = (struct fixture){
        .strings = {STR(""), STR("main"), STR("work"), STR("wait"), STR("main.go"), STR("/bin/app"),
                    STR("unused"), STR("other.go")},
        .functions = {{1, 1, 4, 1}, {2, 2, 4, 20}, {3, 3, 4, 30}, {6, 6, 7, 1}},
        .mapping = {.memory_start = 0x400000, .filename = 5, .has_functions = true},
        .type = {STR("cpu"), STR("nanoseconds")},
        .columns = head_columns_new(),
        .symbols = symbols_new(SIZE_MAX),
    };
    for (uint32_t i = 0; i < LOCATIONS; i++) {
        f->lines[i] = (struct profile_line){i, 10 * (int64_t)i + 5};
        f->locations[i] = (struct profile_location){.line_first = i, .line_count = 1};
        f->stacks[i] = i;
        f->values[i] = (int64_t)i + 1;
        f->samples[i] =
            (struct profile_sample){.stack_first = i, .stack_count = 1, .value_first = i};
    }
    f->profile = (struct profile){
        .typeset = {STR("cpu"), STR("nanoseconds"), &f->type, 1},
        .strings = f->strings,
        .string_count = 8,
        .functions = f->functions,
        .function_count = LOCATIONS + 1,
        .mappings = &f->mapping,
        .mapping_count = 1,
        .locations = f->locations,
        .location_count = LOCATIONS,
        .lines = f->lines,
        .line_count = LOCATIONS,
        .stacks = f->stacks,
        .stack_index_count = LOCATIONS,
        .values = f->values,
        .value_count = LOCATIONS,
        .samples = f->samples,
        .sample_count = LOCATIONS,
        .time_ns = 1,
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    head_columns_free(f->columns);
    symbols_free(f->symbols);
    return 0;
}

static const struct sample_columns *build(struct fixture *f)
{
    struct push_row row = {.profile = &f->profile, .sample_count = f->profile.sample_count};
    const struct sample_columns *out;

    head_columns_begin(f->columns);
    assert_int_equal(head_columns_build(f->columns, f->symbols, &row, &out, NULL), 0);
    return out;
}

static void test_what_no_sample_uses_is_not_stored(void **state)
{
    struct fixture *f = *state;
    struct symbols_counts n;

    f->locations[LOCATIONS - 1].is_unused = true;
    f->profile.sample_count--;
    assert_int_equal(build(f)->count, LOCATIONS - 1);
    n = symbols_counts(f->symbols);
    assert_int_equal(n.functions, LOCATIONS - 1);
    assert_int_equal(n.locations, LOCATIONS - 1);
    for (uint32_t i = 0; i < n.strings; i++) {
        assert_false(str_eq(symbols_string(f->symbols, i), STR("wait")));
        assert_false(str_eq(symbols_string(f->symbols, i), STR("unused")));
        assert_false(str_eq(symbols_string(f->symbols, i), STR("other.go")));
    }
}

static void test_the_same_things_in_another_order_are_known(void **state)
{
    struct fixture *f = *state;
    struct symbols_counts first, second;
    const struct sample_columns *out;
    struct profile_function function = f->functions[0];
    struct str name = f->strings[1];

    (void)build(f);
    first = symbols_counts(f->symbols);
    f->functions[0] = f->functions[2];
    f->functions[2] = function;
    f->lines[0] = (struct profile_line){2, 5};
    f->lines[2] = (struct profile_line){0, 25};
    f->strings[1] = f->strings[3];
    f->strings[3] = name;
    for (uint32_t i = 0; i < LOCATIONS; i++)
        f->functions[i].name = f->functions[i].system_name =
            (uint32_t[]){0, 3, 2, 1}[f->functions[i].name];
    out = build(f);
    second = symbols_counts(f->symbols);
    assert_memory_equal(&first, &second, sizeof(first));
    assert_int_equal(out->count, LOCATIONS);
    assert_int_equal(out->values[0][0] + out->values[0][1] + out->values[0][2], 6);
}

/* The hash that finds a location takes in every field of everything it consists of. */
static void test_any_difference_makes_another_location(void **state)
{
    struct fixture *f = *state;
    uint32_t expected = LOCATIONS;

#define DIFFERS(change)                                                                            \
    do {                                                                                           \
        change;                                                                                    \
        (void)build(f);                                                                            \
        assert_int_equal(symbols_counts(f->symbols).locations, ++expected);                        \
    } while (0)
    (void)build(f);
    assert_int_equal(symbols_counts(f->symbols).locations, expected);
    DIFFERS(f->lines[0].line = 6);
    DIFFERS(f->functions[0].start_line = 2);
    DIFFERS(f->functions[0].name = 6);
    DIFFERS(f->functions[0].system_name = 6);
    DIFFERS(f->functions[0].filename = 7);
    DIFFERS(f->locations[0].address = 1);
    DIFFERS(f->locations[0].is_folded = true);
    DIFFERS(f->locations[0].mapping = PROFILE_NONE);
    DIFFERS(f->locations[0].line_count = 2); /* its second line is the next one's */
    DIFFERS(f->locations[0].line_count = 0);
    f->locations[1].mapping = f->locations[2].mapping = PROFILE_NONE;
    (void)build(f);
    f->locations[0].mapping = 0;
    (void)build(f);
    expected = symbols_counts(f->symbols).locations;
    DIFFERS(f->mapping.memory_start = 1);
    DIFFERS(f->mapping.memory_limit = 1);
    DIFFERS(f->mapping.file_offset = 1);
    DIFFERS(f->mapping.filename = 6);
    DIFFERS(f->mapping.build_id = 6);
    DIFFERS(f->mapping.has_functions = false);
    DIFFERS(f->mapping.has_filenames = true);
    DIFFERS(f->mapping.has_line_numbers = true);
    DIFFERS(f->mapping.has_inline_frames = true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_what_no_sample_uses_is_not_stored),
        TEST(test_the_same_things_in_another_order_are_known),
        TEST(test_any_difference_makes_another_location),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

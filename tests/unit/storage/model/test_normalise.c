/* The push pipeline, step by step: what is refused, dropped, merged, split and renamed. */
#include "storage/model/normalise.h"

#include "base/arena.h"
#include "base/err.h"
#include "storage/model/go_fix.h"
#include "storage/model/limits.h"
#include "storage/model/pprof.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    ENTRIES_MAX = 4096,
    ARENA_BYTES = 16 << 20,
};

#define NOW_NS (INT64_C(1700000000) * 1000000000)

/* A pprof in the making; one at a time. */
struct maker {
    struct pprof p;
    struct pprof_value_type types[80];
    struct pprof_sample samples[ENTRIES_MAX];
    uint64_t location_ids[ENTRIES_MAX];
    int64_t values[ENTRIES_MAX];
    struct pprof_label labels[ENTRIES_MAX];
    struct pprof_mapping mappings[16];
    struct pprof_location locations[ENTRIES_MAX];
    struct pprof_line lines[ENTRIES_MAX];
    struct pprof_function functions[ENTRIES_MAX];
    struct str strings[ENTRIES_MAX];

    struct label request[128];
    struct limits limits;
    struct normalise_input in;
    struct arena arena;
    struct normalise_result out;
};

static struct maker m;

static int64_t text(const char *s)
{
    for (uint32_t i = 0; i < m.p.string_count; i++)
        if (str_eq(m.strings[i], str_from(s)))
            return i;
    m.strings[m.p.string_count] = str_from(s);
    return m.p.string_count++;
}

static void label(const char *name, const char *value)
{
    m.request[m.in.labels.count++] = (struct label){str_from(name), str_from(value)};
}

static int setup(void **state)
{
    (void)state;
    memset(&m, 0, sizeof(m));
    m.p = (struct pprof){.sample_types = m.types,
                         .samples = m.samples,
                         .location_ids = m.location_ids,
                         .values = m.values,
                         .labels = m.labels,
                         .mappings = m.mappings,
                         .locations = m.locations,
                         .lines = m.lines,
                         .functions = m.functions,
                         .strings = m.strings};
    text("");
    m.types[m.p.sample_type_count++] = (struct pprof_value_type){text("cpu"), text("nanoseconds")};
    m.p.has_period_type = true;
    m.p.period_type = m.types[0];
    m.p.time_ns = NOW_NS;
    m.p.encoded_bytes = 1000;
    limits_init(&m.limits, LIMITS_REFERENCE_SIZES);
    m.in.labels.pairs = m.request;
    m.in.pprof = &m.p;
    m.in.now_ns = NOW_NS;
    m.in.limits = &m.limits;
    m.in.seed = 42;
    arena_init(&m.arena, ARENA_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&m.arena);
    return 0;
}

static void mapping(uint64_t id, bool has_functions)
{
    m.mappings[m.p.mapping_count++] = (struct pprof_mapping){.id = id,
                                                             .memory_start = 0x1000,
                                                             .memory_limit = 0x2000,
                                                             .filename = text("app"),
                                                             .build_id = text("bid"),
                                                             .has_functions = has_functions};
}

static void location(uint64_t id, uint64_t mapping_id, uint64_t address, uint64_t function_id)
{
    struct pprof_location *l = &m.locations[m.p.location_count++];

    *l = (struct pprof_location){
        .id = id, .mapping_id = mapping_id, .address = address, .line_first = m.p.line_count};
    if (function_id != 0) {
        m.lines[m.p.line_count++] = (struct pprof_line){function_id, 7};
        l->line_count = 1;
    }
}

/* A function called `name` with the same id as its location. */
static void frame(uint64_t id, const char *name)
{
    m.functions[m.p.function_count++] =
        (struct pprof_function){.id = id, .name = text(name), .system_name = text(name)};
    location(id, m.p.mapping_count > 0 ? m.mappings[0].id : 0, 0x1000 + id, id);
}

/* The frames main, a, b, c with ids 1 to 4 in a mapping without symbols. */
static void frames(void)
{
    mapping(1, false);
    frame(1, "main");
    frame(2, "a");
    frame(3, "b");
    frame(4, "c");
}

/* `stack` holds one digit per location id, leaf first. */
static struct pprof_sample *sample(const char *stack, int64_t value)
{
    struct pprof_sample *s = &m.samples[m.p.sample_count++];

    *s = (struct pprof_sample){.location_first = m.p.location_id_count,
                               .value_first = m.p.value_count,
                               .value_count = 1,
                               .label_first = m.p.label_count};
    for (; *stack != '\0'; stack++) {
        m.location_ids[m.p.location_id_count++] = (uint64_t)(*stack - '0');
        s->location_count++;
    }
    m.values[m.p.value_count++] = value;
    return s;
}

/* On the last sample. */
static void sample_label(const char *name, const char *value)
{
    m.labels[m.p.label_count++] = (struct pprof_label){.key = text(name), .str = text(value)};
    m.samples[m.p.sample_count - 1].label_count++;
}

static void numeric_label(const char *name, int64_t number)
{
    m.labels[m.p.label_count++] = (struct pprof_label){.key = text(name), .num = number};
    m.samples[m.p.sample_count - 1].label_count++;
}

static void service(void)
{
    label("__name__", "process_cpu");
    label("service_name", "s");
}

static int run(void)
{
    return normalise(&m.in, &m.arena, &m.out);
}

static void expect_refused(const char *want)
{
    assert_int_equal(run(), ERR_INVALID);
    assert_int_equal(m.out.row_count, 0);
    assert_int_equal(m.out.discard.text.len, strlen(want));
    assert_memory_equal(m.out.discard.text.p, want, strlen(want));
}

/* All rows as text: {labels} leaf;...;root=value span, lines sorted as stored. */
static void expect_rows(const char *want)
{
    char got[65536];
    size_t n = 0;

    assert_int_equal(run(), 0);
    for (uint32_t r = 0; r < m.out.row_count; r++) {
        const struct push_row *row = &m.out.rows[r];
        const struct profile *p = row->profile;

        n += (size_t)snprintf(got + n, sizeof(got) - n, "{");
        for (uint32_t i = 0; i < row->labels.count; i++)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%" STR_FMT "=%" STR_FMT,
                                  i ? "," : "", STR_ARG(row->labels.pairs[i].name),
                                  STR_ARG(row->labels.pairs[i].value));
        n += (size_t)snprintf(got + n, sizeof(got) - n, "}");
        for (uint32_t i = 0; i < row->sample_count; i++) {
            const struct profile_sample *s = &p->samples[row->sample_first + i];

            n += (size_t)snprintf(got + n, sizeof(got) - n, " ");
            for (uint32_t j = 0; j < s->stack_count; j++) {
                const struct profile_location *l = &p->locations[p->stacks[s->stack_first + j]];

                if (l->line_count == 0)
                    n += (size_t)snprintf(got + n, sizeof(got) - n, "@%lx;", (long)l->address);
                for (uint32_t k = 0; k < l->line_count; k++) {
                    uint32_t name = p->functions[p->lines[l->line_first + k].function].name;

                    n += (size_t)snprintf(got + n, sizeof(got) - n, "%" STR_FMT ";",
                                          STR_ARG(p->strings[name]));
                }
            }
            n +=
                (size_t)snprintf(got + n, sizeof(got) - n, "=%ld", (long)p->values[s->value_first]);
            if (s->link.span_id != 0)
                n += (size_t)snprintf(got + n, sizeof(got) - n, "/%lx", (long)s->link.span_id);
            if (s->link.trace_id[0] != 0)
                n += (size_t)snprintf(got + n, sizeof(got) - n, "/t%x", s->link.trace_id[0]);
        }
        n += (size_t)snprintf(got + n, sizeof(got) - n, "\n");
    }
    assert_string_equal(n > 0 ? got : "", want);
}

#define CPU_S "{__name__=process_cpu,service_name=s}"

/* --- labels --- */

static void test_a_plain_profile_becomes_one_row(void **state)
{
    (void)state;
    frames();
    sample("21", 5);
    sample("321", 7);
    service();
    m.in.id = STR("id-1");
    expect_rows(CPU_S " a;main;=5 b;a;main;=7\n");
    assert_true(str_eq(m.out.rows[0].id, STR("id-1")));
    assert_true(str_eq(m.out.rows[0].profile->typeset.types[0].type, STR("cpu")));
    assert_true(str_eq(m.out.rows[0].profile->typeset.period_unit, STR("nanoseconds")));
    assert_int_equal(m.out.rows[0].profile->time_ns, NOW_NS);
    assert_false(m.out.time_set);
}

static void test_a_missing_service_name_gets_a_default(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    label("__name__", "process_cpu");
    expect_rows("{__name__=process_cpu,service_name=unknown_service} main;=1\n");
    assert_true(str_eq(m.out.service, STR("unknown_service")));
}

static void test_an_empty_value_takes_all_labels_of_its_name_away(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    label("a", "");
    label("a", "1");
    label("b", "2");
    expect_rows("{__name__=process_cpu,b=2,service_name=s} main;=1\n");
}

static void test_an_empty_service_name_is_refused_as_the_reference_refuses_it(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    label("__name__", "process_cpu");
    label("service_name", "");
    expect_refused(
        "invalid labels '{__name__=\"process_cpu\"}' with error: service name is not provided");
    assert_int_equal(m.out.discard.reason, DISCARD_MISSING_LABELS);
}

static void test_a_set_without_metric_name_is_refused(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    expect_refused(
        "invalid labels '{service_name=\"unknown_service\"}' with error: invalid metric name");
}

static void test_too_many_labels_name_the_count_and_the_limit(void **state)
{
    static char names[31][16];

    (void)state;
    frames();
    sample("1", 1);
    service();
    m.limits.labels_max = 3;
    for (int i = 0; i < 2; i++) {
        snprintf(names[i], sizeof(names[i]), "l%02d", i);
        label(names[i], "v");
    }
    expect_refused("profile series '{__name__=\"process_cpu\", l00=\"v\", l01=\"v\", "
                   "service_name=\"s\"}' has 4 label names; limit 3");
    assert_int_equal(m.out.discard.actual, 4);
    assert_int_equal(m.out.discard.limit, 3);
}

static void test_equal_names_are_refused_even_with_equal_values(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    label("a", "1");
    label("a", "1");
    expect_refused("profile with labels '{__name__=\"process_cpu\", a=\"1\", a=\"1\", "
                   "service_name=\"s\"}' has duplicate label name: 'a'");
    assert_int_equal(m.out.discard.reason, DISCARD_DUPLICATE_LABELS);
}

static void test_long_names_and_values_are_refused(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    label("abcd", "xyz");
    m.limits.label_name_bytes_max = 3;
    assert_int_equal(run(), ERR_INVALID);
    assert_int_equal(m.out.discard.reason, DISCARD_LABEL_NAME_TOO_LONG);
    m.limits.label_name_bytes_max = 1024;
    m.limits.label_value_bytes_max = 2;
    assert_int_equal(run(), ERR_INVALID);
    assert_int_equal(m.out.discard.reason, DISCARD_LABEL_VALUE_TOO_LONG);
}

static void test_labels_that_are_no_utf8_are_shown_as_they_are(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    label("a", "\xff");
    expect_refused("invalid labels '{__name__=\"process_cpu\", a=\"\\xff\", service_name=\"s\"}' "
                   "with error: invalid label value '\xff'");
}

static void test_labels_of_nothing_are_not_validated(void **state)
{
    (void)state;
    frames();
    sample("1", 0);
    expect_rows("");
}

static void test_names_of_delta_profilers_lose_their_prefix(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    label("__name__", "godeltaprof_memory");
    label("service_name", "s");
    expect_rows("{__name__=memory,__name_replaced__=godeltaprof_memory,service_name=s} main;=1\n");
}

static void test_wall_profiles_that_a_client_calls_cpu_are_process_cpu(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    label("__name__", "wall");
    label("service_name", "s");
    label("__type__", "cpu");
    expect_rows("{__name__=process_cpu,__name_replaced__=wall,service_name=s} main;=1\n");
}

static void test_session_delta_and_derived_labels_are_not_stored(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    label("__session_id__", "0123456789abcdef");
    label("__delta__", "false");
    label("__order__", "1");
    label("__profile_type__", "x");
    label("__service_name__", "y");
    label("__private__", "kept");
    expect_rows("{__name__=process_cpu,__private__=kept,service_name=s} main;=1\n");
}

/* --- validation --- */

static void test_structural_mistakes_are_named(void **state)
{
    (void)state;
    service();
    m.p.sample_type_count = 0;
    expect_refused("empty profile");
    m.p.sample_type_count = 1;

    frames();
    sample("1", 1);
    m.locations[3].id = 0;
    expect_refused("location id is 0");
    m.locations[3].id = 4;
    m.functions[3].id = 0;
    expect_refused("function id is 0");
    m.functions[3].id = 4;
    m.samples[0].value_count = 0;
    expect_refused("sample value length mismatch");
    m.samples[0].value_count = 1;
    m.strings[0] = STR("x");
    expect_refused("string 0 should be empty string");
    m.strings[0] = STR("");
    m.functions[0].name = 1000;
    expect_refused("function name string index out of range");
    m.functions[0].name = -1;
    expect_refused("function name string index out of range");
    m.functions[0].name = 1;
    m.mappings[0].build_id = INT64_MIN;
    expect_refused("mapping build id string index out of range");
    m.mappings[0].build_id = 0;
    m.types[0].type = text("alloc-space");
    expect_refused("sample type contains -");
    m.types[0].type = 1;
    m.types[0].unit = -1;
    expect_refused("sample type unit string index out of range");
    m.types[0].unit = 1000000; /* the reference makes it empty */
    m.p.period_type.unit = 1000000;
    assert_int_equal(run(), 0);
    assert_int_equal(m.out.rows[0].profile->typeset.types[0].unit.len, 0);
    assert_int_equal(m.out.rows[0].profile->typeset.period_unit.len, 0);
    numeric_label("bytes", 1);
    m.labels[0].key = 1000000;
    expect_refused("sample label string index out of range");
}

static void test_a_row_holds_at_most_64_types(void **state)
{
    (void)state;
    service();
    m.p.sample_type_count = 65;
    expect_refused("profile has 65 sample types; limit 64");
}

static void test_sizes_beyond_a_limit_show_both_numbers(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    sample("2", 1);
    service();
    m.limits.samples_max = 1;
    expect_refused(
        "the profile with labels '{__name__=\"process_cpu\", service_name=\"s\"}' exceeds "
        "the samples count limit (max_profile_stacktrace_samples, actual: 2, limit: 1)");
    m.limits.samples_max = 0; /* off */
    m.p.encoded_bytes = 5 << 20;
    expect_refused(
        "the profile with labels '{__name__=\"process_cpu\", service_name=\"s\"}' exceeds "
        "the size limit (max_profile_size_byte, actual: 5242880, limit: 4194304)");
    m.p.encoded_bytes = 1;
    sample_label("k", "v");
    sample_label("k", "w");
    m.limits.sample_labels_max = 1;
    expect_refused(
        "the profile with labels '{__name__=\"process_cpu\", service_name=\"s\"}' exceeds "
        "the sample labels limit (max_profile_stacktrace_sample_labels, actual: 2, "
        "limit: 1)");
}

static void test_deep_stacks_keep_their_root(void **state)
{
    (void)state;
    frames();
    sample("4321", 1);
    service();
    m.limits.stack_depth_max = 2;
    expect_rows(CPU_S " a;main;=1\n");
}

static void test_long_strings_keep_their_tail_and_may_be_cut_to_no_utf8(void **state)
{
    (void)state;
    mapping(1, false);
    frame(1, "0123456789abcdef");
    sample("1", 1);
    service();
    m.limits.string_bytes_max = 11;
    expect_rows(CPU_S " 56789abcdef;=1\n");
    text("x\xc3\xa9yyyyyyyyyy");
    expect_refused("invalid utf8 string hex: a979797979797979797979");
}

static void test_times_outside_the_window_are_refused_with_its_edges(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    m.limits.push_age_max_ns = INT64_C(3600) * 1000000000;
    m.limits.push_future_max_ns = INT64_C(600) * 1000000000;
    m.p.time_ns = NOW_NS - m.limits.push_age_max_ns;
    expect_refused(
        "profile with labels '{__name__=\"process_cpu\", service_name=\"s\"}' is outside "
        "of ingestion window (profile timestamp: 2023-11-14 21:13:20 +0000 UTC, the "
        "ingestion window starts at 2023-11-14 21:13:20 +0000 UTC and ends at "
        "2023-11-14 22:23:20 +0000 UTC)");
    m.p.time_ns = NOW_NS + 600 * INT64_C(1000000000);
    assert_int_equal(run(), ERR_INVALID);
    assert_int_equal(m.out.discard.reason, DISCARD_NOT_IN_WINDOW);
    m.p.time_ns = NOW_NS - m.limits.push_age_max_ns + 1000000;
    assert_int_equal(run(), 0);
}

static void test_profiles_without_time_or_from_a_broken_clock_are_stored_now(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    m.p.time_ns = -5;
    assert_int_equal(run(), 0);
    assert_int_equal(m.out.rows[0].profile->time_ns, NOW_NS);
    assert_true(m.out.time_set);
    m.p.time_ns = INT64_MAX;
    assert_int_equal(run(), 0);
    assert_int_equal(m.out.rows[0].profile->time_ns, NOW_NS);
    m.p.time_ns = NOW_NS + INT64_C(86400) * 1000000000;
    assert_int_equal(run(), 0);
    assert_int_equal(m.out.rows[0].profile->time_ns, NOW_NS + INT64_C(86400) * 1000000000);
}

/* --- normalisation --- */

static void test_negative_and_zero_samples_are_dropped(void **state)
{
    (void)state;
    frames();
    sample("1", -1);
    sample("2", 0);
    sample("3", 4);
    service();
    expect_rows(CPU_S " b;=4\n");
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(m.out.rows[0].profile->locations[i].is_unused, i != 2);
}

static void test_equal_stacks_are_left_to_the_store_to_sum(void **state)
{
    (void)state;
    frames();
    sample("21", 1);
    sample("1", 8);
    sample("21", 2);
    service();
    expect_rows(CPU_S " a;main;=1 main;=8 a;main;=2\n");
}

static void test_samples_with_unknown_references_are_dropped(void **state)
{
    (void)state;
    frames();
    location(5, 99, 0x10, 1); /* no such mapping */
    location(6, 1, 0x10, 99); /* no such function */
    location(7, 1, 0, 0);     /* says nothing */
    sample("51", 1);
    sample("61", 2);
    sample("71", 4);
    sample("91", 8);  /* no such location */
    sample("01", 16); /* id 0 neither */
    sample("1", 32);
    sample("", 64); /* no frames: legal */
    service();
    expect_rows(CPU_S " main;=32 =64\n");
}

static void test_locations_without_mapping_share_an_empty_one(void **state)
{
    const struct profile *p;

    (void)state;
    mapping(9, true);
    frame(1, "main");
    location(2, 0, 0x20, 0);
    location(3, 0, 0x30, 0);
    sample("321", 1);
    service();
    expect_rows(CPU_S " @30;@20;main;=1\n");
    p = m.out.rows[0].profile;
    assert_int_equal(p->mapping_count, 2);
    assert_true(p->mappings[0].has_functions);
    assert_int_equal(p->mappings[0].memory_start, 0); /* symbolised: addresses go */
    assert_int_equal(p->mappings[1].memory_limit, 0);
    assert_int_equal(p->locations[p->stacks[0]].mapping, 1);
    assert_int_equal(p->locations[p->stacks[2]].address, 0);
}

static void test_of_equal_ids_the_later_definition_wins(void **state)
{
    (void)state;
    frames();
    location(2, 1, 0x77, 4);
    m.functions[3].id = 3; /* now b is c */
    location(4, 1, 0x78, 0);
    sample("2", 1);
    sample("3", 1);
    service();
    m.lines[4].function_id = 3;
    expect_rows(CPU_S " c;=1 c;=1\n");
}

static void test_sparse_and_huge_ids_are_found(void **state)
{
    uint64_t ids[] = {UINT64_MAX, UINT64_C(1) << 40, 77};

    (void)state;
    mapping(UINT64_C(1) << 50, false);
    frame(ids[0], "x");
    frame(ids[1], "y");
    frame(ids[2], "z");
    sample("111", 3);
    memcpy(m.location_ids, ids, sizeof(ids));
    service();
    expect_rows(CPU_S " x;y;z;=3\n");
    teardown(NULL);
    setup(NULL);
    mapping(3, false);
    frame(30, "x");
    frame(10, "y");
    sample("11", 3);
    m.location_ids[0] = 30;
    m.location_ids[1] = 10;
    service();
    expect_rows(CPU_S " x;y;=3\n");
}

/* The next profile of a request is decoded into the same tables. */
static void test_the_result_outlives_the_tables_it_was_made_of(void **state)
{
    struct profile_function f;
    const struct profile *p;

    (void)state;
    frames();
    sample("1", 3);
    service();
    assert_int_equal(run(), 0);
    memset(m.p.strings, 0, m.p.string_count * sizeof(m.p.strings[0]));
    memset(m.p.functions, 0xff, m.p.function_count * sizeof(m.p.functions[0]));
    memset(m.p.locations, 0xff, m.p.location_count * sizeof(m.p.locations[0]));
    memset(m.p.lines, 0xff, m.p.line_count * sizeof(m.p.lines[0]));
    memset(m.p.location_ids, 0xff, m.p.location_id_count * sizeof(m.p.location_ids[0]));
    memset(m.p.values, 0xff, m.p.value_count * sizeof(m.p.values[0]));
    p = m.out.rows[0].profile;
    f = p->functions[p->lines[p->locations[p->stacks[0]].line_first].function];
    assert_true(str_eq(p->strings[f.name], STR("main")));
    assert_int_equal(p->values[0], 3);
}

static void test_repository_labels_make_a_build_id_of_json(void **state)
{
    const struct profile *p;

    (void)state;
    frames();
    sample("1", 1);
    service();
    label("service_git_ref", "v<1>");
    label("service_root_path", "src");
    assert_int_equal(run(), 0);
    p = m.out.rows[0].profile;
    assert_true(str_eq(p->strings[p->mappings[0].build_id],
                       STR("{\"git_ref\":\"v\\u003c1\\u003e\",\"build_id\":\"bid\","
                           "\"root_path\":\"src\"}")));
}

/* --- sample labels --- */

static void test_sample_labels_become_series_and_labels_of_the_request_win(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    sample_label("foo", "x");
    sample("1", 2);
    sample("2", 4);
    sample_label("w", "1");
    service();
    label("foo", "bar");
    expect_rows("{__name__=process_cpu,foo=bar,service_name=s} main;=1 main;=2\n"
                "{__name__=process_cpu,foo=bar,service_name=s,w=1} a;=4\n");
}

static void test_groups_with_equal_labels_in_another_order_are_one_row(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    sample_label("a", "1");
    sample_label("b", "2");
    sample("2", 2);
    sample("1", 4);
    sample_label("b", "2");
    sample_label("a", "1");
    service();
    expect_rows("{__name__=process_cpu,a=1,b=2,service_name=s} main;=1 main;=4\n" CPU_S " a;=2\n");
}

static void test_numeric_labels_vanish(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    numeric_label("bytes", 1024);
    sample("1", 2);
    service();
    expect_rows(CPU_S " main;=1 main;=2\n");
}

static void test_span_and_trace_ids_stay_beside_their_samples(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    sample_label("span_id", "0100000000000000");
    sample("1", 2);
    sample_label("profile_id", "0200000000000000");
    sample("1", 4);
    sample_label("span_id", "zz");
    sample("1", 8);
    sample_label("trace_id", "0A02030405060708090a0b0c0d0e0f10");
    sample_label("span_id", "0100000000000000");
    sample("1", 16);
    sample("1", 32);
    sample_label("span_id", "0100000000000000");
    service();
    expect_rows(CPU_S " main;=1/1 main;=2/2 main;=4 main;=8/1/ta main;=16 main;=32/1\n");
}

static void test_one_bad_group_refuses_the_whole_profile(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    sample("1", 2);
    sample_label("", "v");
    service();
    expect_refused("invalid labels '{=\"v\", __name__=\"process_cpu\", service_name=\"s\"}' with "
                   "error: invalid label name ''");
}

/* --- Go --- */

static void test_type_parameters_are_cut_out_of_go_symbols_only(void **state)
{
    (void)state;
    mapping(1, false);
    frame(1, "main.go");
    frame(2, "pkg.(*T[go.shape.struct { F []uint8 }]).M");
    frame(3, "pkg.F[int]");
    frame(4, "m[go.shape.a[go.shape.b]].x[go.shape.c]");
    sample("4321", 1);
    service();
    expect_rows(CPU_S " m.x;pkg.F[int];pkg.(*T).M;main.go;=1\n");
    teardown(NULL);
    setup(NULL);
    mapping(1, false);
    frame(1, "main.rb");
    frame(2, "T[go.shape.int]");
    sample("21", 1);
    service();
    expect_rows(CPU_S " T[go.shape.int];main.rb;=1\n");
    label("pyroscope_spy", "gospy");
    expect_rows("{__name__=process_cpu,pyroscope_spy=gospy,service_name=s} T;main.rb;=1\n");
}

static void test_an_unbalanced_group_repeats_what_stood_before_it(void **state)
{
    struct str out;

    (void)state;
    assert_true(go_fix_symbol(STR("a[go.shape.unbalanced"), &m.arena, &out));
    assert_true(str_eq(out, STR("aa[go.shape.unbalanced")));
    assert_true(go_fix_symbol(STR("plain"), &m.arena, &out));
    assert_true(str_eq(out, STR("plain")));
}

/* A stack of `count` locations that end with id `last` at the root. */
static void go_stack(uint32_t count, uint64_t last, int64_t value)
{
    struct pprof_sample *s = sample("", value);

    for (uint32_t i = 0; i < count; i++)
        m.location_ids[m.p.location_id_count++] = last - count + 1 + i;
    s->location_count = count;
}

static void test_truncated_go_stacks_are_completed_from_others(void **state)
{
    (void)state;
    mapping(1, false);
    for (uint64_t id = 1; id <= 70; id++) {
        static char names[71][16];

        snprintf(names[id], sizeof(names[id]), "f%d.go", (int)id);
        frame(id, names[id]);
    }
    go_stack(64, 68, 2); /* cut: its root is two frames below that of the next */
    go_stack(64, 70, 1);
    service();
    assert_int_equal(run(), 0);
    assert_int_equal(m.out.rows[0].profile->samples[0].stack_count, 66);
    assert_int_equal(m.out.rows[0].profile->samples[1].stack_count, 64);
}

/* --- memory --- */

static void test_a_full_arena_refuses_the_profile_and_says_why(void **state)
{
    (void)state;
    frames();
    sample("1", 1);
    service();
    arena_release(&m.arena);
    for (size_t limit = 0; limit < 4096; limit += 16) {
        arena_init(&m.arena, limit);
        if (run() == 0) {
            assert_true(limit > 256);
            return;
        }
        assert_int_equal(m.out.discard.reason, DISCARD_MEMORY_LIMIT);
        assert_int_equal(m.out.row_count, 0);
        assert_true(m.out.discard.text.len > 0);
        arena_release(&m.arena);
        m.p.time_ns = NOW_NS;
    }
    fail_msg("a profile of one sample must fit into 4 KiB");
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(test_a_plain_profile_becomes_one_row),
        CLAIM(test_a_missing_service_name_gets_a_default),
        CLAIM(test_an_empty_value_takes_all_labels_of_its_name_away),
        CLAIM(test_an_empty_service_name_is_refused_as_the_reference_refuses_it),
        CLAIM(test_a_set_without_metric_name_is_refused),
        CLAIM(test_too_many_labels_name_the_count_and_the_limit),
        CLAIM(test_equal_names_are_refused_even_with_equal_values),
        CLAIM(test_long_names_and_values_are_refused),
        CLAIM(test_labels_that_are_no_utf8_are_shown_as_they_are),
        CLAIM(test_labels_of_nothing_are_not_validated),
        CLAIM(test_names_of_delta_profilers_lose_their_prefix),
        CLAIM(test_wall_profiles_that_a_client_calls_cpu_are_process_cpu),
        CLAIM(test_session_delta_and_derived_labels_are_not_stored),
        CLAIM(test_structural_mistakes_are_named),
        CLAIM(test_a_row_holds_at_most_64_types),
        CLAIM(test_sizes_beyond_a_limit_show_both_numbers),
        CLAIM(test_deep_stacks_keep_their_root),
        CLAIM(test_long_strings_keep_their_tail_and_may_be_cut_to_no_utf8),
        CLAIM(test_times_outside_the_window_are_refused_with_its_edges),
        CLAIM(test_profiles_without_time_or_from_a_broken_clock_are_stored_now),
        CLAIM(test_negative_and_zero_samples_are_dropped),
        CLAIM(test_equal_stacks_are_left_to_the_store_to_sum),
        CLAIM(test_samples_with_unknown_references_are_dropped),
        CLAIM(test_locations_without_mapping_share_an_empty_one),
        CLAIM(test_of_equal_ids_the_later_definition_wins),
        CLAIM(test_sparse_and_huge_ids_are_found),
        CLAIM(test_the_result_outlives_the_tables_it_was_made_of),
        CLAIM(test_repository_labels_make_a_build_id_of_json),
        CLAIM(test_sample_labels_become_series_and_labels_of_the_request_win),
        CLAIM(test_groups_with_equal_labels_in_another_order_are_one_row),
        CLAIM(test_numeric_labels_vanish),
        CLAIM(test_span_and_trace_ids_stay_beside_their_samples),
        CLAIM(test_one_bad_group_refuses_the_whole_profile),
        CLAIM(test_type_parameters_are_cut_out_of_go_symbols_only),
        CLAIM(test_an_unbalanced_group_repeats_what_stood_before_it),
        CLAIM(test_truncated_go_stacks_are_completed_from_others),
        CLAIM(test_a_full_arena_refuses_the_profile_and_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* config - where values come from, and what is refused. */
#include "server/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "server/config_value.h"

/* argv and envp are not const, literals are. */
#define ARG(text) ((char *)(uintptr_t)(text))

static char *no_env[] = {NULL};

/* Writes a configuration file; the caller unlinks it. */
static void write_file(char *path, size_t room, const char *text)
{
    const char *dir = getenv("TMPDIR");
    snprintf(path, room, "%s/config-XXXXXX", dir ? dir : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static int load_file(struct config *c, const char *text, int argc, char **argv, char **envp,
                     struct err *err)
{
    char path[256], *words[8] = {ARG("--config"), path};
    write_file(path, sizeof(path), text);
    for (int i = 0; i < argc; i++)
        words[2 + i] = argv[i];
    int rc = config_load(c, 2 + argc, words, envp, err);
    unlink(path);
    return rc;
}

static void test_defaults_are_the_documented_ones(void **state)
{
    struct config c;
    struct err err = {0};
    (void)state;
    assert_int_equal(config_load(&c, 0, NULL, no_env, &err), EXIT_OK);
    assert_string_equal(c.listen, ":4040");
    assert_string_equal(c.data, "./flamekeep-data");
    assert_false(c.auth_multitenancy);
    assert_int_equal(c.wal_window, 20000000);
    assert_int_equal(c.limits.samples_max, 1000000);
    assert_int_equal(c.limits.profile_bytes_max, 64 << 20);
    assert_int_equal(c.limits.none, 0);
    config_release(&c);
}

static void test_later_sources_win(void **state)
{
    struct config c;
    struct err err = {0};
    char *env[] = {ARG("FLAMEKEEP_WAL_WINDOW=2ms"), ARG("FLAMEKEEP_HTTP_THREADS=2"),
                   ARG("PATH=/bin"), NULL};
    char *flags[] = {ARG("--http.threads=3")};
    (void)state;
    int rc =
        load_file(&c, "wal.window: 1ms\nhttp:\n  threads: 1\n  workers: 7\n", 1, flags, env, &err);
    assert_int_equal(rc, EXIT_OK);
    assert_int_equal(c.http_workers, 7);
    assert_int_equal(c.wal_window, 2000000);
    assert_int_equal(c.http_threads, 3);
    assert_int_equal(c.source[CONFIG_OPTION_http_workers], CONFIG_FILE);
    assert_int_equal(c.source[CONFIG_OPTION_wal_window], CONFIG_ENV);
    assert_int_equal(c.source[CONFIG_OPTION_http_threads], CONFIG_FLAG);
    assert_int_equal(c.source[CONFIG_OPTION_data], CONFIG_DEFAULT);
    config_release(&c);
}

static void test_a_flag_takes_its_value_in_both_forms(void **state)
{
    struct config c;
    struct err err = {0};
    char *flags[] = {ARG("--wal.sync"), ARG("interval"), ARG("--data=/x"),
                     ARG("--auth.multitenancy"), ARG("--log.level=debug")};
    (void)state;
    assert_int_equal(config_load(&c, 5, flags, no_env, &err), EXIT_OK);
    assert_int_equal(c.wal_sync, 1);
    assert_string_equal(c.data, "/x");
    assert_true(c.auth_multitenancy);
    assert_int_equal(c.log_level, 0);
    config_release(&c);
}

static void test_presets_change_limits_and_single_limits_win(void **state)
{
    struct config c;
    struct err err = {0};
    char *flags[] = {ARG("--limits.samples_max=5"), ARG("--limits=reference")};
    (void)state;
    assert_int_equal(config_load(&c, 2, flags, no_env, &err), EXIT_OK);
    assert_int_equal(c.limits.samples_max, 5);
    assert_int_equal(c.limits.profile_bytes_max, 4 << 20);
    assert_int_equal(c.limits.query_length_max_ns, INT64_C(86400000000000));
    config_release(&c);
    char *sizes[] = {ARG("--limits"), ARG("reference-sizes")};
    assert_int_equal(config_load(&c, 2, sizes, no_env, &err), EXIT_OK);
    assert_int_equal(c.limits.samples_max, 16000);
    assert_int_equal(c.limits.query_length_max_ns, 0);
    config_release(&c);
}

struct refusal {
    const char *flag, *env, *file;
    int rc;
    const char *says;
};

static void test_mistakes_are_refused_with_the_nearest_name(void **state)
{
    static const struct refusal list[] = {
        {"--wal.symc=group", NULL, NULL, EXIT_USAGE, "did you mean --wal.sync?"},
        {"--listne", NULL, NULL, EXIT_USAGE, "did you mean --listen?"},
        {"--listen", NULL, NULL, EXIT_USAGE, "needs a value"},
        {"listen", NULL, NULL, EXIT_USAGE, "unexpected argument"},
        {"--", NULL, NULL, EXIT_USAGE, "unexpected argument"},
        {"--wal.sync=sometimes", NULL, NULL, EXIT_USAGE, "group|interval"},
        {"--http.threads=-1", NULL, NULL, EXIT_USAGE, "whole number"},
        {"--limits.samples_max=5000000000", NULL, NULL, EXIT_USAGE, "not a value"},
        {"--base-path=x", NULL, NULL, EXIT_CONFIG, "begin with a slash"},
        {"--base-path=/x/", NULL, NULL, EXIT_CONFIG, "begin with a slash"},
        {"--config=/nowhere/at/all", NULL, NULL, EXIT_CONFIG, "open configuration"},
        {NULL, "FLAMEKEEP_WAL_SYMC=group", NULL, EXIT_CONFIG, "did you mean FLAMEKEEP_WAL_SYNC?"},
        {NULL, "FLAMEKEEP_WAL_WINDOW=soon", NULL, EXIT_CONFIG, "FLAMEKEEP_WAL_WINDOW"},
        {NULL, NULL, "wal:\n  symc: group\n", EXIT_CONFIG, ":2: unknown option 'wal.symc'"},
        {NULL, NULL, "listen: [a]\n", EXIT_CONFIG, "no option takes a list"},
        {NULL, NULL, "a: &x 1\nb: *x\n", EXIT_CONFIG, "unknown option 'a'"},
        {NULL, NULL, "data: &x a\nlisten: *x\n", EXIT_CONFIG, "aliases"},
        {NULL, NULL, "data: a\ndata: b\n", EXIT_CONFIG, "a second value for data"},
        {NULL, NULL, "data: a\n---\ndata: b\n", EXIT_CONFIG, "a second document"},
        {NULL, NULL, "data: \"a\n", EXIT_CONFIG, "unexpected end of stream"},
        {NULL, NULL, "just text\n", EXIT_CONFIG, "expected"},
        {NULL, NULL, "config: other.yaml\n", EXIT_CONFIG, "cannot name another"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        const struct refusal *r = &list[i];
        struct config c;
        struct err err = {0};
        char *flags[] = {ARG(r->flag)}, *env[] = {ARG(r->env), NULL};
        int rc = r->file ? load_file(&c, r->file, 0, NULL, no_env, &err)
                         : config_load(&c, r->flag ? 1 : 0, flags, env, &err);
        if (rc != r->rc || !strstr(err.msg, r->says))
            print_error("case %zu: %d, '%s'\n", i, rc, err.msg);
        assert_int_equal(rc, r->rc);
        assert_non_null(strstr(err.msg, r->says));
        config_release(&c);
    }
}

static void test_names_that_kubernetes_injects_are_ignored(void **state)
{
    struct config c;
    struct err err = {0};
    char *env[] = {ARG("FLAMEKEEP_PORT=tcp://10.0.0.1:4040"),
                   ARG("FLAMEKEEP_PORT_4040_TCP_ADDR=10.0.0.1"),
                   ARG("FLAMEKEEP_SERVICE_HOST=10.0.0.1"), NULL};
    (void)state;
    assert_int_equal(config_load(&c, 0, NULL, env, &err), EXIT_OK);
    config_release(&c);
}

static void test_what_is_printed_reads_back_the_same(void **state)
{
    struct config a, b;
    struct err err = {0};
    char *flags[] = {ARG("--data=a \"b\"\\c"), ARG("--wal.window=1h30m7ms"),
                     ARG("--limits=reference")};
    char *first = NULL, text[CONFIG_TEXT_MAX], other[CONFIG_TEXT_MAX];
    size_t size = 0;
    (void)state;
    assert_int_equal(config_load(&a, 3, flags, no_env, &err), EXIT_OK);
    FILE *out = open_memstream(&first, &size);
    config_print(&a, out);
    fclose(out);
    assert_int_equal(load_file(&b, first, 0, NULL, no_env, &err), EXIT_OK);
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++)
        if (i != CONFIG_OPTION_config)
            assert_string_equal(config_text(&a, (enum config_option)i, text),
                                config_text(&b, (enum config_option)i, other));
    free(first);
    config_release(&a);
    config_release(&b);
}

static void test_retention_takes_bytes_or_a_part_and_tenants_of_the_file(void **state)
{
    static const char *const mistakes[] = {
        "retention.max_bytes: 1MiB",
        "retention.max_bytes: 0%",
        "retention.max_bytes: 101%",
        "retention.policy: samples-first",
        "tenants: {a: {max_age: 1d}}",
        "tenants: {'a b': {retention: {max_age: 1d}}}",
        "tenants: {'b : {x': {retention: {max_age: 1d}}}",
        "tenants: {a: {retention: {max_bytes: much}}}",
        "tenants.a.retention.max_age: 1d\ntenants: {a: {retention: {max_age: 2d}}}",
    };
    struct config c;
    struct err err = {0};
    char text[CONFIG_TEXT_MAX];
    (void)state;
    assert_int_equal(load_file(&c,
                               "retention: {max_bytes: 80%, max_age: 30d}\n"
                               "tenants:\n"
                               "  team.a: {retention: {max_bytes: 20GiB, max_age: 7d}}\n"
                               "tenants.b.retention.max_age: 1h\n",
                               0, NULL, no_env, &err),
                     EXIT_OK);
    assert_true(c.retention_max_bytes == (CONFIG_PERCENT | 80));
    assert_string_equal(config_text(&c, CONFIG_OPTION_retention_max_bytes, text), "80%");
    assert_int_equal(c.tenant_count, 2);
    assert_string_equal(c.tenants[0].name, "team.a");
    assert_true(c.tenants[0].retention_max_bytes == 20ULL << 30);
    assert_true(c.tenants[0].retention_max_age == 7 * 86400 * 1000000000LL);
    assert_int_equal(c.tenants[1].retention_max_bytes, 0);
    config_release(&c);
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        assert_int_equal(load_file(&c, mistakes[i], 0, NULL, no_env, &err), EXIT_CONFIG);
        config_release(&c);
    }
}

static void test_sizes_and_durations(void **state)
{
    uint64_t bytes = 0;
    int64_t ns = 0;
    char text[64];
    (void)state;
    assert_true(config_parse_bytes("1.5KiB", &bytes) && bytes == 1536);
    assert_true(config_parse_bytes("2GB", &bytes) && bytes == 2000000000);
    assert_true(config_parse_bytes("7", &bytes) && bytes == 7);
    assert_false(config_parse_bytes("", &bytes));
    assert_false(config_parse_bytes("-1", &bytes));
    assert_false(config_parse_bytes("1.5", &bytes));
    assert_false(config_parse_bytes("1X", &bytes));
    assert_false(config_parse_bytes("99999999999TiB", &bytes));
    assert_true(config_parse_duration("1h30m", &ns) && ns == INT64_C(5400000000000));
    assert_true(config_parse_duration("250ms", &ns) && ns == 250000000);
    assert_false(config_parse_duration("10", &ns));
    assert_false(config_parse_duration("", &ns));
    assert_false(config_parse_duration("99999999d", &ns));
    config_format_duration(INT64_C(90061001002003), text, sizeof(text));
    assert_string_equal(text, "1d1h1m1s1ms2us3ns");
    config_format_bytes(1536, text, sizeof(text));
    assert_string_equal(text, "1536");
    config_format_bytes(64 << 20, text, sizeof(text));
    assert_string_equal(text, "64MiB");
}

static void test_edit_distance_counts_swaps_as_one(void **state)
{
    (void)state;
    assert_int_equal(config_edit_distance("abdc", "abcd"), 1);
    assert_int_equal(config_edit_distance("", "abc"), 3);
    assert_int_equal(config_edit_distance("kitten", "sitting"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_the_documented_ones),
        cmocka_unit_test(test_later_sources_win),
        cmocka_unit_test(test_a_flag_takes_its_value_in_both_forms),
        cmocka_unit_test(test_presets_change_limits_and_single_limits_win),
        cmocka_unit_test(test_mistakes_are_refused_with_the_nearest_name),
        cmocka_unit_test(test_names_that_kubernetes_injects_are_ignored),
        cmocka_unit_test(test_what_is_printed_reads_back_the_same),
        cmocka_unit_test(test_retention_takes_bytes_or_a_part_and_tenants_of_the_file),
        cmocka_unit_test(test_sizes_and_durations),
        cmocka_unit_test(test_edit_distance_counts_swaps_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The exposition text is what Prometheus can read, whatever the label values. */
#include "base/metrics.h"

#include "base/buf.h"
#include "base/thread.h"

#include <ctype.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct buf text;

static const char *exposition(void)
{
    buf_release(&text);
    buf_init(&text, 1 << 20);
    metrics_write(&text);
    assert_false(text.failed);
    assert_int_equal(buf_append_byte(&text, 0), 0);
    return (const char *)text.data;
}

static void test_counters_and_gauges_keep_their_value(void **state)
{
    int64_t before = metric_get(METRIC_profiles);

    (void)state;
    metric_add(METRIC_profiles, 3);
    metric_add(METRIC_profiles, 4);
    assert_int_equal(metric_get(METRIC_profiles), before + 7);
    metric_set(METRIC_http_connections, 5);
    metric_change(METRIC_http_connections, -7);
    assert_true(metric_get(METRIC_http_connections) == -2);
    assert_non_null(strstr(exposition(), "\nflamekeep_http_connections -2\n"));
    metric_set(METRIC_http_connections, 0);
}

static void test_label_values_are_escaped(void **state)
{
    (void)state;
    metric_family_add(METRIC_discarded_profiles, STR("a\"b\\c\nd"), 2);
    assert_int_equal(metric_family_get(METRIC_discarded_profiles, STR("a\"b\\c\nd")), 2);
    assert_int_equal(metric_family_get(METRIC_discarded_profiles, STR("never")), 0);
    assert_non_null(
        strstr(exposition(), "flamekeep_discarded_profiles_total{reason=\"a\\\"b\\\\c\\nd\"} 2\n"));
}

static void test_too_many_values_are_counted_as_other(void **state)
{
    char value[2 * METRIC_VALUE_BYTES_MAX];

    (void)state;
    for (int i = 0; i < 3 * METRIC_VALUES_MAX; i++) {
        (void)snprintf(value, sizeof(value), "route-%d", i);
        metric_family_add(METRIC_http_requests, str_from(value), 1);
    }
    assert_true(metric_family_get(METRIC_http_requests, STR("route-0")) == 1);
    assert_true(metric_family_get(METRIC_http_requests, STR("other")) >= 2 * METRIC_VALUES_MAX);
    memset(value, 'x', sizeof(value));
    metric_family_add(METRIC_http_responses, (struct str){value, sizeof(value)}, 1);
    assert_true(metric_family_get(METRIC_http_responses, STR("other")) == 1);
}

static void test_a_histogram_is_cumulative_and_sums(void **state)
{
    const char *all;

    (void)state;
    metric_observe(METRIC_http_request_seconds, STR("r"), 0.0005);
    metric_observe(METRIC_http_request_seconds, STR("r"), 0.001); /* bounds are inclusive */
    metric_observe(METRIC_http_request_seconds, STR("r"), 0.3);
    metric_observe(METRIC_http_request_seconds, STR("r"), 1000);
    metric_observe(METRIC_http_request_seconds, STR("r"), -1);
    all = exposition();
#define NAME "flamekeep_http_request_duration_seconds"
    assert_non_null(strstr(all, "# TYPE " NAME " histogram\n"));
    assert_non_null(strstr(all, NAME "_bucket{route=\"r\",le=\"0.001\"} 3\n"));
    assert_non_null(strstr(all, NAME "_bucket{route=\"r\",le=\"0.25\"} 3\n"));
    assert_non_null(strstr(all, NAME "_bucket{route=\"r\",le=\"1\"} 4\n"));
    assert_non_null(strstr(all, NAME "_bucket{route=\"r\",le=\"60\"} 4\n"));
    assert_non_null(strstr(all, NAME "_bucket{route=\"r\",le=\"+Inf\"} 5\n"));
    assert_non_null(strstr(all, NAME "_sum{route=\"r\"} 1000.301500000\n"));
    assert_non_null(strstr(all, NAME "_count{route=\"r\"} 5\n"));
}

/* True when `s` is [a-z_][a-z0-9_]*, as our names are. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!islower((unsigned char)s.p[i]) && s.p[i] != '_' &&
            (i == 0 || !isdigit((unsigned char)s.p[i])))
            return false;
    return s.len > 0;
}

static struct str word(struct str *rest)
{
    struct str w = STR("");

    (void)str_split(rest, ' ', &w);
    return w;
}

static void test_every_metric_has_help_and_type_once_and_samples_of_its_name(void **state)
{
    struct str rest, line, name = STR(""), seen[256];
    size_t count = 0;
    bool typed = false;

    (void)state;
    metric_family_add(METRIC_discarded_profiles, STR("x"), 1);
    rest = str_from(exposition());
    while (str_split(&rest, '\n', &line) && line.len > 0) {
        struct str words = line, first = word(&words), kind = word(&words);

        if (str_eq(first, STR("#")) && str_eq(kind, STR("HELP"))) {
            name = word(&words);
            assert_true(is_name(name) && words.len > 0 && str_ends(line, STR(".")));
            assert_true(str_starts(name, STR("flamekeep_")) || str_starts(name, STR("process_")));
            for (size_t i = 0; i < count; i++)
                assert_false(str_eq(seen[i], name));
            assert_true(count < 256);
            seen[count++] = name;
            typed = false;
        } else if (str_eq(first, STR("#"))) {
            struct str type;

            assert_true(str_eq(kind, STR("TYPE")) && str_eq(word(&words), name) && !typed);
            typed = true;
            type = word(&words);
            /* promtool: counters end in _total, nothing else does */
            assert_int_equal(str_eq(type, STR("counter")), str_ends(name, STR("_total")));
        } else {
            assert_true(typed && str_starts(first, name));
        }
    }
    assert_true(count >= METRIC_COUNT);
}

static void *count_up(void *arg)
{
    char value[16];

    (void)snprintf(value, sizeof(value), "t%d", *(int *)arg);
    for (int i = 0; i < 2000; i++) {
        metric_add(METRIC_profile_bytes, 1);
        metric_family_add(METRIC_http_responses, STR("shared"), 1);
        metric_observe(METRIC_http_request_seconds, str_from(value), 0.01);
    }
    return NULL;
}

static void test_nothing_is_lost_between_threads(void **state)
{
    int64_t before = metric_get(METRIC_profile_bytes);
    int names[4] = {0, 1, 2, 3};
    pthread_t threads[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(thread_start(&threads[i], "count", count_up, &names[i], NULL), 0);
    (void)exposition();
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    assert_int_equal(metric_get(METRIC_profile_bytes), before + 8000);
    assert_int_equal(metric_family_get(METRIC_http_responses, STR("shared")), 8000);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_and_gauges_keep_their_value),
        cmocka_unit_test(test_label_values_are_escaped),
        cmocka_unit_test(test_too_many_values_are_counted_as_other),
        cmocka_unit_test(test_a_histogram_is_cumulative_and_sums),
        cmocka_unit_test(test_every_metric_has_help_and_type_once_and_samples_of_its_name),
        cmocka_unit_test(test_nothing_is_lost_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The proto3 JSON mapping, as clients of the reference rely on it. */
#include "api/json_bridge.h"

#include "api/proto/push.pb-c.h"
#include "api/proto/querier.pb-c.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct err err;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    err_init(&err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static int read_as(const ProtobufCMessageDescriptor *descriptor, const char *json, void *out)
{
    ProtobufCMessage *message = NULL;
    int rc = json_bridge_read(descriptor, str_from(json), &arena, &message, &err);

    *(ProtobufCMessage **)out = message;
    return rc;
}

static Querier__V1__SelectMergeStacktracesRequest *stacktraces(const char *json)
{
    Querier__V1__SelectMergeStacktracesRequest *q;

    assert_int_equal(read_as(&querier__v1__select_merge_stacktraces_request__descriptor, json, &q),
                     0);
    return q;
}

static void refused(const ProtobufCMessageDescriptor *descriptor, const char *json,
                    const char *part_of_text)
{
    void *q;

    assert_int_equal(read_as(descriptor, json, &q), ERR_INVALID);
    assert_non_null(strstr(err.msg, part_of_text));
}

static void stacktraces_refused(const char *json, const char *part_of_text)
{
    refused(&querier__v1__select_merge_stacktraces_request__descriptor, json, part_of_text);
}

static void test_names_are_lower_camel_case_or_as_in_the_proto(void **state)
{
    char name[64];

    (void)state;
    assert_string_equal(stacktraces("{\"profileTypeID\":\"x\"}")->profile_typeid, "x");
    assert_string_equal(stacktraces("{\"profile_typeID\":\"x\"}")->profile_typeid, "x");
    assert_string_equal(stacktraces("{\"profiletypeid\":\"x\"}")->profile_typeid, "");
    json_bridge_name("max_self", name, sizeof(name));
    assert_string_equal(name, "maxSelf");
    json_bridge_name("leftTicks", name, sizeof(name));
    assert_string_equal(name, "leftTicks");
    json_bridge_name("ID", name, sizeof(name));
    assert_string_equal(name, "ID");
}

static void test_integers_are_numbers_strings_or_integral_reals(void **state)
{
    (void)state;
    assert_int_equal(stacktraces("{\"start\":1700000000000}")->start, 1700000000000);
    assert_int_equal(stacktraces("{\"start\":\"1700000000000\"}")->start, 1700000000000);
    assert_int_equal(stacktraces("{\"start\":1e3,\"end\":5.0}")->start, 1000);
    assert_int_equal(stacktraces("{\"start\":\"-9223372036854775808\"}")->start, INT64_MIN);
    stacktraces_refused("{\"start\":\"now-1h\"}", "SelectMergeStacktracesRequest.start: expected");
    stacktraces_refused("{\"start\":1.5}", "start");
    stacktraces_refused("{\"start\":9223372036854775808}", "");
    stacktraces_refused("{\"start\":\"9223372036854775808\"}", "start");
    stacktraces_refused("{\"start\":true}", "start");
    stacktraces_refused("{\"start\":1e300}", "start");
}

static void test_null_means_absent_and_absent_differs_from_zero(void **state)
{
    (void)state;
    assert_int_equal(stacktraces("{\"maxNodes\":null}")->max_nodes_presence_case, 0);
    assert_int_equal(stacktraces("{}")->max_nodes_presence_case, 0);
    assert_int_equal(stacktraces("{\"maxNodes\":0}")->max_nodes_presence_case, 5);
    assert_int_equal(stacktraces("{\"maxNodes\":\"7\"}")->max_nodes, 7);
    assert_null(stacktraces("{\"stackTraceSelector\":null}")->stack_trace_selector);
}

static void test_a_field_given_twice_is_refused_an_unknown_one_is_not(void **state)
{
    (void)state;
    stacktraces_refused("{\"start\":1,\"start\":2}", "duplicate");
    stacktraces_refused("{\"labelSelector\":\"a\",\"label_selector\":\"b\"}", "given twice");
    assert_int_equal(stacktraces("{\"x\":1,\"x\":2,\"start\":3}")->start, 3);
}

static void test_enums_are_names_or_numbers_and_unknown_names_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(stacktraces("{\"format\":\"PROFILE_FORMAT_TREE\"}")->format, 2);
    assert_int_equal(stacktraces("{\"format\":2}")->format, 2);
    assert_int_equal(stacktraces("{\"format\":99}")->format, 99);
    assert_int_equal(stacktraces("{\"format\":\"2\"}")->format, 0);
    assert_int_equal(stacktraces("{\"format\":\"NO_SUCH\"}")->format, 0);
    stacktraces_refused("{\"format\":true}", "format");
}

static void test_doubles_may_be_words(void **state)
{
    Querier__V1__SelectSeriesRequest *q;
    const ProtobufCMessageDescriptor *d = &querier__v1__select_series_request__descriptor;

    (void)state;
    assert_int_equal(read_as(d, "{\"step\":\"15.5\"}", &q), 0);
    assert_true(q->step == 15.5);
    assert_int_equal(read_as(d, "{\"step\":\"-Infinity\"}", &q), 0);
    assert_true(isinf(q->step));
    assert_int_equal(read_as(d, "{\"step\":\"NaN\"}", &q), 0);
    assert_true(isnan(q->step));
    refused(d, "{\"step\":\"x\"}", "step: expected a number");
    refused(d, "{\"groupBy\":\"x\"}", "group_by: expected a list");
    refused(d, "{\"groupBy\":[null]}", "group_by: expected a string");
}

static void test_bytes_are_base64_of_either_alphabet(void **state)
{
    Push__V1__PushRequest *q;
    const ProtobufCMessageDescriptor *d = &push__v1__push_request__descriptor;
    const ProtobufCBinaryData *raw;

    (void)state;
    assert_int_equal(read_as(d,
                             "{\"series\":[{\"samples\":[{\"rawProfile\":\"-_8=\",\"ID\":\"x\"},"
                             "{\"raw_profile\":\"+/8\"}]}]}",
                             &q),
                     0);
    raw = &q->series[0]->samples[0]->raw_profile;
    assert_int_equal(raw->len, 2);
    assert_memory_equal(raw->data, "\xfb\xff", 2);
    assert_string_equal(q->series[0]->samples[0]->id, "x");
    raw = &q->series[0]->samples[1]->raw_profile;
    assert_int_equal(raw->len, 2);
    assert_memory_equal(raw->data, "\xfb\xff", 2);
    refused(d, "{\"series\":[{\"samples\":[{\"rawProfile\":\"***\"}]}]}",
            "RawSample.raw_profile: expected base64");
    refused(d, "{\"series\":[{\"samples\":[{\"rawProfile\":\"QQ=\"}]}]}", "base64");
}

static void test_what_is_not_an_object_is_refused(void **state)
{
    (void)state;
    stacktraces_refused("null", "");
    stacktraces_refused("[]", "expected an object");
    stacktraces_refused("", "");
    stacktraces_refused("{", "");
    stacktraces_refused("{} x", "");
    stacktraces_refused("{/**/}", "");
    stacktraces_refused("{\"profileTypeID\":\"\\ud800\"}", "");
    stacktraces_refused("{\"profileTypeID\":\"\xff\"}", "");
}

static void test_depth_and_memory_are_bounded_before_parsing(void **state)
{
    static char deep[1 << 20];
    ProtobufCMessage *q;

    (void)state;
    memset(deep, '[', sizeof(deep));
    assert_int_equal(json_bridge_read(&push__v1__push_request__descriptor,
                                      (struct str){deep, sizeof(deep)}, &arena, &q, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.msg, "nested deeper"));
    for (size_t i = 0; i < sizeof(deep) / 2; i++)
        memcpy(deep + 2 * i, "{}", 2);
    for (size_t i = 0; i + 4 <= sizeof(deep); i += 4)
        memcpy(deep + i, "{},,", 4);
    assert_int_equal(json_bridge_read(&push__v1__push_request__descriptor,
                                      (struct str){deep, sizeof(deep)}, &arena, &q, &err),
                     ERR_INVALID);
}

static void test_written_messages_leave_defaults_out_and_keep_presence(void **state)
{
    Querier__V1__SelectMergeStacktracesRequest q =
        QUERIER__V1__SELECT_MERGE_STACKTRACES_REQUEST__INIT;
    char *ids[] = {(char *)"a<\"", (char *)"b"};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(json_bridge_write(&q.base, &out, &err), 0);
    assert_int_equal(out.len, 2);
    buf_reset(&out);
    q.profile_typeid = (char *)"t";
    q.start = INT64_MIN;
    q.max_nodes_presence_case = 5;
    q.format = 3;
    q.n_profile_id_selector = 2;
    q.profile_id_selector = ids;
    assert_int_equal(json_bridge_write(&q.base, &out, &err), 0);
    (void)buf_append_byte(&out, 0);
    assert_string_equal((const char *)out.data,
                        "{\"profileTypeID\":\"t\",\"start\":\"-9223372036854775808\","
                        "\"maxNodes\":\"0\",\"format\":\"PROFILE_FORMAT_DOT\","
                        "\"profileIdSelector\":[\"a<\\\"\",\"b\"]}");
    buf_release(&out);
}

static void test_written_numbers_read_back_as_the_same(void **state)
{
    double values[] = {0.1, 3.2e9, -0.0, 1e300, 5e-324, NAN, INFINITY, 12345678901234567.0};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        Types__V1__Point point = TYPES__V1__POINT__INIT;
        Types__V1__Point *back;

        point.value = values[i];
        buf_reset(&out);
        assert_int_equal(json_bridge_write(&point.base, &out, &err), 0);
        assert_int_equal(json_bridge_read(&types__v1__point__descriptor, buf_str(&out), &arena,
                                          (ProtobufCMessage **)&back, &err),
                         0);
        assert_memory_equal(&back->value, &values[i], isnan(values[i]) ? 0 : sizeof(double));
        assert_true(isnan(back->value) == isnan(values[i]));
    }
    buf_release(&out);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(test_names_are_lower_camel_case_or_as_in_the_proto),
        CLAIM(test_integers_are_numbers_strings_or_integral_reals),
        CLAIM(test_null_means_absent_and_absent_differs_from_zero),
        CLAIM(test_a_field_given_twice_is_refused_an_unknown_one_is_not),
        CLAIM(test_enums_are_names_or_numbers_and_unknown_names_are_ignored),
        CLAIM(test_doubles_may_be_words),
        CLAIM(test_bytes_are_base64_of_either_alphabet),
        CLAIM(test_what_is_not_an_object_is_refused),
        CLAIM(test_depth_and_memory_are_bounded_before_parsing),
        CLAIM(test_written_messages_leave_defaults_out_and_keep_presence),
        CLAIM(test_written_numbers_read_back_as_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The wire form of a push, as clients send it and as they should not. */
#include "api/push_request.h"

#include "base/arena.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct push_request request;
static struct err err;

static int decode(const void *wire, size_t size, size_t memory)
{
    static struct arena arena;

    arena_release(&arena);
    arena_init(&arena, memory);
    return push_request_decode((struct str){wire, size}, &arena, &request, &err);
}

#define DECODE(literal) decode(literal, sizeof(literal) - 1, 1 << 16)

static void test_labels_samples_and_ids_point_into_the_body(void **state)
{
    /* series { labels { "a\0", "\xff" } samples { "pp", ID "id" } samples { } } */
    const char wire[] = "\x0a\x15\x0a\x07\x0a\x02"
                        "a\0\x12\x01\xff\x12\x08\x0a\x02pp\x12\x02id\x12\x00";

    (void)state;
    assert_int_equal(DECODE(wire), 0);
    assert_int_equal(request.series_count, 1);
    assert_int_equal(push_request_count(&request), 2);
    assert_true(str_eq(request.series[0].labels.pairs[0].name, STR("a\0")));
    assert_true(str_eq(request.series[0].labels.pairs[0].value, STR("\xff")));
    assert_true(str_eq(request.series[0].samples[0].profile, STR("pp")));
    assert_true(request.series[0].samples[0].profile.p > wire &&
                request.series[0].samples[0].profile.p < wire + sizeof(wire));
    assert_true(str_eq(request.series[0].samples[0].id, STR("id")));
    assert_int_equal(request.series[0].samples[1].profile.len, 0);
}

static void test_nothing_is_a_push_without_profiles(void **state)
{
    (void)state;
    assert_int_equal(decode("", 0, 1 << 16), 0);
    assert_int_equal(push_request_count(&request), 0);
    assert_int_equal(DECODE("\x0a\x00"), 0);
    assert_int_equal(push_request_count(&request), 0);
}

static void test_unknown_fields_are_skipped_and_the_last_of_a_field_wins(void **state)
{
    (void)state;
    /* 9: 1, series { 3: { } 8: fixed64, samples { "x", "y" as profile again, 7: fixed32 } } */
    assert_int_equal(DECODE("\x48\x01\x0a\x18\x1a\x00\x41"
                            "12345678\x12\x0b\x0a\x01x\x0a\x01y\x3d"
                            "1234"),
                     0);
    assert_true(str_eq(request.series[0].samples[0].profile, STR("y")));
}

static void test_malformed_bytes_name_message_and_offset(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\xff\xff\xff"), ERR_INVALID);
    assert_int_equal(DECODE("\x0a\x05\x0a"), ERR_INVALID);
    assert_int_equal(DECODE("\x0a\x02\x0a\x05"), ERR_INVALID);
    assert_non_null(strstr(err.msg, "push.v1.RawProfileSeries"));
    assert_int_equal(DECODE("\x08\x01"), ERR_INVALID); /* series as a number */
    assert_int_equal(DECODE("\x0a\x04\x0a\x02\x08\x01"), ERR_INVALID);
    assert_non_null(strstr(err.msg, "types.v1.LabelPair: cannot parse"));
}

static void test_many_empty_entries_stop_at_the_arena(void **state)
{
    static char wire[20000];

    (void)state;
    for (size_t i = 0; i < sizeof(wire); i += 2)
        memcpy(wire + i, "\x0a\x00", 2);
    assert_int_equal(decode(wire, sizeof(wire), 1 << 16), ERR_TOO_LARGE);
    assert_int_equal(decode(wire, sizeof(wire), 4 << 20), 0);
    assert_int_equal(request.series_count, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_samples_and_ids_point_into_the_body),
        cmocka_unit_test(test_nothing_is_a_push_without_profiles),
        cmocka_unit_test(test_unknown_fields_are_skipped_and_the_last_of_a_field_wins),
        cmocka_unit_test(test_malformed_bytes_name_message_and_offset),
        cmocka_unit_test(test_many_empty_entries_stop_at_the_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

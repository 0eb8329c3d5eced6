/* Hostile protobuf is refused before the generated decoder sees it. */
#include "api/proto_scan.h"

#include "api/proto/querier.pb-c.h"
#include "base/arena.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define REQUEST (&querier__v1__diff_request__descriptor)

enum {
    MEMORY_MAX = 1 << 20,
};

static struct err err;

static int scan(const void *wire, size_t size)
{
    size_t memory;

    return proto_scan(REQUEST, (struct str){wire, size}, MEMORY_MAX, &memory, &err);
}

static void test_a_message_and_its_unknown_fields_are_accepted(void **state)
{
    /* left { start = 5, 99: "hi" }, 100: 7 */
    const char wire[] = "\x0a\x07\x18\x05\x9a\x06\x02hi\xa0\x06\x07";
    struct arena arena;
    ProtobufCMessage *message;
    const Querier__V1__DiffRequest *q;

    (void)state;
    arena_init(&arena, MEMORY_MAX);
    assert_int_equal(proto_unpack(REQUEST, (struct str){wire, sizeof(wire) - 1}, MEMORY_MAX, &arena,
                                  &message, &err),
                     0);
    q = (const void *)message;
    assert_int_equal(q->left->start, 5);
    assert_null(q->right);
    assert_int_equal(message->n_unknown_fields, 0);
    arena_release(&arena);
}

static void test_an_empty_body_is_an_empty_message(void **state)
{
    struct arena arena;
    ProtobufCMessage *message;

    (void)state;
    arena_init(&arena, MEMORY_MAX);
    assert_int_equal(proto_unpack(REQUEST, (struct str){0}, MEMORY_MAX, &arena, &message, &err), 0);
    arena_release(&arena);
}

static void test_malformed_bytes_are_named_by_message_and_offset(void **state)
{
    (void)state;
    assert_int_equal(scan("\xff\xff\xff", 3), ERR_INVALID);
    assert_int_equal(scan("\x0a\x05\x18", 3), ERR_INVALID);     /* past the end */
    assert_int_equal(scan("\x0a\x02\x18\x80", 4), ERR_INVALID); /* past the inner end */
    assert_non_null(strstr(err.msg, "SelectMergeStacktracesRequest: field 3 at offset 4"));
    assert_int_equal(scan("\x00", 1), ERR_INVALID); /* field 0 */
    assert_int_equal(scan("\x0b", 1), ERR_INVALID); /* a group */
    assert_int_equal(scan("\x0a\x04\x0a\x02\x61\x00", 6), ERR_INVALID);
    assert_non_null(strstr(err.msg, "NUL"));
    assert_int_equal(scan("\x0a\x03\x0a\x01\xff", 5), ERR_INVALID);
    assert_non_null(strstr(err.msg, "UTF-8"));
}

static void test_amplification_is_refused_before_it_happens(void **state)
{
    size_t size = 200000;
    uint8_t *wire = malloc(size);

    (void)state;
    assert_non_null(wire);
    for (size_t i = 0; i < size; i += 2)
        memcpy(wire + i, "\xa0\x06", 2); /* unknown varints: tag, then a value below */
    for (size_t i = 0; i + 3 <= size; i += 3)
        memcpy(wire + i, "\xa0\x06\x01", 3);
    assert_int_equal(scan(wire, size / 3 * 3), ERR_TOO_LARGE);
    free(wire);
}

static void test_the_estimate_covers_what_unpacking_takes(void **state)
{
    /* left { 50 x profile_id_selector "" } in turn with span selectors "x" */
    uint8_t wire[512] = {0x0a, 0, 0};
    size_t n = 3, memory;
    struct arena arena;
    ProtobufCMessage *message;

    (void)state;
    for (int i = 0; i < 50; i++) {
        memcpy(wire + n, "\x42\x00\x5a\x01x", 5);
        n += 5;
    }
    wire[1] = (uint8_t)((n - 3) | 0x80);
    wire[2] = (uint8_t)((n - 3) >> 7);
    assert_int_equal(proto_scan(REQUEST, (struct str){(char *)wire, n}, MEMORY_MAX, &memory, &err),
                     0);
    arena_init(&arena, MEMORY_MAX);
    assert_int_equal(
        proto_unpack(REQUEST, (struct str){(char *)wire, n}, MEMORY_MAX, &arena, &message, &err),
        0);
    assert_true(arena_used(&arena) <= memory);
    arena_release(&arena);
}

static void test_a_full_arena_is_too_large_not_invalid(void **state)
{
    const char wire[] = "\x0a\x02\x18\x05";
    struct arena arena;
    ProtobufCMessage *message;

    (void)state;
    arena_init(&arena, 64);
    assert_int_equal(
        proto_unpack(REQUEST, (struct str){wire, 4}, MEMORY_MAX, &arena, &message, &err),
        ERR_TOO_LARGE);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_and_its_unknown_fields_are_accepted),
        cmocka_unit_test(test_an_empty_body_is_an_empty_message),
        cmocka_unit_test(test_malformed_bytes_are_named_by_message_and_offset),
        cmocka_unit_test(test_amplification_is_refused_before_it_happens),
        cmocka_unit_test(test_the_estimate_covers_what_unpacking_takes),
        cmocka_unit_test(test_a_full_arena_is_too_large_not_invalid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

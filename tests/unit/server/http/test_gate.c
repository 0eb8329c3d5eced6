/* gate - requests that two parsers could read in two ways do not get in. */
#include "server/http/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PAIR(n, v)                                                                                 \
    {                                                                                              \
        {n, sizeof(n) - 1},                                                                        \
        {                                                                                          \
            v, sizeof(v) - 1                                                                       \
        }                                                                                          \
    }

static struct gate_verdict ask(const struct http_pair *headers, size_t count, bool http_1_0)
{
    return gate_check(&(struct gate_input){STR("POST"), http_1_0, headers, count});
}

static void test_a_plain_request_passes_with_its_length(void **state)
{
    const struct http_pair h[] = {PAIR("Host", "x"), PAIR("content-length", " 42 ")};
    (void)state;
    struct gate_verdict v = ask(h, 2, false);
    assert_int_equal(v.status, 0);
    assert_true(v.has_length);
    assert_false(v.chunked);
    assert_int_equal(v.length, 42);
}

static void test_chunked_passes_in_any_case(void **state)
{
    const struct http_pair h[] = {PAIR("Host", "x"), PAIR("Transfer-Encoding", "Chunked")};
    (void)state;
    struct gate_verdict v = ask(h, 2, false);
    assert_int_equal(v.status, 0);
    assert_true(v.chunked);
}

static void test_ambiguous_lengths_are_refused(void **state)
{
    const struct http_pair same[] = {PAIR("Host", "x"), PAIR("Content-Length", "5"),
                                     PAIR("Content-Length", "5")};
    const struct http_pair both[] = {PAIR("Host", "x"), PAIR("Content-Length", "5"),
                                     PAIR("Transfer-Encoding", "chunked")};
    const struct http_pair twice[] = {PAIR("Host", "x"), PAIR("Transfer-Encoding", "chunked"),
                                      PAIR("Transfer-Encoding", "chunked")};
    (void)state;
    assert_int_equal(ask(same, 3, false).status, 400);
    assert_int_equal(ask(both, 3, false).status, 400);
    assert_int_equal(ask(twice, 3, false).status, 400);
}

static void test_other_codings_are_refused(void **state)
{
    static const char *const codings[] = {
        "gzip", "gzip, chunked", "chunked, identity", "identity", "xchunked", "chunked;q=1", ""};
    (void)state;
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        struct http_pair h[] = {PAIR("Host", "x"), PAIR("Transfer-Encoding", "")};
        h[1].value = str_from(codings[i]);
        assert_int_equal(ask(h, 2, false).status, 400);
    }
    const struct http_pair chunked[] = {PAIR("Host", "x"), PAIR("Transfer-Encoding", "chunked")};
    assert_int_equal(ask(chunked, 2, true).status, 400);
}

static void test_malformed_lengths_are_refused(void **state)
{
    static const char *const lengths[] = {"",    "-1",  "+5",  "5x",
                                          "0x5", "5 5", "5,5", "1000000000000000000000"};
    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct http_pair h[] = {PAIR("Host", "x"), PAIR("Content-Length", "")};
        h[1].value = str_from(lengths[i]);
        assert_int_equal(ask(h, 2, false).status, 400);
    }
}

static void test_host_must_be_one(void **state)
{
    const struct http_pair two[] = {PAIR("Host", "a"), PAIR("host", "b")};
    (void)state;
    assert_int_equal(ask(two, 2, false).status, 400);
    assert_int_equal(ask(two, 0, false).status, 400);
    assert_int_equal(ask(two, 0, true).status, 0);
}

static void test_nul_and_control_bytes_are_refused(void **state)
{
    const struct http_pair nul[] = {PAIR("Host", "x"), PAIR("X", "a\0b")};
    const struct http_pair control[] = {PAIR("Host", "x"), PAIR("X", "a\rb")};
    const struct http_pair name[] = {PAIR("Host", "x"), PAIR("X y", "a")};
    const struct http_pair empty[] = {PAIR("Host", "x"), PAIR("", "a")};
    const struct http_pair fine[] = {PAIR("Host", "x"), PAIR("X", "a\tb \xc3\xa4")};
    (void)state;
    assert_int_equal(ask(nul, 2, false).status, 400);
    assert_int_equal(ask(control, 2, false).status, 400);
    assert_int_equal(ask(name, 2, false).status, 400);
    assert_int_equal(ask(empty, 2, false).status, 400);
    assert_int_equal(ask(fine, 2, false).status, 0);
    assert_int_equal(gate_check(&(struct gate_input){STR("P ST"), true, NULL, 0}).status, 400);
}

static void test_an_unknown_expectation_is_a_417(void **state)
{
    const struct http_pair known[] = {PAIR("Host", "x"), PAIR("Expect", "100-Continue")};
    const struct http_pair other[] = {PAIR("Host", "x"), PAIR("Expect", "miracles")};
    (void)state;
    assert_int_equal(ask(known, 2, false).status, 0);
    assert_int_equal(ask(other, 2, false).status, 417);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_request_passes_with_its_length),
        cmocka_unit_test(test_chunked_passes_in_any_case),
        cmocka_unit_test(test_ambiguous_lengths_are_refused),
        cmocka_unit_test(test_other_codings_are_refused),
        cmocka_unit_test(test_malformed_lengths_are_refused),
        cmocka_unit_test(test_host_must_be_one),
        cmocka_unit_test(test_nul_and_control_bytes_are_refused),
        cmocka_unit_test(test_an_unknown_expectation_is_a_417),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* listener - addresses as operators write them. */
#include "server/http/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/err.h"

static void expect_address(const char *text, uint16_t port, bool loopback, bool any)
{
    struct listen_address a;
    struct err err = {0};
    assert_int_equal(listen_address_parse(text, &a, &err), 0);
    assert_int_equal(listen_address_port(&a), port);
    assert_int_equal(listen_address_is_loopback(&a), loopback);
    assert_int_equal(a.any, any);
}

static void test_what_operators_write_is_understood(void **state)
{
    (void)state;
    expect_address("127.0.0.1:4040", 4040, true, false);
    expect_address("127.8.9.1:1", 1, true, false);
    expect_address("[::1]:80", 80, true, false);
    expect_address("localhost:4040", 4040, true, false);
    expect_address("0.0.0.0:4040", 4040, false, false);
    expect_address("[::]:4040", 4040, false, false);
    expect_address(":4040", 4040, false, true);
    expect_address(":0", 0, false, true);
}

static void test_other_texts_are_refused(void **state)
{
    static const char *const texts[] = {
        "",        "4040",    "127.0.0.1", "127.0.0.1:",    ":x", "::1:80", ":65536",
        "host:-1", ":000080", "[::1]80",   "no such host:1"};
    struct listen_address a;
    struct err err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(listen_address_parse(texts[i], &a, &err), ERR_INVALID);
}

static void test_port_zero_gives_a_free_port(void **state)
{
    struct listen_address a;
    struct err err = {0};
    uint16_t port = 0;
    int fd = -1;
    (void)state;
    assert_int_equal(listen_address_parse("127.0.0.1:0", &a, &err), 0);
    assert_int_equal(listener_open(&a, &fd, &port, &err), 0);
    assert_true(fd >= 0);
    assert_true(port > 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_operators_write_is_understood),
        cmocka_unit_test(test_other_texts_are_refused),
        cmocka_unit_test(test_port_zero_gives_a_free_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

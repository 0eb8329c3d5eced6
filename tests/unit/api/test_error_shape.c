/* The tables between codes, statuses and our own errors. */
#include "api/error_shape.h"
#include "api/tenant.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_code_has_a_name_and_a_status(void **state)
{
    (void)state;
    for (int code = 0; code < CONNECT_CODE_COUNT; code++) {
        assert_non_null(connect_code_name(code));
        assert_true(connect_code_status(code) >= 200);
    }
    assert_int_equal(connect_code_status(CONNECT_CANCELED), 499);
    assert_int_equal(connect_code_status(CONNECT_FAILED_PRECONDITION), 400);
    assert_int_equal(connect_code_status(CONNECT_RESOURCE_EXHAUSTED), 429);
    assert_string_equal(connect_code_name(CONNECT_DEADLINE_EXCEEDED), "deadline_exceeded");
}

static void test_plain_routes_derive_the_code_from_the_status(void **state)
{
    (void)state;
    assert_int_equal(connect_code_of_status(404), CONNECT_UNIMPLEMENTED);
    assert_int_equal(connect_code_of_status(413), CONNECT_INVALID_ARGUMENT);
    assert_int_equal(connect_code_of_status(422), CONNECT_UNKNOWN);
    assert_int_equal(connect_code_of_status(500), CONNECT_UNKNOWN);
    assert_int_equal(connect_code_of_status(503), CONNECT_UNAVAILABLE);
}

/* A retried error must be one that a retry can cure. */
static void test_what_the_client_did_wrong_is_never_retried(void **state)
{
    (void)state;
    assert_int_equal(connect_code_of_err(ERR_INVALID), CONNECT_INVALID_ARGUMENT);
    assert_int_equal(connect_code_of_err(ERR_TOO_LARGE), CONNECT_INVALID_ARGUMENT);
    assert_int_equal(connect_code_of_err(ERR_BUSY), CONNECT_UNAVAILABLE);
    assert_int_equal(connect_code_of_err(ERR_NO_SPACE), CONNECT_UNAVAILABLE);
    assert_int_equal(connect_code_of_err(-1000), CONNECT_UNKNOWN);
}

static void tenant_refused(const char *id, const char *want)
{
    struct err err;

    assert_int_equal(tenant_valid(str_from(id), &err), ERR_INVALID);
    assert_string_equal(err.msg, want);
}

static void test_a_tenant_id_is_a_safe_directory_name(void **state)
{
    char longest[TENANT_BYTES_MAX + 2];

    (void)state;
    assert_int_equal(tenant_valid(STR("A1!-_.*'()"), NULL), 0);
    assert_int_equal(tenant_valid(STR("..."), NULL), 0);
    tenant_refused("", "no org id");
    tenant_refused(".", "tenant ID is '.' or '..'");
    tenant_refused("..", "tenant ID is '.' or '..'");
    tenant_refused("a/b", "tenant ID 'a/b' contains unsupported character '/'");
    tenant_refused("h\xc3\xa9", "tenant ID 'h\xc3\xa9' contains unsupported character '\xc3\xa9'");
    assert_int_equal(tenant_valid(STR("a\0b"), NULL), ERR_INVALID);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(tenant_valid((struct str){longest, TENANT_BYTES_MAX}, NULL), 0);
    longest[TENANT_BYTES_MAX + 1] = '\0';
    tenant_refused(longest, "tenant ID is too long: max 150 characters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_a_name_and_a_status),
        cmocka_unit_test(test_plain_routes_derive_the_code_from_the_status),
        cmocka_unit_test(test_what_the_client_did_wrong_is_never_retried),
        cmocka_unit_test(test_a_tenant_id_is_a_safe_directory_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

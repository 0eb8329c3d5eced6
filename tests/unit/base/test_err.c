/* Errors say what happened, whatever is thrown at them. */
#include "base/err.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_failing_is_one_statement_with_or_without_a_place_to_say_why(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(err_set(&err, ERR_CORRUPT, "segment '%s': block %d", "a", 3), ERR_CORRUPT);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_string_equal(err.msg, "segment 'a': block 3");
    assert_int_equal(err_set(NULL, ERR_BUSY, "nobody listens"), ERR_BUSY);
    err_init(&err);
    assert_int_equal(err.code, ERR_OK);
    assert_string_equal(err.msg, "");
}

static void test_a_long_message_is_cut_and_ends(void **state)
{
    char text[2 * ERR_MSG_MAX];
    struct err err;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)err_set(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
    (void)err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
}

static void test_a_prefix_keeps_code_and_cause(void **state)
{
    struct err err;

    (void)state;
    errno = ENOSPC;
    assert_int_equal(err_io(&err, "write", "wal/1"), ERR_NO_SPACE);
    assert_int_equal(err_prefix(&err, "tenant '%s'", "a"), ERR_NO_SPACE);
    assert_string_equal(err.msg, "tenant 'a': write 'wal/1': No space left on device");
    assert_int_equal(err.os_errno, ENOSPC);
}

static void test_the_system_s_reason_becomes_our_code(void **state)
{
    static const struct {
        int os_errno, code;
    } rows[] = {
        {ENOSPC, ERR_NO_SPACE}, {EDQUOT, ERR_NO_SPACE}, {ENOENT, ERR_NOT_FOUND},
        {EEXIST, ERR_EXISTS},   {ENOMEM, ERR_NOMEM},    {EIO, ERR_IO},
        {EACCES, ERR_IO},       {EROFS, ERR_IO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        errno = rows[i].os_errno;
        assert_int_equal(err_io(NULL, "open", "x"), rows[i].code);
    }
}

static void test_every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = ERR_CONFIG; a <= ERR_OK; a++) {
        assert_string_not_equal(err_code_name(a), "unknown");
        for (int b = ERR_CONFIG; b < a; b++)
            assert_string_not_equal(err_code_name(a), err_code_name(b));
    }
    assert_string_equal(err_code_name(ERR_CONFIG), "config");
    assert_string_equal(err_code_name(1), "unknown");
    assert_string_equal(err_code_name(ERR_CONFIG - 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_is_one_statement_with_or_without_a_place_to_say_why),
        cmocka_unit_test(test_a_long_message_is_cut_and_ends),
        cmocka_unit_test(test_a_prefix_keeps_code_and_cause),
        cmocka_unit_test(test_the_system_s_reason_becomes_our_code),
        cmocka_unit_test(test_every_code_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

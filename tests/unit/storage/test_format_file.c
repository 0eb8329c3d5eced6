/* FORMAT: no flipped bit of it is taken for another directory's. */
#include "storage/format_file.h"

#include "base/err.h"
#include "base/fs.h"

#include "tests/support/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct format_file sample(void)
{
    struct format_file f = {0};

    for (uint8_t i = 0; i < sizeof(f.instance); i++)
        f.instance[i] = (uint8_t)(i * 17);
    return f;
}

static void test_what_is_written_is_read(void **state)
{
    struct format_file f = sample(), got;
    struct fs *fs = fs_fault_new();
    struct err err;

    (void)state;
    assert_int_equal(format_file_read(fs, &got, &err), ERR_NOT_FOUND);
    assert_int_equal(fs_make_dirs(fs, "tmp", &err), 0);
    assert_int_equal(format_file_write(fs, &f, &err), 0);
    assert_int_equal(format_file_read(fs, &got, &err), 0);
    assert_memory_equal(&f, &got, sizeof(f));
    fs_free(fs);
}

static void test_every_flipped_bit_is_noticed(void **state)
{
    char text[FORMAT_FILE_BYTES_MAX];
    struct format_file f = sample(), got;
    size_t len = format_file_print(&f, text);

    (void)state;
    assert_true(format_file_parse((struct str){text, len}, &got));
    for (size_t i = 0; i < len * 8; i++) {
        text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
        assert_false(format_file_parse((struct str){text, len}, &got));
        text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
    }
}

static void test_a_file_from_before_there_was_a_checksum_is_read(void **state)
{
    struct str old = STR("flamekeep data directory\nformat 0.0\n"
                         "instance 00112233445566778899aabbccddeeff\n");
    struct format_file f = sample(), got;

    (void)state;
    assert_true(format_file_parse(old, &got));
    assert_memory_equal(got.instance, f.instance, sizeof(f.instance));
    assert_false(format_file_parse(str_slice(old, 0, old.len - 1), &got));
    assert_false(format_file_parse(STR(""), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_a_file_from_before_there_was_a_checksum_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

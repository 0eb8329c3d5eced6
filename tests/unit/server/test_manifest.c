/* manifest: what is written is read back; what is not whole is refused, with the line. */
#include "server/backup/manifest.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "flamekeep backup 1\ninstance 0123456789abcdef0123456789abcdef\nlsn 42\ntime_ns 7\nmissing "   \
    "1\n"

/* The text with the checksum that it ought to have. */
static int parse(struct manifest *m, const char *text, struct err *err)
{
    struct buf whole;
    int rc;

    buf_init(&whole, 1 << 20);
    (void)buf_printf(&whole, "%schecksum %016llx\n", text,
                     (unsigned long long)checksum64(text, strlen(text)));
    manifest_init(m);
    rc = manifest_parse(m, buf_str(&whole), err);
    buf_release(&whole);
    return rc;
}

static void test_what_is_printed_is_read_back(void **state)
{
    struct manifest m, again;
    struct buf text;

    (void)state;
    assert_int_equal(
        parse(&m, HEAD "file 00ff 3 seg/a b\nfile 1 18446744073709551615 log/1/FORMAT\n", NULL), 0);
    buf_init(&text, 1 << 20);
    manifest_print(&m, &text);
    manifest_init(&again);
    assert_int_equal(manifest_parse(&again, buf_str(&text), NULL), 0);
    assert_string_equal(again.instance, "0123456789abcdef0123456789abcdef");
    assert_int_equal(again.lsn, 42);
    assert_int_equal(again.time_ns, 7);
    assert_int_equal(again.missing, 1);
    assert_int_equal(again.count, 2);
    assert_int_equal(manifest_find(&again, "seg/a b")->hash, 0xff);
    assert_true(manifest_find(&again, "log/1/FORMAT")->bytes == UINT64_MAX);
    assert_null(manifest_find(&again, "seg/a"));
    buf_release(&text);
    manifest_release(&again);
    manifest_release(&m);
}

static void test_what_is_no_manifest_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "flamekeep backup 2\n",
                                        "flamekeep backup 1\n",
                                        "lsn 1\n",
                                        HEAD "file 1 2\n",
                                        HEAD "file 1 2 /etc/passwd\n",
                                        HEAD "file 1 2 seg/../../x\n",
                                        HEAD "file x 2 a\n",
                                        HEAD "file 1 18446744073709551616 a\n",
                                        HEAD "file 1 -2 a\n",
                                        HEAD "other\n",
                                        HEAD "instance 12\n",
                                        HEAD "instance 0123456789abcdef0123456789abcdeF\n",
                                        HEAD "time_ns 9223372036854775808\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct manifest m;
        struct err err;

        assert_int_equal(parse(&m, texts[i], &err), ERR_CORRUPT);
        manifest_release(&m);
    }
}

static void test_every_cut_and_every_flip_is_refused(void **state)
{
    struct manifest m;
    struct buf text;

    (void)state;
    assert_int_equal(parse(&m, HEAD "file 00ff 3 seg/a\n", NULL), 0);
    buf_init(&text, 1 << 20);
    manifest_print(&m, &text);
    manifest_release(&m);
    for (size_t i = 0; i < text.len; i++) {
        manifest_init(&m);
        assert_int_equal(manifest_parse(&m, (struct str){(const char *)text.data, i}, NULL),
                         ERR_CORRUPT);
        manifest_release(&m);
        manifest_init(&m);
        text.data[i] ^= 1;
        assert_int_equal(manifest_parse(&m, buf_str(&text), NULL), ERR_CORRUPT);
        text.data[i] ^= 1;
        manifest_release(&m);
    }
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_printed_is_read_back),
        cmocka_unit_test(test_what_is_no_manifest_is_refused),
        cmocka_unit_test(test_every_cut_and_every_flip_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

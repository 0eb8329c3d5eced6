/* Inflating costs what it is allowed to, whatever the input claims. */
#include "base/gzip.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/thread.h"
#include "tests/support/rng.h"

#include <libdeflate.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MIB = 1 << 20,
};

/* Text that compresses about as a profile does. */
static void make_text(struct buf *b, size_t size)
{
    struct rng r = rng_of(3);

    buf_init(b, size + 64);
    while (b->len < size)
        (void)buf_printf(b, "main.run;main.step_%d;lib.call %d\n", (int)rng_below(&r, 50),
                         (int)rng_below(&r, 1000));
}

static void test_what_was_deflated_comes_back(void **state)
{
    struct buf text, packed, back;

    (void)state;
    make_text(&text, 300000);
    buf_init(&packed, MIB);
    buf_init(&back, MIB);
    for (int level = 1; level <= 12; level += 5) {
        buf_reset(&packed);
        buf_reset(&back);
        assert_int_equal(gzip_deflate(buf_str(&text), level, &packed, NULL), 0);
        assert_true(gzip_is(buf_str(&packed)));
        assert_true(packed.len < text.len / 2);
        assert_int_equal(gzip_inflate(buf_str(&packed), &back, text.len, NULL), 0);
        assert_true(str_eq(buf_str(&back), buf_str(&text)));
    }
    buf_release(&text);
    buf_release(&packed);
    buf_release(&back);
}

static void test_members_follow_each_other_and_empty_ones_are_fine(void **state)
{
    struct buf packed, back;

    (void)state;
    buf_init(&packed, MIB);
    buf_init(&back, MIB);
    assert_int_equal(buf_append_cstr(&back, "before:"), 0);
    assert_int_equal(gzip_deflate(STR("one "), 6, &packed, NULL), 0);
    assert_int_equal(gzip_deflate(STR(""), 6, &packed, NULL), 0);
    assert_int_equal(gzip_deflate(STR("two"), 6, &packed, NULL), 0);
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, 7, NULL), 0);
    assert_true(str_eq(buf_str(&back), STR("before:one two")));
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, 6, NULL), ERR_TOO_LARGE);
    assert_true(str_eq(buf_str(&back), STR("before:one two")));
    buf_release(&packed);
    buf_release(&back);
}

static void test_damage_is_an_error_and_leaves_nothing(void **state)
{
    struct buf text, packed, back;
    struct err err;

    (void)state;
    make_text(&text, 5000);
    buf_init(&packed, MIB);
    buf_init(&back, MIB);
    assert_int_equal(gzip_deflate(buf_str(&text), 6, &packed, NULL), 0);
    for (size_t len = 0; len < packed.len; len++) {
        struct str cut = str_slice(buf_str(&packed), 0, len);

        assert_int_equal(gzip_inflate(cut, &back, MIB, &err), ERR_INVALID);
        assert_int_equal(back.len, 0);
    }
    assert_int_equal(gzip_inflate(STR("plain text, not compressed"), &back, MIB, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.msg, "magic"));
    packed.data[packed.len / 2] ^= 0x10;
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, &err), ERR_INVALID);
    packed.data[packed.len / 2] ^= 0x10;
    packed.data[packed.len - 8] ^= 1; /* the checksum */
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, &err), ERR_INVALID);
    packed.data[packed.len - 8] ^= 1;
    assert_int_equal(buf_append_cstr(&packed, "trailing rubbish that is no member"), 0);
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, &err), ERR_INVALID);
    assert_int_equal(back.len, 0);
    buf_release(&text);
    buf_release(&packed);
    buf_release(&back);
}

static void test_a_bomb_is_refused_within_the_cap_honest_or_not(void **state)
{
    struct buf zeroes, packed, back;
    struct err err;

    (void)state;
    buf_init(&zeroes, 64 * MIB);
    buf_init(&packed, 80 * MIB);
    buf_init(&back, 2 * MIB);
    assert_int_equal(buf_append_zeroes(&zeroes, 64 * MIB), 0);
    assert_int_equal(gzip_deflate(buf_str(&zeroes), 6, &packed, NULL), 0);
    assert_true(packed.len < 100000);
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.msg, "1048576"));
    assert_int_equal(back.cap, 0); /* the trailer said it: no work at all */
    put_le32(packed.data + packed.len - 4, 10);
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, &err), ERR_TOO_LARGE);
    assert_int_equal(back.len, 0);
    assert_true(back.cap <= 2 * MIB);
    /* Impossible for so few bytes: not believed, and wrong in the end. */
    buf_reset(&packed);
    assert_int_equal(gzip_deflate(STR("small"), 6, &packed, NULL), 0);
    put_le32(packed.data + packed.len - 4, UINT32_MAX);
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, &err), ERR_INVALID);
    buf_release(&zeroes);
    buf_release(&packed);
    buf_release(&back);
}

static void test_a_cap_of_exactly_the_size_suffices(void **state)
{
    struct buf text, packed, back;

    (void)state;
    make_text(&text, 100000);
    buf_init(&packed, MIB);
    buf_init(&back, text.len);
    assert_int_equal(gzip_deflate(buf_str(&text), 6, &packed, NULL), 0);
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, text.len, NULL), 0);
    buf_reset(&back);
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, text.len - 1, NULL), ERR_TOO_LARGE);
    buf_release(&back);
    buf_init(&back, text.len - 1); /* a buffer smaller than the cap is a cap too */
    assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, NULL), ERR_TOO_LARGE);
    buf_release(&text);
    buf_release(&packed);
    buf_release(&back);
}

static void test_zlib_streams_have_no_trailer_to_ask(void **state)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    struct buf text, back;
    uint8_t packed[100000];
    size_t size;

    (void)state;
    make_text(&text, 200000);
    buf_init(&back, MIB);
    size = libdeflate_zlib_compress(c, text.data, text.len, packed, sizeof(packed));
    assert_int_not_equal(size, 0);
    assert_int_equal(zlib_inflate((struct str){(char *)packed, size}, &back, MIB, NULL), 0);
    assert_true(str_eq(buf_str(&back), buf_str(&text)));
    buf_reset(&back);
    assert_int_equal(zlib_inflate((struct str){(char *)packed, size}, &back, 199999, NULL),
                     ERR_TOO_LARGE);
    assert_int_equal(zlib_inflate((struct str){(char *)packed, size - 1}, &back, MIB, NULL),
                     ERR_INVALID);
    assert_int_equal(zlib_inflate(STR(""), &back, MIB, NULL), ERR_INVALID);
    assert_int_equal(back.len, 0);
    libdeflate_free_compressor(c);
    buf_release(&text);
    buf_release(&back);
}

static void *there_and_back(void *arg)
{
    struct buf packed, back;

    buf_init(&packed, MIB);
    buf_init(&back, MIB);
    for (int i = 0; i < 20; i++) {
        buf_reset(&packed);
        buf_reset(&back);
        assert_int_equal(gzip_deflate(buf_str(arg), 1 + i % 3, &packed, NULL), 0);
        assert_int_equal(gzip_inflate(buf_str(&packed), &back, MIB, NULL), 0);
        assert_true(str_eq(buf_str(&back), buf_str(arg)));
    }
    buf_release(&packed);
    buf_release(&back);
    return NULL;
}

static void test_threads_do_not_share_their_codecs(void **state)
{
    pthread_t threads[3];
    struct buf text;

    (void)state;
    make_text(&text, 20000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(thread_start(&threads[i], "gzip", there_and_back, &text, NULL), 0);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_deflated_comes_back),
        cmocka_unit_test(test_members_follow_each_other_and_empty_ones_are_fine),
        cmocka_unit_test(test_damage_is_an_error_and_leaves_nothing),
        cmocka_unit_test(test_a_bomb_is_refused_within_the_cap_honest_or_not),
        cmocka_unit_test(test_a_cap_of_exactly_the_size_suffices),
        cmocka_unit_test(test_zlib_streams_have_no_trailer_to_ask),
        cmocka_unit_test(test_threads_do_not_share_their_codecs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

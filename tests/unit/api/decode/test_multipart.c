#include "api/decode/multipart.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_HEADER(name) "Content-Disposition: form-data; name=\"" name "\"; filename=\"f\"\r\n"

struct fixture {
    struct arena arena;
    struct multipart form;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    arena_init(&f->arena, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->arena);
    free(f);
    return 0;
}

static int parse(struct fixture *f, const char *body)
{
    return multipart_parse(str_from(body), STR("x"), &f->arena, &f->form, &f->err);
}

static void assert_file(struct fixture *f, const char *name, const char *content)
{
    assert_true(str_eq(multipart_file(&f->form, str_from(name)), str_from(content)));
}

static void test_the_boundary_is_a_parameter(void **state)
{
    static const char *const good[][2] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"multipart/form-data;boundary=\"a b;c\"", "a b;c"},
        {"Multipart/Form-Data; charset=x; BOUNDARY = a'b ", "a'b"},
        {"multipart/form-data; boundary=\"a\\\"b\"", "a\"b"},
    };
    static const char *const bad[] = {
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"abc",
        "multipart/form-data; xboundary=1",
        /* 71 characters, one too many */
        "a/b;boundary=01234567890123456789012345678901234567890123456789012345678901234567890",
        "",
    };
    struct fixture *f = *state;
    struct str out;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(multipart_boundary(str_from(good[i][0]), &f->arena, &out, &f->err), 0);
        assert_true(str_eq(out, str_from(good[i][1])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(multipart_boundary(str_from(bad[i]), &f->arena, &out, &f->err),
                         ERR_INVALID);
        assert_string_equal(f->err.msg, "malformed multipart content type header");
    }
}

static void test_parts_are_found_between_boundaries(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "preamble\r\n--x\r\n" FILE_HEADER("a") "\r\none\r\n--x \t\r\n" //
                           FILE_HEADER("b") "Content-Type: text/plain\r\n\r\n\r\ntwo\r\n"
                                            "--xy\r\n\r\n--x--\r\nepilogue"),
                     0);
    assert_int_equal(f->form.count, 2);
    assert_file(f, "a", "one");
    assert_file(f, "b", "\r\ntwo\r\n--xy\r\n");
    assert_file(f, "c", "");
}

static void test_a_body_with_bare_newlines_is_read_too(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "--x\nContent-Disposition: form-data; name=a; filename=f\n\n"
                              "one\r\n\n--x--"),
                     0);
    assert_file(f, "a", "one\r\n");
}

static void test_only_parts_with_a_file_name_are_files(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n"
                              "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\""
                              "\r\n\r\nempty name\r\n"
                              "--x\r\nContent-Disposition: attachment; name=\"a\"; filename=\"f\""
                              "\r\n\r\nother disposition\r\n"
                              "--x\r\ncontent-disposition: Form-Data; filename*=utf-8''f; Name=a"
                              "\r\n\r\nfile\r\n--x--\r\n"),
                     0);
    assert_int_equal(f->form.count, 4);
    assert_file(f, "a", "file");
}

static void test_the_first_file_of_a_name_wins(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "--x\r\n" FILE_HEADER("a") "\r\n1\r\n--x\r\n" //
                           FILE_HEADER("a") "\r\n2\r\n--x--"),
                     0);
    assert_file(f, "a", "1");
}

static void test_parts_and_bodies_may_be_empty(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "--x--"), 0);
    assert_int_equal(f->form.count, 0);
    assert_int_equal(parse(f, "--x\r\n" FILE_HEADER("a") "\r\n--x\r\n\r\n\r\n--x--"), 0);
    assert_int_equal(f->form.count, 2);
    assert_file(f, "a", "");
}

static void test_a_header_may_be_continued(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(parse(f, "--x\r\nContent-Disposition: form-data;\r\n name=\"a\";\r\n\t"
                              "filename=\"f\"\r\n\r\n1\r\n--x--"),
                     0);
    assert_file(f, "a", "1");
}

static void test_broken_framing_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "xx",
        "--x",
        "--y\r\n\r\n\r\n--y--",
        "--x\r\nbroken",
        "--x\r\nbroken\r\n\r\n1\r\n--x--",
        "--x\r\n: no name\r\n\r\n1\r\n--x--",
        "--x\r\n" FILE_HEADER("a"),
        "--x\r\n" FILE_HEADER("a") "\r\nno end",
        "--x\r\n" FILE_HEADER("a") "\r\nno end\r\n--x",
        "--x\r\n" FILE_HEADER("a") "\r\n1\r\n--x\r\n",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(parse(f, cases[i]), ERR_INVALID);
}

static void test_limits_hold(void **state)
{
    struct fixture *f = *state;
    struct buf body;

    buf_init(&body, 1 << 20);
    for (int i = 0; i <= MULTIPART_PARTS_MAX; i++)
        buf_append_cstr(&body, "--x\r\n\r\n\r\n");
    buf_append_cstr(&body, "--x--");
    assert_int_equal(multipart_parse(buf_str(&body), STR("x"), &f->arena, &f->form, &f->err),
                     ERR_TOO_LARGE);
    buf_reset(&body);
    buf_append_cstr(&body, "--x\r\n");
    for (int i = 0; i < MULTIPART_HEADER_BYTES_MAX / 8; i++)
        buf_append_cstr(&body, "a: bcd\r\n");
    buf_append_cstr(&body, "\r\n\r\n--x--");
    assert_int_equal(multipart_parse(buf_str(&body), STR("x"), &f->arena, &f->form, &f->err),
                     ERR_TOO_LARGE);
    buf_release(&body);
}

static void test_near_boundaries_are_content(void **state)
{
    struct fixture *f = *state;
    struct buf body;

    buf_init(&body, 4 << 20);
    buf_append_cstr(&body, "--x\r\n\r\n");
    for (int i = 0; i < 10000; i++)
        buf_append_cstr(&body, "\r\n--x  \t!");
    assert_int_equal(multipart_parse(buf_str(&body), STR("x"), &f->arena, &f->form, &f->err),
                     ERR_INVALID);
    buf_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_the_boundary_is_a_parameter),
        TEST(test_parts_are_found_between_boundaries),
        TEST(test_a_body_with_bare_newlines_is_read_too),
        TEST(test_only_parts_with_a_file_name_are_files),
        TEST(test_the_first_file_of_a_name_wins),
        TEST(test_parts_and_bodies_may_be_empty),
        TEST(test_a_header_may_be_continued),
        TEST(test_broken_framing_is_refused),
        TEST(test_limits_hold),
        TEST(test_near_boundaries_are_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

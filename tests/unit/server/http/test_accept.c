/* accept - the Accept header as the reference reads it. */
#include "server/http/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_what_clients_send_is_well_formed(void **state)
{
    static const char *const values[] = {
        "",
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        "*/*; allow-utf8-labelnames=true",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,*/*;q=0.1",
        "text/plain; charset=\"utf-8\"",
        "text",
        "text/plain;",
        " text/plain ; q = 1 ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        assert_null(http_accept_check(str_from(values[i])));
}

static void test_malformed_entries_are_named(void **state)
{
    (void)state;
    assert_string_equal(http_accept_check(STR("text/plain,")), "mime: no media type");
    assert_string_equal(http_accept_check(STR(" ")), "mime: no media type");
    assert_string_equal(http_accept_check(STR("a/b/c")),
                        "mime: unexpected content after media subtype");
    assert_string_equal(http_accept_check(STR("text plain")),
                        "mime: expected slash after first token");
    assert_string_equal(http_accept_check(STR("text/")), "mime: expected token after slash");
    assert_string_equal(http_accept_check(STR("a/b; q")), "mime: invalid media parameter");
    assert_string_equal(http_accept_check(STR("a/b; q=\"x")), "mime: invalid media parameter");
    assert_string_equal(http_accept_check(STR("a/b; q=1; Q=2")), "mime: duplicate parameter name");
}

static void test_parameters_are_found_in_any_entry(void **state)
{
    struct str value = STR("text/html, */*; Allow-UTF8-LabelNames=true;q=1");
    (void)state;
    assert_true(http_accept_has_param(value, STR("allow-utf8-labelnames"), STR("true")));
    assert_true(http_accept_has_param(value, STR("q"), STR("1")));
    assert_false(http_accept_has_param(value, STR("allow-utf8-labelnames"), STR("True")));
    assert_false(http_accept_has_param(STR("allow-utf8-labelnames=true"),
                                       STR("allow-utf8-labelnames"), STR("true")));
}

static void test_types_and_tokens(void **state)
{
    (void)state;
    assert_true(http_accept_has_type(STR("text/html, Application/JSON+pretty;q=1"),
                                     STR("application/json+pretty")));
    assert_false(http_accept_has_type(STR("*/*"), STR("text/html")));
    assert_true(http_list_has_token(STR("deflate, gzip"), STR("gzip")));
    assert_true(http_list_has_token(STR("br GZIP"), STR("gzip")));
    /* q-values are not read: this is another token, as for the reference. */
    assert_false(http_list_has_token(STR("gzip;q=0"), STR("gzip")));
    assert_false(http_list_has_token(STR(""), STR("gzip")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_clients_send_is_well_formed),
        cmocka_unit_test(test_malformed_entries_are_named),
        cmocka_unit_test(test_parameters_are_found_in_any_entry),
        cmocka_unit_test(test_types_and_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

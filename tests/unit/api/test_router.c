/* router - the table of endpoints: what is found, what is not, what each may take. */
#include "api/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "storage/model/limits.h"

static struct limits limits;
static struct api api = {.limits = &limits};

static int prepare(void **state)
{
    static struct http_app app;
    limits_init(&limits, LIMITS_DEFAULT);
    router_init(&api, &app);
    *state = &app;
    return 0;
}

static const struct http_route *find(void **state, const char *method, const char *path,
                                     int *status, const char **allow)
{
    const struct http_app *app = *state;
    *allow = NULL;
    return app->find(app->ctx, str_from(method), str_from(path), status, allow);
}

static void test_exact_paths_are_found(void **state)
{
    int status = 0;
    const char *allow;
    const struct http_route *r = find(state, "GET", "/ready", &status, &allow);
    assert_non_null(r);
    assert_string_equal(r->name, "/ready");
    assert_int_equal(r->body_max, 0);
    assert_non_null(find(state, "GET", "/", &status, &allow));
    assert_null(find(state, "GET", "/ready/", &status, &allow));
    assert_int_equal(status, 404);
    assert_null(find(state, "GET", "", &status, &allow));
    assert_int_equal(status, 404);
}

static void test_a_known_path_with_another_method_is_a_405_with_allow(void **state)
{
    int status = 0;
    const char *allow;
    assert_null(find(state, "DELETE", "/healthy", &status, &allow));
    assert_int_equal(status, 405);
    assert_string_equal(allow, "GET");
    assert_null(find(state, "get", "/healthy", &status, &allow));
    assert_int_equal(status, 405);
}

static void test_prefixes_give_way_to_exact_paths(void **state)
{
    int status = 0;
    const char *allow;
    const struct http_route *exact =
        find(state, "GET", "/api/v1/status/buildinfo", &status, &allow);
    assert_string_equal(exact->name, "/api/v1/status/buildinfo");
    const struct http_route *prefix = find(state, "GET", "/api/v1/status/nothing", &status, &allow);
    assert_string_equal(prefix->name, "/api/*");
    assert_null(find(state, "GET", "/api", &status, &allow));
}

struct seen {
    const char *pairs[256][2];
    size_t count;
};

static void note_route(void *ctx, const char *method, const char *path)
{
    struct seen *seen = ctx;
    for (size_t i = 0; i < seen->count; i++)
        if (strcmp(seen->pairs[i][0], method) == 0)
            assert_string_not_equal(seen->pairs[i][1], path);
    assert_true(seen->count < 256);
    assert_int_equal(path[0], '/');
    seen->pairs[seen->count][0] = method;
    seen->pairs[seen->count++][1] = path;
}

static void test_no_route_is_listed_twice(void **state)
{
    static struct seen seen;
    (void)state;
    router_each(note_route, &seen);
    assert_true(seen.count > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_paths_are_found),
        cmocka_unit_test(test_a_known_path_with_another_method_is_a_405_with_allow),
        cmocka_unit_test(test_prefixes_give_way_to_exact_paths),
        cmocka_unit_test(test_no_route_is_listed_twice),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}

/* series_labels: from what a client sent to what names a stream. */
#include "storage/model/series_labels.h"

#include "base/arena.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    MEMORY = 1 << 20,
    LABELS_MAX = 8,
};

struct world {
    struct arena arena;
};

static int init(void **state)
{
    static struct world w;

    arena_init(&w.arena, MEMORY);
    *state = &w;
    return 0;
}

static int release(void **state)
{
    arena_release(&((struct world *)*state)->arena);
    return 0;
}

/* name, value, name, value, ..., NULL */
static struct labels set_of(struct label *room, const char *const *texts)
{
    struct labels out = {room, 0};

    for (; texts[2 * out.count]; out.count++) {
        assert_true(out.count < LABELS_MAX);
        room[out.count] =
            (struct label){str_from(texts[2 * out.count]), str_from(texts[2 * out.count + 1])};
    }
    return out;
}

static void assert_labels(const struct labels *got, const char *want)
{
    struct buf text;

    buf_init(&text, MEMORY);
    labels_format(got, &text);
    (void)buf_append_byte(&text, '\0');
    assert_string_equal((const char *)text.data, want);
    buf_release(&text);
}

#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL, NULL})
#define NO_TEXTS ((const char *const[]){NULL, NULL})

static void test_a_service_name_is_added_when_there_is_none_or_an_empty_one(void **state)
{
    struct world *w = *state;
    struct label room[LABELS_MAX];
    struct labels sent, out;

    sent = set_of(room, TEXTS("z", "1", "a", "2"));
    assert_true(series_labels_of_request(&sent, &w->arena, &out));
    assert_labels(&out, "{a=\"2\", service_name=\"unknown_service\", z=\"1\"}");
    sent = set_of(room, TEXTS("service_name", "s"));
    assert_true(series_labels_of_request(&sent, &w->arena, &out));
    assert_labels(&out, "{service_name=\"s\"}");
    sent = set_of(room, NO_TEXTS);
    assert_true(series_labels_of_request(&sent, &w->arena, &out));
    assert_labels(&out, "{service_name=\"unknown_service\"}");
    sent = set_of(room, TEXTS("service_name", ""));
    assert_true(series_labels_of_request(&sent, &w->arena, &out));
    assert_labels(&out, "{service_name=\"\", service_name=\"unknown_service\"}");
}

static void join(struct world *w, const char *const *request, const char *const *extra,
                 const char *want)
{
    struct label request_room[LABELS_MAX], extra_room[LABELS_MAX];
    struct labels sent = set_of(request_room, request), more = set_of(extra_room, extra), out;

    assert_true(series_labels_join(&sent, more.pairs, more.count, &w->arena, &out));
    assert_labels(&out, want);
}

static void test_labels_of_the_request_win_over_those_of_samples(void **state)
{
    join(*state, TEXTS("foo", "bar"), TEXTS("foo", "x", "b", "2"), "{b=\"2\", foo=\"bar\"}");
    join(*state, TEXTS("baz", "qux"), NO_TEXTS, "{baz=\"qux\"}");
    join(*state, NO_TEXTS, TEXTS("b", "1", "b", "2", "c", ""), "{b=\"1\"}");
}

static void test_the_session_is_left_out_and_an_empty_value_takes_its_name_away(void **state)
{
    join(*state, TEXTS("__session_id__", "0102030405060708", "a", "1"), NO_TEXTS, "{a=\"1\"}");
    join(*state, TEXTS("a", "1", "a", "", "b", "2"), NO_TEXTS, "{b=\"2\"}");
    join(*state, TEXTS("a", ""), TEXTS("a", "x"), "{a=\"x\"}");
}

static void test_names_of_the_delta_profiler_lose_their_prefix(void **state)
{
    join(*state, TEXTS("__name__", "godeltaprof_memory"), NO_TEXTS,
         "{__delta__=\"false\", __name__=\"memory\", __name_replaced__=\"godeltaprof_memory\"}");
    join(*state, TEXTS("__name__", "memory", "__name_replaced__", "godeltaprof_x"), NO_TEXTS,
         "{__delta__=\"false\", __name__=\"memory\", __name_replaced__=\"godeltaprof_x\"}");
    join(*state, TEXTS("__name__", "godeltaprof_"), NO_TEXTS,
         "{__delta__=\"false\", __name_replaced__=\"godeltaprof_\"}");
    join(*state, TEXTS("__name__", "my_godeltaprof_x"), NO_TEXTS,
         "{__name__=\"my_godeltaprof_x\"}");
}

static void test_wall_that_a_client_calls_cpu_is_process_cpu(void **state)
{
    join(*state, TEXTS("__name__", "wall", "__type__", "cpu"), NO_TEXTS,
         "{__name__=\"process_cpu\", __name_replaced__=\"wall\", __type__=\"cpu\"}");
    join(*state, TEXTS("__name__", "wall", "__type__", "wall"), NO_TEXTS,
         "{__name__=\"wall\", __type__=\"wall\"}");
    join(*state, TEXTS("__name__", "wall"), NO_TEXTS, "{__name__=\"wall\"}");
}

static void test_what_storage_derives_is_not_stored(void **state)
{
    struct label room[LABELS_MAX];
    struct labels labels =
        set_of(room, TEXTS("__delta__", "false", "__name__", "cpu", "__order__", "x",
                           "__profile_type__", "a:b:c:d:e", "__service_name__", "s", "__type__",
                           "cpu", "__other__", "kept", "a", "1"));

    (void)state;
    series_labels_strip(&labels);
    assert_labels(&labels, "{__name__=\"cpu\", __other__=\"kept\", a=\"1\"}");
}

static void build_id(struct world *w, const char *const *request, const char *want)
{
    struct label room[LABELS_MAX];
    struct labels sent = set_of(room, request);
    struct str out;

    assert_true(series_labels_build_id(&sent, STR("id\"1"), &w->arena, &out));
    if (!str_eq(out, str_from(want)))
        fail_msg("got %.*s, want %s", STR_ARG(out), want);
}

static void test_repository_labels_wrap_the_build_id(void **state)
{
    build_id(*state, NO_TEXTS, "id\"1");
    build_id(*state, TEXTS("service_git_ref", ""), "id\"1");
    build_id(*state, TEXTS("service_git_ref", "main"),
             "{\"git_ref\":\"main\",\"build_id\":\"id\\\"1\"}");
    build_id(*state,
             TEXTS("service_root_path", "/x", "service_repository", "r", "service_git_ref", "g"),
             "{\"repository\":\"r\",\"git_ref\":\"g\",\"build_id\":\"id\\\"1\","
             "\"root_path\":\"/x\"}");
}

static void test_a_full_arena_is_said_and_not_written_past(void **state)
{
    struct label room[LABELS_MAX];
    struct labels sent = set_of(room, TEXTS("a", "1", "b", "2")), out;
    struct arena small;

    (void)state;
    arena_init(&small, 8);
    assert_false(series_labels_of_request(&sent, &small, &out));
    assert_false(series_labels_join(&sent, NULL, 0, &small, &out));
    arena_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_service_name_is_added_when_there_is_none_or_an_empty_one),
        cmocka_unit_test(test_labels_of_the_request_win_over_those_of_samples),
        cmocka_unit_test(test_the_session_is_left_out_and_an_empty_value_takes_its_name_away),
        cmocka_unit_test(test_names_of_the_delta_profiler_lose_their_prefix),
        cmocka_unit_test(test_wall_that_a_client_calls_cpu_is_process_cpu),
        cmocka_unit_test(test_what_storage_derives_is_not_stored),
        cmocka_unit_test(test_repository_labels_wrap_the_build_id),
        cmocka_unit_test(test_a_full_arena_is_said_and_not_written_past),
    };

    return cmocka_run_group_tests(tests, init, release);
}

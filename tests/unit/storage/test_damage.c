/* A damaged store answers from what is sound, and says what an answer lacks. */
#include "storage/storage_internal.h"

#include "storage/query.h"
#include "storage/segment_format.h"

#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/clock_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY_NS (20000LL * NS_PER_DAY)

enum {
    SERVICES = 3,
    ROWS = 20, /* of a service */
};

static const struct time_span whole_day = {DAY_NS, DAY_NS + NS_PER_DAY - 1};

static const struct str services[SERVICES] = {{"svc-a", 5}, {"svc-b", 5}, {"svc-c", 5}};

/* A store on a disk in memory with three services of a day, sealed. */
struct world {
    struct fs *fs;
    struct clock_fake clock;
    struct storage_options o;
    struct storage *s;
    struct storage_recovery recovery;
    struct profile_gen gen[SERVICES];
};

static void world_open(struct world *w)
{
    struct err err = {0};

    if (storage_open(&w->o, &w->s, &w->recovery, &err) != 0)
        fail_msg("storage_open: %s", err.msg);
}

static void world_close(struct world *w)
{
    struct err err = {0};

    assert_int_equal(storage_close(w->s, INT64_MAX, &err), 0);
    w->s = NULL;
}

struct removing {
    struct fs *fs;
    const char *dir;
};

static int remove_file(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    const struct removing *r = ctx;
    char path[FS_PATH_MAX];

    (void)st;
    (void)snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    return fs_unlink(r->fs, path, err);
}

static void ignore(void *ctx, int rc, const struct err *err)
{
    (void)ctx;
    (void)err;
    assert_int_equal(rc, 0);
}

static void push_rows(struct world *w, uint32_t rows)
{
    struct err err = {0};

    for (uint32_t i = 0; i < rows * SERVICES; i++) {
        struct push_row row;
        struct push push = {STR("anonymous"), &row, 1};

        (void)storage_step_spare(w->s, &err);
        profile_gen_row(&w->gen[i % SERVICES], &row);
        assert_int_equal(storage_push(w->s, &push, ignore, NULL, &err), 0);
        while (storage_step_commit(w->s, true, &err) > 0)
            ;
    }
}

/* Everything into one segment. */
static void seal(struct world *w)
{
    struct err err = {0};

    while (storage_step_seal(w->s, true, &err) > 0)
        ;
}

static int remove_from(struct world *w, const char *dir)
{
    struct removing r = {w->fs, dir};
    struct err err;

    return fs_list(w->fs, dir, remove_file, &r, &err);
}

/* From now on a segment's rows are there and nowhere else. */
static void close_without_log(struct world *w)
{
    world_close(w);
    assert_int_equal(remove_from(w, "wal"), 0);
}

static void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->fs = fs_fault_new();
    clock_fake_init(&w->clock, DAY_NS);
    storage_options_init(&w->o);
    w->o.fs = w->fs;
    w->o.clock = &w->clock.clock;
    for (int i = 0; i < SERVICES; i++)
        profile_gen_init(&w->gen[i], (uint64_t)i + 1, services[i], DAY_NS, NS_PER_DAY);
    world_open(w);
    push_rows(w, ROWS);
    seal(w);
    assert_int_equal(w->s->segment_count, 1);
}

static void world_release(struct world *w)
{
    if (w->s)
        world_close(w);
    for (int i = 0; i < SERVICES; i++)
        profile_gen_release(&w->gen[i]);
    fs_free(w->fs);
}

/* ---- damage ---- */

static void path_of(struct world *w, uint32_t segment, enum segment_file file, char *out)
{
    const struct segment_meta *m = segment_meta(w->s->segments[segment]);

    segment_path(m->tenant, m->day, m->id, m->level, file, out);
}

static void flip(struct fs *fs, const char *path, uint64_t offset)
{
    struct fs_file *f;
    uint8_t byte;
    size_t got;
    struct err err;

    assert_int_equal(fs_open(fs, path, FS_WRITE, &f, &err), 0);
    assert_int_equal(fs_pread(f, &byte, 1, offset, &got, &err), 0);
    assert_int_equal(got, 1);
    byte ^= 4;
    assert_int_equal(fs_pwrite(f, &byte, 1, offset, &err), 0);
    fs_close(f);
}

/* ---- questions ---- */

struct answer {
    uint64_t names; /* label values of service_name, how many */
    struct storage_missing missing;
};

static struct answer ask(struct world *w, struct str tenant, struct time_span time)
{
    struct answer a = {0};
    struct arena arena;
    struct query q = {.tenants = &tenant, .tenant_count = 1, .time = time, .missing = &a.missing};
    struct str *values;
    uint32_t count;
    struct err err = {0};

    arena_init(&arena, SIZE_MAX);
    q.arena = &arena;
    if (query_label_values(w->s, &q, STR("service_name"), &values, &count, &err) != 0)
        fail_msg("%s", err.msg);
    a.names = count;
    arena_release(&arena);
    return a;
}

static void test_a_sound_store_lacks_nothing(void **state)
{
    struct world w;
    struct answer a;

    (void)state;
    world_init(&w);
    a = ask(&w, STR("anonymous"), whole_day);
    assert_int_equal(a.names, SERVICES);
    assert_int_equal(a.missing.segments + a.missing.datasets, 0);
    world_release(&w);
}

static void test_a_segment_set_aside_is_missing_over_restarts(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct storage_stats stats;
    struct world w;
    struct answer a;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    for (int start = 0; start < 3; start++) {
        world_open(&w);
        assert_int_equal(w.recovery.segments_quarantined, start == 0 ? 1 : 0);
        a = ask(&w, STR("anonymous"), whole_day);
        assert_int_equal(a.names, 0);
        assert_int_equal(a.missing.segments, 1);
        assert_true(a.missing.bytes > 0);
        assert_true(a.missing.time.first_ns >= DAY_NS);
        assert_true(a.missing.time.last_ns <= whole_day.last_ns);
        storage_stats(w.s, &stats);
        assert_int_equal(stats.segments_quarantined, 1);
        assert_int_equal(stats.missing_bytes, a.missing.bytes);
        world_close(&w);
    }
    world_release(&w);
}

static void test_only_questions_about_its_tenant_and_time_lack_it(void **state)
{
    struct time_span before = {0, DAY_NS - 1};
    char path[SEGMENT_PATH_MAX];
    struct world w;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    world_open(&w);
    assert_int_equal(ask(&w, STR("anonymous"), before).missing.segments, 0);
    assert_int_equal(ask(&w, STR("other"), whole_day).missing.segments, 0);
    assert_int_equal(ask(&w, STR("anonymous"), whole_day).missing.segments, 1);
    world_release(&w);
}

static void test_a_segment_whose_rows_are_in_the_log_is_not_missing(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct world w;
    struct answer a;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    world_close(&w);
    flip(w.fs, path, 20);
    for (int start = 0; start < 2; start++) { /* from the log, then from the segment made of it */
        world_open(&w);
        assert_int_equal(w.recovery.segments_quarantined, start == 0 ? 1 : 0);
        a = ask(&w, STR("anonymous"), whole_day);
        assert_int_equal(a.names, SERVICES);
        assert_int_equal(a.missing.segments, 0);
        seal(&w);
        assert_int_equal(remove_from(&w, "wal"), 0);
        world_close(&w);
    }
    world_release(&w);
}

static void test_what_was_taken_out_of_quarantine_is_missing_no_more(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct world w;
    struct err err;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    world_open(&w);
    assert_int_equal(remove_from(&w, "quarantine"), 0);
    clock_fake_advance(&w.clock, 60 * NS_PER_S);
    assert_int_equal(storage_step_missing(w.s, &err), 1);
    assert_int_equal(ask(&w, STR("anonymous"), whole_day).missing.segments, 0);
    assert_int_equal(storage_step_missing(w.s, &err), 0);
    world_release(&w);
}

static void test_what_cannot_be_set_aside_is_missing_all_the_same(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct world w;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    fs_fault_fail_at(w.fs, FS_FAULT_RENAME, "seg/*", 1, ERR_IO, FS_FAULT_FOREVER);
    world_open(&w);
    assert_true(fs_fault_failed(w.fs) > 0);
    assert_int_equal(ask(&w, STR("anonymous"), whole_day).missing.segments, 1);
    fs_fault_fail_never(w.fs);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_store_lacks_nothing),
        cmocka_unit_test(test_a_segment_set_aside_is_missing_over_restarts),
        cmocka_unit_test(test_only_questions_about_its_tenant_and_time_lack_it),
        cmocka_unit_test(test_a_segment_whose_rows_are_in_the_log_is_not_missing),
        cmocka_unit_test(test_what_was_taken_out_of_quarantine_is_missing_no_more),
        cmocka_unit_test(test_what_cannot_be_set_aside_is_missing_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* storage: what is durable shows, once and whole, whatever happens in between. */
#include "storage/storage_internal.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include "tests/support/clock_fake.h"
#include "tests/support/dataset_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY_NS (20000LL * NS_PER_DAY)

enum {
    SMALL_FILE = 16 << 10, /* of the log: many files, so that records are encoded again */
    RACERS = 3,
    RACER_PUSHES = 60,
};

/* Everything there is, whenever. */
static const struct time_span always = {INT64_MIN, INT64_MAX};

/* A store on a disk in memory, and beside it what must be in it. */
struct world {
    struct fs *fs;
    struct clock_fake clock;
    struct storage_options o;
    struct storage *s;
    struct storage_recovery recovery;
    struct profile_gen gen;
    struct dataset_fake *expected; /* of service "svc" */
    uint32_t acked, failed;
};

static void world_open(struct world *w)
{
    struct err err = {0};
    int rc = storage_open(&w->o, &w->s, &w->recovery, &err);

    if (rc != 0)
        fail_msg("storage_open: %s", err.msg);
}

static void world_init(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    w->fs = fs_fault_new();
    clock_fake_init(&w->clock, DAY_NS);
    storage_options_init(&w->o);
    w->o.fs = w->fs;
    w->o.clock = &w->clock.clock;
    w->o.wal_file_bytes_min = w->o.wal_file_bytes_max = SMALL_FILE;
    profile_gen_init(&w->gen, seed, STR("svc"), DAY_NS, NS_PER_DAY);
    w->expected = dataset_fake_new(STR("anonymous"), STR("svc"));
    world_open(w);
}

static void world_close(struct world *w)
{
    struct err err = {0};

    assert_int_equal(storage_close(w->s, INT64_MIN, &err), 0);
    w->s = NULL;
}

static void world_release(struct world *w)
{
    if (w->s)
        world_close(w);
    dataset_fake_free(w->expected);
    profile_gen_release(&w->gen);
    fs_free(w->fs);
}

static void answered(void *ctx, int rc, const struct err *err)
{
    struct world *w = ctx;

    assert_true((rc == 0) == (err == NULL));
    *(rc == 0 ? &w->acked : &w->failed) += 1;
}

static void commit(struct world *w)
{
    struct err err = {0};
    int rc;

    while ((rc = storage_step_commit(w->s, true, &err)) > 0)
        ;
    assert_int_equal(rc, 0);
}

static int push_rows(struct world *w, struct push_row *rows, uint32_t count)
{
    struct push push = {STR("anonymous"), rows, count};
    struct err err = {0};

    (void)storage_step_spare(w->s, &err);
    return storage_push(w->s, &push, answered, w, &err);
}

/* One random row of "svc", expected from now on. */
static void push_one(struct world *w)
{
    struct push_row row;

    profile_gen_row(&w->gen, &row);
    assert_int_equal(push_rows(w, &row, 1), 0);
    dataset_fake_add(w->expected, &row, wal_last_lsn(w->s->wal), 0);
}

static int seal(struct world *w, bool force)
{
    struct err err = {0};

    return storage_step_seal(w->s, force, &err);
}

static void describe(struct dataset *ds, struct time_span time, struct buf *out)
{
    struct err err = {0};

    assert_int_equal(dataset_describe(ds, time, UINT64_MAX, true, out, &err), 0);
}

/* Rows in view of a service. */
static uint64_t rows_of(struct world *w, struct str service)
{
    struct str tenant = STR("anonymous");
    struct storage_view *v;
    struct dataset **datasets;
    struct err err = {0};
    uint32_t count;
    uint64_t rows = 0;

    assert_int_equal(storage_view_acquire(w->s, &tenant, 1, service, always, &v, &err), 0);
    datasets = storage_view_datasets(v, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct dataset_index *ix;

        assert_int_equal(datasets[i]->ops->index(datasets[i], &ix, &err), 0);
        for (uint32_t e = 0; e < ix->entry_count; e++)
            rows += ix->entries[e].row_count;
    }
    storage_view_release(v);
    return rows;
}

/* All of "svc" lies in one head or segment: what it shows of `time` is what was pushed. */
static void assert_shows(struct world *w, struct time_span time)
{
    struct str tenant = STR("anonymous");
    struct storage_view *v;
    struct dataset **datasets;
    struct buf want, got;
    struct err err = {0};
    uint32_t count;

    buf_init(&want, SIZE_MAX);
    buf_init(&got, SIZE_MAX);
    describe(dataset_fake_dataset(w->expected), time, &want);
    assert_int_equal(storage_view_acquire(w->s, &tenant, 1, STR("svc"), always, &v, &err), 0);
    datasets = storage_view_datasets(v, &count);
    assert_int_equal(count, 1);
    describe(datasets[0], time, &got);
    storage_view_release(v);
    assert_int_equal(want.len, got.len);
    assert_memory_equal(want.data, got.data, want.len);
    buf_release(&want);
    buf_release(&got);
}

static void assert_shows_expected(struct world *w)
{
    assert_shows(w, always);
}

static void test_nothing_shows_before_it_is_durable(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 1);
    push_one(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 0);
    assert_int_equal(w.acked, 0);
    commit(&w);
    assert_int_equal(w.acked, 1);
    assert_shows_expected(&w);
    world_release(&w);
}

static void test_reopened_without_sealing_it_shows_the_same(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 2);
    for (int life = 0; life < 4; life++) {
        for (int i = 0; i < 80; i++) {
            push_one(&w);
            if (i % 7 == 0)
                commit(&w);
        }
        commit(&w);
        assert_shows_expected(&w);
        if (life % 2 == 0) {
            world_close(&w);
        } else {
            /* kill -9: the old store is only freed */
            fs_fault_kill(w.fs);
            (void)storage_close(w.s, INT64_MIN, &(struct err){0});
        }
        world_open(&w);
        assert_int_equal(w.recovery.rows_replayed, 80 * (life + 1));
        assert_int_equal(w.recovery.wal.files_quarantined, 0);
        assert_shows_expected(&w);
    }
    world_release(&w);
}

static void test_a_view_does_not_change(void **state)
{
    struct str tenant = STR("anonymous");
    struct buf before, after;
    struct storage_view *v;
    struct dataset **datasets;
    struct err err = {0};
    struct world w;
    uint32_t count;

    (void)state;
    world_init(&w, 3);
    buf_init(&before, SIZE_MAX);
    buf_init(&after, SIZE_MAX);
    for (int i = 0; i < 20; i++)
        push_one(&w);
    commit(&w);
    assert_int_equal(storage_view_acquire(w.s, &tenant, 1, STR(""), always, &v, &err), 0);
    datasets = storage_view_datasets(v, &count);
    assert_int_equal(count, 1);
    describe(datasets[0], always, &before);
    for (int i = 0; i < 200; i++)
        push_one(&w);
    commit(&w);
    describe(datasets[0], always, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    storage_view_release(v);
    assert_shows_expected(&w);
    buf_release(&before);
    buf_release(&after);
    world_release(&w);
}

static void test_a_window_of_time_shows_its_rows_however_they_came(void **state)
{
    const int64_t step = NS_PER_DAY / 5;
    struct world w;

    (void)state;
    world_init(&w, 17);
    for (int i = 0; i < 60; i++) {
        push_one(&w);
        commit(&w);
        assert_int_equal(rows_of(&w, STR("svc")), i + 1); /* looked at one by one */
    }
    for (int round = 0; round < 2; round++) {
        for (int64_t t = DAY_NS; t < DAY_NS + NS_PER_DAY; t += step)
            assert_shows(&w, (struct time_span){t, t + step - 1});
        if (round == 0)
            assert_int_equal(seal(&w, true), 1);
    }
    world_release(&w);
}

/* A row of another service or day, with the profile of `from`. */
static struct push_row moved(struct world *w, const struct push_row *from, struct str service,
                             int64_t days)
{
    struct profile *p = arena_memdup(&w->gen.memory, from->profile, sizeof(*p));
    struct push_row row = *from;

    assert_non_null(p);
    p->time_ns += days * NS_PER_DAY;
    row.profile = p;
    row.labels.pairs =
        arena_memdup(&w->gen.memory, from->labels.pairs, from->labels.count * sizeof(struct label));
    assert_non_null(row.labels.pairs);
    row.labels.pairs[2].value = service;
    return row;
}

static void test_a_push_over_several_heads_is_whole_or_absent(void **state)
{
    struct push_row rows[4];
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w, 4);
    profile_gen_row(&w.gen, &rows[0]);
    rows[1] = moved(&w, &rows[0], STR("other"), 0);
    rows[2] = moved(&w, &rows[0], STR("svc"), 1);
    rows[3] = moved(&w, &rows[0], STR("third"), -1);
    assert_int_equal(push_rows(&w, rows, 4), 0);
    assert_int_equal(rows_of(&w, STR("")), 0);
    commit(&w);
    assert_int_equal(w.acked, 1);
    assert_int_equal(rows_of(&w, STR("")), 4);
    assert_int_equal(rows_of(&w, STR("svc")), 2);

    /* The disk fails: the second push never shows, here or after a restart. */
    assert_int_equal(push_rows(&w, rows, 4), 0);
    fs_fault_fail_at(w.fs, FS_FAULT_DATASYNC | FS_FAULT_WRITE, NULL, 1, ERR_IO, FS_FAULT_FOREVER);
    assert_true(storage_step_commit(w.s, true, &err) < 0);
    assert_int_equal(w.failed, 1);
    assert_int_equal(rows_of(&w, STR("")), 4);
    assert_int_equal(push_rows(&w, rows, 4), ERR_IO);
    (void)storage_close(w.s, INT64_MIN, &err);
    fs_fault_power_cut(w.fs, 9);
    world_open(&w);
    assert_true(rows_of(&w, STR("")) == 4 || rows_of(&w, STR("")) == 8);
    world_release(&w);
}

static void test_a_refused_push_leaves_nothing_behind(void **state)
{
    struct push_row row;
    struct world w;
    int refused = 0;

    (void)state;
    world_init(&w, 5);
    world_close(&w);
    w.o.wal_bytes_max = 6 * SMALL_FILE;
    world_open(&w);
    for (int i = 0; i < 400; i++) {
        int rc;

        profile_gen_row(&w.gen, &row);
        rc = push_rows(&w, &row, 1);
        if (rc == 0)
            dataset_fake_add(w.expected, &row, wal_last_lsn(w.s->wal), 0);
        else
            refused++;
        if (i % 9 == 0)
            commit(&w);
        assert_true(rc == 0 || rc == ERR_BUSY);
    }
    assert_true(refused > 0);
    commit(&w);
    assert_shows_expected(&w);
    world_close(&w);
    w.o.wal_bytes_max = UINT64_C(1) << 30;
    world_open(&w);
    assert_shows_expected(&w);
    for (int i = 0; i < 50; i++)
        push_one(&w);
    commit(&w);
    assert_shows_expected(&w);
    world_release(&w);
}

static void test_an_id_counts_once_also_across_a_restart(void **state)
{
    struct push_row row, later;
    struct world w;

    (void)state;
    world_init(&w, 6);
    profile_gen_row(&w.gen, &row);
    row.id = STR("6f1c6e5e-first");
    assert_int_equal(push_rows(&w, &row, 1), 0);
    assert_int_equal(push_rows(&w, &row, 1), 0); /* before the first is durable */
    assert_int_equal(w.acked, 0);
    commit(&w);
    assert_int_equal(w.acked, 2);
    assert_int_equal(rows_of(&w, STR("svc")), 1);
    world_close(&w);
    world_open(&w);
    assert_int_equal(push_rows(&w, &row, 1), 0);
    assert_int_equal(w.acked, 3); /* durable long ago: no wait */
    assert_int_equal(rows_of(&w, STR("svc")), 1);

    later = moved(&w, &row, STR("svc"), 0);
    ((struct profile *)(uintptr_t)later.profile)->time_ns += 1;
    assert_int_equal(push_rows(&w, &later, 1), 0);
    row.id = STR("another");
    assert_int_equal(push_rows(&w, &row, 1), 0);
    commit(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 3);
    clock_fake_advance(&w.clock, 3 * DEDUP_WINDOW_NS);
    assert_int_equal(push_rows(&w, &row, 1), 0);
    commit(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 4);
    world_release(&w);
}

static void test_equal_rows_without_id_both_count(void **state)
{
    struct push_row row;
    struct world w;

    (void)state;
    world_init(&w, 7);
    profile_gen_row(&w.gen, &row);
    assert_int_equal(push_rows(&w, &row, 1), 0);
    assert_int_equal(push_rows(&w, &row, 1), 0);
    commit(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 2);
    world_release(&w);
}

static void test_a_second_process_is_refused(void **state)
{
    struct storage_recovery recovery;
    struct storage *second;
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w, 8);
    assert_int_equal(storage_open(&w.o, &second, &recovery, &err), ERR_BUSY);
    world_release(&w);
}

static void test_a_newer_format_is_refused(void **state)
{
    static const char text[] = "flamekeep data directory\nformat 9.0\ninstance "
                               "00112233445566778899aabbccddeeff\n";
    struct fs_file *f;
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w, 9);
    world_close(&w);
    assert_int_equal(fs_open(w.fs, "FORMAT", FS_WRITE, &f, &err), 0);
    assert_int_equal(fs_truncate(f, 0, &err), 0);
    assert_int_equal(fs_pwrite(f, text, sizeof(text) - 1, 0, &err), 0);
    fs_close(f);
    assert_int_equal(storage_open(&w.o, &w.s, &w.recovery, &err), ERR_UNSUPPORTED);
    w.s = NULL;
    world_release(&w);
}

static void test_tenants_do_not_see_each_other(void **state)
{
    struct str tenants[] = {STR("blue"), STR("red")};
    struct storage_view *v;
    struct push_row row;
    struct err err = {0};
    struct time_span span;
    struct world w;
    uint32_t count;

    (void)state;
    world_init(&w, 10);
    profile_gen_row(&w.gen, &row);
    for (uint32_t i = 0; i < 2; i++) {
        struct push push = {tenants[i], &row, 1};

        assert_int_equal(storage_push(w.s, &push, answered, &w, &err), 0);
    }
    commit(&w);
    for (uint32_t n = 0; n <= 2; n++) {
        assert_int_equal(storage_view_acquire(w.s, tenants, n, STR(""), always, &v, &err), 0);
        (void)storage_view_datasets(v, &count);
        assert_int_equal(count, n);
        storage_view_release(v);
    }
    assert_true(storage_tenant_span(w.s, STR("red"), &span));
    assert_int_equal(span.first_ns, row.profile->time_ns);
    assert_false(storage_tenant_span(w.s, STR("anonymous"), &span));
    world_release(&w);
}

static void test_sealing_changes_nothing_that_shows(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 12);
    for (int i = 0; i < 120; i++)
        push_one(&w);
    assert_int_equal(seal(&w, true), 1); /* makes them durable first */
    assert_int_equal(w.acked, 120);
    assert_int_equal(w.s->segment_count, 1);
    assert_int_equal(w.s->head_count, 0);
    assert_shows_expected(&w);
    world_close(&w);
    world_open(&w); /* the log still has all of it */
    assert_int_equal(w.recovery.segments, 1);
    assert_int_equal(w.recovery.rows_already_sealed, 120);
    assert_int_equal(w.recovery.rows_replayed, 0);
    assert_shows_expected(&w);
    push_one(&w);
    commit(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 121);
    world_close(&w);
    world_open(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 121);
    world_release(&w);
}

static void test_a_view_outlives_the_sealing_of_what_it_shows(void **state)
{
    struct str tenant = STR("anonymous");
    struct buf before, after;
    struct storage_view *v;
    struct dataset **datasets;
    struct err err = {0};
    struct world w;
    uint32_t count;

    (void)state;
    world_init(&w, 13);
    buf_init(&before, SIZE_MAX);
    buf_init(&after, SIZE_MAX);
    for (int i = 0; i < 30; i++)
        push_one(&w);
    commit(&w);
    assert_int_equal(storage_view_acquire(w.s, &tenant, 1, STR(""), always, &v, &err), 0);
    datasets = storage_view_datasets(v, &count);
    assert_int_equal(count, 1);
    describe(datasets[0], always, &before);
    assert_int_equal(seal(&w, true), 1);
    describe(datasets[0], always, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    storage_view_release(v);
    assert_shows_expected(&w);
    buf_release(&before);
    buf_release(&after);
    world_release(&w);
}

static void test_a_failed_seal_serves_from_memory_and_is_tried_again(void **state)
{
    struct world w;

    (void)state;
    world_init(&w, 14);
    for (int i = 0; i < 30; i++)
        push_one(&w);
    commit(&w);
    fs_fault_fail_at(w.fs, FS_FAULT_RENAME, NULL, 1, ERR_NO_SPACE, FS_FAULT_ONCE);
    assert_true(seal(&w, true) < 0);
    assert_shows_expected(&w);
    push_one(&w); /* into a head of its own */
    commit(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 31);
    assert_int_equal(seal(&w, false), 0); /* not at once */
    clock_fake_advance(&w.clock, 60 * NS_PER_S);
    assert_int_equal(seal(&w, false), 1);
    assert_int_equal(w.s->segment_count, 1);
    assert_int_equal(rows_of(&w, STR("svc")), 31);
    world_close(&w);
    world_open(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 31);
    world_release(&w);
}

static void test_an_id_of_a_sealed_row_still_counts_once(void **state)
{
    struct push_row row;
    struct world w;

    (void)state;
    world_init(&w, 15);
    profile_gen_row(&w.gen, &row);
    row.id = STR("6f1c6e5e-first");
    assert_int_equal(push_rows(&w, &row, 1), 0);
    assert_int_equal(seal(&w, true), 1);
    world_close(&w);
    world_open(&w);
    assert_int_equal(push_rows(&w, &row, 1), 0);
    commit(&w);
    assert_int_equal(rows_of(&w, STR("svc")), 1);
    world_release(&w);
}

static void test_the_log_forgets_what_segments_hold(void **state)
{
    struct storage_stats before, after;
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w, 16);
    for (int i = 0; i < 200; i++) {
        push_one(&w);
        if (i % 20 == 0)
            commit(&w);
    }
    assert_int_equal(seal(&w, true), 1);
    storage_stats(w.s, &before);
    assert_true(before.wal.files > 3);
    assert_true(storage_step_release(w.s, &err) >= 0);
    storage_stats(w.s, &after);
    assert_true(after.wal.files < before.wal.files);
    world_close(&w);
    world_open(&w);
    assert_shows_expected(&w);
    world_release(&w);
}

struct racer {
    struct world *w;
    struct profile_gen gen;
    _Atomic uint32_t *acked;
    pthread_t thread;
};

static void racer_answered(void *ctx, int rc, const struct err *err)
{
    (void)err;
    if (rc == 0)
        (void)atomic_fetch_add((_Atomic uint32_t *)ctx, 1);
}

static void *race(void *arg)
{
    struct racer *r = arg;

    for (int i = 0; i < RACER_PUSHES; i++) {
        struct push push = {STR("anonymous"), NULL, 1};
        struct push_row row;
        struct err err = {0};
        int rc;

        profile_gen_row(&r->gen, &row);
        push.rows = &row;
        do
            rc = storage_push(r->w->s, &push, racer_answered, (void *)r->acked, &err);
        while (rc == ERR_BUSY);
        assert_int_equal(rc, 0);
    }
    return NULL;
}

static void test_pushes_and_sealing_race_without_losing_a_row(void **state)
{
    struct racer racers[RACERS];
    _Atomic uint32_t acked = 0;
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w, 11);
    world_close(&w);
    w.o.clock = clock_system();
    w.o.wal_window_ns = NS_PER_MS;
    world_open(&w);
    for (uint32_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.w = &w, .acked = &acked};
        profile_gen_init(&racers[i].gen, i + 1, STR("svc"), DAY_NS, NS_PER_DAY);
        assert_int_equal(thread_start(&racers[i].thread, "racer", race, &racers[i], &err), 0);
    }
    while (atomic_load(&acked) < RACERS * RACER_PUSHES) {
        (void)storage_step_spare(w.s, &err);
        assert_true(storage_step_commit(w.s, false, &err) >= 0);
        (void)storage_step_seal(w.s, true, &err);
        assert_true(rows_of(&w, STR("svc")) <= RACERS * RACER_PUSHES);
    }
    for (uint32_t i = 0; i < RACERS; i++) {
        thread_join(racers[i].thread);
        profile_gen_release(&racers[i].gen);
    }
    assert_int_equal(rows_of(&w, STR("svc")), RACERS * RACER_PUSHES);
    world_close(&w);
    world_open(&w);
    assert_int_equal(rows_of(&w, STR("svc")), RACERS * RACER_PUSHES);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_shows_before_it_is_durable),
        cmocka_unit_test(test_reopened_without_sealing_it_shows_the_same),
        cmocka_unit_test(test_a_view_does_not_change),
        cmocka_unit_test(test_a_window_of_time_shows_its_rows_however_they_came),
        cmocka_unit_test(test_a_push_over_several_heads_is_whole_or_absent),
        cmocka_unit_test(test_a_refused_push_leaves_nothing_behind),
        cmocka_unit_test(test_an_id_counts_once_also_across_a_restart),
        cmocka_unit_test(test_equal_rows_without_id_both_count),
        cmocka_unit_test(test_a_second_process_is_refused),
        cmocka_unit_test(test_a_newer_format_is_refused),
        cmocka_unit_test(test_tenants_do_not_see_each_other),
        cmocka_unit_test(test_sealing_changes_nothing_that_shows),
        cmocka_unit_test(test_a_view_outlives_the_sealing_of_what_it_shows),
        cmocka_unit_test(test_a_failed_seal_serves_from_memory_and_is_tried_again),
        cmocka_unit_test(test_an_id_of_a_sealed_row_still_counts_once),
        cmocka_unit_test(test_the_log_forgets_what_segments_hold),
        cmocka_unit_test(test_pushes_and_sealing_race_without_losing_a_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A process dies, a disk fails or the power goes in the middle of sealing; then the
 * store starts again, goes on, recycles its log, and the power goes once more. Every
 * acknowledged row is there exactly once all the time.
 */
#include "storage/storage.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

#include "tests/support/clock_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY_NS (INT64_C(86400000000000) * 20780)

enum {
    ROWS = 12,
    AFTER = 6, /* rows pushed after the restart */
    CUTS = 6,  /* seeds per point */
};

struct world {
    struct clock_fake clock;
    struct fs *fs;
    struct storage *store;
    struct profile_gen gen;
    uint32_t pushed, acknowledged;
};

static bool open_store(struct world *w)
{
    struct storage_recovery recovery;
    struct storage_options o;
    struct err err;

    storage_options_init(&o);
    o.fs = w->fs;
    o.clock = &w->clock.clock;
    o.wal_file_bytes_min = o.wal_file_bytes_max = 16 << 10;
    o.dedup = STORAGE_DEDUP_OFF; /* or the log would be kept for its window */
    if (storage_open(&o, &w->store, &recovery, &err) == 0)
        return true;
    print_error("open: %s\n", err.msg);
    return false;
}

static void acknowledged(void *ctx, int rc, const struct err *err)
{
    struct world *w = ctx;

    (void)err;
    w->acknowledged += rc == 0;
}

/* Row i has time DAY_NS + i + 1: that is how it is found again. */
static void push(struct world *w, uint32_t count)
{
    struct err err;

    for (uint32_t i = 0; i < count; i++) {
        struct push_row row;
        struct push p = {STR("t"), &row, 1};

        profile_gen_row(&w->gen, &row);
        ((struct profile *)(uintptr_t)row.profile)->time_ns = DAY_NS + ++w->pushed;
        while (storage_step_spare(w->store, &err) > 0)
            continue;
        assert_int_equal(storage_push(w->store, &p, acknowledged, w, &err), 0);
        while (storage_step_commit(w->store, true, &err) > 0)
            continue;
    }
    assert_int_equal(w->acknowledged, w->pushed);
}

struct counting {
    uint32_t seen[ROWS + AFTER + 1];
};

static int count_row(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                     struct err *err)
{
    struct counting *c = ctx;
    int64_t i = row->time_ns - DAY_NS;

    (void)columns;
    (void)err;
    assert_true(i > 0 && i <= ROWS + AFTER);
    c->seen[i]++;
    return 0;
}

static void count_dataset(struct dataset *ds, struct counting *c)
{
    const struct dataset_index *index;
    struct arena scratch;
    struct err err;

    arena_init(&scratch, SIZE_MAX);
    assert_int_equal(ds->ops->index(ds, &index, &err), 0);
    for (uint32_t e = 0; e < index->entry_count; e++) {
        const uint64_t types = UINT64_MAX;
        struct dataset_scan scan = {&e, &types, 1, {INT64_MIN, INT64_MAX}, true};

        if (ds->ops->scan(ds, &scan, &scratch, count_row, c, &err) != 0)
            fail_msg("%s", err.msg);
    }
    arena_release(&scratch);
}

/* 0 fine; otherwise the first row that is not there once. */
static uint32_t wrong_row(struct world *w)
{
    struct counting c = {{0}};
    struct storage_view *view;
    struct dataset **datasets;
    struct str tenant = STR("t");
    uint32_t count;
    struct err err;

    if (storage_view_acquire(w->store, &tenant, 1, STR(""),
                             (struct time_span){INT64_MIN, INT64_MAX}, &view, &err) != 0)
        fail_msg("%s", err.msg);
    datasets = storage_view_datasets(view, &count);
    for (uint32_t i = 0; i < count; i++)
        count_dataset(datasets[i], &c);
    storage_view_release(view);
    for (uint32_t i = 1; i <= w->pushed; i++)
        if (c.seen[i] != 1)
            return i;
    return 0;
}

static void world_make(struct world *w)
{
    memset(w, 0, sizeof(*w));
    clock_fake_init(&w->clock, DAY_NS + INT64_C(3600000000000));
    w->fs = fs_fault_new();
    profile_gen_init(&w->gen, 3, STR("svc"), DAY_NS, 1000);
    assert_true(open_store(w));
    push(w, ROWS);
}

static void world_free(struct world *w)
{
    struct err err;

    (void)storage_close(w->store, 0, &err);
    fs_free(w->fs);
    profile_gen_release(&w->gen);
}

static void release_log(struct world *w)
{
    struct err err;

    while (storage_step_spare(w->store, &err) > 0)
        continue;
    while (storage_step_release(w->store, &err) > 0)
        continue;
}

/* From a disk as a crash left it: start, go on, lose the power, start again. */
static void go_on(struct world *w, struct fs *crashed, const char *where, uint64_t number)
{
    struct world x = *w;

    x.fs = crashed;
    x.pushed = x.acknowledged = ROWS;
    profile_gen_init(&x.gen, 4, STR("svc"), DAY_NS, 1000);
    assert_true(open_store(&x));
    if (wrong_row(&x) != 0)
        fail_msg("%s, call %llu: row %u is not there once", where, (unsigned long long)number,
                 wrong_row(&x));
    push(&x, AFTER);
    release_log(&x);
    for (uint64_t seed = 0; seed < CUTS; seed++) {
        struct world y = x;

        y.fs = fs_fault_after_cut(x.fs, seed + number * 31);
        assert_true(open_store(&y));
        if (wrong_row(&y) != 0)
            fail_msg("%s, call %llu, restart, power cut %llu: row %u is not there once", where,
                     (unsigned long long)number, (unsigned long long)seed, wrong_row(&y));
        (void)storage_close(y.store, 0, NULL);
        fs_free(y.fs);
    }
    world_free(&x);
}

struct dying {
    struct world *w;
    bool by_power;
    uint64_t points;
};

static void each_call(void *ctx, const struct fs_fault_call *call)
{
    struct dying *d = ctx;

    d->points++;
    if (!d->by_power) {
        go_on(d->w, fs_fault_after_kill(call->fs), "kill while sealing", d->points);
        return;
    }
    for (uint64_t seed = 0; seed < CUTS; seed++)
        go_on(d->w, fs_fault_after_cut(call->fs, seed * 7 + d->points), "power cut while sealing",
              d->points);
}

static void die_while_sealing(bool by_power)
{
    struct dying d = {.by_power = by_power};
    struct world w;
    struct err err;

    world_make(&w);
    d.w = &w;
    fs_fault_on_call(w.fs, FS_FAULT_CHANGES, each_call, &d);
    assert_int_equal(storage_step_seal(w.store, true, &err), 1);
    fs_fault_on_call(w.fs, 0, NULL, NULL);
    assert_true(d.points > 10);
    assert_int_equal(wrong_row(&w), 0);
    each_call(&d, &(struct fs_fault_call){.fs = w.fs});
    world_free(&w);
}

static void test_a_process_killed_while_sealing_loses_and_doubles_nothing(void **state)
{
    (void)state;
    die_while_sealing(false);
}

static void test_power_lost_while_sealing_loses_and_doubles_nothing(void **state)
{
    (void)state;
    die_while_sealing(true);
}

/* The nth call of sealing fails; a second attempt works; then a crash. */
static void test_sealing_that_failed_and_was_repeated_doubles_nothing(void **state)
{
    struct err err;

    (void)state;
    for (uint64_t n = 1;; n++) {
        struct world w;
        uint64_t failed;
        int rc;

        world_make(&w);
        fs_fault_fail_at(w.fs, FS_FAULT_CHANGES, NULL, n, ERR_IO, FS_FAULT_ONCE);
        rc = storage_step_seal(w.store, true, &err);
        failed = fs_fault_failed(w.fs);
        fs_fault_fail_never(w.fs);
        assert_int_equal(wrong_row(&w), 0);
        if (rc < 0)
            assert_int_equal(storage_step_seal(w.store, true, &err), 1);
        assert_int_equal(wrong_row(&w), 0);
        go_on(&w, fs_fault_after_kill(w.fs), "kill after a failed seal", n);
        for (uint64_t seed = 0; seed < CUTS; seed++)
            go_on(&w, fs_fault_after_cut(w.fs, seed), "power cut after a failed seal", n);
        world_free(&w);
        if (failed == 0) {
            assert_true(n > 10);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_killed_while_sealing_loses_and_doubles_nothing),
        cmocka_unit_test(test_power_lost_while_sealing_loses_and_doubles_nothing),
        cmocka_unit_test(test_sealing_that_failed_and_was_repeated_doubles_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

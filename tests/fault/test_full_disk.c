/*
 * No room at every single write of pushing, committing, sealing and evicting, once
 * and from then on: nothing acknowledged is lost, questions are answered, pushes are
 * refused while it lasts, and go on when there is room again.
 */
#include "storage/storage_internal.h"

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
#include <string.h>

#include <cmocka.h>

#define DAY_NS (20000LL * NS_PER_DAY)

enum {
    LOG_FILE = 16 << 10,
    ROUNDS = 4,
    ROUND_PUSHES = 3,
    WRITES_MAX = 2000,
    NEW_LIMIT = 400 << 10,
    TENANT_LIMIT = 2 * 8192, /* so many segments, about */
    /* What needs room: names, lengths, blocks. */
    WRITES = FS_FAULT_CREATE | FS_FAULT_WRITE | FS_FAULT_TRUNCATE | FS_FAULT_ALLOCATE |
             FS_FAULT_RENAME | FS_FAULT_LINK | FS_FAULT_MKDIR,
};

static const struct time_span always = {INT64_MIN, INT64_MAX};

struct world {
    struct fs *fs;
    struct clock_fake clock;
    struct storage_options o;
    struct retention_tenant tenant;
    struct storage *s;
    struct profile_gen gen;
    uint32_t pushed, acked, failed, refused;
};

static void world_open(struct world *w)
{
    struct storage_recovery recovery;
    struct err err = {0};

    if (storage_open(&w->o, &w->s, &recovery, &err) != 0)
        fail_msg("storage_open: %s", err.msg);
}

static void world_init(struct world *w, bool evicts)
{
    memset(w, 0, sizeof(*w));
    w->fs = fs_fault_new();
    clock_fake_init(&w->clock, DAY_NS);
    storage_options_init(&w->o);
    w->o.fs = w->fs;
    w->o.clock = &w->clock.clock;
    w->o.wal_file_bytes_min = w->o.wal_file_bytes_max = LOG_FILE;
    w->tenant = (struct retention_tenant){STR("anonymous"), TENANT_LIMIT, 0};
    w->o.retention.tenants = &w->tenant;
    w->o.retention.tenant_count = evicts;
    profile_gen_init(&w->gen, 1, STR("svc"), DAY_NS, NS_PER_DAY);
    world_open(w);
}

static void world_release(struct world *w)
{
    struct err err;

    fs_fault_fail_never(w->fs);
    assert_int_equal(storage_close(w->s, INT64_MIN, &err), 0);
    profile_gen_release(&w->gen);
    fs_free(w->fs);
}

static void answered(void *ctx, int rc, const struct err *err)
{
    struct world *w = ctx;

    (void)err;
    *(rc == 0 ? &w->acked : &w->failed) += 1;
}

/* As the HTTP side does: asks first, then pushes. */
static int push_one(struct world *w)
{
    struct push_row row;
    struct push push = {STR("anonymous"), &row, 1};
    struct err err;
    int rc = storage_admit(w->s, &err);

    profile_gen_row(&w->gen, &row);
    if (rc == 0)
        rc = storage_push(w->s, &push, answered, w, &err);
    w->pushed += rc == 0;
    w->refused += rc != 0;
    return rc;
}

static void commit(struct world *w)
{
    struct err err;

    while (storage_step_commit(w->s, true, &err) > 0)
        ;
}

static void one_round(struct world *w)
{
    struct err err;

    for (int i = 0; i < ROUND_PUSHES; i++) {
        (void)storage_step_spare(w->s, &err);
        (void)push_one(w);
    }
    commit(w);
    (void)storage_step_seal(w->s, true, &err);
    (void)storage_step_release(w->s, &err);
    atomic_store(&w->s->evict_wanted, true);
    (void)storage_step_evict(w->s, &err);
    (void)storage_step_unlink(w->s, &err);
}

static uint64_t rows_in_view(struct world *w)
{
    const struct str tenant = STR("anonymous");
    struct dataset **datasets;
    struct storage_view *v;
    struct err err;
    uint64_t rows = 0;
    uint32_t count;

    assert_int_equal(storage_view_acquire(w->s, &tenant, 1, STR(""), always, &v, &err), 0);
    datasets = storage_view_datasets(v, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct dataset_index *index;

        assert_int_equal(datasets[i]->ops->index(datasets[i], &index, &err), 0);
        for (uint32_t e = 0; e < index->entry_count; e++)
            rows += index->entries[e].row_count;
    }
    storage_view_release(v);
    return rows;
}

/* There is room: within moments the store takes pushes again. */
static void recover(struct world *w)
{
    struct err err;

    fs_fault_fail_never(w->fs);
    for (int i = 0; i < 3; i++) {
        clock_fake_advance(&w->clock, 6 * NS_PER_S);
        (void)storage_step_space(w->s, &err);
        (void)storage_step_spare(w->s, &err);
        commit(w);
    }
    assert_int_equal(storage_space_state(w->s), SPACE_OK);
    assert_int_equal(push_one(w), 0);
    commit(w);
}

static void check_all_there(struct world *w)
{
    struct err err;

    assert_int_equal(w->failed, 0);
    assert_int_equal(w->acked, w->pushed);
    assert_int_equal(rows_in_view(w), w->acked);
    assert_int_equal(storage_close(w->s, INT64_MIN, &err), 0);
    world_open(w);
    assert_int_equal(rows_in_view(w), w->acked);
}

/* True when the n-th write of a life was there to fail. */
static bool fail_at(uint64_t n, enum fs_fault_how how, uint32_t *refused)
{
    struct world w;
    bool failed;

    world_init(&w, false);
    fs_fault_fail_at(w.fs, WRITES, NULL, n, ERR_NO_SPACE, how);
    for (int i = 0; i < ROUNDS; i++) {
        one_round(&w);
        assert_int_equal(rows_in_view(&w), w.acked);
    }
    failed = fs_fault_failed(w.fs) > 0;
    *refused += w.refused;
    recover(&w);
    check_all_there(&w);
    world_release(&w);
    return failed;
}

static void fail_everywhere(enum fs_fault_how how, uint32_t *refused)
{
    uint64_t n = 1;

    while (fail_at(n, how, refused)) {
        n++;
        assert_true(n < WRITES_MAX);
    }
    print_message("%u writes failed, one after the other\n", (unsigned int)n - 1);
    assert_true(n > 20);
}

static void test_one_write_without_room_loses_nothing(void **state)
{
    uint32_t refused = 0;

    (void)state;
    fail_everywhere(FS_FAULT_ONCE, &refused);
}

static void test_a_disk_that_fills_up_at_any_write_refuses_and_resumes(void **state)
{
    uint32_t refused = 0;

    (void)state;
    fail_everywhere(FS_FAULT_FOREVER, &refused);
    assert_true(refused > 100);
}

static void test_eviction_without_room_at_any_write_evicts_later(void **state)
{
    bool failed = true;

    (void)state;
    for (uint64_t n = 1; failed; n++) {
        struct world w;
        uint64_t before;

        world_init(&w, true);
        fs_fault_fail_at(w.fs, WRITES, NULL, n, ERR_NO_SPACE, FS_FAULT_FOREVER);
        for (int i = 0; i < ROUNDS; i++)
            one_round(&w);
        failed = fs_fault_failed(w.fs) > 0;
        recover(&w);
        for (int i = 0; i < ROUNDS; i++)
            one_round(&w);
        assert_int_equal(w.failed, 0);
        assert_int_equal(w.acked, w.pushed);
        assert_true(atomic_load(&w.s->evictions) > 0);
        before = rows_in_view(&w);
        assert_true(before > 0 && before <= w.acked);
        {
            struct err err;

            assert_int_equal(storage_close(w.s, INT64_MIN, &err), 0);
        }
        world_open(&w);
        assert_int_equal(rows_in_view(&w), before);
        world_release(&w);
        assert_true(n < WRITES_MAX);
    }
}

static void test_a_full_volume_refuses_pushes_and_answers_until_there_is_room(void **state)
{
    struct world w;
    struct err err;

    (void)state;
    world_init(&w, false);
    fs_fault_set_capacity(w.fs, fs_fault_used(w.fs) + 3 * LOG_FILE);
    for (int i = 0; i < 200 && w.refused == 0; i++)
        one_round(&w);
    assert_true(w.acked > 0 && w.refused > 0);
    assert_int_equal(storage_space_state(w.s), SPACE_FULL);
    assert_int_equal(storage_admit(w.s, &err), ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, "retention.max_bytes"));
    assert_int_equal(rows_in_view(&w), w.acked);
    assert_int_equal(storage_probe(w.s, &err), 0);
    /* It stays so, however often somebody looks. */
    for (int i = 0; i < 5; i++) {
        clock_fake_advance(&w.clock, 6 * NS_PER_S);
        (void)storage_step_space(w.s, &err);
        assert_int_equal(storage_space_state(w.s), SPACE_FULL);
    }
    fs_fault_set_capacity(w.fs, 0);
    recover(&w);
    check_all_there(&w);
    world_release(&w);
}

/* What a limit finds when it comes: a log that is larger than all of it. */
static void test_a_log_larger_than_a_new_limit_is_sealed_and_shrinks_below_it(void **state)
{
    struct ledger_usage usage;
    struct world w;
    struct err err;

    (void)state;
    world_init(&w, false);
    do {
        (void)storage_step_spare(w.s, &err);
        assert_int_equal(push_one(&w), 0);
        commit(&w);
        ledger_usage(w.s->ledger, &usage);
    } while (usage.used <= NEW_LIMIT + NEW_LIMIT / 2);
    assert_int_equal(storage_close(w.s, INT64_MIN, &err), 0);
    w.o.retention.max_bytes = NEW_LIMIT;
    w.o.wal_file_bytes_min = w.o.wal_file_bytes_max = LOG_FILE / 4;
    world_open(&w);
    ledger_usage(w.s->ledger, &usage);
    assert_true(usage.used > NEW_LIMIT);
    for (int i = 0; i < 40; i++) {
        clock_fake_advance(&w.clock, 10 * NS_PER_S);
        (void)storage_step_seal(w.s, false, &err);
        (void)storage_step_release(w.s, &err);
        (void)storage_step_evict(w.s, &err);
        (void)storage_step_unlink(w.s, &err);
        (void)storage_step_space(w.s, &err);
    }
    ledger_usage(w.s->ledger, &usage);
    assert_true(usage.used <= NEW_LIMIT);
    assert_int_equal(usage.limit, NEW_LIMIT);
    assert_true(rows_in_view(&w) > 0);
    recover(&w);
    world_release(&w);
}

/* A question that was asked before may take its time, but not for ever. */
static void test_a_view_reads_what_was_evicted_until_its_grace_is_over(void **state)
{
    const struct str tenant = STR("anonymous");
    const struct dataset_index *index;
    struct dataset **datasets;
    struct storage_view *v = NULL;
    struct world w;
    struct err err;
    uint32_t count, gone = 0;

    (void)state;
    world_init(&w, true);
    for (int i = 0; w.s->doomed_count == 0 && i < 100; i++) {
        storage_view_release(v);
        assert_int_equal(storage_view_acquire(w.s, &tenant, 1, STR(""), always, &v, &err), 0);
        one_round(&w);
    }
    assert_int_equal(w.s->doomed_count, 1);
    assert_int_equal(storage_step_unlink(w.s, &err), 0);
    clock_fake_advance(&w.clock, 31 * NS_PER_S);
    assert_int_equal(storage_step_unlink(w.s, &err), 1);
    datasets = storage_view_datasets(v, &count);
    for (uint32_t i = 0; i < count; i++) {
        int rc = datasets[i]->ops->index(datasets[i], &index, &err);

        gone += rc == ERR_BUSY && strstr(err.msg, "ask again");
        assert_true(rc == 0 || rc == ERR_BUSY);
    }
    assert_int_equal(gone, 1);
    storage_view_release(v);
    (void)storage_step_unlink(w.s, &err);
    assert_int_equal(w.s->doomed_count, 0);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_write_without_room_loses_nothing),
        cmocka_unit_test(test_a_disk_that_fills_up_at_any_write_refuses_and_resumes),
        cmocka_unit_test(test_eviction_without_room_at_any_write_evicts_later),
        cmocka_unit_test(test_a_full_volume_refuses_pushes_and_answers_until_there_is_room),
        cmocka_unit_test(test_a_log_larger_than_a_new_limit_is_sealed_and_shrinks_below_it),
        cmocka_unit_test(test_a_view_reads_what_was_evicted_until_its_grace_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

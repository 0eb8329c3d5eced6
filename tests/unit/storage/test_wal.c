/* wal: what is durable comes back once and in order; what is damaged is set aside and said. */
#include "storage/wal.h"

#include "storage/wal_format.h"

#include "base/clock.h"
#include "base/err.h"

#include "tests/support/clock_fake.h"
#include "tests/support/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    FILE_BYTES = 4096,
    PAYLOAD_BYTES = 300,
    SEEN_MAX = 1000,
};

struct world {
    struct fs *fs;
    struct clock_fake clock;
    struct wal_options o;
    struct wal *wal;
    struct wal_replay_report report;
    uint64_t seen[SEEN_MAX];
    uint32_t seen_count;
};

/* The payload of the n-th record: n, and bytes that follow from it. */
static struct str payload_of(uint64_t n, char bytes[PAYLOAD_BYTES])
{
    memset(bytes, (int)(n * 7), PAYLOAD_BYTES);
    memcpy(bytes, &n, sizeof(n));
    return (struct str){bytes, PAYLOAD_BYTES};
}

static int replayed(void *ctx, const struct wal_replay_record *record, struct err *err)
{
    struct world *w = ctx;
    char bytes[PAYLOAD_BYTES];
    uint64_t n;

    (void)err;
    assert_int_equal(record->type, WAL_PUSH);
    assert_int_equal(record->payload.len, PAYLOAD_BYTES);
    memcpy(&n, record->payload.p, sizeof(n));
    assert_memory_equal(record->payload.p, payload_of(n, bytes).p, PAYLOAD_BYTES);
    assert_true(w->seen_count < SEEN_MAX);
    w->seen[w->seen_count++] = n;
    return 0;
}

static void world_open(struct world *w)
{
    struct err err = {0};
    int rc;

    w->seen_count = 0;
    rc = wal_open(&w->o, replayed, w, &w->report, &w->wal, &err);
    if (rc != 0)
        fail_msg("wal_open: %s", err.msg);
}

static void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->fs = fs_fault_new();
    clock_fake_init(&w->clock, NS_PER_DAY);
    w->o = (struct wal_options){.fs = w->fs,
                                .clock = &w->clock.clock,
                                .instance = {1, 2, 3},
                                .window_ns = NS_PER_MS,
                                .file_bytes_min = FILE_BYTES,
                                .file_bytes_max = FILE_BYTES,
                                .bytes_max = 1 << 20,
                                .group_bytes_max = 1 << 18};
    world_open(w);
}

static void world_release(struct world *w)
{
    struct err err;

    (void)wal_close(w->wal, &err);
    fs_free(w->fs);
}

static void reopen(struct world *w)
{
    struct err err;

    assert_int_equal(wal_close(w->wal, &err), 0);
    world_open(w);
}

/* Appends record n; makes room as the spare thread would. */
static uint64_t append(struct world *w, uint64_t n)
{
    char bytes[PAYLOAD_BYTES];
    struct str payload = payload_of(n, bytes);
    struct err err = {0};
    uint64_t lsn = 0;
    int rc;

    do {
        assert_true(wal_prepare_spare(w->wal, &err) >= 0);
        rc = wal_append(w->wal, wal_epoch(w->wal), WAL_PUSH, payload, &lsn, &err);
    } while (rc == ERR_STALE);
    if (rc != 0)
        fail_msg("wal_append: %s", err.msg);
    return lsn;
}

static void commit(struct world *w)
{
    struct err err = {0};
    int rc;

    while ((rc = wal_commit_group(w->wal, true, &err)) > 0)
        ;
    assert_int_equal(rc, 0);
}

static void assert_seen(const struct world *w, uint64_t first, uint64_t end)
{
    assert_int_equal(w->seen_count, end - first);
    for (uint64_t i = 0; i < w->seen_count; i++)
        assert_int_equal(w->seen[i], first + i);
}

static void test_records_come_back_once_and_in_order(void **state)
{
    struct world w;
    uint64_t last = 0;

    (void)state;
    world_init(&w);
    for (uint64_t n = 0; n < 100; n++) {
        uint64_t lsn = append(&w, n);

        assert_true(lsn > last);
        last = lsn;
        if (n % 3 == 0) {
            commit(&w);
            assert_int_equal(wal_durable_lsn(w.wal), lsn);
        }
    }
    for (int life = 0; life < 3; life++) {
        reopen(&w);
        assert_seen(&w, 0, 100);
        assert_int_equal(w.report.last_lsn, last);
        assert_int_equal(w.report.files_quarantined, 0);
    }
    assert_true(append(&w, 100) > last);
    world_release(&w);
}

static void test_an_old_epoch_is_refused(void **state)
{
    struct err err = {0};
    struct world w;
    uint32_t epoch;
    uint64_t lsn;

    (void)state;
    world_init(&w);
    append(&w, 0);
    epoch = wal_epoch(w.wal);
    for (uint64_t n = 1; wal_epoch(w.wal) == epoch; n++)
        append(&w, n);
    assert_int_equal(wal_append(w.wal, epoch, WAL_PUSH, STR("x"), &lsn, &err), ERR_STALE);
    world_release(&w);
}

static void test_what_is_not_durable_may_be_lost_with_the_power_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct err err;
        struct world w;

        world_init(&w);
        for (uint64_t n = 0; n < 30; n++)
            append(&w, n);
        commit(&w);
        for (uint64_t n = 30; n < 40; n++)
            append(&w, n);
        fs_fault_power_cut(w.fs, seed);
        (void)wal_close(w.wal, &err);
        world_open(&w);
        assert_true(w.seen_count >= 30 && w.seen_count <= 40);
        assert_seen(&w, 0, w.seen_count);
        assert_int_equal(w.report.files_quarantined, 0);
        world_release(&w);
    }
}

static void test_rot_is_set_aside_and_the_rest_is_used(void **state)
{
    struct fs_file *f;
    char path[WAL_PATH_MAX];
    struct err err = {0};
    struct world w;
    uint32_t first_epoch;

    (void)state;
    world_init(&w);
    append(&w, 0);
    first_epoch = wal_epoch(w.wal);
    for (uint64_t n = 1; n < 40; n++) {
        append(&w, n);
        commit(&w);
    }
    assert_int_equal(wal_close(w.wal, &err), 0);
    wal_path(first_epoch, path);
    assert_int_equal(fs_open(w.fs, path, FS_WRITE, &f, &err), 0);
    assert_int_equal(
        fs_pwrite(f, "rot", 3, WAL_HEADER_BYTES + wal_record_size(PAYLOAD_BYTES) * 2 + 100, &err),
        0);
    fs_close(f);
    world_open(&w);
    assert_int_equal(w.report.files_quarantined, 1);
    assert_int_equal(w.seen_count, 39); /* all but the one that was hit */
    for (uint32_t i = 0; i < w.seen_count; i++)
        assert_int_equal(w.seen[i], i + (i >= 2));
    world_release(&w);
}

static void test_released_files_are_used_again_and_their_past_stays_buried(void **state)
{
    struct wal_stats before, after;
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w);
    for (uint64_t n = 0; n < 60; n++)
        append(&w, n);
    commit(&w);
    wal_stats(w.wal, &before);
    assert_true(before.files >= 4);
    assert_true(wal_release(w.wal, wal_last_lsn(w.wal) + 1, &err) >= 0);
    wal_stats(w.wal, &after);
    assert_true(after.files < before.files);
    for (uint64_t n = 60; n < 70; n++)
        append(&w, n);
    commit(&w);
    reopen(&w);
    assert_true(w.seen_count >= 10 && w.seen_count < 40);
    for (uint32_t i = 0; i < w.seen_count; i++)
        assert_int_equal(w.seen[i], 70 - w.seen_count + i);
    world_release(&w);
}

static void test_a_full_log_says_so_until_it_is_released(void **state)
{
    char bytes[PAYLOAD_BYTES];
    struct err err = {0};
    struct world w;
    uint64_t lsn, n = 0;
    int rc;

    (void)state;
    world_init(&w);
    assert_int_equal(wal_close(w.wal, &err), 0);
    w.o.bytes_max = 4 * FILE_BYTES;
    world_open(&w);
    do {
        assert_true(wal_prepare_spare(w.wal, &err) >= 0);
        rc = wal_append(w.wal, wal_epoch(w.wal), WAL_PUSH, payload_of(n, bytes), &lsn, &err);
        n += rc == 0;
        commit(&w);
    } while (rc == 0 || rc == ERR_STALE);
    assert_int_equal(rc, ERR_BUSY);
    assert_true(n > 20 && n < 60);
    assert_true(wal_release(w.wal, wal_last_lsn(w.wal) + 1, &err) >= 0);
    append(&w, n);
    world_release(&w);
}

static void test_after_a_failed_sync_another_file_takes_the_group(void **state)
{
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w);
    append(&w, 0);
    commit(&w);
    assert_true(wal_prepare_spare(w.wal, &err) >= 0);
    append(&w, 1);
    fs_fault_fail_at(w.fs, FS_FAULT_DATASYNC, NULL, 1, ERR_IO, FS_FAULT_ONCE);
    commit(&w);
    assert_int_equal(fs_fault_failed(w.fs), 1);
    assert_int_equal(wal_durable_lsn(w.wal), wal_last_lsn(w.wal));
    append(&w, 2);
    commit(&w);
    fs_fault_power_cut(w.fs, 3);
    (void)wal_close(w.wal, &err);
    world_open(&w);
    assert_seen(&w, 0, 3);
    world_release(&w);
}

static void test_when_that_fails_too_it_is_read_only(void **state)
{
    struct wal_stats stats;
    struct err err = {0};
    struct world w;
    uint64_t lsn;

    (void)state;
    world_init(&w);
    append(&w, 0);
    fs_fault_fail_at(w.fs, FS_FAULT_DATASYNC, NULL, 1, ERR_IO, FS_FAULT_FOREVER);
    assert_true(wal_commit_group(w.wal, true, &err) < 0);
    assert_int_equal(wal_durable_lsn(w.wal), 0);
    wal_stats(w.wal, &stats);
    assert_true(stats.read_only);
    assert_int_equal(wal_append(w.wal, wal_epoch(w.wal), WAL_PUSH, STR("x"), &lsn, &err), ERR_IO);
    world_release(&w);
}

static void test_a_file_of_another_instance_is_not_replayed(void **state)
{
    struct err err = {0};
    struct world w;

    (void)state;
    world_init(&w);
    append(&w, 0);
    commit(&w);
    assert_int_equal(wal_close(w.wal, &err), 0);
    w.o.instance[0] = 99;
    world_open(&w);
    assert_int_equal(w.seen_count, 0);
    assert_int_equal(w.report.files_quarantined, 1);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_back_once_and_in_order),
        cmocka_unit_test(test_an_old_epoch_is_refused),
        cmocka_unit_test(test_what_is_not_durable_may_be_lost_with_the_power_and_nothing_else),
        cmocka_unit_test(test_rot_is_set_aside_and_the_rest_is_used),
        cmocka_unit_test(test_released_files_are_used_again_and_their_past_stays_buried),
        cmocka_unit_test(test_a_full_log_says_so_until_it_is_released),
        cmocka_unit_test(test_after_a_failed_sync_another_file_takes_the_group),
        cmocka_unit_test(test_when_that_fails_too_it_is_read_only),
        cmocka_unit_test(test_a_file_of_another_instance_is_not_replayed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

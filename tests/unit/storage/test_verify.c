/* verify and rebuild-catalog: what a data directory holds, from its files alone. */
#include "storage/storage.h"

#include "storage/blob_store.h"
#include "storage/catalog.h"
#include "storage/segment_format.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/clock_fake.h"
#include "tests/support/dataset_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"
#include "tests/support/segment_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct fs *make_disk(uint32_t segments)
{
    struct fs *fs = fs_fault_new();
    struct blob_store *blobs;
    struct err err;

    assert_int_equal(blob_store_dir_open(fs, &blobs, &err), 0);
    for (uint32_t i = 0; i < segments; i++) {
        struct dataset_fake *rows = segment_make_rows(i + 1, STR("svc"), 10);
        struct segment_meta meta;

        assert_int_equal(segment_make_write(blobs, i + 1, &rows, 1, &meta, &err), 0);
        dataset_fake_free(rows);
    }
    blobs->ops->free(blobs);
    return fs;
}

static void damage(struct fs *fs, uint64_t segment, enum segment_file file, uint64_t offset)
{
    struct segment_meta m = segment_make_meta(segment);
    char path[SEGMENT_PATH_MAX];
    struct fs_file *f;
    uint8_t byte;
    size_t got;
    struct err err;

    segment_path(m.tenant, m.day, m.id, m.level, file, path);
    assert_int_equal(fs_open(fs, path, FS_WRITE, &f, &err), 0);
    assert_int_equal(fs_pread(f, &byte, 1, offset, &got, &err), 0);
    byte ^= 4;
    assert_int_equal(fs_pwrite(f, &byte, 1, offset, &err), 0);
    fs_close(f);
}

static bool says(const struct buf *report, const char *text)
{
    return str_find(buf_str(report), str_from(text)) != SIZE_MAX;
}

static void test_a_sound_directory_is_said_to_be_sound(void **state)
{
    struct fs *fs = make_disk(3);
    struct buf report;
    struct err err;

    (void)state;
    buf_init(&report, SIZE_MAX);
    assert_int_equal(storage_verify(fs, NULL, &report, &err), 0);
    assert_true(says(&report, "3 segments, 30 rows"));
    assert_true(says(&report, " 0 damaged"));
    buf_release(&report);
    fs_free(fs);
}

static void test_every_damaged_segment_is_named_and_the_others_are_still_read(void **state)
{
    struct fs *fs = make_disk(4);
    struct buf report;
    struct err err;

    (void)state;
    damage(fs, 2, SEGMENT_FILE_SMP, 100);
    damage(fs, 3, SEGMENT_FILE_AGG, 3);
    buf_init(&report, SIZE_MAX);
    assert_int_equal(storage_verify(fs, NULL, &report, &err), ERR_CORRUPT);
    assert_true(says(&report, "0-00000000000000020000000000000001.smp"));
    assert_true(says(&report, "0-00000000000000030000000000000001.agg"));
    assert_false(says(&report, "0-00000000000000010000000000000001"));
    assert_true(says(&report, " 2 damaged"));
    buf_release(&report);
    fs_free(fs);
}

static void remove_segment(struct fs *fs, uint64_t segment)
{
    struct segment_meta m = segment_make_meta(segment);
    char path[SEGMENT_PATH_MAX];

    for (int file = 0; file < 2; file++) { /* .agg first, as the server does */
        segment_path(m.tenant, m.day, m.id, m.level,
                     file == 0 ? SEGMENT_FILE_AGG : SEGMENT_FILE_SMP, path);
        (void)fs_unlink(fs, path, NULL);
    }
}

/* Before the call `number` of those that verify makes, a server removes a segment. */
struct remover {
    struct fs *fs;
    uint64_t calls, number;
};

static void remove_at(void *ctx, const struct fs_fault_call *call)
{
    struct remover *r = ctx;

    if (++r->calls != r->number)
        return;
    fs_fault_on_call(call->fs, FS_FAULT_ALL, NULL, NULL);
    remove_segment(r->fs, 2);
}

static void test_a_segment_that_a_server_removes_meanwhile_is_not_damaged(void **state)
{
    bool removed = true;

    (void)state;
    for (uint64_t number = 1; removed; number += 5) {
        struct remover r = {make_disk(2), 0, number};
        struct buf report;
        struct err err;

        buf_init(&report, SIZE_MAX);
        fs_fault_on_call(r.fs, FS_FAULT_ALL, remove_at, &r);
        if (storage_verify(r.fs, NULL, &report, &err) != 0)
            fail_msg("before call %u: %s\n%.*s", (unsigned)number, err.msg, (int)report.len,
                     (const char *)report.data);
        removed = r.calls == number;
        buf_release(&report);
        fs_free(r.fs);
    }
}

static void test_a_disk_that_cannot_be_read_is_a_finding_and_not_the_end(void **state)
{
    struct fs *fs = make_disk(3);
    struct buf report;
    struct err err;

    (void)state;
    fs_fault_fail_at(fs, FS_FAULT_READ, "*-00000000000000020000000000000001.smp", 1, ERR_IO,
                     FS_FAULT_FOREVER);
    buf_init(&report, SIZE_MAX);
    assert_int_equal(storage_verify(fs, NULL, &report, &err), ERR_CORRUPT);
    assert_true(says(&report, "0-00000000000000020000000000000001"));
    assert_true(says(&report, " 1 damaged"));
    buf_release(&report);
    fs_free(fs);
}

static void flip(struct fs *fs, const char *path, uint64_t offset)
{
    struct fs_file *f;
    uint8_t byte;
    size_t got;
    struct err err;

    assert_int_equal(fs_open(fs, path, FS_WRITE, &f, &err), 0);
    assert_int_equal(fs_pread(f, &byte, 1, offset, &got, &err), 0);
    byte ^= 4;
    assert_int_equal(fs_pwrite(f, &byte, 1, offset, &err), 0);
    fs_close(f);
}

static void answered(void *ctx, int rc, const struct err *err)
{
    (void)ctx;
    (void)rc;
    (void)err;
}

/* A store whose pushes are in the log alone. */
static struct fs *make_log(void)
{
    struct fs *fs = fs_fault_new();
    struct storage_recovery recovery;
    struct storage_options o;
    struct clock_fake clock;
    struct profile_gen gen;
    struct storage *s;
    struct err err;

    clock_fake_init(&clock, SEGMENT_MAKE_NS);
    storage_options_init(&o);
    o.fs = fs;
    o.clock = &clock.clock;
    profile_gen_init(&gen, 1, STR("svc"), SEGMENT_MAKE_NS, 1000);
    assert_int_equal(storage_open(&o, &s, &recovery, &err), 0);
    for (int i = 0; i < 10; i++) {
        struct push_row row;
        struct push push = {STR("anonymous"), &row, 1};

        (void)storage_step_spare(s, &err);
        profile_gen_row(&gen, &row);
        assert_int_equal(storage_push(s, &push, answered, NULL, &err), 0);
        while (storage_step_commit(s, true, &err) > 0)
            ;
    }
    assert_int_equal(storage_close(s, INT64_MIN, &err), 0);
    profile_gen_release(&gen);
    return fs;
}

static void test_log_and_format_are_checked_too_and_nothing_is_changed(void **state)
{
    static const struct {
        const char *path;
        uint64_t at;
        bool damage;
    } cases[] = {{"wal/0000000001.wal", 20, true},             /* header */
                 {"wal/0000000001.wal", 70, true},             /* first record */
                 {"wal/0000000001.wal", 1500, true},           /* one in the middle */
                 {"wal/0000000001.wal", (4 << 20) - 9, false}, /* nothing is there yet */
                 {"FORMAT", 50, true}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fs *fs = make_log();
        uint64_t changes;
        struct buf report;
        struct err err;

        buf_init(&report, SIZE_MAX);
        assert_int_equal(storage_verify(fs, NULL, &report, &err), 0);
        assert_true(says(&report, "1 log files, 10 records, 0 damaged"));
        flip(fs, cases[i].path, cases[i].at);
        changes = fs_fault_calls(fs, FS_FAULT_CHANGES);
        buf_reset(&report);
        assert_int_equal(storage_verify(fs, NULL, &report, &err),
                         cases[i].damage ? ERR_CORRUPT : 0);
        assert_int_equal(says(&report, cases[i].path), cases[i].damage);
        assert_int_equal(fs_fault_calls(fs, FS_FAULT_CHANGES), changes);
        buf_release(&report);
        fs_free(fs);
    }
}

static int count(void *ctx, const struct segment_meta *meta, enum catalog_state state,
                 struct err *err)
{
    uint64_t *rows = ctx;

    (void)err;
    assert_int_equal(state, CATALOG_LIVE);
    *rows += meta->rows;
    return 0;
}

static void test_the_catalog_is_made_again_from_the_footers(void **state)
{
    char dir[] = "/tmp/flamekeep-verify-XXXXXX", path[64];
    struct fs *fs = make_disk(3);
    struct catalog *c;
    struct buf report;
    uint64_t rows = 0;
    struct err err;
    bool fresh;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/catalog.sqlite", dir);
    damage(fs, 1, SEGMENT_FILE_AGG, 3);
    buf_init(&report, SIZE_MAX);
    for (int round = 0; round < 2; round++)
        assert_int_equal(storage_rebuild_catalog(fs, path, &report, &err), 0);
    assert_true(says(&report, "2 segments, 20 rows"));
    assert_int_equal(catalog_sqlite_open(path, &c, &fresh, &err), 0);
    assert_false(fresh);
    assert_int_equal(c->ops->load(c, count, &rows, &err), 0);
    assert_int_equal(rows, 20);
    c->ops->close(c);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
    buf_release(&report);
    fs_free(fs);
}

static void test_a_running_server_keeps_its_catalog(void **state)
{
    struct fs *fs = make_disk(1);
    struct fs_file *lock;
    struct buf report;
    struct err err;

    (void)state;
    assert_int_equal(fs_open(fs, "LOCK", FS_WRITE | FS_CREATE, &lock, &err), 0);
    assert_int_equal(fs_lock(lock, &err), 0);
    buf_init(&report, SIZE_MAX);
    assert_int_equal(storage_rebuild_catalog(fs, ":memory:", &report, &err), ERR_BUSY);
    buf_release(&report);
    fs_close(lock);
    fs_free(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_segment_that_a_server_removes_meanwhile_is_not_damaged),
        cmocka_unit_test(test_a_disk_that_cannot_be_read_is_a_finding_and_not_the_end),
        cmocka_unit_test(test_log_and_format_are_checked_too_and_nothing_is_changed),
        cmocka_unit_test(test_a_sound_directory_is_said_to_be_sound),
        cmocka_unit_test(test_every_damaged_segment_is_named_and_the_others_are_still_read),
        cmocka_unit_test(test_the_catalog_is_made_again_from_the_footers),
        cmocka_unit_test(test_a_running_server_keeps_its_catalog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* verify and rebuild-catalog: what a data directory holds, from its files alone. */
#include "storage/storage.h"

#include "storage/blob_store.h"
#include "storage/catalog.h"
#include "storage/segment_format.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/dataset_fake.h"
#include "tests/support/fs_fault.h"
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
    assert_int_equal(storage_verify(fs, &report, &err), 0);
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
    assert_int_equal(storage_verify(fs, &report, &err), ERR_CORRUPT);
    assert_true(says(&report, "0-00000000000000020000000000000001.smp"));
    assert_true(says(&report, "0-00000000000000030000000000000001.agg"));
    assert_false(says(&report, "0-00000000000000010000000000000001"));
    assert_true(says(&report, " 2 damaged"));
    buf_release(&report);
    fs_free(fs);
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
        cmocka_unit_test(test_a_sound_directory_is_said_to_be_sound),
        cmocka_unit_test(test_every_damaged_segment_is_named_and_the_others_are_still_read),
        cmocka_unit_test(test_the_catalog_is_made_again_from_the_footers),
        cmocka_unit_test(test_a_running_server_keeps_its_catalog),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

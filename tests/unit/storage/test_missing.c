/* missing: what lies in quarantine/ says by its name alone whose rows are not answered from. */
#include "storage/missing.h"

#include "storage/blob_store.h"
#include "storage/segment_format.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "000102030405060708090a0b0c0d0e0f"

static void put_file(struct fs *fs, const char *path, size_t size)
{
    static const uint8_t zeroes[512];
    struct fs_file *f;
    struct err err;

    assert_int_equal(fs_make_dirs(fs, "quarantine", &err), 0);
    assert_int_equal(fs_open(fs, path, FS_WRITE | FS_CREATE, &f, &err), 0);
    assert_int_equal(fs_pwrite(f, zeroes, size, 0, &err), 0);
    fs_close(f);
}

static void load(struct fs *fs, struct missing *m)
{
    struct blob_store *blobs;
    struct err err;

    missing_init(m);
    assert_int_equal(blob_store_dir_open(fs, &blobs, &err), 0);
    assert_int_equal(missing_load(m, fs, blobs, &err), 0);
    blobs->ops->free(blobs);
}

static void test_a_name_says_tenant_day_and_segment(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct segment_name n;

    (void)state;
    assert_true(missing_path_of(STR("seg_a_b__c_20261123_1-" ID ".agg.12"), path, sizeof(path)));
    assert_true(segment_path_parse(path, &n));
    assert_true(str_eq(n.tenant, STR("a_b__c")));
    assert_int_equal(n.level, 1);
    assert_int_equal(n.id.lo, 0x08090a0b0c0d0e0f);
    assert_true(missing_path_of(STR("seg_t_20261123_0-" ID ".smp"), path, sizeof(path)));
}

static void test_what_is_no_segment_of_ours_lacks_nobody_anything(void **state)
{
    static const char *const names[] = {
        "",
        "0000000001.wal",
        "merge_seg_t_20261123_1-" ID ".agg",
        "seg_t_20261123_1-" ID,
        "seg_t_20261199_1-" ID ".agg",
        "seg_t_20261123_1-0001.agg",
        "seg_20261123_1-" ID ".agg",
        "seg_t_20261123_1-" ID ".agg.x",
        "_.agg",
        ".agg.1",
    };
    char path[SEGMENT_PATH_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(missing_path_of(str_from(names[i]), path, sizeof(path)));
    assert_false(missing_path_of(STR("seg_t_20261123_0-" ID ".smp"), path, 40));
}

static void test_both_files_are_one_segment_and_an_unreadable_one_counts_its_day(void **state)
{
    struct fs *fs = fs_fault_new();
    struct missing m;

    (void)state;
    put_file(fs, "quarantine/seg_t_20261123_0-" ID ".agg", 300);
    put_file(fs, "quarantine/seg_t_20261123_0-" ID ".smp", 100);
    put_file(fs, "quarantine/0000000001.wal", 50);
    load(fs, &m);
    assert_int_equal(m.count, 1);
    assert_int_equal(m.items[0].bytes, 400);
    assert_true(str_eq(m.items[0].tenant, STR("t")));
    assert_int_equal(m.items[0].time.last_ns - m.items[0].time.first_ns, NS_PER_DAY - 1);
    assert_int_equal(m.items[0].time.first_ns % NS_PER_DAY, 0);
    missing_release(&m);
    fs_free(fs);
}

static void test_without_the_folder_nothing_is_missing(void **state)
{
    struct fs *fs = fs_fault_new();
    struct missing m;

    (void)state;
    load(fs, &m);
    assert_int_equal(m.count, 0);
    missing_release(&m);
    fs_free(fs);
}

static void test_the_fingerprint_changes_when_a_file_comes_or_goes(void **state)
{
    const char *name = "quarantine/seg_t_20261123_0-" ID ".agg";
    struct fs *fs = fs_fault_new();
    uint64_t none, one, again;
    struct missing m;
    struct err err;

    (void)state;
    assert_int_equal(missing_fingerprint(fs, &none, &err), 0);
    put_file(fs, name, 300);
    assert_int_equal(missing_fingerprint(fs, &one, &err), 0);
    assert_int_not_equal(none, one);
    load(fs, &m);
    assert_int_equal(m.fingerprint, one);
    missing_release(&m);
    assert_int_equal(fs_unlink(fs, name, &err), 0);
    assert_int_equal(missing_fingerprint(fs, &again, &err), 0);
    assert_int_equal(none, again);
    fs_free(fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_says_tenant_day_and_segment),
        cmocka_unit_test(test_what_is_no_segment_of_ours_lacks_nobody_anything),
        cmocka_unit_test(test_both_files_are_one_segment_and_an_unreadable_one_counts_its_day),
        cmocka_unit_test(test_without_the_folder_nothing_is_missing),
        cmocka_unit_test(test_the_fingerprint_changes_when_a_file_comes_or_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* blob_store: an object is whole under its name or absent, whatever happens. */
#include "storage/blob_store.h"

#include "base/err.h"
#include "base/fs.h"

#include "tests/support/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NAME "seg/tenant/20261123/0-aa.agg"

enum {
    OBJECT_BYTES = 5000,
    SEEDS = 40,
};

static void fill(uint8_t *out)
{
    for (size_t i = 0; i < OBJECT_BYTES; i++)
        out[i] = (uint8_t)(i * 7);
}

static int put(struct blob_store *b, const char *name, struct err *err)
{
    uint8_t data[OBJECT_BYTES];
    struct blob_writer *w;
    int rc;

    fill(data);
    if ((rc = b->ops->create(b, name, &w, err)) != 0)
        return rc;
    for (size_t at = 0; at < OBJECT_BYTES; at += 1000)
        if ((rc = b->ops->append(w, data + at, 1000, err)) != 0) {
            b->ops->abort(w);
            return rc;
        }
    return b->ops->commit(w, err);
}

/* 1 whole, 0 absent; anything else fails the test. */
static int look(struct blob_store *b, const char *name)
{
    uint8_t data[OBJECT_BYTES], want[OBJECT_BYTES];
    struct blob_reader *r;
    struct err err;
    int rc = b->ops->open(b, name, &r, &err);

    if (rc == ERR_NOT_FOUND)
        return 0;
    assert_int_equal(rc, 0);
    assert_int_equal(b->ops->size(r), OBJECT_BYTES);
    assert_int_equal(b->ops->read(r, 0, data, OBJECT_BYTES, &err), 0);
    fill(want);
    assert_memory_equal(data, want, OBJECT_BYTES);
    b->ops->close(r);
    return 1;
}

static struct blob_store *open_store(struct fs *fs)
{
    struct blob_store *b;
    struct err err;

    assert_int_equal(blob_store_dir_open(fs, &b, &err), 0);
    return b;
}

static void test_an_object_reads_back_and_short_data_is_corruption(void **state)
{
    struct fs *fs = fs_fault_new();
    struct blob_store *b = open_store(fs);
    struct blob_reader *r;
    uint8_t byte[2];
    struct err err;

    (void)state;
    assert_int_equal(put(b, NAME, &err), 0);
    assert_int_equal(look(b, NAME), 1);
    assert_int_equal(b->ops->open(b, NAME, &r, &err), 0);
    assert_int_equal(b->ops->read(r, OBJECT_BYTES - 1, byte, 2, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, NAME));
    b->ops->close(r);
    assert_int_equal(b->ops->remove(b, NAME, &err), 0);
    assert_int_equal(look(b, NAME), 0);
    b->ops->free(b);
    fs_free(fs);
}

static void test_names_that_leave_the_root_are_refused(void **state)
{
    static const char *const bad[] = {"", "/x", "a//b", "a/../b", "..", "./a", "a/"};
    struct fs *fs = fs_fault_new();
    struct blob_store *b = open_store(fs);
    struct blob_writer *w;
    struct blob_reader *r;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (strcmp(bad[i], "a/") == 0)
            continue;
        assert_int_equal(b->ops->create(b, bad[i], &w, &err), ERR_INVALID);
        assert_int_equal(b->ops->open(b, bad[i], &r, &err), ERR_INVALID);
    }
    b->ops->free(b);
    fs_free(fs);
}

static void test_an_aborted_object_leaves_nothing(void **state)
{
    struct fs *fs = fs_fault_new();
    struct blob_store *b = open_store(fs);
    struct blob_writer *w;
    struct err err;

    (void)state;
    assert_int_equal(b->ops->create(b, NAME, &w, &err), 0);
    assert_int_equal(b->ops->append(w, "abc", 3, &err), 0);
    b->ops->abort(w);
    assert_int_equal(look(b, NAME), 0);
    assert_int_equal(fs_fault_used(fs), 0);
    b->ops->free(b);
    fs_free(fs);
}

struct listed {
    unsigned int count;
    uint64_t bytes;
};

static int add_listed(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct listed *l = ctx;

    (void)err;
    assert_true(strncmp(name, "seg/", 4) == 0);
    l->count++;
    l->bytes += size;
    return 0;
}

static void test_list_walks_every_depth_and_quarantine_keeps_both_of_a_name(void **state)
{
    struct fs *fs = fs_fault_new();
    struct blob_store *b = open_store(fs);
    struct listed l = {0};
    struct fs_stat st;
    struct err err;

    (void)state;
    assert_int_equal(b->ops->list(b, "seg", add_listed, &l, &err), 0);
    assert_int_equal(l.count, 0);
    assert_int_equal(put(b, "seg/a/1/x", &err), 0);
    assert_int_equal(put(b, "seg/a/2/x", &err), 0);
    assert_int_equal(put(b, "seg/b/1/y", &err), 0);
    assert_int_equal(b->ops->list(b, "seg", add_listed, &l, &err), 0);
    assert_int_equal(l.count, 3);
    assert_int_equal(l.bytes, 3 * OBJECT_BYTES);
    assert_int_equal(b->ops->quarantine(b, "seg/a/1/x", "", &err), 0);
    assert_int_equal(put(b, "seg/a/1/x", &err), 0);
    assert_int_equal(b->ops->quarantine(b, "seg/a/1/x", "", &err), 0);
    assert_int_equal(look(b, "seg/a/1/x"), 0);
    assert_int_equal(fs_stat(fs, "quarantine/seg_a_1_x", &st, &err), 0);
    assert_int_equal(fs_stat(fs, "quarantine/seg_a_1_x.1", &st, &err), 0);
    b->ops->free(b);
    fs_free(fs);
}

static void each_cut(void *ctx, const struct fs_fault_call *call)
{
    const bool *acknowledged = ctx;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(call->fs, seed);
        struct blob_store *b = open_store(after);
        int there = look(b, NAME);

        if (*acknowledged)
            assert_int_equal(there, 1);
        b->ops->free(b);
        fs_free(after);
    }
}

static void test_a_power_cut_anywhere_leaves_the_object_whole_or_absent(void **state)
{
    struct fs *fs = fs_fault_new();
    struct blob_store *b = open_store(fs);
    bool acknowledged = false;
    struct err err;

    (void)state;
    fs_fault_on_call(fs, FS_FAULT_CHANGES, each_cut, &acknowledged);
    assert_int_equal(put(b, NAME, &err), 0);
    acknowledged = true;
    each_cut(&acknowledged, &(struct fs_fault_call){.fs = fs});
    fs_fault_on_call(fs, 0, NULL, NULL);
    b->ops->free(b);
    fs_free(fs);
}

static void test_every_failing_call_is_reported_and_nothing_half_remains(void **state)
{
    struct err err;

    (void)state;
    for (uint64_t n = 1;; n++) {
        struct fs *fs = fs_fault_new();
        struct blob_store *b = open_store(fs);
        uint64_t failed;
        int rc;

        fs_fault_fail_at(fs, FS_FAULT_ALL, NULL, n, ERR_NO_SPACE, FS_FAULT_ONCE);
        rc = put(b, NAME, &err);
        failed = fs_fault_failed(fs);
        fs_fault_fail_never(fs);
        (void)look(b, NAME);
        b->ops->free(b);
        fs_free(fs);
        if (failed == 0) {
            assert_int_equal(rc, 0);
            assert_true(n > 8);
            return;
        }
        assert_int_equal(rc, ERR_NO_SPACE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_object_reads_back_and_short_data_is_corruption),
        cmocka_unit_test(test_names_that_leave_the_root_are_refused),
        cmocka_unit_test(test_an_aborted_object_leaves_nothing),
        cmocka_unit_test(test_list_walks_every_depth_and_quarantine_keeps_both_of_a_name),
        cmocka_unit_test(test_a_power_cut_anywhere_leaves_the_object_whole_or_absent),
        cmocka_unit_test(test_every_failing_call_is_reported_and_nothing_half_remains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

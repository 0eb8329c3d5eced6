/*
 * The power goes at every call that writing a segment makes. Acknowledged: the
 * segment is there and sound. Not acknowledged: it is there and sound, or its
 * .agg is not there; under its final name nothing is ever damaged.
 *
 * And the check of the check: without any one of its syncs a violation is found.
 */
#include "storage/segment.h"

#include "storage/blob_store.h"
#include "storage/segment_format.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/dataset_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/rng.h"
#include "tests/support/segment_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    SEEDS = 200,
    SEEDS_MUTATION = 60,
    ROWS = 12,
    SERVICES = 2,
};

struct cutting {
    struct dataset_fake *services[SERVICES];
    struct segment_meta meta;
    bool acknowledged;
    uint64_t seed, seeds, cuts, violations;
    char first[ERR_MSG_MAX];
};

static void violated(struct cutting *c, const struct err *err)
{
    if (c->violations++ == 0)
        (void)snprintf(c->first, sizeof(c->first), "%s", err->msg);
}

/* What one cut left. */
static void look(struct cutting *c, struct fs *after)
{
    struct segment_meta want = segment_make_meta(1);
    struct blob_store *blobs;
    struct segment *seg;
    struct buf report;
    char path[SEGMENT_PATH_MAX];
    struct err err;
    struct fs_stat st;
    int rc;

    assert_int_equal(blob_store_dir_open(after, &blobs, &err), 0);
    rc = segment_open(blobs, NULL, want.tenant, want.day, want.id, want.level, &seg, &err);
    if (rc == 0) {
        buf_init(&report, SIZE_MAX);
        if (segment_verify(seg, &report, &err) != 0)
            violated(c, &err);
        buf_release(&report);
        segment_unref(seg);
    } else {
        segment_path(want.tenant, want.day, want.id, want.level, SEGMENT_FILE_AGG, path);
        /* Not to be found is fine before the answer, and only when .agg is what is missing. */
        if (c->acknowledged || fs_stat(after, path, &st, NULL) == 0)
            violated(c, &err);
    }
    blobs->ops->free(blobs);
}

static void each_call(void *ctx, const struct fs_fault_call *call)
{
    struct cutting *c = ctx;

    for (uint64_t i = 0; i < c->seeds; i++, c->cuts++) {
        struct fs *after = fs_fault_after_cut(call->fs, c->seed + i);

        look(c, after);
        fs_free(after);
    }
}

struct mutation {
    const char *name, *datasync, *sync_dir;
};

static void run(struct cutting *c, const struct mutation *m)
{
    struct fs *fs = fs_fault_new();
    struct blob_store *blobs;
    struct err err;

    assert_int_equal(blob_store_dir_open(fs, &blobs, &err), 0);
    if (m && m->datasync)
        fs_fault_skip_datasync(fs, m->datasync, 0);
    if (m && m->sync_dir)
        fs_fault_skip_sync_dir(fs, m->sync_dir, 0);
    c->acknowledged = false;
    fs_fault_on_call(fs, FS_FAULT_CHANGES, each_call, c);
    if (segment_make_write(blobs, 1, c->services, SERVICES, &c->meta, &err) != 0)
        fail_msg("%s", err.msg);
    c->acknowledged = true;
    each_call(c, &(struct fs_fault_call){.fs = fs});
    fs_fault_on_call(fs, 0, NULL, NULL);
    blobs->ops->free(blobs);
    fs_free(fs);
}

static void cutting_make(struct cutting *c, uint64_t seeds)
{
    memset(c, 0, sizeof(*c));
    c->seed = test_seed(1) * 1000003;
    c->seeds = seeds;
    c->services[0] = segment_make_rows(5, STR("a"), ROWS);
    c->services[1] = segment_make_rows(6, STR("b"), ROWS);
}

static void cutting_free(struct cutting *c)
{
    for (int i = 0; i < SERVICES; i++)
        dataset_fake_free(c->services[i]);
}

static void test_a_segment_is_whole_or_absent_wherever_the_power_goes(void **state)
{
    struct cutting c;

    (void)state;
    cutting_make(&c, SEEDS);
    run(&c, NULL);
    print_message("%llu cuts\n", (unsigned long long)c.cuts);
    if (c.violations > 0)
        fail_msg("%llu violations: %s", (unsigned long long)c.violations, c.first);
    assert_true(c.cuts > 2000);
    cutting_free(&c);
}

static void test_without_any_one_sync_it_would_not_be(void **state)
{
    static const struct mutation mutations[] = {
        {"without datasync of .smp", "tmp/object-0", NULL},
        {"without datasync of .agg", "tmp/object-1", NULL},
        {"without sync of the day's directory", NULL, "seg/tenant/20261123"},
        {"without sync of the tenant's directory", NULL, "seg/tenant"},
        {"without sync of seg/", NULL, "seg"},
        {"without sync of the root", NULL, "."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(mutations) / sizeof(mutations[0]); i++) {
        struct cutting c;

        cutting_make(&c, SEEDS_MUTATION);
        run(&c, &mutations[i]);
        print_message("%s: %llu of %llu cuts, %s\n", mutations[i].name,
                      (unsigned long long)c.violations, (unsigned long long)c.cuts, c.first);
        if (c.violations == 0)
            fail_msg("%s: nobody noticed", mutations[i].name);
        cutting_free(&c);
    }
}

static void test_a_failing_disk_says_so_and_leaves_no_segment(void **state)
{
    struct cutting c;

    (void)state;
    cutting_make(&c, 0);
    for (uint64_t n = 1;; n++) {
        struct fs *fs = fs_fault_new();
        struct segment *seg;
        struct blob_store *blobs;
        struct err err;
        uint64_t failed;
        int rc;

        assert_int_equal(blob_store_dir_open(fs, &blobs, &err), 0);
        fs_fault_fail_at(fs, FS_FAULT_CHANGES, NULL, n, n % 2 ? ERR_IO : ERR_NO_SPACE,
                         FS_FAULT_ONCE);
        rc = segment_make_write(blobs, 1, c.services, SERVICES, &c.meta, &err);
        failed = fs_fault_failed(fs);
        fs_fault_fail_never(fs);
        if (failed > 0)
            assert_int_equal(rc, n % 2 ? ERR_IO : ERR_NO_SPACE);
        else
            assert_int_equal(rc, 0);
        /* What is there is sound: only the last sync can fail with the name in place. */
        rc = segment_open(blobs, NULL, c.meta.tenant, c.meta.day, c.meta.id, 0, &seg, &err);
        assert_true(rc == 0 || rc == ERR_NOT_FOUND);
        if (rc == 0)
            segment_unref(seg);
        blobs->ops->free(blobs);
        fs_free(fs);
        if (failed == 0) {
            assert_true(n > 10);
            break;
        }
    }
    cutting_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_segment_is_whole_or_absent_wherever_the_power_goes),
        cmocka_unit_test(test_without_any_one_sync_it_would_not_be),
        cmocka_unit_test(test_a_failing_disk_says_so_and_leaves_no_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

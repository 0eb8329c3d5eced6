/* What every disk does: each claim holds for the real one and for the simulated one. */
#include "base/fs.h"

#include "base/clock.h"
#include "base/err.h"
#include "tests/support/fs_fault.h"

#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct fs *fs;
    char root[256];
};

static int setup_posix(void **state)
{
    const char *dir = getenv("TMPDIR");
    struct world *w = calloc(1, sizeof(*w));

    (void)snprintf(w->root, sizeof(w->root), "%s/fs-XXXXXX", dir ? dir : "/tmp");
    *state = w;
    return mkdtemp(w->root) ? fs_posix_new(w->root, &w->fs, NULL) : -1;
}

static int setup_fault(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->fs = fs_fault_new();
    *state = w;
    return 0;
}

struct found {
    struct fs *fs;
    const char *dir;
    int count;
};

/* Removes what it is told about, for the teardown. */
static int remove_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct found *f = ctx;
    char path[600];

    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    if (!st->is_dir)
        return fs_unlink(f->fs, path, err);
    (void)fs_list(f->fs, path, remove_entry, &(struct found){f->fs, path, 0}, err);
    return fs_rmdir(f->fs, path, err);
}

static int teardown(void **state)
{
    struct world *w = *state;
    int rc = fs_list(w->fs, ".", remove_entry, &(struct found){w->fs, ".", 0}, NULL);

    fs_free(w->fs);
    if (w->root[0])
        (void)rmdir(w->root);
    free(w);
    return rc;
}

static struct fs_file *create(struct fs *fs, const char *path)
{
    struct fs_file *f = NULL;

    assert_int_equal(fs_open(fs, path, FS_WRITE | FS_CREATE, &f, NULL), 0);
    return f;
}

static void put_file(struct fs *fs, const char *path, const char *text)
{
    struct fs_file *f = create(fs, path);

    assert_int_equal(fs_pwrite(f, text, strlen(text), 0, NULL), 0);
    assert_int_equal(fs_datasync(f, NULL), 0);
    fs_close(f);
}

static bool holds(struct fs *fs, const char *path, const char *text)
{
    struct fs_file *f;
    char found[64];
    size_t got;

    assert_int_equal(fs_open(fs, path, FS_READ, &f, NULL), 0);
    assert_int_equal(fs_pread(f, found, sizeof(found), 0, &got, NULL), 0);
    fs_close(f);
    return got == strlen(text) && memcmp(found, text, got) == 0;
}

static void test_a_read_is_short_only_at_the_end(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_file *f;
    char text[16];
    size_t got;

    put_file(fs, "a", "0123456789");
    assert_int_equal(fs_open(fs, "a", FS_READ, &f, NULL), 0);
    assert_int_equal(fs_pread(f, text, 4, 3, &got, NULL), 0);
    assert_int_equal(got, 4);
    assert_memory_equal(text, "3456", 4);
    assert_int_equal(fs_pread(f, text, 4, 8, &got, NULL), 0);
    assert_int_equal(got, 2);
    assert_int_equal(fs_pread(f, text, 4, 10, &got, NULL), 0);
    assert_int_equal(got, 0);
    assert_int_equal(fs_pread(f, text, 4, 1000, &got, NULL), 0);
    assert_int_equal(got, 0);
    fs_close(f);
    fs_close(NULL);
}

static void test_holes_and_allocated_space_read_as_zeroes(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_file *f = create(fs, "a");
    char text[10];
    struct fs_stat st;
    uint64_t size;
    size_t got;

    assert_int_equal(fs_pwrite(f, "x", 1, 100000, NULL), 0);
    assert_int_equal(fs_file_size(f, &size, NULL), 0);
    assert_int_equal(size, 100001);
    assert_int_equal(fs_pread(f, text, 10, 50000, &got, NULL), 0);
    assert_memory_equal(text, "\0\0\0\0\0\0\0\0\0\0", 10);
    assert_int_equal(fs_allocate(f, 200000, NULL), 0);
    assert_int_equal(fs_stat(fs, "a", &st, NULL), 0);
    assert_int_equal(st.size, 200000);
    assert_true(st.allocated >= 200000);
    assert_int_equal(fs_allocate(f, 10, NULL), 0); /* never shrinks */
    assert_int_equal(fs_truncate(f, 3, NULL), 0);
    assert_int_equal(fs_file_size(f, &size, NULL), 0);
    assert_int_equal(size, 3);
    fs_close(f);
}

static void test_creating_can_insist_on_a_new_file(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_file *f = NULL;
    struct err err;

    assert_int_equal(fs_open(fs, "a", FS_WRITE, &f, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "open 'a': No such file or directory");
    assert_int_equal(fs_open(fs, "d/a", FS_WRITE | FS_CREATE, &f, &err), ERR_NOT_FOUND);
    assert_null(f);
    put_file(fs, "a", "text");
    assert_int_equal(fs_open(fs, "a", FS_WRITE | FS_CREATE | FS_EXCL, &f, &err), ERR_EXISTS);
    assert_string_equal(err.msg, "open 'a': File exists");
    f = create(fs, "a"); /* opening does not truncate */
    fs_close(f);
    assert_true(holds(fs, "a", "text"));
}

static void test_a_rename_replaces_what_was_there(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_stat st;

    put_file(fs, "a", "old");
    put_file(fs, "a.tmp", "new");
    assert_int_equal(fs_rename(fs, "a.tmp", "a", NULL), 0);
    assert_true(holds(fs, "a", "new"));
    assert_int_equal(fs_stat(fs, "a.tmp", &st, NULL), ERR_NOT_FOUND);
    assert_int_equal(fs_rename(fs, "a.tmp", "a", NULL), ERR_NOT_FOUND);
    assert_int_equal(fs_mkdir(fs, "d", NULL), 0);
    assert_int_equal(fs_rename(fs, "a", "d", NULL), ERR_IO);
    assert_int_equal(fs_rename(fs, "a", "d/b", NULL), 0);
    assert_true(holds(fs, "d/b", "new"));
}

static void test_links_share_content(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;

    put_file(fs, "a", "text");
    assert_int_equal(fs_link(fs, "a", "b", NULL), 0);
    assert_int_equal(fs_link(fs, "a", "b", NULL), ERR_EXISTS);
    assert_int_equal(fs_link(fs, "none", "c", NULL), ERR_NOT_FOUND);
    put_file(fs, "b", "TEXT");
    assert_true(holds(fs, "a", "TEXT"));
    assert_int_equal(fs_unlink(fs, "a", NULL), 0);
    assert_true(holds(fs, "b", "TEXT"));
    assert_int_equal(fs_unlink(fs, "a", NULL), ERR_NOT_FOUND);
}

static int count_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct found *f = ctx;

    (void)err;
    assert_int_equal(st->is_dir, strcmp(name, "d") == 0);
    assert_true(st->is_dir || st->size == 4);
    assert_true(st->mtime_ns > 1000000000 * NS_PER_S);
    f->count++;
    return f->count == 2 && f->dir ? ERR_CANCELED : 0;
}

static void test_a_directory_lists_its_entries_until_told_to_stop(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct found f = {fs, NULL, 0};

    assert_int_equal(fs_list(fs, ".", count_entry, &f, NULL), 0);
    assert_int_equal(f.count, 0);
    put_file(fs, "a", "text");
    put_file(fs, "b", "text");
    assert_int_equal(fs_mkdir(fs, "d", NULL), 0);
    assert_int_equal(fs_mkdir(fs, "d", NULL), ERR_EXISTS);
    assert_int_equal(fs_list(fs, ".", count_entry, &f, NULL), 0);
    assert_int_equal(f.count, 3);
    f = (struct found){fs, "stop", 0};
    assert_int_equal(fs_list(fs, ".", count_entry, &f, NULL), ERR_CANCELED);
    assert_int_equal(f.count, 2);
    assert_int_equal(fs_list(fs, "none", count_entry, &f, NULL), ERR_NOT_FOUND);
    assert_int_equal(fs_list(fs, "a", count_entry, &f, NULL), ERR_IO);
    assert_int_equal(fs_sync_dir(fs, "d", NULL), 0);
    assert_int_equal(fs_sync_dir(fs, "none", NULL), ERR_NOT_FOUND);
}

static void test_directories_are_made_with_all_above_and_removed_when_empty(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_stat st;

    assert_int_equal(fs_make_dirs(fs, "t/a/b", NULL), 0);
    assert_int_equal(fs_make_dirs(fs, "t/a/c", NULL), 0);
    assert_int_equal(fs_make_dirs(fs, "t/a/c", NULL), 0);
    assert_int_equal(fs_stat(fs, "t/a/b", &st, NULL), 0);
    assert_true(st.is_dir);
    assert_int_equal(fs_rmdir(fs, "t/a", NULL), ERR_IO);
    assert_int_equal(fs_rmdir(fs, "t/a/b", NULL), 0);
    assert_int_equal(fs_unlink(fs, "t/a/c", NULL), ERR_IO);
    put_file(fs, "file", "x");
    assert_int_equal(fs_rmdir(fs, "file", NULL), ERR_IO);
    assert_int_not_equal(fs_make_dirs(fs, "file/x", NULL), 0);
}

static void test_a_lock_has_one_holder(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_file *a = create(fs, "lock"), *b = create(fs, "lock");
    struct err err;

    assert_int_equal(fs_lock(a, &err), 0);
    assert_int_equal(fs_lock(b, &err), ERR_BUSY);
    assert_non_null(strstr(err.msg, "'lock' is locked"));
    fs_close(a);
    assert_int_equal(fs_lock(b, &err), 0);
    fs_close(b);
}

static void test_the_volume_says_what_is_left(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_space space;

    assert_int_equal(fs_space(fs, &space, NULL), 0);
    assert_true(space.total > 0 && space.available <= space.total);
}

static void test_reading_a_directory_or_writing_what_is_open_for_reading_fails(void **state)
{
    struct fs *fs = ((struct world *)*state)->fs;
    struct fs_file *f;
    char byte;
    size_t got;

    assert_int_equal(fs_mkdir(fs, "d", NULL), 0);
    assert_int_equal(fs_open(fs, "d", FS_WRITE, &f, NULL), ERR_IO);
    assert_int_equal(fs_open(fs, "d", FS_READ, &f, NULL), 0);
    assert_int_equal(fs_pread(f, &byte, 1, 0, &got, NULL), ERR_IO);
    fs_close(f);
    put_file(fs, "a", "text");
    assert_int_equal(fs_open(fs, "a", FS_READ, &f, NULL), 0);
    assert_int_equal(fs_pwrite(f, "x", 1, 0, NULL), ERR_IO);
    assert_int_equal(fs_truncate(f, 0, NULL), ERR_IO);
    fs_close(f);
    assert_true(holds(fs, "a", "text"));
}

static void test_a_root_that_cannot_be_used_is_named(void **state)
{
    struct fs *fs = NULL;
    struct err err;

    (void)state;
    assert_int_equal(fs_posix_new("/dev/null/data", &fs, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "'/dev/null/data'"));
    assert_int_equal(fs_posix_new("/dev/null", &fs, &err), ERR_IO);
    assert_null(fs);
    fs_free(NULL);
}

#define BOTH(claim)                                                                                \
    {#claim "_posix", claim, setup_posix, teardown, NULL},                                         \
    {                                                                                              \
#claim "_fault", claim, setup_fault, teardown, NULL                                        \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_a_read_is_short_only_at_the_end),
        BOTH(test_holes_and_allocated_space_read_as_zeroes),
        BOTH(test_creating_can_insist_on_a_new_file),
        BOTH(test_a_rename_replaces_what_was_there),
        BOTH(test_links_share_content),
        BOTH(test_a_directory_lists_its_entries_until_told_to_stop),
        BOTH(test_directories_are_made_with_all_above_and_removed_when_empty),
        BOTH(test_a_lock_has_one_holder),
        BOTH(test_the_volume_says_what_is_left),
        BOTH(test_reading_a_directory_or_writing_what_is_open_for_reading_fails),
        cmocka_unit_test(test_a_root_that_cannot_be_used_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

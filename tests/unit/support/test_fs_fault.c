/* The simulated disk: it loses what a real one may lose, and nothing else. */
#include "tests/support/fs_fault.h"

#include "base/err.h"
#include "tests/support/rng.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    SEEDS = 200,
    SECTOR = 512,
};

static int setup(void **state)
{
    *state = fs_fault_new();
    return 0;
}

static int teardown(void **state)
{
    fs_free(*state);
    return 0;
}

static struct fs_file *create(struct fs *fs, const char *path)
{
    struct fs_file *f = NULL;

    assert_int_equal(fs_open(fs, path, FS_WRITE | FS_CREATE, &f, NULL), 0);
    return f;
}

static void put(struct fs_file *f, const char *text, uint64_t offset)
{
    assert_int_equal(fs_pwrite(f, text, strlen(text), offset, NULL), 0);
}

/* Creates, writes, syncs the file; its name only when asked. */
static void put_file(struct fs *fs, const char *path, const char *text, bool sync_name)
{
    struct fs_file *f = create(fs, path);

    assert_int_equal(fs_truncate(f, 0, NULL), 0);
    put(f, text, 0);
    assert_int_equal(fs_datasync(f, NULL), 0);
    fs_close(f);
    if (sync_name)
        assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
}

/* The content, or NULL when there is no such file; good until the next call. */
static const char *content(struct fs *fs, const char *path)
{
    static char text[8192];
    struct fs_file *f;
    size_t got;

    if (fs_open(fs, path, FS_READ, &f, NULL) == ERR_NOT_FOUND)
        return NULL;
    assert_int_equal(fs_pread(f, text, sizeof(text) - 1, 0, &got, NULL), 0);
    text[got] = '\0';
    fs_close(f);
    return text;
}

static bool holds(struct fs *fs, const char *path, const char *text)
{
    const char *found = content(fs, path);

    return found && strcmp(found, text) == 0;
}

static bool exists(struct fs *fs, const char *path)
{
    struct fs_stat st;

    return fs_stat(fs, path, &st, NULL) == 0;
}

/* ---- an ordinary disk as long as the power stays ---- */

static void test_what_is_written_is_read_back_across_pages(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");
    struct rng r = rng_of(1);
    uint8_t *model = calloc(1, 65536), *back = calloc(1, 65536);
    uint64_t size;
    size_t end = 0, got;

    for (int i = 0; i < 300; i++) {
        size_t at = rng_below(&r, 60000), len = 1 + rng_below(&r, 5000);
        uint8_t data[5000];

        rng_fill(&r, data, len);
        memcpy(model + at, data, len);
        end = at + len > end ? at + len : end;
        assert_int_equal(fs_pwrite(f, data, len, at, NULL), 0);
    }
    assert_int_equal(fs_file_size(f, &size, NULL), 0);
    assert_int_equal(size, end);
    assert_int_equal(fs_pread(f, back, 65536, 0, &got, NULL), 0);
    assert_int_equal(got, end);
    assert_memory_equal(back, model, end);
    assert_int_equal(fs_truncate(f, 100, NULL), 0);
    assert_int_equal(fs_truncate(f, 300, NULL), 0);
    assert_int_equal(fs_pread(f, back, 65536, 0, &got, NULL), 0);
    assert_int_equal(got, 300);
    memset(model + 100, 0, 200);
    assert_memory_equal(back, model, 300);
    fs_close(f);
    free(model);
    free(back);
}

static void test_errors_name_operation_and_path(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f;
    struct err err;

    assert_int_equal(fs_open(fs, "wal/none", FS_READ, &f, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "open 'wal/none': No such file or directory");
    assert_int_equal(fs_mkdir(fs, "wal", &err), 0);
    assert_int_equal(fs_mkdir(fs, "wal", &err), ERR_EXISTS);
    assert_int_equal(fs_open(fs, "wal", FS_WRITE, &f, &err), ERR_IO);
    assert_int_equal(fs_unlink(fs, "wal", &err), ERR_IO);
    assert_int_equal(fs_open(fs, "wal/../x", FS_READ, &f, &err), ERR_IO);
    put_file(fs, "wal/1", "x", false);
    assert_int_equal(fs_rmdir(fs, "wal", &err), ERR_IO);
    assert_int_equal(fs_open(fs, "wal/1", FS_WRITE | FS_CREATE | FS_EXCL, &f, &err), ERR_EXISTS);
    assert_int_equal(fs_open(fs, "wal/1", FS_READ, &f, &err), 0);
    assert_int_equal(fs_pwrite(f, "y", 1, 0, &err), ERR_IO);
    fs_close(f);
}

static int count_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    (void)err;
    assert_true(strcmp(name, "dir") == 0 ? st->is_dir : st->size == 3);
    ++*(int *)ctx;
    return 0;
}

static void test_names_can_be_listed_linked_renamed_and_removed(void **state)
{
    struct fs *fs = *state;
    int count = 0;

    put_file(fs, "a", "abc", false);
    assert_int_equal(fs_link(fs, "a", "b", NULL), 0);
    assert_int_equal(fs_link(fs, "a", "b", NULL), ERR_EXISTS);
    assert_int_equal(fs_make_dirs(fs, "dir/deep/deeper", NULL), 0);
    assert_int_equal(fs_rename(fs, "b", "dir/deep/c", NULL), 0);
    assert_int_equal(fs_list(fs, ".", count_entry, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_true(holds(fs, "dir/deep/c", "abc"));
    assert_int_equal(fs_unlink(fs, "dir/deep/c", NULL), 0);
    assert_int_equal(fs_rmdir(fs, "dir/deep/deeper", NULL), 0);
    assert_false(exists(fs, "dir/deep/c"));
    assert_true(holds(fs, "a", "abc"));
}

static void test_a_removed_file_lives_while_it_is_open(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");
    char text[4];
    size_t got;

    put(f, "abc", 0);
    assert_int_equal(fs_unlink(fs, "a", NULL), 0);
    assert_int_not_equal(fs_fault_used(fs), 0);
    assert_int_equal(fs_pread(f, text, 3, 0, &got, NULL), 0);
    assert_memory_equal(text, "abc", 3);
    fs_close(f);
    assert_int_equal(fs_fault_used(fs), 0);
}

static void test_a_lock_has_one_holder_until_close(void **state)
{
    struct fs *fs = *state;
    struct fs_file *a = create(fs, "lock"), *b = create(fs, "lock");

    assert_int_equal(fs_lock(a, NULL), 0);
    assert_int_equal(fs_lock(b, NULL), ERR_BUSY);
    fs_close(a);
    assert_int_equal(fs_lock(b, NULL), 0);
    fs_close(b);
}

/* ---- power cuts ---- */

static void test_synced_content_and_name_survive_every_cut(void **state)
{
    struct fs *fs = *state;

    put_file(fs, "a", "durable", true);
    assert_int_equal(fs_fault_unsynced(fs), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        assert_true(holds(after, "a", "durable"));
        fs_free(after);
    }
}

static void test_unsynced_content_is_kept_or_lost_though_its_name_is_safe(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");
    int kept = 0, lost = 0;

    assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
    put(f, "content", 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        assert_true(exists(after, "a"));
        kept += holds(after, "a", "content");
        lost += holds(after, "a", "");
        fs_free(after);
    }
    assert_true(kept > SEEDS / 10 && lost > SEEDS / 10);
    fs_close(f);
}

static void test_an_unsynced_name_is_kept_or_lost_though_its_content_is_safe(void **state)
{
    struct fs *fs = *state;
    int kept = 0;

    put_file(fs, "a", "content", false);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        kept += exists(after, "a");
        assert_true(!exists(after, "a") || holds(after, "a", "content"));
        fs_free(after);
    }
    assert_true(kept > SEEDS / 10 && kept < SEEDS - SEEDS / 10);
}

static void test_names_are_lost_independently_of_each_other(void **state)
{
    struct fs *fs = *state;
    int seen[4] = {0};

    put_file(fs, "a", "1", false);
    put_file(fs, "b", "2", false);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        seen[exists(after, "a") + 2 * exists(after, "b")]++;
        fs_free(after);
    }
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > 0);
}

static void test_writes_tear_at_sectors_and_out_of_order(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");
    uint8_t old[4 * SECTOR], new[4 * SECTOR], back[4 * SECTOR];
    int torn = 0, later_only = 0;
    size_t got;

    memset(old, 'o', sizeof(old));
    memset(new, 'n', sizeof(new));
    assert_int_equal(fs_pwrite(f, old, sizeof(old), 0, NULL), 0);
    assert_int_equal(fs_datasync(f, NULL), 0);
    assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
    assert_int_equal(fs_pwrite(f, new, sizeof(new), 0, NULL), 0);
    fs_close(f);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);
        int sectors = 0;

        assert_int_equal(fs_open(after, "a", FS_READ, &f, NULL), 0);
        assert_int_equal(fs_pread(f, back, sizeof(back), 0, &got, NULL), 0);
        assert_int_equal(got, sizeof(back));
        for (int i = 0; i < 4; i++) {
            const uint8_t *s = back + i * SECTOR;

            assert_true(memcmp(s, old, SECTOR) == 0 || memcmp(s, new, SECTOR) == 0);
            sectors += s[0] == 'n';
        }
        torn += sectors > 0 && sectors < 4;
        later_only += back[0] == 'o' && back[3 * SECTOR] == 'n';
        fs_close(f);
        fs_free(after);
    }
    assert_true(torn > 0 && later_only > 0);
}

static void test_a_file_may_grow_without_its_bytes(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");
    int empty = 0, zeroes = 0;

    assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
    put(f, "xyz", 0);
    fs_close(f);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);
        struct fs_stat st;

        assert_int_equal(fs_stat(after, "a", &st, NULL), 0);
        empty += st.size == 0;
        zeroes += st.size == 3 && content(after, "a")[0] == '\0';
        fs_free(after);
    }
    assert_true(empty > 0 && zeroes > 0);
}

static void test_a_rename_happens_as_a_whole_or_not_at_all(void **state)
{
    struct fs *fs = *state;
    int before = 0, after_rename = 0;

    put_file(fs, "a", "old", true);
    put_file(fs, "a.tmp", "new", true);
    assert_int_equal(fs_rename(fs, "a.tmp", "a", NULL), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);
        bool done = holds(after, "a", "new") && !exists(after, "a.tmp");

        assert_true(done || (holds(after, "a", "old") && holds(after, "a.tmp", "new")));
        after_rename += done;
        before += !done;
        fs_free(after);
    }
    assert_true(before > 0 && after_rename > 0);
}

static void test_a_rename_between_directories_never_loses_the_file(void **state)
{
    for (int synced = 0; synced < 3; synced++) {
        struct fs *fs = *state;

        assert_int_equal(fs_make_dirs(fs, "from", NULL), 0);
        assert_int_equal(fs_make_dirs(fs, "to", NULL), 0);
        put_file(fs, "from/a", "text", false);
        assert_int_equal(fs_sync_dir(fs, "from", NULL), 0);
        put_file(fs, "to/b", "replaced, its name never synced", false);
        assert_int_equal(fs_rename(fs, "from/a", "to/b", NULL), 0);
        if (synced > 0)
            assert_int_equal(fs_sync_dir(fs, synced == 1 ? "to" : "from", NULL), 0);
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct fs *after = fs_fault_after_cut(fs, seed);

            assert_true(holds(after, "from/a", "text") || holds(after, "to/b", "text"));
            if (synced > 0)
                assert_true(holds(after, "to/b", "text"));
            if (synced == 2)
                assert_false(exists(after, "from/a"));
            fs_free(after);
        }
        assert_int_equal(fs_unlink(fs, "to/b", NULL), 0);
        assert_int_equal(fs_sync_dir(fs, "to", NULL), 0);
        assert_int_equal(fs_sync_dir(fs, "from", NULL), 0);
    }
}

static void test_a_chain_of_renames_never_gives_a_file_two_names(void **state)
{
    struct fs *fs = *state;

    put_file(fs, "1", "text", true);
    assert_int_equal(fs_rename(fs, "1", "2", NULL), 0);
    assert_int_equal(fs_rename(fs, "2", "3", NULL), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        assert_int_equal(exists(after, "1") + exists(after, "2") + exists(after, "3"), 1);
        fs_free(after);
    }
}

static void test_a_removed_name_may_come_back_with_its_content(void **state)
{
    struct fs *fs = *state;
    int back = 0;

    put_file(fs, "a", "text", true);
    assert_int_equal(fs_unlink(fs, "a", NULL), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        back += holds(after, "a", "text");
        fs_free(after);
    }
    assert_true(back > 0 && back < SEEDS);
    assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        assert_false(exists(after, "a"));
        fs_free(after);
    }
}

static void test_what_is_in_a_lost_directory_is_lost(void **state)
{
    struct fs *fs = *state;
    int lost = 0;

    assert_int_equal(fs_mkdir(fs, "d", NULL), 0);
    put_file(fs, "d/a", "text", false);
    assert_int_equal(fs_sync_dir(fs, "d", NULL), 0);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fs *after = fs_fault_after_cut(fs, seed);

        assert_int_equal(exists(after, "d"), holds(after, "d/a", "text"));
        lost += !exists(after, "d");
        fs_free(after);
    }
    assert_true(lost > 0 && lost < SEEDS);
}

static void test_the_same_seed_loses_the_same(void **state)
{
    struct fs *fs = *state;

    for (int i = 0; i < 20; i++) {
        char path[8] = {'f', (char)('a' + i)};

        put_file(fs, path, path, false);
    }
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fs *one = fs_fault_after_cut(fs, seed), *two = fs_fault_after_cut(fs, seed);

        for (int i = 0; i < 20; i++) {
            char path[8] = {'f', (char)('a' + i)};

            assert_int_equal(exists(one, path), exists(two, path));
        }
        fs_free(one);
        fs_free(two);
    }
}

static void test_a_cut_in_place_kills_open_files_and_locks(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a"), *again;
    uint64_t size;

    put(f, "text", 0);
    assert_int_equal(fs_datasync(f, NULL), 0);
    assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
    assert_int_equal(fs_lock(f, NULL), 0);
    fs_fault_power_off(fs);
    assert_int_equal(fs_pwrite(f, "lost", 4, 0, NULL), ERR_IO);
    fs_fault_power_cut(fs, 7);
    assert_int_equal(fs_file_size(f, &size, NULL), ERR_IO);
    assert_int_equal(fs_pwrite(f, "dead", 4, 0, NULL), ERR_IO);
    assert_true(holds(fs, "a", "text"));
    again = create(fs, "a");
    assert_int_equal(fs_lock(again, NULL), 0);
    fs_close(again);
    fs_close(f);
}

static void test_a_killed_process_loses_nothing_that_it_wrote(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");

    put(f, "text", 0);
    assert_int_equal(fs_lock(f, NULL), 0);
    fs_fault_kill(fs);
    fs_close(f);
    assert_true(holds(fs, "a", "text"));
    assert_int_not_equal(fs_fault_unsynced(fs), 0); /* a power cut may still take it */
    f = create(fs, "a");
    assert_int_equal(fs_lock(f, NULL), 0);
    fs_close(f);
}

/* ---- failures ---- */

static void test_the_nth_call_fails_once_or_from_then_on(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");

    fs_fault_fail_at(fs, FS_FAULT_WRITE, NULL, 2, ERR_IO, FS_FAULT_ONCE);
    put(f, "1", 0);
    assert_int_equal(fs_pwrite(f, "2", 1, 0, NULL), ERR_IO);
    put(f, "3", 0);
    assert_int_equal(fs_fault_failed(fs), 1);
    fs_fault_fail_at(fs, FS_FAULT_ALL, NULL, 2, ERR_NO_SPACE, FS_FAULT_FOREVER);
    put(f, "4", 0);
    assert_int_equal(fs_pwrite(f, "5", 1, 0, NULL), ERR_NO_SPACE);
    assert_int_equal(fs_datasync(f, NULL), ERR_NO_SPACE);
    fs_fault_fail_never(fs);
    assert_int_equal(fs_datasync(f, NULL), 0);
    fs_close(f);
}

static void test_failures_can_be_aimed_at_a_path(void **state)
{
    struct fs *fs = *state;
    struct fs_file *wal, *other;

    assert_int_equal(fs_mkdir(fs, "wal", NULL), 0);
    wal = create(fs, "wal/1");
    other = create(fs, "other");
    fs_fault_fail_at(fs, FS_FAULT_DATASYNC, "wal/*", 1, ERR_IO, FS_FAULT_FOREVER);
    assert_int_equal(fs_datasync(other, NULL), 0);
    assert_int_equal(fs_datasync(wal, NULL), ERR_IO);
    fs_close(wal);
    fs_close(other);
}

static void test_after_a_failed_sync_a_good_one_proves_nothing(void **state)
{
    struct fs *fs = *state;
    int kept = 0, lost = 0;

    for (int i = 0; i < 40; i++) {
        struct fs_file *f = create(fs, "a");
        struct fs *after;

        assert_int_equal(fs_truncate(f, 0, NULL), 0);
        assert_int_equal(fs_datasync(f, NULL), 0);
        assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
        put(f, "text", 0);
        fs_fault_fail_at(fs, FS_FAULT_DATASYNC, NULL, 1, ERR_IO, FS_FAULT_ONCE);
        assert_int_equal(fs_datasync(f, NULL), ERR_IO);
        assert_int_equal(fs_datasync(f, NULL), 0);
        assert_true(holds(fs, "a", "text")); /* still in the page cache */
        after = fs_fault_after_cut(fs, 1);
        kept += holds(after, "a", "text");
        lost += !holds(after, "a", "text");
        fs_free(after);
        fs_close(f);
    }
    assert_true(kept > 0 && lost > 0);
}

static void test_a_full_disk_takes_what_fits_and_rewriting_needs_no_room(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");
    uint8_t data[3 * 4096] = {1};
    struct fs_space space;
    uint64_t size;

    fs_fault_set_capacity(fs, 8192);
    assert_int_equal(fs_pwrite(f, data, sizeof(data), 0, NULL), ERR_NO_SPACE);
    assert_int_equal(fs_file_size(f, &size, NULL), 0);
    assert_int_equal(size, 8192);
    assert_int_equal(fs_pwrite(f, data, 8192, 0, NULL), 0);
    assert_int_equal(fs_space(fs, &space, NULL), 0);
    assert_int_equal(space.total, 8192);
    assert_int_equal(space.available, 0);
    assert_int_equal(fs_allocate(f, 8193, NULL), ERR_NO_SPACE);
    assert_int_equal(fs_truncate(f, 0, NULL), 0);
    assert_int_equal(fs_allocate(f, 8192, NULL), 0);
    assert_int_equal(fs_fault_used(fs), 8192);
    fs_close(f);
}

static void test_a_skipped_sync_says_yes_and_does_nothing(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "a");

    put(f, "text", 0);
    fs_fault_skip_datasync(fs, "a", 2);
    assert_int_equal(fs_datasync(f, NULL), 0);
    fs_fault_skip_sync_dir(fs, NULL, 0);
    assert_int_equal(fs_sync_dir(fs, ".", NULL), 0);
    assert_int_equal(fs_fault_unsynced(fs), 1); /* the name */
    put(f, "more", 4);
    assert_int_equal(fs_datasync(f, NULL), 0);
    assert_int_equal(fs_fault_unsynced(fs), 2);
    assert_int_equal(fs_datasync(f, NULL), 0);
    assert_int_equal(fs_fault_unsynced(fs), 1);
    fs_close(f);
}

struct watched {
    int calls, whole, lost;
};

static void watch(void *ctx, const struct fs_fault_call *call)
{
    struct watched *w = ctx;
    struct fs *after = fs_fault_after_cut(call->fs, call->number);

    w->calls++;
    assert_string_equal(call->path, call->op == FS_FAULT_SYNC_DIR ? "." : "a");
    w->whole += holds(after, "a", "text");
    w->lost += !exists(after, "a");
    fs_free(after);
}

static void test_every_call_can_be_a_cut_point(void **state)
{
    struct fs *fs = *state;
    struct watched w = {0};

    fs_fault_on_call(fs, FS_FAULT_CHANGES, watch, &w);
    put_file(fs, "a", "text", true); /* create, truncate, write, datasync, sync_dir */
    fs_fault_on_call(fs, 0, NULL, NULL);
    assert_int_equal(w.calls, 5);
    assert_int_equal(w.calls, fs_fault_calls(fs, FS_FAULT_CHANGES));
    assert_true(w.lost >= 1);
}

static void *write_much(void *arg)
{
    struct fs *fs = arg;
    static _Atomic int next;
    char path[16] = {'t', (char)('0' + next++)};
    struct fs_file *f = create(fs, path);

    for (uint64_t i = 0; i < 500; i++) {
        put(f, "0123456789", i * 10);
        if (i % 50 == 0)
            assert_int_equal(fs_datasync(f, NULL), 0);
    }
    fs_close(f);
    return NULL;
}

static void test_threads_may_share_it(void **state)
{
    struct fs *fs = *state;
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_much, fs), 0);
    for (uint64_t seed = 0; seed < 20; seed++)
        fs_free(fs_fault_after_cut(fs, seed));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(fs_fault_calls(fs, FS_FAULT_WRITE), 1500);
}

static void test_a_large_pre_written_log_is_cheap_to_cut(void **state)
{
    struct fs *fs = *state;
    struct fs_file *f = create(fs, "log");
    static const uint8_t zeroes[1 << 20];

    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(fs_pwrite(f, zeroes, sizeof(zeroes), i << 20, NULL), 0);
    assert_int_equal(fs_datasync(f, NULL), 0);
    put(f, "record", 12345);
    for (uint64_t seed = 0; seed < 500; seed++)
        fs_free(fs_fault_after_cut(fs, seed));
    fs_close(f);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(test_what_is_written_is_read_back_across_pages),
        CLAIM(test_errors_name_operation_and_path),
        CLAIM(test_names_can_be_listed_linked_renamed_and_removed),
        CLAIM(test_a_removed_file_lives_while_it_is_open),
        CLAIM(test_a_lock_has_one_holder_until_close),
        CLAIM(test_synced_content_and_name_survive_every_cut),
        CLAIM(test_unsynced_content_is_kept_or_lost_though_its_name_is_safe),
        CLAIM(test_an_unsynced_name_is_kept_or_lost_though_its_content_is_safe),
        CLAIM(test_names_are_lost_independently_of_each_other),
        CLAIM(test_writes_tear_at_sectors_and_out_of_order),
        CLAIM(test_a_file_may_grow_without_its_bytes),
        CLAIM(test_a_rename_happens_as_a_whole_or_not_at_all),
        CLAIM(test_a_rename_between_directories_never_loses_the_file),
        CLAIM(test_a_chain_of_renames_never_gives_a_file_two_names),
        CLAIM(test_a_removed_name_may_come_back_with_its_content),
        CLAIM(test_what_is_in_a_lost_directory_is_lost),
        CLAIM(test_the_same_seed_loses_the_same),
        CLAIM(test_a_cut_in_place_kills_open_files_and_locks),
        CLAIM(test_a_killed_process_loses_nothing_that_it_wrote),
        CLAIM(test_the_nth_call_fails_once_or_from_then_on),
        CLAIM(test_failures_can_be_aimed_at_a_path),
        CLAIM(test_after_a_failed_sync_a_good_one_proves_nothing),
        CLAIM(test_a_full_disk_takes_what_fits_and_rewriting_needs_no_room),
        CLAIM(test_a_skipped_sync_says_yes_and_does_nothing),
        CLAIM(test_every_call_can_be_a_cut_point),
        CLAIM(test_threads_may_share_it),
        CLAIM(test_a_large_pre_written_log_is_cheap_to_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

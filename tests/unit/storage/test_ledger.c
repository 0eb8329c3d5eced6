/* ledger: no write passes the limit, and what is counted is never less than what is there. */
#include "storage/ledger.h"

#include "base/err.h"
#include "base/fs.h"

#include "tests/support/fs_fault.h"
#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    LIMIT = 1 << 20,
    PATHS = 12,
    OPENS = 6,
    STEPS = 4000,
    WRITE_MAX = 200 << 10,
};

struct world {
    struct fs *disk, *ledger;
    char root[256]; /* of a real one */
};

static void start(struct world *w)
{
    struct err err;

    w->ledger = ledger_new(w->disk);
    assert_int_equal(ledger_walk(w->ledger, &err), 0);
}

static int setup_fault(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    w->disk = fs_fault_new();
    start(w);
    *state = w;
    return 0;
}

static int setup_posix(void **state)
{
    const char *dir = getenv("TMPDIR");
    struct world *w = calloc(1, sizeof(*w));

    (void)snprintf(w->root, sizeof(w->root), "%s/ledger-XXXXXX", dir ? dir : "/tmp");
    *state = w;
    if (!mkdtemp(w->root) || fs_posix_new(w->root, &w->disk, NULL) != 0)
        return -1;
    start(w);
    return 0;
}

struct entries {
    struct fs *fs;
    const char *dir;
    bool remove;
    uint64_t allocated;
};

static int each_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct entries *e = ctx;
    char path[600];

    (void)snprintf(path, sizeof(path), "%s/%s", e->dir, name);
    e->allocated += st->allocated;
    if (st->is_dir) {
        struct entries inner = {e->fs, path, e->remove, 0};

        assert_int_equal(fs_list(e->fs, path, each_entry, &inner, err), 0);
        e->allocated += inner.allocated;
        return e->remove ? fs_rmdir(e->fs, path, err) : 0;
    }
    return e->remove ? fs_unlink(e->fs, path, err) : 0;
}

/* As du(1) adds up. */
static uint64_t du(struct fs *fs)
{
    struct entries e = {fs, ".", false, 0};
    struct fs_stat st;

    assert_int_equal(fs_list(fs, ".", each_entry, &e, NULL), 0);
    assert_int_equal(fs_stat(fs, ".", &st, NULL), 0);
    return e.allocated + st.allocated;
}

static int teardown(void **state)
{
    struct world *w = *state;

    (void)fs_list(w->disk, ".", each_entry, &(struct entries){w->disk, ".", true, 0}, NULL);
    fs_free(w->ledger);
    fs_free(w->disk);
    if (w->root[0])
        (void)rmdir(w->root);
    free(w);
    return 0;
}

static uint64_t used(struct world *w)
{
    struct ledger_usage u;
    uint64_t sum = 0;

    ledger_usage(w->ledger, &u);
    for (int k = 0; k < LEDGER_KINDS; k++)
        sum += u.by_kind[k];
    assert_int_equal(sum, u.used);
    return u.used;
}

static void write_file(struct world *w, const char *path, uint64_t size)
{
    struct fs_file *f;
    struct err err;
    char *data = calloc(1, size + 1);

    assert_int_equal(fs_open(w->ledger, path, FS_WRITE | FS_CREATE, &f, &err), 0);
    assert_int_equal(fs_pwrite(f, data, size, 0, &err), 0);
    fs_close(f);
    free(data);
}

static void test_a_write_beyond_the_limit_touches_nothing_and_says_the_numbers(void **state)
{
    struct world *w = *state;
    struct ledger_usage u;
    struct fs_stat st;
    struct fs_file *f;
    struct err err;
    char *data = calloc(1, LIMIT);

    ledger_set_limit(w->ledger, LIMIT);
    assert_int_equal(fs_open(w->ledger, "file", FS_WRITE | FS_CREATE, &f, &err), 0);
    assert_int_equal(fs_pwrite(f, data, LIMIT / 2, 0, &err), 0);
    assert_int_equal(fs_pwrite(f, data, LIMIT / 2, LIMIT / 2, &err), ERR_NO_SPACE);
    assert_non_null(strstr(err.msg, "retention.max_bytes (1048576, "));
    assert_int_equal(fs_allocate(f, LIMIT, &err), ERR_NO_SPACE);
    assert_int_equal(fs_stat(w->disk, "file", &st, &err), 0);
    assert_int_equal(st.size, LIMIT / 2);
    /* Writing again where there is something needs no room. */
    assert_int_equal(fs_pwrite(f, data, LIMIT / 2, 0, &err), 0);
    ledger_usage(w->ledger, &u);
    assert_int_equal(u.refusals, 2);
    assert_int_equal(u.disk_full, 0);
    fs_close(f);
    free(data);
}

static void test_an_unlinked_file_counts_until_it_is_closed(void **state)
{
    struct world *w = *state;
    uint64_t before = used(w);
    struct fs_file *f;
    struct err err;

    write_file(w, "file", 100000);
    assert_int_equal(fs_open(w->ledger, "file", FS_READ, &f, &err), 0);
    assert_int_equal(fs_unlink(w->ledger, "file", &err), 0);
    assert_true(used(w) >= before + 100000);
    fs_close(f);
    assert_int_equal(used(w), before);
}

static void test_a_file_of_two_names_counts_once_until_both_are_gone(void **state)
{
    struct world *w = *state;
    uint64_t before = used(w), one;
    struct err err;

    write_file(w, "file", 100000);
    one = used(w);
    assert_int_equal(fs_link(w->ledger, "file", "again", &err), 0);
    assert_int_equal(fs_unlink(w->ledger, "file", &err), 0);
    assert_in_range(used(w), one - 4096, one + 4096);
    assert_int_equal(fs_unlink(w->ledger, "again", &err), 0);
    assert_in_range(used(w), before, before + 4096);
}

static void test_bytes_follow_a_rename_and_what_it_replaces_is_free(void **state)
{
    struct world *w = *state;
    struct ledger_usage u;
    struct err err;

    assert_int_equal(fs_make_dirs(w->ledger, "tmp", &err), 0);
    assert_int_equal(fs_make_dirs(w->ledger, "seg/t/20200101", &err), 0);
    write_file(w, "tmp/object", 50000);
    write_file(w, "seg/t/20200101/0-a.agg", 30000);
    ledger_usage(w->ledger, &u);
    assert_true(u.by_kind[LEDGER_TEMPORARY] >= 50000);
    assert_int_equal(fs_rename(w->ledger, "tmp/object", "seg/t/20200101/0-a.agg", &err), 0);
    ledger_usage(w->ledger, &u);
    assert_int_equal(u.by_kind[LEDGER_TEMPORARY], 0);
    assert_in_range(u.by_kind[LEDGER_SEGMENTS], 50000, 60000);
}

static void test_what_was_there_and_what_others_write_is_found_by_a_walk(void **state)
{
    struct world *w = *state;
    uint64_t first;
    struct err err;
    struct fs *again;

    assert_int_equal(fs_make_dirs(w->ledger, "seg/t", &err), 0);
    write_file(w, "seg/t/one", 70000);
    first = used(w);
    again = ledger_new(w->disk);
    fs_free(w->ledger);
    w->ledger = again;
    assert_int_equal(ledger_walk(w->ledger, &err), 0);
    assert_int_equal(used(w), first);
    {
        struct fs_file *f;

        assert_int_equal(fs_open(w->disk, "foreign", FS_WRITE | FS_CREATE, &f, &err), 0);
        assert_int_equal(fs_pwrite(f, "x", 1, 0, &err), 0);
        fs_close(f);
    }
    assert_int_equal(ledger_walk(w->ledger, &err), 0);
    assert_true(used(w) >= first + 4096);
}

static void test_the_catalog_has_a_share_of_its_own(void **state)
{
    struct world *w = *state;
    uint64_t before = used(w);
    struct fs_file *f;
    struct err err;

    ledger_set_catalog(w->ledger, 100000);
    assert_int_equal(used(w), before + 100000);
    /* SQLite writes beside the ledger. */
    assert_int_equal(fs_open(w->disk, "catalog.sqlite", FS_WRITE | FS_CREATE, &f, &err), 0);
    assert_int_equal(fs_pwrite(f, "x", 1, 0, &err), 0);
    fs_close(f);
    assert_int_equal(ledger_walk(w->ledger, &err), 0);
    assert_int_equal(used(w), before + 100000);
}

/* ---- any order of anything ---- */

struct chaos {
    struct world *w;
    struct rng rng;
    struct fs_file *open[OPENS];
    char *data;
    uint32_t refused;
};

static const char *some_path(struct chaos *c, char out[64])
{
    static const char *const dirs[] = {"", "tmp/", "seg/", "seg/t/"};

    (void)snprintf(out, 64, "%sf%u", dirs[rng_below(&c->rng, 4)],
                   (unsigned int)rng_below(&c->rng, PATHS / 4));
    return out;
}

static void one_step(struct chaos *c)
{
    struct fs *fs = c->w->ledger;
    struct fs_file **f = &c->open[rng_below(&c->rng, OPENS)];
    char a[64], b[64];
    int rc = 0;

    switch (rng_below(&c->rng, 10)) {
    case 0:
    case 1:
        fs_close(*f);
        *f = NULL;
        rc = fs_open(fs, some_path(c, a), FS_WRITE | FS_CREATE, f, NULL);
        if (rc != 0)
            *f = NULL;
        break;
    case 2:
        rc = fs_unlink(fs, some_path(c, a), NULL);
        break;
    case 3:
        if (strcmp(some_path(c, a), some_path(c, b)) != 0)
            rc = fs_rename(fs, a, b, NULL);
        break;
    case 5:
        if (*f)
            rc = fs_truncate(*f, rng_below(&c->rng, WRITE_MAX), NULL);
        break;
    case 6:
        if (rng_one_in(&c->rng, 20))
            rc = ledger_walk(fs, NULL);
        break;
    default:
        if (*f)
            rc = fs_pwrite(*f, c->data, rng_below(&c->rng, WRITE_MAX),
                           rng_below(&c->rng, WRITE_MAX), NULL);
    }
    c->refused += rc == ERR_NO_SPACE;
}

static void test_in_any_order_the_disk_holds_no_more_than_is_counted(void **state)
{
    struct world *w = *state;
    struct chaos c = {.w = w, .rng = rng_of(7), .data = calloc(1, WRITE_MAX)};

    assert_int_equal(fs_make_dirs(w->ledger, "tmp", NULL), 0);
    assert_int_equal(fs_make_dirs(w->ledger, "seg/t", NULL), 0);
    ledger_set_limit(w->ledger, LIMIT);
    for (int i = 0; i < STEPS; i++) {
        one_step(&c);
        assert_true(du(w->disk) <= used(w));
        assert_true(used(w) <= LIMIT);
    }
    for (int i = 0; i < OPENS; i++)
        fs_close(c.open[i]);
    assert_true(c.refused > 100);
    free(c.data);
}

static void test_a_full_disk_is_noticed(void **state)
{
    struct world *w = *state;
    struct ledger_usage u;
    struct fs_file *f;
    struct err err;

    fs_fault_set_capacity(w->disk, 64 << 10);
    assert_int_equal(fs_open(w->ledger, "file", FS_WRITE | FS_CREATE, &f, &err), 0);
    assert_int_equal(fs_pwrite(f, w->root, sizeof(w->root), 1 << 20, &err), 0);
    assert_int_equal(fs_allocate(f, 1 << 20, &err), ERR_NO_SPACE);
    ledger_usage(w->ledger, &u);
    assert_int_equal(u.disk_full, 1);
    fs_close(f);
}

#define ON_BOTH(test)                                                                              \
    cmocka_unit_test_setup_teardown(test, setup_fault, teardown),                                  \
        cmocka_unit_test_setup_teardown(test, setup_posix, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_a_write_beyond_the_limit_touches_nothing_and_says_the_numbers),
        ON_BOTH(test_an_unlinked_file_counts_until_it_is_closed),
        ON_BOTH(test_a_file_of_two_names_counts_once_until_both_are_gone),
        ON_BOTH(test_bytes_follow_a_rename_and_what_it_replaces_is_free),
        ON_BOTH(test_what_was_there_and_what_others_write_is_found_by_a_walk),
        ON_BOTH(test_the_catalog_has_a_share_of_its_own),
        ON_BOTH(test_in_any_order_the_disk_holds_no_more_than_is_counted),
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_noticed, setup_fault, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

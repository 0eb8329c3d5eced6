/* storage_backup: what is listed stays until the end, and no longer than was promised. */
#include "storage/storage_internal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include "tests/support/clock_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY_NS (20000LL * NS_PER_DAY)

enum {
    SMALL_FILE = 8 << 10,
    SEALS = 10, /* of them some are joined */
};

struct world {
    struct fs *fs;
    struct clock_fake clock;
    struct storage *s;
    struct profile_gen gen;
    struct buf list;
    uint64_t id;
};

static int setup(void **state)
{
    static struct world w;
    struct storage_options o;
    struct storage_recovery recovery;

    memset(&w, 0, sizeof(w));
    w.fs = fs_fault_new();
    clock_fake_init(&w.clock, DAY_NS + NS_PER_DAY);
    storage_options_init(&o);
    o.fs = w.fs;
    o.clock = &w.clock.clock;
    o.dedup = STORAGE_DEDUP_OFF; /* or the log is kept for retries */
    o.wal_file_bytes_min = o.wal_file_bytes_max = SMALL_FILE;
    profile_gen_init(&w.gen, 3, STR("svc"), DAY_NS, NS_PER_DAY);
    buf_init(&w.list, 1 << 20);
    *state = &w;
    return storage_open(&o, &w.s, &recovery, NULL);
}

static int teardown(void **state)
{
    struct world *w = *state;

    (void)storage_close(w->s, INT64_MIN, NULL);
    profile_gen_release(&w->gen);
    buf_release(&w->list);
    fs_free(w->fs);
    return 0;
}

static void answered(void *ctx, int rc, const struct err *err)
{
    (void)ctx;
    (void)err;
    assert_int_equal(rc, 0);
}

static void push(struct world *w, int count)
{
    for (int i = 0; i < count; i++) {
        struct push_row row;
        struct push push = {STR("anonymous"), &row, 1};

        profile_gen_row(&w->gen, &row);
        (void)storage_step_spare(w->s, NULL);
        assert_int_equal(storage_push(w->s, &push, answered, w, NULL), 0);
        assert_true(storage_step_commit(w->s, true, NULL) >= 0);
    }
}

static void push_and_seal(struct world *w)
{
    push(w, 3);
    assert_int_equal(storage_step_seal(w->s, true, NULL), 1);
}

static void begin(struct world *w)
{
    const char *id;

    buf_reset(&w->list);
    assert_int_equal(storage_backup_begin(w->s, &w->list, NULL), 0);
    assert_int_equal(buf_append_byte(&w->list, 0), 0);
    id = strstr((char *)w->list.data, "id ");
    assert_non_null(id);
    w->id = strtoull(id + 3, NULL, 16);
}

/* Files of the list that are on disk with their size; the others are counted in *gone. */
static uint32_t listed(const struct world *w, const char *prefix, uint32_t *gone)
{
    const char *at = (const char *)w->list.data;
    uint32_t there = 0;

    *gone = 0;
    for (; (at = strstr(at, "file ")) != NULL; at++) {
        char *name, path[FS_PATH_MAX];
        struct fs_stat st;
        uint64_t bytes = strtoull(at + 5, &name, 10);

        (void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(name + 1, "\n"), name + 1);
        if (strncmp(path, prefix, strlen(prefix)) != 0)
            continue;
        if (fs_stat(w->fs, path, &st, NULL) != 0) {
            (*gone)++;
            continue;
        }
        assert_int_equal(st.size, bytes);
        there++;
    }
    return there;
}

static void assert_log_held(const struct world *w, bool held)
{
    uint32_t gone, there = listed(w, "wal/", &gone);

    assert_true(there + gone > 0);
    assert_true(held ? gone == 0 : gone > 0);
}

static void test_the_log_is_held_until_it_is_copied(void **state)
{
    struct world *w = *state;

    push(w, 30);
    begin(w);
    assert_log_held(w, true);
    assert_int_equal(storage_step_seal(w->s, true, NULL), 1);
    push(w, 30);
    assert_int_equal(storage_step_release(w->s, NULL), 0);
    assert_log_held(w, true);
    assert_int_equal(storage_backup_renew(w->s, w->id, true, NULL), 0);
    assert_int_equal(storage_step_release(w->s, NULL), 0);
    assert_log_held(w, false);
}

static void test_the_log_is_held_for_two_minutes_at_most(void **state)
{
    struct world *w = *state;

    push(w, 30);
    begin(w);
    assert_int_equal(storage_step_seal(w->s, true, NULL), 1);
    push(w, 30);
    clock_fake_advance(&w->clock, 121 * NS_PER_S);
    assert_int_equal(storage_step_release(w->s, NULL), 0);
    assert_log_held(w, false);
    assert_int_equal(storage_backup_renew(w->s, w->id, true, NULL), ERR_STALE);
}

static void test_joined_segments_stay_until_the_end(void **state)
{
    struct world *w = *state;
    uint32_t gone;

    for (int i = 0; i < SEALS; i++)
        push_and_seal(w);
    begin(w);
    assert_int_equal(listed(w, "seg/", &gone), 2 * SEALS);
    clock_fake_advance(&w->clock, 300 * NS_PER_S);
    assert_true(storage_step_compact(w->s, NULL) > 0);
    clock_fake_advance(&w->clock, 200 * NS_PER_S);
    assert_true(storage_step_unlink(w->s, NULL) >= 0);
    assert_int_equal(listed(w, "seg/", &gone), 2 * SEALS);
    assert_int_equal(storage_backup_end(w->s, w->id, NULL), 0);
    assert_true(storage_step_unlink(w->s, NULL) >= 0);
    assert_true(listed(w, "seg/", &gone) < 2 * SEALS);
    assert_true(gone > 0);
}

static void test_one_that_nobody_ends_is_forgotten(void **state)
{
    struct world *w = *state;
    struct err err;
    uint64_t first;

    push_and_seal(w);
    begin(w);
    first = w->id;
    assert_int_equal(storage_backup_begin(w->s, &w->list, &err), ERR_BUSY);
    clock_fake_advance(&w->clock, 599 * NS_PER_S);
    assert_int_equal(storage_backup_renew(w->s, first, false, &err), 0);
    clock_fake_advance(&w->clock, 599 * NS_PER_S);
    assert_int_equal(storage_step_backup(w->s, &err), 0);
    assert_int_equal(storage_backup_begin(w->s, &w->list, &err), ERR_BUSY);
    clock_fake_advance(&w->clock, NS_PER_S);
    begin(w);
    assert_true(w->id != first);
    assert_int_equal(storage_backup_renew(w->s, first, false, &err), ERR_NOT_FOUND);
    assert_int_equal(storage_backup_end(w->s, first, &err), ERR_NOT_FOUND);
}

static void test_the_instance_is_told_from_all_others(void **state)
{
    struct world *w = *state;
    char hex[33];

    for (size_t i = 0; i < sizeof(w->s->instance); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", w->s->instance[i]);
    assert_true(storage_is_instance(w->s, str_from(hex)));
    assert_false(storage_is_instance(w->s, STR("")));
    assert_false(storage_is_instance(w->s, (struct str){hex, 31}));
    for (size_t i = 0; i < 32; i++) {
        hex[i] ^= 1;
        assert_false(storage_is_instance(w->s, str_from(hex)));
        hex[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_the_log_is_held_until_it_is_copied),
        TEST(test_the_log_is_held_for_two_minutes_at_most),
        TEST(test_joined_segments_stay_until_the_end),
        TEST(test_one_that_nobody_ends_is_forgotten),
        TEST(test_the_instance_is_told_from_all_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

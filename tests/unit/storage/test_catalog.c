/* catalog: keeps what it is told, and a file that is no catalog is set aside, never believed. */
#include "storage/catalog.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[64], path[128], aside[160];
};

static void place_make(struct place *p)
{
    memcpy(p->dir, "/tmp/flamekeep-catalog-XXXXXX", 30);
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->path, sizeof(p->path), "%s/catalog.sqlite", p->dir);
    (void)snprintf(p->aside, sizeof(p->aside), "%s.corrupt-1", p->path);
}

static void place_remove(struct place *p)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".corrupt-1", ".corrupt-2"};
    char name[192];

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", p->path, ends[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(p->dir), 0);
}

static const struct segment_source sources[] = {{7, 100, 200}, {9, 150, UINT64_MAX}};

static struct segment_meta meta_of(uint64_t n)
{
    return (struct segment_meta){.id = {n, ~n},
                                 .tenant = STR("tenant"),
                                 .day = 20780,
                                 .level = 3,
                                 .time = {INT64_MIN, INT64_MAX},
                                 .rows = 5,
                                 .samples = UINT64_MAX,
                                 .agg_bytes = 6,
                                 .smp_bytes = 7,
                                 .services = 2,
                                 .created_ns = -4,
                                 .sources = sources,
                                 .source_count = 2};
}

struct seen {
    uint32_t count;
    enum catalog_state state[8];
    uint64_t id[8];
};

static int see(void *ctx, const struct segment_meta *m, enum catalog_state state, struct err *err)
{
    struct segment_meta want = meta_of(m->id.hi);
    struct seen *s = ctx;

    (void)err;
    assert_true(str_eq(m->tenant, want.tenant));
    assert_int_equal(m->id.lo, want.id.lo);
    assert_int_equal(m->day, want.day);
    assert_int_equal(m->level, want.level);
    assert_true(m->time.first_ns == want.time.first_ns && m->time.last_ns == want.time.last_ns);
    assert_true(m->rows == 5 && m->samples == UINT64_MAX && m->agg_bytes == 6 && m->smp_bytes == 7);
    assert_int_equal(m->services, 2);
    assert_true(m->created_ns == -4);
    assert_int_equal(m->source_count, 2);
    assert_memory_equal(m->sources, sources, sizeof(sources));
    s->state[s->count] = state;
    s->id[s->count++] = m->id.hi;
    return 0;
}

static struct seen load(struct catalog *c)
{
    struct seen s = {0};
    struct err err;

    assert_int_equal(c->ops->load(c, see, &s, &err), 0);
    return s;
}

static struct catalog *open_it(const char *path, bool want_fresh)
{
    struct catalog *c;
    struct err err;
    bool fresh;
    int rc = catalog_sqlite_open(path, &c, &fresh, &err);

    if (rc != 0)
        print_error("%s\n", err.msg);
    assert_int_equal(rc, 0);
    assert_int_equal(fresh, want_fresh);
    return c;
}

static void test_what_was_added_is_there_after_reopening(void **state)
{
    struct segment_meta a = meta_of(1), b = meta_of(2), both = meta_of(3);
    struct segment_id in[2] = {a.id, b.id};
    struct catalog *c;
    struct place p;
    struct seen s;
    struct err err;

    (void)state;
    place_make(&p);
    c = open_it(p.path, true);
    assert_int_equal(c->ops->add(c, &a, &err), 0);
    assert_int_equal(c->ops->add(c, &b, &err), 0);
    assert_int_equal(c->ops->add(c, &b, &err), 0);
    c->ops->close(c);
    c = open_it(p.path, false);
    s = load(c);
    assert_int_equal(s.count, 2);
    assert_int_equal(c->ops->replace(c, &both, in, 2, &err), 0);
    s = load(c);
    assert_int_equal(s.count, 3);
    assert_true(s.state[0] == CATALOG_DELETING && s.state[1] == CATALOG_DELETING &&
                s.state[2] == CATALOG_LIVE);
    assert_int_equal(c->ops->remove(c, a.id, &err), 0);
    assert_int_equal(c->ops->set_state(c, b.id, CATALOG_QUARANTINED, &err), 0);
    s = load(c);
    assert_true(s.count == 2 && s.state[0] == CATALOG_QUARANTINED);
    assert_int_equal(c->ops->clear(c, &err), 0);
    assert_int_equal(load(c).count, 0);
    c->ops->close(c);
    place_remove(&p);
}

static void test_a_replacement_of_something_unknown_changes_nothing(void **state)
{
    struct segment_meta a = meta_of(1), out = meta_of(2);
    struct segment_id in[2] = {a.id, {77, 78}};
    struct catalog *c;
    struct seen s;
    struct err err;

    (void)state;
    c = open_it(":memory:", true);
    assert_int_equal(c->ops->add(c, &a, &err), 0);
    assert_int_equal(c->ops->replace(c, &out, in, 2, &err), ERR_NOT_FOUND);
    s = load(c);
    assert_true(s.count == 1 && s.id[0] == 1 && s.state[0] == CATALOG_LIVE);
    c->ops->close(c);
}

static void test_garbage_is_set_aside_and_a_new_catalog_made(void **state)
{
    struct segment_meta a = meta_of(1);
    struct catalog *c;
    struct place p;
    struct err err;
    FILE *f;

    (void)state;
    place_make(&p);
    f = fopen(p.path, "wb");
    assert_non_null(f);
    for (int i = 0; i < 9000; i++)
        (void)fputc(i * 31 & 0xff, f);
    (void)fclose(f);
    c = open_it(p.path, true);
    assert_int_equal(access(p.aside, F_OK), 0);
    assert_int_equal(c->ops->add(c, &a, &err), 0);
    c->ops->close(c);
    c = open_it(p.path, false);
    assert_int_equal(load(c).count, 1);
    c->ops->close(c);
    place_remove(&p);
}

/* Changes the last byte of every `old` in a file. */
static void damage(const char *path, const char *old, size_t len, char with)
{
    char text[64 * 1024];
    FILE *f = fopen(path, "r+b");
    size_t size, found = 0;

    assert_non_null(f);
    size = fread(text, 1, sizeof(text), f);
    for (size_t i = 0; i + len <= size; i++)
        if (memcmp(text + i, old, len) == 0) {
            text[i + len - 1] = with;
            found++;
        }
    assert_true(found > 0);
    rewind(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    (void)fclose(f);
}

/* What SQLite takes for sound: a column of another name, a header of a later file format. */
static void test_a_database_that_is_not_ours_any_more_is_set_aside(void **state)
{
    static const struct {
        const char *old;
        size_t len;
        char with;
    } cases[] = {{"services", 8, 'z'}, {"SQLite format 3\0\x10\0\x02", 19, 0x3f}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct segment_meta a = meta_of(1);
        struct catalog *c;
        struct place p;
        struct err err;

        place_make(&p);
        c = open_it(p.path, true);
        assert_int_equal(c->ops->add(c, &a, &err), 0);
        c->ops->close(c);
        damage(p.path, cases[i].old, cases[i].len, cases[i].with);
        c = open_it(p.path, true);
        assert_int_equal(access(p.aside, F_OK), 0);
        assert_int_equal(c->ops->add(c, &a, &err), 0);
        c->ops->close(c);
        place_remove(&p);
    }
}

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    int c;

    assert_non_null(in);
    assert_non_null(out);
    while ((c = fgetc(in)) != EOF)
        (void)fputc(c, out);
    (void)fclose(in);
    (void)fclose(out);
}

/* A page in the middle overwritten, after a stop that was not clean: quick_check finds it. */
static void test_a_damaged_page_after_a_hard_stop_is_noticed(void **state)
{
    char wal[160], copy[160], copy_wal[192];
    struct catalog *c;
    struct place p;
    struct err err;
    FILE *f;

    (void)state;
    place_make(&p);
    (void)snprintf(wal, sizeof(wal), "%s-wal", p.path);
    (void)snprintf(copy, sizeof(copy), "%s/copy", p.dir);
    (void)snprintf(copy_wal, sizeof(copy_wal), "%s-wal", copy);
    c = open_it(p.path, true);
    for (uint64_t i = 1; i < 200; i++) {
        struct segment_meta m = meta_of(i);

        assert_int_equal(c->ops->add(c, &m, &err), 0);
    }
    c->ops->close(c);
    c = open_it(p.path, false);
    copy_file(p.path, copy); /* as kill -9 would leave it: state.clean is 0 in the log */
    copy_file(wal, copy_wal);
    c->ops->close(c);
    copy_file(copy, p.path);
    copy_file(copy_wal, wal);
    f = fopen(p.path, "r+b");
    assert_int_equal(fseek(f, 4096 * 5, SEEK_SET), 0);
    for (int i = 0; i < 4096; i++)
        (void)fputc(0xa5, f);
    (void)fclose(f);
    c = open_it(p.path, true);
    assert_int_equal(access(p.aside, F_OK), 0);
    c->ops->close(c);
    (void)unlink(copy);
    (void)unlink(copy_wal);
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_added_is_there_after_reopening),
        cmocka_unit_test(test_a_replacement_of_something_unknown_changes_nothing),
        cmocka_unit_test(test_garbage_is_set_aside_and_a_new_catalog_made),
        cmocka_unit_test(test_a_database_that_is_not_ours_any_more_is_set_aside),
        cmocka_unit_test(test_a_damaged_page_after_a_hard_stop_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/support/damage_world.h"

#include "storage/query.h"
#include "storage/segment_format.h"

#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const struct time_span damage_day = {DAMAGE_DAY_NS, DAMAGE_DAY_NS + NS_PER_DAY - 1};

static const struct str damage_services[DAMAGE_SERVICES] = {
    {"svc-a", 5}, {"svc-b", 5}, {"svc-c", 5}};

const char *const damage_selectors[DAMAGE_SERVICES] = {
    "{service_name=\"svc-a\"}", "{service_name=\"svc-b\"}", "{service_name=\"svc-c\"}"};

void damage_world_open(struct damage_world *w)
{
    struct err err = {0};

    if (storage_open(&w->o, &w->s, &w->recovery, &err) != 0)
        fail_msg("storage_open: %s", err.msg);
}

void damage_world_close(struct damage_world *w)
{
    struct err err = {0};

    assert_int_equal(storage_close(w->s, INT64_MAX, &err), 0);
    w->s = NULL;
}

struct removing {
    struct fs *fs;
    const char *dir;
};

static int remove_file(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    const struct removing *r = ctx;
    char path[FS_PATH_MAX];

    (void)st;
    (void)snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    return fs_unlink(r->fs, path, err);
}

static void ignore(void *ctx, int rc, const struct err *err)
{
    (void)ctx;
    (void)err;
    assert_int_equal(rc, 0);
}

void damage_push(struct damage_world *w, uint32_t rows)
{
    struct err err = {0};

    for (uint32_t i = 0; i < rows * DAMAGE_SERVICES; i++) {
        struct push_row row;
        struct push push = {STR("anonymous"), &row, 1};

        (void)storage_step_spare(w->s, &err);
        profile_gen_row(&w->gen[i % DAMAGE_SERVICES], &row);
        assert_int_equal(storage_push(w->s, &push, ignore, NULL, &err), 0);
        while (storage_step_commit(w->s, true, &err) > 0)
            ;
    }
}

/* Everything into one segment. */
void damage_seal(struct damage_world *w)
{
    struct err err = {0};

    while (storage_step_seal(w->s, true, &err) > 0)
        ;
}

int damage_remove_all(struct damage_world *w, const char *dir)
{
    struct removing r = {w->fs, dir};
    struct err err;

    return fs_list(w->fs, dir, remove_file, &r, &err);
}

/* From now on a segment's rows are there and nowhere else. */
void damage_world_close_without_log(struct damage_world *w)
{
    struct err err;

    damage_world_close(w);
    assert_int_equal(damage_remove_all(w, "wal"), 0);
    assert_int_equal(fs_sync_dir(w->fs, "wal", &err), 0);
}

void damage_world_init_with(struct damage_world *w, enum segment_rollups rollups)
{
    memset(w, 0, sizeof(*w));
    w->fs = fs_fault_new();
    clock_fake_init(&w->clock, DAMAGE_DAY_NS);
    storage_options_init(&w->o);
    w->o.fs = w->fs;
    w->o.clock = &w->clock.clock;
    w->o.rollups = rollups;
    for (int i = 0; i < DAMAGE_SERVICES; i++)
        profile_gen_init(&w->gen[i], (uint64_t)i + 1, damage_services[i], DAMAGE_DAY_NS,
                         NS_PER_DAY);
    damage_world_open(w);
    damage_push(w, DAMAGE_ROWS);
    damage_seal(w);
    assert_int_equal(w->s->segment_count, 1);
}

void damage_world_init(struct damage_world *w)
{
    damage_world_init_with(w, SEGMENT_ROLLUPS_AUTO);
}

void damage_world_release(struct damage_world *w)
{
    if (w->s)
        damage_world_close(w);
    for (int i = 0; i < DAMAGE_SERVICES; i++)
        profile_gen_release(&w->gen[i]);
    fs_free(w->fs);
}

/* ---- damage ---- */

void damage_path(struct damage_world *w, uint32_t segment, enum segment_file file, char *out)
{
    const struct segment_meta *m = segment_meta(w->s->segments[segment]);

    segment_path(m->tenant, m->day, m->id, m->level, file, out);
}

void damage_flip(struct fs *fs, const char *path, uint64_t offset)
{
    struct fs_file *f;
    uint8_t byte;
    size_t got;
    struct err err;

    assert_int_equal(fs_open(fs, path, FS_WRITE, &f, &err), 0);
    assert_int_equal(fs_pread(f, &byte, 1, offset, &got, &err), 0);
    assert_int_equal(got, 1);
    byte ^= 4;
    assert_int_equal(fs_pwrite(f, &byte, 1, offset, &err), 0);
    assert_int_equal(fs_datasync(f, &err), 0); /* a power cut does not heal it */
    fs_close(f);
}

/* ---- questions ---- */

struct damage_answer damage_ask(struct damage_world *w, struct str tenant, struct time_span time)
{
    struct damage_answer a = {0};
    struct arena arena;
    struct query q = {.tenants = &tenant, .tenant_count = 1, .time = time, .missing = &a.missing};
    struct str *values;
    uint32_t count;
    struct err err = {0};

    arena_init(&arena, SIZE_MAX);
    q.arena = &arena;
    if (query_label_values(w->s, &q, STR("service_name"), &values, &count, &err) != 0)
        fail_msg("%s", err.msg);
    a.names = count;
    arena_release(&arena);
    return a;
}

static value128 sum_of_tree(struct damage_world *w, const struct query *q)
{
    struct tree_names *names = tree_names_new(q->arena);
    struct err err = {0};
    struct tree *tree;

    if (query_tree(w->s, q, names, &tree, &err) != 0)
        fail_msg("%s", err.msg);
    return tree_nodes(tree)[TREE_ROOT].total;
}

static value128 sum_of_profile(struct damage_world *w, const struct query *q)
{
    struct merged_profile p;
    struct err err = {0};
    value128 sum = 0;

    if (query_profile(w->s, q, &p, &err) != 0)
        fail_msg("%s", err.msg);
    for (uint32_t i = 0; i < p.sample_count; i++)
        sum += p.samples[i].value;
    merged_profile_release(&p);
    return sum;
}

static value128 sum_of_series(struct damage_world *w, const struct query *q)
{
    struct str by = STR("service_name");
    struct series_query sq = {.start_ms = q->time.first_ns / NS_PER_MS,
                              .end_ms = q->time.last_ns / NS_PER_MS + 1,
                              .step_ms = 7 * 60 * 1000,
                              .group_by = &by,
                              .group_by_count = 1};
    struct series *series;
    struct err err = {0};
    uint32_t count;
    value128 sum = 0;

    if (query_series(w->s, q, &sq, &series, &count, &err) != 0)
        fail_msg("%s", err.msg);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < series[i].point_count; k++)
            sum += series[i].points[k].value;
    return sum;
}

/* Of one service, or of all without one. */
struct damage_totals damage_totals(struct damage_world *w, const char *selector)
{
    struct str tenant = STR("anonymous");
    struct damage_totals t = {0};
    struct arena arena;
    struct query q = {.tenants = &tenant, .tenant_count = 1, .time = damage_day};
    struct err err = {0};

    arena_init(&arena, SIZE_MAX);
    q.arena = &arena;
    assert_int_equal(selector_parse(str_from(selector), &arena, &q.matchers, &err), 0);
    for (int question = 0; question < 3; question++) {
        struct storage_missing one = {0};

        q.missing = &one;
        if (question == 0)
            t.tree = sum_of_tree(w, &q);
        else if (question == 1)
            t.profile = sum_of_profile(w, &q);
        else
            t.series = sum_of_series(w, &q);
        t.lacking += one.datasets;
        storage_missing_join(&t.missing, &one);
    }
    matchers_release(&q.matchers);
    arena_release(&arena);
    return t;
}

/* The section table of the only segment, from its own footer. */
uint32_t damage_sections(struct damage_world *w, const char *path, struct segment_section **out)
{
    uint8_t raw[SEGMENT_FOOTER_BYTES], entry[SEGMENT_ENTRY_BYTES];
    struct segment_footer footer;
    struct fs_file *f;
    uint64_t size;
    size_t got;
    struct err err;

    assert_int_equal(fs_open(w->fs, path, FS_READ, &f, &err), 0);
    assert_int_equal(fs_file_size(f, &size, &err), 0);
    assert_int_equal(fs_pread(f, raw, sizeof(raw), size - sizeof(raw), &got, &err), 0);
    assert_int_equal(segment_footer_get(raw, path, &footer, &err), 0);
    *out = calloc(footer.table_count, sizeof(**out));
    assert_non_null(*out);
    for (uint32_t i = 0; i < footer.table_count; i++) {
        assert_int_equal(fs_pread(f, entry, sizeof(entry),
                                  footer.table_offset + (uint64_t)i * sizeof(entry), &got, &err),
                         0);
        segment_section_get(entry, &(*out)[i]);
    }
    fs_close(f);
    return footer.table_count;
}

struct storage_stats damage_stats(struct damage_world *w)
{
    struct storage_stats stats;

    storage_stats(w->s, &stats);
    return stats;
}

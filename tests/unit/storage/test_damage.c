/* A damaged store answers from what is sound, and says what an answer lacks. */
#include "storage/storage_internal.h"

#include "storage/query.h"
#include "storage/segment_format.h"

#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

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
    SERVICES = 3,
    ROWS = 20, /* of a service */
};

static const struct time_span whole_day = {DAY_NS, DAY_NS + NS_PER_DAY - 1};

static const struct str services[SERVICES] = {{"svc-a", 5}, {"svc-b", 5}, {"svc-c", 5}};

/* A store on a disk in memory with three services of a day, sealed. */
struct world {
    struct fs *fs;
    struct clock_fake clock;
    struct storage_options o;
    struct storage *s;
    struct storage_recovery recovery;
    struct profile_gen gen[SERVICES];
};

static void world_open(struct world *w)
{
    struct err err = {0};

    if (storage_open(&w->o, &w->s, &w->recovery, &err) != 0)
        fail_msg("storage_open: %s", err.msg);
}

static void world_close(struct world *w)
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

static void push_rows(struct world *w, uint32_t rows)
{
    struct err err = {0};

    for (uint32_t i = 0; i < rows * SERVICES; i++) {
        struct push_row row;
        struct push push = {STR("anonymous"), &row, 1};

        (void)storage_step_spare(w->s, &err);
        profile_gen_row(&w->gen[i % SERVICES], &row);
        assert_int_equal(storage_push(w->s, &push, ignore, NULL, &err), 0);
        while (storage_step_commit(w->s, true, &err) > 0)
            ;
    }
}

/* Everything into one segment. */
static void seal(struct world *w)
{
    struct err err = {0};

    while (storage_step_seal(w->s, true, &err) > 0)
        ;
}

static int remove_from(struct world *w, const char *dir)
{
    struct removing r = {w->fs, dir};
    struct err err;

    return fs_list(w->fs, dir, remove_file, &r, &err);
}

/* From now on a segment's rows are there and nowhere else. */
static void close_without_log(struct world *w)
{
    world_close(w);
    assert_int_equal(remove_from(w, "wal"), 0);
}

static void world_init_with(struct world *w, enum segment_rollups rollups)
{
    memset(w, 0, sizeof(*w));
    w->fs = fs_fault_new();
    clock_fake_init(&w->clock, DAY_NS);
    storage_options_init(&w->o);
    w->o.fs = w->fs;
    w->o.clock = &w->clock.clock;
    w->o.rollups = rollups;
    for (int i = 0; i < SERVICES; i++)
        profile_gen_init(&w->gen[i], (uint64_t)i + 1, services[i], DAY_NS, NS_PER_DAY);
    world_open(w);
    push_rows(w, ROWS);
    seal(w);
    assert_int_equal(w->s->segment_count, 1);
}

static void world_init(struct world *w)
{
    world_init_with(w, SEGMENT_ROLLUPS_AUTO);
}

static void world_release(struct world *w)
{
    if (w->s)
        world_close(w);
    for (int i = 0; i < SERVICES; i++)
        profile_gen_release(&w->gen[i]);
    fs_free(w->fs);
}

/* ---- damage ---- */

static void path_of(struct world *w, uint32_t segment, enum segment_file file, char *out)
{
    const struct segment_meta *m = segment_meta(w->s->segments[segment]);

    segment_path(m->tenant, m->day, m->id, m->level, file, out);
}

static void flip(struct fs *fs, const char *path, uint64_t offset)
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
    fs_close(f);
}

/* ---- questions ---- */

struct answer {
    uint64_t names; /* label values of service_name, how many */
    struct storage_missing missing;
};

static struct answer ask(struct world *w, struct str tenant, struct time_span time)
{
    struct answer a = {0};
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

static void test_a_sound_store_lacks_nothing(void **state)
{
    struct world w;
    struct answer a;

    (void)state;
    world_init(&w);
    a = ask(&w, STR("anonymous"), whole_day);
    assert_int_equal(a.names, SERVICES);
    assert_int_equal(a.missing.segments + a.missing.datasets, 0);
    world_release(&w);
}

static void test_a_segment_set_aside_is_missing_over_restarts(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct storage_stats stats;
    struct world w;
    struct answer a;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    for (int start = 0; start < 3; start++) {
        world_open(&w);
        assert_int_equal(w.recovery.segments_quarantined, start == 0 ? 1 : 0);
        a = ask(&w, STR("anonymous"), whole_day);
        assert_int_equal(a.names, 0);
        assert_int_equal(a.missing.segments, 1);
        assert_true(a.missing.bytes > 0);
        assert_true(a.missing.time.first_ns >= DAY_NS);
        assert_true(a.missing.time.last_ns <= whole_day.last_ns);
        storage_stats(w.s, &stats);
        assert_int_equal(stats.segments_quarantined, 1);
        assert_int_equal(stats.missing_bytes, a.missing.bytes);
        world_close(&w);
    }
    world_release(&w);
}

static void test_only_questions_about_its_tenant_and_time_lack_it(void **state)
{
    struct time_span before = {0, DAY_NS - 1};
    char path[SEGMENT_PATH_MAX];
    struct world w;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    world_open(&w);
    assert_int_equal(ask(&w, STR("anonymous"), before).missing.segments, 0);
    assert_int_equal(ask(&w, STR("other"), whole_day).missing.segments, 0);
    assert_int_equal(ask(&w, STR("anonymous"), whole_day).missing.segments, 1);
    world_release(&w);
}

static void test_a_segment_whose_rows_are_in_the_log_is_not_missing(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct world w;
    struct answer a;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    world_close(&w);
    flip(w.fs, path, 20);
    for (int start = 0; start < 2; start++) { /* from the log, then from the segment made of it */
        world_open(&w);
        assert_int_equal(w.recovery.segments_quarantined, start == 0 ? 1 : 0);
        a = ask(&w, STR("anonymous"), whole_day);
        assert_int_equal(a.names, SERVICES);
        assert_int_equal(a.missing.segments, 0);
        seal(&w);
        assert_int_equal(remove_from(&w, "wal"), 0);
        world_close(&w);
    }
    world_release(&w);
}

static void test_what_was_taken_out_of_quarantine_is_missing_no_more(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct world w;
    struct err err;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    world_open(&w);
    assert_int_equal(remove_from(&w, "quarantine"), 0);
    clock_fake_advance(&w.clock, 60 * NS_PER_S);
    assert_int_equal(storage_step_missing(w.s, &err), 1);
    assert_int_equal(ask(&w, STR("anonymous"), whole_day).missing.segments, 0);
    assert_int_equal(storage_step_missing(w.s, &err), 0);
    world_release(&w);
}

static void test_what_cannot_be_set_aside_is_missing_all_the_same(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct world w;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    close_without_log(&w);
    flip(w.fs, path, 20);
    fs_fault_fail_at(w.fs, FS_FAULT_RENAME, "seg/*", 1, ERR_IO, FS_FAULT_FOREVER);
    world_open(&w);
    assert_true(fs_fault_failed(w.fs) > 0);
    assert_int_equal(ask(&w, STR("anonymous"), whole_day).missing.segments, 1);
    fs_fault_fail_never(w.fs);
    world_release(&w);
}

/* ---- a damaged part of a service ---- */

struct totals {
    value128 tree, profile, series;
    uint32_t lacking;               /* datasets that the three questions said they lack, added up */
    struct storage_missing missing; /* of the three together */
};

static value128 sum_of_tree(struct world *w, const struct query *q)
{
    struct tree_names *names = tree_names_new(q->arena);
    struct err err = {0};
    struct tree *tree;

    if (query_tree(w->s, q, names, &tree, &err) != 0)
        fail_msg("%s", err.msg);
    return tree_nodes(tree)[TREE_ROOT].total;
}

static value128 sum_of_profile(struct world *w, const struct query *q)
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

static value128 sum_of_series(struct world *w, const struct query *q)
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
static struct totals totals_of(struct world *w, const char *selector)
{
    struct str tenant = STR("anonymous");
    struct totals t = {0};
    struct arena arena;
    struct query q = {.tenants = &tenant, .tenant_count = 1, .time = whole_day};
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

static const char *const selectors[SERVICES] = {
    "{service_name=\"svc-a\"}", "{service_name=\"svc-b\"}", "{service_name=\"svc-c\"}"};

static uint32_t lacking(value128 whole, value128 got)
{
    if (got == whole)
        return 0;
    assert_true(got == 0); /* all or nothing of a dataset */
    return 1;
}

/* What each question lacks is what it says it lacks; returns that. */
static uint32_t assert_confined(struct world *w, const struct totals *whole, uint32_t damaged)
{
    struct totals all = totals_of(w, "{}"), sum = {0};
    uint32_t lost = 0;

    for (uint32_t i = 0; i < SERVICES; i++) {
        struct totals t = totals_of(w, selectors[i]);
        uint32_t n = lacking(whole[i].tree, t.tree) + lacking(whole[i].profile, t.profile) +
                     lacking(whole[i].series, t.series);

        assert_int_equal(t.lacking, n);
        assert_int_equal(t.missing.segments, 0);
        assert_true(n == 0 || i == damaged);
        lost += n;
        sum.tree += t.tree;
        sum.profile += t.profile;
        sum.series += t.series;
    }
    assert_true(all.tree == sum.tree && all.profile == sum.profile && all.series == sum.series);
    assert_int_equal(all.lacking, lost);
    assert_int_equal(all.missing.datasets, lost > 0);
    return lost;
}

/* The section table of the only segment, from its own footer. */
static uint32_t sections_of(struct world *w, const char *path, struct segment_section **out)
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

static void test_a_flipped_bit_in_a_section_costs_at_most_its_service_and_is_told(void **state)
{
    struct totals whole[SERVICES];
    struct segment_section *sections;
    char path[SEGMENT_PATH_MAX];
    struct storage_stats stats;
    struct world w;
    uint32_t count, lost = 0;

    (void)state;
    world_init_with(&w, SEGMENT_ROLLUPS_ALWAYS);
    path_of(&w, 0, SEGMENT_FILE_AGG, path);
    for (uint32_t i = 0; i < SERVICES; i++) {
        whole[i] = totals_of(&w, selectors[i]);
        assert_true(whole[i].tree > 0 && whole[i].series > 0);
    }
    assert_int_equal(assert_confined(&w, whole, SERVICES), 0);
    count = sections_of(&w, path, &sections);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = sections[i].offset + sections[i].stored / 2;

        if (sections[i].service == SEGMENT_WHOLE_FILE || sections[i].stored == 0)
            continue;
        close_without_log(&w);
        flip(w.fs, path, at);
        world_open(&w);
        lost += assert_confined(&w, whole, sections[i].service);
        storage_stats(w.s, &stats);
        assert_int_equal(stats.datasets_damaged <= 1, 1);
        flip(w.fs, path, at);
    }
    assert_true(lost > count / 2); /* not only sums were hit */
    free(sections);
    world_release(&w);
}

static void test_damaged_rows_cost_their_service_unless_sums_do(void **state)
{
    struct totals whole[SERVICES], last;
    char path[SEGMENT_PATH_MAX];
    struct world w;
    uint64_t size;

    (void)state;
    world_init(&w);
    path_of(&w, 0, SEGMENT_FILE_SMP, path);
    size = segment_meta(w.s->segments[0])->smp_bytes;
    for (uint32_t i = 0; i < SERVICES; i++)
        whole[i] = totals_of(&w, selectors[i]);
    close_without_log(&w);
    flip(w.fs, path, SEGMENT_HEADER_BYTES + 3);
    flip(w.fs, path, size - 3);
    world_open(&w);
    last = totals_of(&w, selectors[SERVICES - 1]);
    assert_true(last.tree == 0 && last.missing.datasets >= 1);
    assert_true(last.missing.time.first_ns >= DAY_NS && last.missing.bytes > 0);
    assert_true(totals_of(&w, selectors[1]).tree == whole[1].tree);
    world_release(&w);
}

static void test_a_disk_that_cannot_be_read_is_missing_not_an_error(void **state)
{
    struct storage_stats stats;
    struct totals t;
    struct world w;

    (void)state;
    world_init(&w);
    close_without_log(&w);
    world_open(&w);
    fs_fault_fail_at(w.fs, FS_FAULT_READ, "seg/*.smp", 1, ERR_IO, FS_FAULT_FOREVER);
    t = totals_of(&w, "{}");
    assert_true(t.tree == 0);
    assert_int_equal(t.missing.datasets, SERVICES);
    storage_stats(w.s, &stats);
    assert_int_equal(stats.datasets_damaged, SERVICES);
    fs_fault_fail_never(w.fs);
    assert_int_equal(totals_of(&w, "{}").missing.datasets, 0); /* it is asked all the same */
    world_release(&w);
}

static void compact(struct world *w)
{
    struct err err = {0};

    for (int i = 0; i < 20; i++) {
        clock_fake_advance(&w->clock, 10 * NS_PER_S);
        (void)storage_step_compact(w->s, &err);
        (void)storage_step_unlink(w->s, &err);
    }
}

static void test_a_damaged_segment_is_not_merged_and_does_not_stop_the_others(void **state)
{
    struct totals whole[SERVICES];
    char path[SEGMENT_PATH_MAX];
    struct world w;
    uint32_t days[3] = {0};

    (void)state;
    world_init(&w); /* one segment of the first day, then two more, then two of the next */
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < SERVICES && i == 2; k++)
            w.gen[k].first_ns += NS_PER_DAY;
        push_rows(&w, ROWS);
        seal(&w);
    }
    assert_int_equal(w.s->segment_count, 5);
    path_of(&w, 1, SEGMENT_FILE_SMP, path);
    for (uint32_t i = 0; i < SERVICES; i++)
        whole[i] = totals_of(&w, selectors[i]);
    close_without_log(&w);
    flip(w.fs, path, SEGMENT_HEADER_BYTES + 3);
    world_open(&w);
    clock_fake_advance(&w.clock, 3 * NS_PER_DAY);
    compact(&w);
    for (uint32_t i = 0; i < w.s->segment_count; i++)
        days[segment_meta(w.s->segments[i])->day - 20000]++;
    assert_int_equal(days[0], 2); /* the damaged one, and one of the two others */
    assert_int_equal(days[1], 1);
    assert_true(totals_of(&w, selectors[1]).tree == whole[1].tree);
    assert_true(totals_of(&w, selectors[0]).missing.datasets > 0);
    world_release(&w);
}

/* ---- reading it again ---- */

static void scrub_for(struct world *w, int64_t seconds)
{
    struct err err = {0};

    for (int64_t i = 0; i < seconds * 20; i++) {
        clock_fake_advance(&w->clock, NS_PER_S / 20);
        assert_true(storage_step_scrub(w->s, &err) >= 0);
    }
}

static struct storage_stats stats_of(struct world *w)
{
    struct storage_stats stats;

    storage_stats(w->s, &stats);
    return stats;
}

static void test_reading_again_finds_what_no_question_has_met(void **state)
{
    char path[2][SEGMENT_PATH_MAX];
    struct segment_section *sections;
    struct world w;
    uint32_t count;
    uint64_t smp_bytes;

    (void)state;
    world_init_with(&w, SEGMENT_ROLLUPS_ALWAYS);
    w.o.scrub_interval_ns = 1;
    path_of(&w, 0, SEGMENT_FILE_AGG, path[0]);
    path_of(&w, 0, SEGMENT_FILE_SMP, path[1]);
    smp_bytes = segment_meta(w.s->segments[0])->smp_bytes;
    count = sections_of(&w, path[0], &sections);
    for (uint32_t i = 0; i < count + 3; i++) {
        const uint64_t smp_at[] = {SEGMENT_HEADER_BYTES + 3, smp_bytes / 2, smp_bytes - 3};
        uint64_t at = i < count ? sections[i].offset + sections[i].stored / 2 : smp_at[i - count];
        bool whole = i < count && sections[i].service == SEGMENT_WHOLE_FILE;

        if (i < count && sections[i].stored == 0)
            continue;
        close_without_log(&w);
        world_open(&w);
        flip(w.fs, path[i >= count], at);
        scrub_for(&w, 2);
        assert_true(stats_of(&w).scrub_findings >= 1);
        assert_int_equal(stats_of(&w).datasets_damaged, !whole);
        flip(w.fs, path[i >= count], at);
        scrub_for(&w, 2);
        assert_int_equal(stats_of(&w).datasets_damaged, 0); /* it was the disk's mood */
    }
    free(sections);
    world_release(&w);
}

static void test_reading_again_keeps_to_its_rate_and_its_order(void **state)
{
    struct storage_stats stats;
    struct world w;
    uint64_t all;

    (void)state;
    world_init(&w);
    w.o.scrub_interval_ns = NS_PER_DAY;
    for (int i = 0; i < 3; i++) {
        clock_fake_advance(&w.clock, NS_PER_S);
        push_rows(&w, ROWS);
        seal(&w);
    }
    all = stats_of(&w).segment_bytes;
    w.o.scrub_bytes_per_s = all / 40;
    world_close(&w);
    world_open(&w);
    scrub_for(&w, 20);
    assert_int_equal(stats_of(&w).scrub_bytes, 0); /* nothing is that old yet */
    clock_fake_advance(&w.clock, NS_PER_DAY);
    scrub_for(&w, 20);
    stats = stats_of(&w);
    assert_in_range(stats.scrub_bytes, all / 4, all * 3 / 4);
    assert_true(stats.scrub_segments > 0 && stats.scrub_segments < 4 && stats.scrub_pass_ns == 0);
    for (uint32_t i = 0; i < w.s->segment_count; i++)
        for (uint32_t k = 0; k < w.s->segment_count; k++)
            if (segment_checked_ns(w.s->segments[i]) > 0 &&
                segment_checked_ns(w.s->segments[k]) == 0)
                assert_true(segment_meta(w.s->segments[i])->created_ns <
                            segment_meta(w.s->segments[k])->created_ns);
    scrub_for(&w, 80);
    stats = stats_of(&w);
    assert_int_equal(stats.scrub_segments, 4);
    assert_int_equal(stats.scrub_findings, 0);
    assert_true(stats.scrub_pass_ns > 0);
    world_release(&w);
}

static void test_nothing_is_read_again_when_it_is_off(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.o.scrub_interval_ns = 1;
    w.o.scrub_bytes_per_s = 0;
    world_close(&w);
    world_open(&w);
    scrub_for(&w, 20);
    assert_int_equal(stats_of(&w).scrub_bytes, 0);
    world_release(&w);
}

static void test_a_segment_that_leaves_while_it_is_read_again_is_not_damaged(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    w.o.scrub_interval_ns = 1;
    w.o.scrub_bytes_per_s = 1000; /* a part a step */
    push_rows(&w, ROWS);
    seal(&w);
    world_close(&w);
    world_open(&w);
    scrub_for(&w, 1);
    assert_non_null(w.s->scrub);
    clock_fake_advance(&w.clock, 3 * NS_PER_DAY);
    compact(&w);
    assert_int_equal(w.s->segment_count, 1);
    for (uint32_t i = 0; i < w.s->doomed_count; i++)
        assert_true(w.s->doomed[i].unlinked); /* not held up by who reads again */
    scrub_for(&w, 3);
    assert_int_equal(stats_of(&w).scrub_findings, 0);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_store_lacks_nothing),
        cmocka_unit_test(test_a_segment_set_aside_is_missing_over_restarts),
        cmocka_unit_test(test_only_questions_about_its_tenant_and_time_lack_it),
        cmocka_unit_test(test_a_segment_whose_rows_are_in_the_log_is_not_missing),
        cmocka_unit_test(test_what_was_taken_out_of_quarantine_is_missing_no_more),
        cmocka_unit_test(test_what_cannot_be_set_aside_is_missing_all_the_same),
        cmocka_unit_test(test_a_flipped_bit_in_a_section_costs_at_most_its_service_and_is_told),
        cmocka_unit_test(test_damaged_rows_cost_their_service_unless_sums_do),
        cmocka_unit_test(test_a_disk_that_cannot_be_read_is_missing_not_an_error),
        cmocka_unit_test(test_a_damaged_segment_is_not_merged_and_does_not_stop_the_others),
        cmocka_unit_test(test_reading_again_finds_what_no_question_has_met),
        cmocka_unit_test(test_reading_again_keeps_to_its_rate_and_its_order),
        cmocka_unit_test(test_nothing_is_read_again_when_it_is_off),
        cmocka_unit_test(test_a_segment_that_leaves_while_it_is_read_again_is_not_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A damaged store answers from what is sound, and says what an answer lacks. */
#include "storage/storage_internal.h"

#include "storage/segment_format.h"
#include "storage/wal_format.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/damage_world.h"
#include "tests/support/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_a_sound_store_lacks_nothing(void **state)
{
    struct damage_world w;
    struct damage_answer a;

    (void)state;
    damage_world_init(&w);
    a = damage_ask(&w, STR("anonymous"), damage_day);
    assert_int_equal(a.names, DAMAGE_SERVICES);
    assert_int_equal(a.missing.segments + a.missing.datasets, 0);
    damage_world_release(&w);
}

static void test_a_segment_set_aside_is_missing_over_restarts(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct storage_stats stats;
    struct damage_world w;
    struct damage_answer a;

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, 20);
    for (int start = 0; start < 3; start++) {
        damage_world_open(&w);
        assert_int_equal(w.recovery.segments_quarantined, start == 0 ? 1 : 0);
        a = damage_ask(&w, STR("anonymous"), damage_day);
        assert_int_equal(a.names, 0);
        assert_int_equal(a.missing.segments, 1);
        assert_true(a.missing.bytes > 0);
        assert_true(a.missing.time.first_ns >= DAMAGE_DAY_NS);
        assert_true(a.missing.time.last_ns <= damage_day.last_ns);
        storage_stats(w.s, &stats);
        assert_int_equal(stats.segments_quarantined, 1);
        assert_int_equal(stats.missing_bytes, a.missing.bytes);
        damage_world_close(&w);
    }
    damage_world_release(&w);
}

struct cutting {
    struct damage_world *w;
    uint64_t bytes; /* of both files */
    uint32_t cuts;
};

static void look_after_cut(void *ctx, const struct fs_fault_call *call)
{
    struct cutting *c = ctx;
    struct damage_world after = *c->w;

    after.fs = fs_fault_after_cut(call->fs, c->cuts++);
    after.o.fs = after.fs;
    damage_world_open(&after);
    assert_int_equal(damage_ask(&after, STR("anonymous"), damage_day).missing.segments, 1);
    assert_int_equal(damage_stats(&after).missing_bytes, c->bytes);
    damage_world_close(&after);
    fs_free(after.fs);
}

static void test_cut_off_while_it_is_set_aside_neither_file_is_lost(void **state)
{
    const struct segment_meta *m;
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;
    struct cutting c = {&w, 0, 0};

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    m = segment_meta(w.s->segments[0]);
    c.bytes = m->agg_bytes + m->smp_bytes;
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, 20);
    fs_fault_on_call(w.fs, FS_FAULT_CHANGES, look_after_cut, &c);
    damage_world_open(&w);
    fs_fault_on_call(w.fs, FS_FAULT_CHANGES, NULL, NULL);
    assert_true(c.cuts > 5);
    assert_int_equal(damage_stats(&w).missing_bytes, c.bytes);
    damage_world_release(&w);
}

static void test_only_questions_about_its_tenant_and_time_lack_it(void **state)
{
    struct time_span before = {0, DAMAGE_DAY_NS - 1};
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, 20);
    damage_world_open(&w);
    assert_int_equal(damage_ask(&w, STR("anonymous"), before).missing.segments, 0);
    assert_int_equal(damage_ask(&w, STR("other"), damage_day).missing.segments, 0);
    assert_int_equal(damage_ask(&w, STR("anonymous"), damage_day).missing.segments, 1);
    damage_world_release(&w);
}

static void test_a_segment_whose_rows_are_in_the_log_is_not_missing(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;
    struct damage_answer a;

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    damage_world_close(&w);
    damage_flip(w.fs, path, 20);
    for (int start = 0; start < 2; start++) { /* from the log, then from the segment made of it */
        damage_world_open(&w);
        assert_int_equal(w.recovery.segments_quarantined, start == 0 ? 1 : 0);
        a = damage_ask(&w, STR("anonymous"), damage_day);
        assert_int_equal(a.names, DAMAGE_SERVICES);
        assert_int_equal(a.missing.segments, 0);
        damage_seal(&w);
        assert_int_equal(damage_remove_all(&w, "wal"), 0);
        damage_world_close(&w);
    }
    damage_world_release(&w);
}

static void test_what_was_taken_out_of_quarantine_is_missing_no_more(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;
    struct err err;

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, 20);
    damage_world_open(&w);
    assert_int_equal(damage_remove_all(&w, "quarantine"), 0);
    clock_fake_advance(&w.clock, 60 * NS_PER_S);
    assert_int_equal(storage_step_missing(w.s, &err), 1);
    assert_int_equal(damage_ask(&w, STR("anonymous"), damage_day).missing.segments, 0);
    assert_int_equal(storage_step_missing(w.s, &err), 0);
    damage_world_release(&w);
}

static void test_what_retention_would_have_deleted_is_not_missing(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;

    (void)state;
    damage_world_init(&w);
    w.o.retention.max_age_ns = 3 * NS_PER_DAY;
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, 20);
    damage_world_open(&w);
    assert_int_equal(damage_ask(&w, STR("anonymous"), damage_day).missing.segments, 1);
    clock_fake_advance(&w.clock, 5 * NS_PER_DAY);
    assert_int_equal(damage_ask(&w, STR("anonymous"), damage_day).missing.segments, 0);
    assert_int_equal(damage_stats(&w).segments_quarantined, 0);
    damage_world_release(&w);
}

static void test_what_is_missing_can_be_listed(void **state)
{
    struct storage_usage usage;
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;
    struct arena arena;
    struct err err;

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_SMP, path);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, SEGMENT_HEADER_BYTES + 3);
    damage_world_open(&w);
    arena_init(&arena, SIZE_MAX);
    assert_int_equal(storage_usage(w.s, &arena, &usage, &err), 0);
    assert_int_equal(usage.missing_count, 0); /* nobody has met it yet */
    (void)damage_totals(&w, damage_selectors[0]);
    assert_int_equal(storage_usage(w.s, &arena, &usage, &err), 0);
    assert_int_equal(usage.missing_count, 1);
    assert_true(str_eq(usage.missing[0].service, STR("svc-a")));
    assert_true(usage.missing[0].bytes > 0);
    damage_world_close(&w);
    damage_flip(w.fs, path, 20); /* now the segment as a whole */
    damage_world_open(&w);
    assert_int_equal(storage_usage(w.s, &arena, &usage, &err), 0);
    assert_int_equal(usage.missing_count, 1);
    assert_int_equal(usage.missing[0].service.len, 0);
    assert_true(str_starts(usage.missing[0].file, STR("quarantine/")));
    arena_release(&arena);
    damage_world_release(&w);
}

static void test_what_cannot_be_set_aside_is_missing_all_the_same(void **state)
{
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, 20);
    fs_fault_fail_at(w.fs, FS_FAULT_RENAME, "seg/*", 1, ERR_IO, FS_FAULT_FOREVER);
    damage_world_open(&w);
    assert_true(fs_fault_failed(w.fs) > 0);
    assert_int_equal(damage_ask(&w, STR("anonymous"), damage_day).missing.segments, 1);
    fs_fault_fail_never(w.fs);
    damage_world_release(&w);
}

/* Where the payload of the only evict record in the log starts. */
static uint64_t find_evict_record(struct damage_world *w, uint32_t epoch)
{
    static char data[8 << 20];
    struct wal_record record;
    char path[WAL_PATH_MAX];
    struct fs_file *f;
    size_t got = 0;

    wal_path(epoch, path);
    if (fs_open(w->fs, path, FS_READ, &f, NULL) != 0)
        return 0;
    assert_int_equal(fs_pread(f, data, sizeof(data), 0, &got, NULL), 0);
    fs_close(f);
    for (uint64_t at = WAL_HEADER_BYTES;
         wal_record_get((struct str){data, got}, at, epoch, &record);
         at += wal_record_size(record.payload.len))
        if (record.type == WAL_EVICT)
            return at + WAL_RECORD_BYTES;
    return 0;
}

static void evict_all(struct damage_world *w)
{
    struct err err;

    for (int i = 0; i < 4; i++) {
        clock_fake_advance(&w->clock, 60 * NS_PER_S);
        assert_true(storage_step_evict(w->s, &err) >= 0);
        while (storage_step_commit(w->s, true, &err) > 0)
            ;
        (void)storage_step_unlink(w->s, &err);
    }
    assert_int_equal(w->s->segment_count, 0);
}

static void test_a_damaged_evict_record_is_told_and_its_rows_go_again(void **state)
{
    struct damage_world w;
    const struct time_span ever = {0, INT64_MAX};
    char path[WAL_PATH_MAX];
    uint64_t at = 0;
    uint32_t epoch;
    struct err err;

    (void)state;
    damage_world_init(&w);
    damage_world_close(&w);
    w.o.retention.max_age_ns = 2 * NS_PER_DAY;
    damage_world_open(&w);
    clock_fake_advance(&w.clock, 5 * NS_PER_DAY);
    evict_all(&w);
    damage_push(&w, 1); /* the log knows that what comes before is durable */
    assert_int_equal(storage_close(w.s, INT64_MIN, &err), 0);
    for (epoch = 1; epoch < 9 && at == 0; epoch++)
        at = find_evict_record(&w, epoch);
    assert_true(at > 0);
    wal_path(epoch - 1, path);
    damage_flip(w.fs, path, at + 3);
    damage_world_open(&w);
    assert_int_equal(w.recovery.wal.files_quarantined, 1);
    /* The simulated disk's clock began at 0: that is when the file was found damaged. */
    assert_int_equal(damage_ask(&w, STR("anonymous"), ever).missing.logs, 1);
    assert_int_equal(damage_stats(&w).logs_quarantined, 1);
    damage_seal(&w);
    evict_all(&w);
    assert_int_equal(damage_ask(&w, STR("anonymous"), damage_day).names, 0);
    damage_world_release(&w);
}

/* ---- a damaged part of a service ---- */

static uint32_t lacking(value128 whole, value128 got)
{
    if (got == whole)
        return 0;
    assert_true(got == 0); /* all or nothing of a dataset */
    return 1;
}

/* What each question lacks is what it says it lacks; returns that. */
static uint32_t assert_confined(struct damage_world *w, const struct damage_totals *whole,
                                uint32_t damaged)
{
    struct damage_totals all = damage_totals(w, "{}"), sum = {0};
    uint32_t lost = 0;

    for (uint32_t i = 0; i < DAMAGE_SERVICES; i++) {
        struct damage_totals t = damage_totals(w, damage_selectors[i]);
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

static void test_a_flipped_bit_in_a_section_costs_at_most_its_service_and_is_told(void **state)
{
    struct damage_totals whole[DAMAGE_SERVICES];
    struct segment_section *sections;
    char path[SEGMENT_PATH_MAX];
    struct storage_stats stats;
    struct damage_world w;
    uint32_t count, lost = 0;

    (void)state;
    damage_world_init_with(&w, SEGMENT_ROLLUPS_ALWAYS);
    damage_path(&w, 0, SEGMENT_FILE_AGG, path);
    for (uint32_t i = 0; i < DAMAGE_SERVICES; i++) {
        whole[i] = damage_totals(&w, damage_selectors[i]);
        assert_true(whole[i].tree > 0 && whole[i].series > 0);
    }
    assert_int_equal(assert_confined(&w, whole, DAMAGE_SERVICES), 0);
    count = damage_sections(&w, path, &sections);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = sections[i].offset + sections[i].stored / 2;

        if (sections[i].service == SEGMENT_WHOLE_FILE || sections[i].stored == 0)
            continue;
        damage_world_close_without_log(&w);
        damage_flip(w.fs, path, at);
        damage_world_open(&w);
        lost += assert_confined(&w, whole, sections[i].service);
        storage_stats(w.s, &stats);
        assert_int_equal(stats.datasets_damaged <= 1, 1);
        damage_flip(w.fs, path, at);
    }
    assert_true(lost > count / 2); /* not only sums were hit */
    free(sections);
    damage_world_release(&w);
}

static void test_damaged_rows_cost_their_service_unless_sums_do(void **state)
{
    struct damage_totals whole[DAMAGE_SERVICES], last;
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;
    uint64_t size;

    (void)state;
    damage_world_init(&w);
    damage_path(&w, 0, SEGMENT_FILE_SMP, path);
    size = segment_meta(w.s->segments[0])->smp_bytes;
    for (uint32_t i = 0; i < DAMAGE_SERVICES; i++)
        whole[i] = damage_totals(&w, damage_selectors[i]);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, SEGMENT_HEADER_BYTES + 3);
    damage_flip(w.fs, path, size - 3);
    damage_world_open(&w);
    last = damage_totals(&w, damage_selectors[DAMAGE_SERVICES - 1]);
    assert_true(last.tree == 0 && last.profile == 0 && last.missing.datasets == 1);
    assert_true(last.series == 0); /* nor what was read before the damage was met */
    assert_true(damage_totals(&w, "{}").series == whole[0].series + whole[1].series);
    assert_true(last.missing.time.first_ns >= DAMAGE_DAY_NS && last.missing.bytes > 0);
    assert_true(damage_totals(&w, damage_selectors[1]).tree == whole[1].tree);
    damage_world_release(&w);
}

static void test_a_disk_that_cannot_be_read_is_missing_not_an_error(void **state)
{
    struct storage_stats stats;
    struct damage_totals t;
    struct damage_world w;

    (void)state;
    damage_world_init(&w);
    damage_world_close_without_log(&w);
    damage_world_open(&w);
    fs_fault_fail_at(w.fs, FS_FAULT_READ, "seg/*.smp", 1, ERR_IO, FS_FAULT_FOREVER);
    t = damage_totals(&w, "{}");
    assert_true(t.tree == 0);
    assert_int_equal(t.missing.datasets, DAMAGE_SERVICES);
    storage_stats(w.s, &stats);
    assert_int_equal(stats.datasets_damaged, DAMAGE_SERVICES);
    fs_fault_fail_never(w.fs);
    assert_int_equal(damage_totals(&w, "{}").missing.datasets, 0); /* it is asked all the same */
    damage_world_release(&w);
}

static void compact(struct damage_world *w)
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
    struct damage_totals whole[DAMAGE_SERVICES];
    char path[SEGMENT_PATH_MAX];
    struct damage_world w;
    uint32_t days[3] = {0};

    (void)state;
    damage_world_init(&w); /* one segment of the first day, then two more, then two of the next */
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < DAMAGE_SERVICES && i == 2; k++)
            w.gen[k].first_ns += NS_PER_DAY;
        damage_push(&w, DAMAGE_ROWS);
        damage_seal(&w);
    }
    assert_int_equal(w.s->segment_count, 5);
    damage_path(&w, 1, SEGMENT_FILE_SMP, path);
    for (uint32_t i = 0; i < DAMAGE_SERVICES; i++)
        whole[i] = damage_totals(&w, damage_selectors[i]);
    damage_world_close_without_log(&w);
    damage_flip(w.fs, path, SEGMENT_HEADER_BYTES + 3);
    damage_world_open(&w);
    clock_fake_advance(&w.clock, 3 * NS_PER_DAY);
    compact(&w);
    for (uint32_t i = 0; i < w.s->segment_count; i++)
        days[segment_meta(w.s->segments[i])->day - 20000]++;
    assert_int_equal(days[0], 2); /* the damaged one, and one of the two others */
    assert_int_equal(days[1], 1);
    assert_true(damage_totals(&w, damage_selectors[1]).tree == whole[1].tree);
    assert_true(damage_totals(&w, damage_selectors[0]).missing.datasets > 0);
    damage_world_release(&w);
}

/* ---- reading it again ---- */

static void scrub_for(struct damage_world *w, int64_t seconds)
{
    struct err err = {0};

    for (int64_t i = 0; i < seconds * 20; i++) {
        clock_fake_advance(&w->clock, NS_PER_S / 20);
        assert_true(storage_step_scrub(w->s, &err) >= 0);
    }
}

static void test_reading_again_finds_what_no_question_has_met(void **state)
{
    char path[2][SEGMENT_PATH_MAX];
    struct segment_section *sections;
    struct damage_world w;
    uint32_t count;
    uint64_t smp_bytes;

    (void)state;
    damage_world_init_with(&w, SEGMENT_ROLLUPS_ALWAYS);
    w.o.scrub_interval_ns = 1;
    damage_path(&w, 0, SEGMENT_FILE_AGG, path[0]);
    damage_path(&w, 0, SEGMENT_FILE_SMP, path[1]);
    smp_bytes = segment_meta(w.s->segments[0])->smp_bytes;
    count = damage_sections(&w, path[0], &sections);
    for (uint32_t i = 0; i < count + 3; i++) {
        const uint64_t smp_at[] = {SEGMENT_HEADER_BYTES + 3, smp_bytes / 2, smp_bytes - 3};
        uint64_t at = i < count ? sections[i].offset + sections[i].stored / 2 : smp_at[i - count];
        bool whole = i < count && sections[i].service == SEGMENT_WHOLE_FILE;

        if (i < count && sections[i].stored == 0)
            continue;
        damage_world_close_without_log(&w);
        damage_world_open(&w);
        damage_flip(w.fs, path[i >= count], at);
        scrub_for(&w, 2);
        assert_true(damage_stats(&w).scrub_findings >= 1);
        assert_int_equal(damage_stats(&w).datasets_damaged, !whole);
        damage_flip(w.fs, path[i >= count], at);
        scrub_for(&w, 2);
        assert_int_equal(damage_stats(&w).datasets_damaged, 0); /* it was the disk's mood */
    }
    free(sections);
    damage_world_release(&w);
}

static void test_reading_again_keeps_to_its_rate_and_its_order(void **state)
{
    struct storage_stats stats;
    struct damage_world w;
    uint64_t all;

    (void)state;
    damage_world_init(&w);
    w.o.scrub_interval_ns = NS_PER_DAY;
    for (int i = 0; i < 3; i++) {
        clock_fake_advance(&w.clock, NS_PER_S);
        damage_push(&w, DAMAGE_ROWS);
        damage_seal(&w);
    }
    all = damage_stats(&w).segment_bytes;
    w.o.scrub_bytes_per_s = all / 40;
    damage_world_close(&w);
    damage_world_open(&w);
    scrub_for(&w, 20);
    assert_int_equal(damage_stats(&w).scrub_bytes, 0); /* nothing is that old yet */
    clock_fake_advance(&w.clock, NS_PER_DAY);
    scrub_for(&w, 20);
    stats = damage_stats(&w);
    assert_in_range(stats.scrub_bytes, all / 4, all * 3 / 4);
    assert_true(stats.scrub_segments > 0 && stats.scrub_segments < 4 && stats.scrub_pass_ns == 0);
    for (uint32_t i = 0; i < w.s->segment_count; i++)
        for (uint32_t k = 0; k < w.s->segment_count; k++)
            if (segment_checked_ns(w.s->segments[i]) > 0 &&
                segment_checked_ns(w.s->segments[k]) == 0)
                assert_true(segment_meta(w.s->segments[i])->created_ns <
                            segment_meta(w.s->segments[k])->created_ns);
    scrub_for(&w, 80);
    stats = damage_stats(&w);
    assert_int_equal(stats.scrub_segments, 4);
    assert_int_equal(stats.scrub_findings, 0);
    assert_true(stats.scrub_pass_ns > 0);
    damage_world_release(&w);
}

static void test_nothing_is_read_again_when_it_is_off(void **state)
{
    struct damage_world w;

    (void)state;
    damage_world_init(&w);
    w.o.scrub_interval_ns = 1;
    w.o.scrub_bytes_per_s = 0;
    damage_world_close(&w);
    damage_world_open(&w);
    scrub_for(&w, 20);
    assert_int_equal(damage_stats(&w).scrub_bytes, 0);
    damage_world_release(&w);
}

static void test_a_segment_that_leaves_while_it_is_read_again_is_not_damaged(void **state)
{
    struct damage_world w;
    struct err err;

    (void)state;
    damage_world_init(&w);
    w.o.scrub_interval_ns = 1;
    w.o.scrub_bytes_per_s = 1000; /* a part a step */
    damage_push(&w, DAMAGE_ROWS);
    damage_seal(&w);
    damage_world_close(&w);
    damage_world_open(&w);
    scrub_for(&w, 1);
    assert_non_null(w.s->scrub);
    clock_fake_advance(&w.clock, 3 * NS_PER_DAY);
    for (int i = 0; i < 20 && w.s->segment_count > 1; i++) {
        clock_fake_advance(&w.clock, 10 * NS_PER_S);
        assert_true(storage_step_compact(w.s, &err) >= 0);
    }
    assert_int_equal(w.s->segment_count, 1);
    assert_int_equal(storage_step_unlink(w.s, &err), 1);
    assert_non_null(w.s->scrub);
    assert_int_equal(w.s->doomed_count, 0); /* reading again keeps no files */
    scrub_for(&w, 3);
    assert_int_equal(damage_stats(&w).scrub_findings, 0);
    damage_world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_store_lacks_nothing),
        cmocka_unit_test(test_a_segment_set_aside_is_missing_over_restarts),
        cmocka_unit_test(test_cut_off_while_it_is_set_aside_neither_file_is_lost),
        cmocka_unit_test(test_only_questions_about_its_tenant_and_time_lack_it),
        cmocka_unit_test(test_a_segment_whose_rows_are_in_the_log_is_not_missing),
        cmocka_unit_test(test_what_was_taken_out_of_quarantine_is_missing_no_more),
        cmocka_unit_test(test_what_retention_would_have_deleted_is_not_missing),
        cmocka_unit_test(test_what_is_missing_can_be_listed),
        cmocka_unit_test(test_what_cannot_be_set_aside_is_missing_all_the_same),
        cmocka_unit_test(test_a_damaged_evict_record_is_told_and_its_rows_go_again),
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

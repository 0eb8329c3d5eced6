/* repair: what is sound of a damaged segment answers again, what is lost stays known as missing. */
#include "storage/storage_internal.h"

#include "storage/missing_note.h"
#include "storage/segment_format.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include "tests/support/damage_world.h"
#include "tests/support/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS_BYTE (SEGMENT_HEADER_BYTES + 3) /* in .smp: the first service's first chunk */

/* Returns what it says; *report is the caller's. */
static int repair(struct fs *fs, bool apply, struct buf *report)
{
    struct err err = {0};

    buf_reset(report);
    return storage_repair(fs, DAMAGE_DAY_NS, apply, report, &err);
}

static bool says(const struct buf *report, const char *text)
{
    return str_find(buf_str(report), str_from(text)) != SIZE_MAX;
}

struct before {
    struct damage_totals whole[DAMAGE_SERVICES];
    char agg[SEGMENT_PATH_MAX], smp[SEGMENT_PATH_MAX];
};

static void start_with(struct damage_world *w, struct before *b, enum segment_rollups rollups)
{
    damage_world_init_with(w, rollups);
    for (int i = 0; i < DAMAGE_SERVICES; i++)
        b->whole[i] = damage_totals(w, damage_selectors[i]);
    damage_path(w, 0, SEGMENT_FILE_AGG, b->agg);
    damage_path(w, 0, SEGMENT_FILE_SMP, b->smp);
    damage_world_close_without_log(w);
}

static void start(struct damage_world *w, struct before *b)
{
    start_with(w, b, SEGMENT_ROLLUPS_AUTO);
}

/* Services from `first` on are as they were; those before answer nothing and say so. */
static void assert_lost(struct damage_world *w, const struct before *b, int first)
{
    for (int i = 0; i < DAMAGE_SERVICES; i++) {
        struct damage_totals t = damage_totals(w, damage_selectors[i]);
        bool sound = i >= first;

        assert_true(t.tree == (sound ? b->whole[i].tree : 0));
        assert_true(t.profile == (sound ? b->whole[i].profile : 0));
        assert_true(t.series == (sound ? b->whole[i].series : 0));
        assert_int_equal(t.missing.datasets, !sound);
        assert_int_equal(t.missing.segments, 0);
    }
}

static void test_a_sound_store_has_nothing_to_repair(void **state)
{
    struct damage_world w;
    struct before b;
    struct buf report;

    (void)state;
    start(&w, &b);
    buf_init(&report, SIZE_MAX);
    assert_int_equal(repair(w.fs, false, &report), 0);
    assert_int_equal(repair(w.fs, true, &report), 0);
    assert_true(says(&report, "0 segments to repair"));
    buf_release(&report);
    damage_world_release(&w);
}

static void test_sound_services_are_saved_and_the_lost_one_stays_known(void **state)
{
    struct storage_stats stats;
    struct damage_world w;
    struct before b;
    struct buf report;

    (void)state;
    start(&w, &b);
    buf_init(&report, SIZE_MAX);
    damage_flip(w.fs, b.smp, ROWS_BYTE);
    assert_int_equal(repair(w.fs, true, &report), 0);
    assert_true(says(&report, "service svc-a: 20 profiles lost"));
    assert_true(says(&report, "2 of 3 services sound, 40 profiles: written anew"));
    for (int again = 0; again < 2; again++) {
        damage_world_open(&w);
        assert_int_equal(w.recovery.segments_quarantined, 0);
        assert_lost(&w, &b, 1);
        stats = damage_stats(&w);
        assert_int_equal(stats.segments, 1);
        assert_int_equal(stats.segments_quarantined, 1);
        assert_int_equal(stats.segment_rows, 2 * DAMAGE_ROWS);
        damage_world_close(&w);
    }
    assert_int_equal(repair(w.fs, true, &report), 0);
    assert_true(says(&report, "0 segments to repair"));
    damage_remove_all(&w, "quarantine"); /* given up */
    damage_world_open(&w);
    assert_int_equal(damage_totals(&w, damage_selectors[0]).missing.datasets, 0);
    buf_release(&report);
    damage_world_release(&w);
}

static void test_without_apply_nothing_changes(void **state)
{
    struct damage_world w;
    struct before b;
    struct buf report;
    uint64_t changes;

    (void)state;
    start(&w, &b);
    buf_init(&report, SIZE_MAX);
    damage_flip(w.fs, b.smp, ROWS_BYTE);
    changes = fs_fault_calls(w.fs, FS_FAULT_CHANGES & ~(unsigned int)FS_FAULT_CREATE);
    assert_int_equal(repair(w.fs, false, &report), ERR_CORRUPT);
    assert_true(says(&report, "would be written anew"));
    assert_int_equal(fs_fault_calls(w.fs, FS_FAULT_CHANGES & ~(unsigned int)FS_FAULT_CREATE),
                     changes);
    buf_release(&report);
    damage_world_release(&w);
}

static void test_damaged_sums_and_headers_lose_nothing(void **state)
{
    struct segment_section *sections;
    struct damage_world w;
    struct before b;
    struct buf report;
    uint64_t sums = 0;
    uint32_t count;

    (void)state;
    start_with(&w, &b, SEGMENT_ROLLUPS_ALWAYS);
    count = damage_sections(&w, b.agg, &sections);
    for (uint32_t i = 0; i < count; i++)
        if (sections[i].kind == SECTION_TOT)
            sums = sections[i].offset + 1;
    free(sections);
    damage_world_release(&w);
    assert_true(sums > 0);
    buf_init(&report, SIZE_MAX);
    for (int place = 0; place < 3; place++) {
        start_with(&w, &b, SEGMENT_ROLLUPS_ALWAYS);
        damage_flip(w.fs, place == 1 ? b.smp : b.agg, place == 2 ? sums : 20);
        assert_int_equal(repair(w.fs, true, &report), 0);
        assert_true(says(&report, "3 of 3 services sound"));
        damage_world_open(&w);
        assert_lost(&w, &b, 0);
        assert_int_equal(damage_stats(&w).segments_quarantined, 0);
        damage_world_release(&w);
    }
    buf_release(&report);
}

static void test_what_a_start_has_set_aside_is_saved_from_there(void **state)
{
    struct damage_world w;
    struct before b;
    struct buf report;

    (void)state;
    start(&w, &b);
    buf_init(&report, SIZE_MAX);
    damage_flip(w.fs, b.agg, 20);
    damage_flip(w.fs, b.smp, ROWS_BYTE);
    damage_world_open(&w);
    assert_int_equal(damage_stats(&w).segments, 0);
    damage_world_close(&w);
    assert_int_equal(repair(w.fs, false, &report), ERR_CORRUPT);
    assert_int_equal(repair(w.fs, true, &report), 0);
    damage_world_open(&w);
    assert_lost(&w, &b, 1);
    buf_release(&report);
    damage_world_release(&w);
}

static void test_what_came_back_from_the_log_is_not_counted_twice(void **state)
{
    struct damage_world w;
    struct before b;
    struct buf report;

    (void)state;
    damage_world_init(&w);
    for (int i = 0; i < DAMAGE_SERVICES; i++)
        b.whole[i] = damage_totals(&w, damage_selectors[i]);
    damage_path(&w, 0, SEGMENT_FILE_AGG, b.agg);
    damage_world_close(&w);
    buf_init(&report, SIZE_MAX);
    damage_flip(w.fs, b.agg, 20);
    for (int start = 0; start < 3; start++) { /* in place; in the log; in another segment */
        if (start > 0) {
            damage_world_open(&w);
            if (start == 2)
                damage_seal(&w);
            damage_world_close(&w);
            if (start == 2)
                damage_remove_all(&w, "wal");
            assert_int_equal(repair(w.fs, true, &report), 0);
            assert_true(says(&report, start == 1 ? "the log may hold" : "other segments hold"));
        }
    }
    damage_world_open(&w);
    assert_lost(&w, &b, 0);
    buf_release(&report);
    damage_world_release(&w);
}

static void test_where_nothing_is_sound_all_of_it_is_missing(void **state)
{
    struct damage_world w;
    struct before b;
    struct buf report;
    uint64_t size;
    struct fs_file *f;
    struct err err;

    (void)state;
    start(&w, &b);
    assert_int_equal(fs_open(w.fs, b.smp, FS_WRITE, &f, &err), 0);
    assert_int_equal(fs_file_size(f, &size, &err), 0);
    for (uint64_t at = SEGMENT_HEADER_BYTES; at < size; at++)
        assert_int_equal(fs_pwrite(f, "x", 1, at, &err), 0);
    fs_close(f);
    buf_init(&report, SIZE_MAX);
    assert_int_equal(repair(w.fs, true, &report), 0);
    assert_true(says(&report, "0 of 3 services sound"));
    damage_world_open(&w);
    assert_int_equal(damage_totals(&w, damage_selectors[0]).missing.segments, 1);
    assert_int_equal(damage_stats(&w).segments, 0);
    buf_release(&report);
    damage_world_release(&w);
}

static void test_a_running_server_is_left_alone(void **state)
{
    struct damage_world w;
    struct buf report;

    (void)state;
    damage_world_init(&w);
    buf_init(&report, SIZE_MAX);
    assert_int_equal(repair(w.fs, true, &report), ERR_BUSY);
    buf_release(&report);
    damage_world_release(&w);
}

/* ---- cut off ---- */

struct cutting {
    struct damage_world *w;
    const struct before *before;
    uint32_t cuts;
};

/* Whatever is left: a service is whole, or its absence is told; another repair ends the matter. */
static void look_after_cut(void *ctx, const struct fs_fault_call *call)
{
    struct cutting *c = ctx;
    struct damage_world after = *c->w;
    struct buf report;

    after.fs = fs_fault_after_cut(call->fs, c->cuts++);
    after.o.fs = after.fs;
    damage_world_open(&after);
    for (int i = 0; i < DAMAGE_SERVICES; i++) {
        struct damage_totals t = damage_totals(&after, damage_selectors[i]);

        if (t.tree != c->before->whole[i].tree || t.series != c->before->whole[i].series)
            assert_true(t.tree == 0 && t.missing.datasets + t.missing.segments > 0);
        else
            assert_true(i > 0);
    }
    damage_world_close(&after);
    buf_init(&report, SIZE_MAX);
    assert_int_equal(repair(after.fs, true, &report), 0);
    buf_release(&report);
    damage_world_open(&after);
    assert_lost(&after, c->before, 1);
    damage_world_close(&after);
    fs_free(after.fs);
}

static void test_cut_off_anywhere_nothing_is_silently_short_and_the_next_one_ends_it(void **state)
{
    struct damage_world w;
    struct before b;
    struct cutting c = {&w, &b, 0};
    struct buf report;

    (void)state;
    start(&w, &b);
    damage_flip(w.fs, b.smp, ROWS_BYTE);
    buf_init(&report, SIZE_MAX);
    fs_fault_on_call(w.fs, FS_FAULT_CHANGES, look_after_cut, &c);
    assert_int_equal(repair(w.fs, true, &report), 0);
    fs_fault_on_call(w.fs, FS_FAULT_CHANGES, NULL, NULL);
    assert_true(c.cuts > 10);
    damage_world_open(&w);
    assert_lost(&w, &b, 1);
    buf_release(&report);
    damage_world_release(&w);
}

static void test_a_note_is_read_as_written_and_every_flipped_bit_is_noticed(void **state)
{
    const struct missing_part parts[] = {{STR("a"), {-5, 7}, 100}, {STR("svc\nb"), {0, 0}, 0}};
    struct missing_part *got;
    struct arena arena;
    struct buf raw;
    uint32_t count;

    (void)state;
    buf_init(&raw, SIZE_MAX);
    arena_init(&arena, SIZE_MAX);
    missing_note_encode(parts, 2, &raw);
    assert_int_equal(missing_note_decode(buf_str(&raw), &arena, &got, &count, NULL), 0);
    assert_int_equal(count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(str_eq(got[i].service, parts[i].service));
        assert_int_equal(got[i].time.first_ns, parts[i].time.first_ns);
        assert_int_equal(got[i].time.last_ns, parts[i].time.last_ns);
        assert_int_equal(got[i].bytes, parts[i].bytes);
    }
    for (size_t i = 0; i < raw.len * 8; i++) {
        raw.data[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(missing_note_decode(buf_str(&raw), &arena, &got, &count, NULL), 0);
        raw.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t len = 0; len < raw.len; len++)
        assert_int_not_equal(
            missing_note_decode(str_slice(buf_str(&raw), 0, len), &arena, &got, &count, NULL), 0);
    buf_release(&raw);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_store_has_nothing_to_repair),
        cmocka_unit_test(test_sound_services_are_saved_and_the_lost_one_stays_known),
        cmocka_unit_test(test_without_apply_nothing_changes),
        cmocka_unit_test(test_damaged_sums_and_headers_lose_nothing),
        cmocka_unit_test(test_what_a_start_has_set_aside_is_saved_from_there),
        cmocka_unit_test(test_what_came_back_from_the_log_is_not_counted_twice),
        cmocka_unit_test(test_where_nothing_is_sound_all_of_it_is_missing),
        cmocka_unit_test(test_a_running_server_is_left_alone),
        cmocka_unit_test(test_cut_off_anywhere_nothing_is_silently_short_and_the_next_one_ends_it),
        cmocka_unit_test(test_a_note_is_read_as_written_and_every_flipped_bit_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

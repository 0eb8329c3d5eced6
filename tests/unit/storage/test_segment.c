/* segment: shows exactly the rows that went in, and notices every byte that changed. */
#include "storage/segment.h"

#include "storage/blob_store.h"
#include "storage/segment_cache.h"
#include "storage/segment_format.h"
#include "storage/segment_verify_rollup.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/dataset_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"
#include "tests/support/segment_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct time_span always = {INT64_MIN, INT64_MAX};

struct world {
    struct fs *fs;
    struct blob_store *blobs;
    struct dataset_fake *services[3];
    uint32_t count;
    struct segment_meta meta;
};

static void world_make(struct world *w, uint64_t seed, uint32_t services, uint32_t rows)
{
    static const char *const names[] = {"a-service", "b", "c"};
    struct err err;

    memset(w, 0, sizeof(*w));
    w->fs = fs_fault_new();
    w->count = services;
    assert_int_equal(blob_store_dir_open(w->fs, &w->blobs, &err), 0);
    for (uint32_t i = 0; i < services; i++)
        w->services[i] = segment_make_rows(seed + i * 1000, str_from(names[i]), rows);
    if (segment_make_write(w->blobs, seed, w->services, services, &w->meta, &err) != 0)
        fail_msg("%s", err.msg);
}

static void world_free(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        dataset_fake_free(w->services[i]);
    w->blobs->ops->free(w->blobs);
    fs_free(w->fs);
}

static int open_segment(struct world *w, struct segment_cache *cache, struct segment **out,
                        struct err *err)
{
    return segment_open(w->blobs, cache, w->meta.tenant, w->meta.day, w->meta.id, w->meta.level,
                        out, err);
}

static void describe(struct dataset *ds, struct time_span time, uint64_t types, bool samples,
                     struct buf *out)
{
    struct err err;

    buf_init(out, SIZE_MAX);
    if (dataset_describe(ds, time, types, samples, out, &err) != 0)
        fail_msg("%s", err.msg);
}

static void assert_same(struct dataset *a, struct dataset *b, struct time_span time, uint64_t types,
                        bool samples)
{
    struct buf x, y;

    describe(a, time, types, samples, &x);
    describe(b, time, types, samples, &y);
    if (!str_eq(buf_str(&x), buf_str(&y)))
        fail_msg("rows differ:\n%.*s\n----\n%.*s", (int)x.len, (char *)x.data, (int)y.len,
                 (char *)y.data);
    buf_release(&x);
    buf_release(&y);
}

static void compare_service(struct world *w, struct segment *seg, uint32_t i)
{
    struct dataset *want = dataset_fake_dataset(w->services[i]), *got;
    struct time_span middle = {want->time.first_ns + 1, want->time.last_ns - 1000000000000};
    struct time_span span;
    struct err err;

    assert_true(str_eq(segment_service_name(seg, i, &span), want->service));
    assert_true(span.first_ns == want->time.first_ns && span.last_ns == want->time.last_ns);
    assert_int_equal(segment_dataset_open(seg, i, &got, &err), 0);
    assert_true(got->time.first_ns == want->time.first_ns);
    assert_same(want, got, always, UINT64_MAX, true);
    assert_same(want, got, always, UINT64_MAX, false);
    assert_same(want, got, middle, UINT64_MAX, true);
    for (unsigned int t = 0; t < 4; t++)
        assert_same(want, got, middle, UINT64_C(1) << t, true);
    assert_same(want, got, always, 0, true);
    segment_dataset_close(got);
}

static void test_a_segment_shows_what_the_rows_show(void **state)
{
    static const uint32_t rows[] = {1, 2, 7, 40, 150};

    (void)state;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        struct segment_cache *cache = segment_cache_new(seed % 2 ? 1 << 20 : 0);
        struct segment *seg;
        struct world w;
        struct err err;

        world_make(&w, seed, 1 + seed % 3, rows[seed % 5]);
        if (open_segment(&w, seed % 3 ? cache : NULL, &seg, &err) != 0)
            fail_msg("%s", err.msg);
        assert_int_equal(segment_service_count(seg), w.count);
        for (uint32_t i = 0; i < w.count; i++)
            compare_service(&w, seg, i);
        segment_unref(seg);
        segment_cache_free(cache);
        world_free(&w);
    }
}

static void test_meta_comes_back_from_the_footer(void **state)
{
    const struct segment_meta *m;
    struct segment *seg;
    struct world w;
    struct err err;

    (void)state;
    world_make(&w, 4, 2, 30);
    assert_int_equal(open_segment(&w, NULL, &seg, &err), 0);
    m = segment_meta(seg);
    assert_true(m->rows == 60 && m->rows == w.meta.rows);
    assert_true(m->samples == w.meta.samples && m->services == 2);
    assert_true(m->time.first_ns == w.meta.time.first_ns);
    assert_true(m->agg_bytes == w.meta.agg_bytes && m->smp_bytes == w.meta.smp_bytes);
    assert_int_equal(m->created_ns, SEGMENT_MAKE_NS);
    assert_int_equal(m->source_count, 2);
    assert_true(m->sources[1].head_id == 6 && m->sources[1].lsn_first == 2 &&
                m->sources[1].lsn_last == 9);
    segment_unref(seg);
    world_free(&w);
}

/* A whole object of the store. */
static void slurp(struct world *w, enum segment_file file, struct buf *out)
{
    char path[SEGMENT_PATH_MAX];
    struct blob_reader *r;
    struct err err;
    uint64_t size;

    segment_path(w->meta.tenant, w->meta.day, w->meta.id, w->meta.level, file, path);
    assert_int_equal(w->blobs->ops->open(w->blobs, path, &r, &err), 0);
    size = w->blobs->ops->size(r);
    buf_init(out, SIZE_MAX);
    assert_int_equal(buf_append_zeroes(out, size), 0);
    assert_int_equal(w->blobs->ops->read(r, 0, out->data, size, &err), 0);
    w->blobs->ops->close(r);
}

static void test_the_same_rows_in_any_order_give_the_same_bytes(void **state)
{
    struct push_row rows[60];
    struct profile_gen g;
    struct buf first[2];

    (void)state;
    profile_gen_init(&g, 77, STR("svc"), SEGMENT_MAKE_NS + 1, INT64_C(7200000000000));
    for (int i = 0; i < 60; i++)
        profile_gen_row(&g, &rows[i]);
    for (uint64_t round = 0; round < 4; round++) {
        struct world w = {.fs = fs_fault_new(), .count = 1};
        struct rng rng = rng_of(round);
        uint32_t order[60];
        struct err err;

        assert_int_equal(blob_store_dir_open(w.fs, &w.blobs, &err), 0);
        w.services[0] = dataset_fake_new(STR("tenant"), STR("svc"));
        for (uint32_t i = 0; i < 60; i++)
            order[i] = i;
        for (uint32_t i = 59; round > 0 && i > 0; i--) {
            uint32_t j = (uint32_t)rng_below(&rng, i + 1), swap = order[i];

            order[i] = order[j];
            order[j] = swap;
        }
        for (uint32_t i = 0; i < 60; i++)
            dataset_fake_add(w.services[0], &rows[order[i]], 100 + order[i], 0);
        assert_int_equal(segment_make_write(w.blobs, 9, w.services, 1, &w.meta, &err), 0);
        for (int file = 0; file < 2; file++) {
            struct buf got;

            slurp(&w, (enum segment_file)file, &got);
            if (round == 0) {
                first[file] = got;
                continue;
            }
            assert_int_equal(got.len, first[file].len);
            assert_memory_equal(got.data, first[file].data, got.len);
            buf_release(&got);
        }
        world_free(&w);
    }
    buf_release(&first[0]);
    buf_release(&first[1]);
    profile_gen_release(&g);
}

/* Writes `bytes` over the object, past the store. */
static void replace(struct world *w, enum segment_file file, const void *bytes, size_t size)
{
    char path[SEGMENT_PATH_MAX];
    struct fs_file *f;
    struct err err;

    segment_path(w->meta.tenant, w->meta.day, w->meta.id, w->meta.level, file, path);
    assert_int_equal(fs_open(w->fs, path, FS_WRITE, &f, &err), 0);
    assert_int_equal(fs_truncate(f, 0, &err), 0);
    if (size > 0)
        assert_int_equal(fs_pwrite(f, bytes, size, 0, &err), 0);
    fs_close(f);
}

/* 0 when nothing is noticed: neither opening nor reading every row and sum nor verify says
 * anything. */
static bool is_noticed(struct world *w, bool by_reading)
{
    struct buf text, report;
    struct arena scratch;
    struct segment *seg;
    struct err err;
    int rc = open_segment(w, NULL, &seg, &err);

    if (rc != 0) {
        assert_true(rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED);
        return true;
    }
    buf_init(&text, SIZE_MAX);
    buf_init(&report, SIZE_MAX);
    arena_init(&scratch, SIZE_MAX);
    if (by_reading) {
        for (uint32_t i = 0; rc == 0 && i < w->count; i++) {
            struct dataset *ds;

            assert_int_equal(segment_dataset_open(seg, i, &ds, &err), 0);
            rc = dataset_describe(ds, always, UINT64_MAX, true, &text, &err);
            if (rc == 0)
                rc = segment_verify_rollups(ds, "sums", &scratch, &err);
            arena_reset(&scratch);
            segment_dataset_close(ds);
        }
    } else {
        rc = segment_verify(seg, &report, &err);
        assert_true((rc != 0) == (report.len > 0));
    }
    assert_true(rc == 0 || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED);
    segment_unref(seg);
    arena_release(&scratch);
    buf_release(&text);
    buf_release(&report);
    return rc != 0;
}

static void test_every_flipped_byte_is_noticed(void **state)
{
    struct world w;

    (void)state;
    world_make(&w, 21, 1, 3);
    assert_false(is_noticed(&w, true));
    assert_false(is_noticed(&w, false));
    for (int file = 0; file < 2; file++) {
        struct buf bytes;

        slurp(&w, (enum segment_file)file, &bytes);
        for (size_t i = 0; i < bytes.len; i++) {
            bytes.data[i] ^= (uint8_t)(1 << i % 8);
            replace(&w, (enum segment_file)file, bytes.data, bytes.len);
            if (!is_noticed(&w, false))
                fail_msg("file %d, byte %zu of %zu: verify noticed nothing", file, i, bytes.len);
            /* What fills up AGG and FLM, zeroes, is nobody's but verify's. */
            if (i % 7 == 0 && bytes.data[i] != 1 << i % 8 && !is_noticed(&w, true))
                fail_msg("file %d, byte %zu of %zu: reading noticed nothing", file, i, bytes.len);
            bytes.data[i] ^= (uint8_t)(1 << i % 8);
        }
        replace(&w, (enum segment_file)file, bytes.data, bytes.len);
        buf_release(&bytes);
    }
    assert_false(is_noticed(&w, false));
    world_free(&w);
}

static void test_files_cut_short_lengthened_zeroed_or_swapped_are_corrupt(void **state)
{
    struct buf files[2];
    struct segment *seg;
    struct world w;
    struct err err;

    (void)state;
    world_make(&w, 22, 1, 10);
    slurp(&w, SEGMENT_FILE_AGG, &files[0]);
    slurp(&w, SEGMENT_FILE_SMP, &files[1]);
    for (int file = 0; file < 2; file++) {
        struct buf zeroes;

        for (size_t size = 0; size < files[file].len; size += 1 + size / 3) {
            replace(&w, (enum segment_file)file, files[file].data, size);
            assert_int_equal(open_segment(&w, NULL, &seg, &err), ERR_CORRUPT);
        }
        buf_init(&zeroes, SIZE_MAX);
        assert_int_equal(buf_append_zeroes(&zeroes, files[file].len), 0);
        replace(&w, (enum segment_file)file, zeroes.data, zeroes.len);
        assert_int_equal(open_segment(&w, NULL, &seg, &err), ERR_CORRUPT);
        replace(&w, (enum segment_file)file, files[1 - file].data, files[1 - file].len);
        assert_int_equal(open_segment(&w, NULL, &seg, &err), ERR_CORRUPT);
        (void)buf_append_str(&zeroes, buf_str(&files[file]));
        memcpy(zeroes.data, files[file].data, files[file].len);
        replace(&w, (enum segment_file)file, zeroes.data, files[file].len + 8);
        assert_int_equal(open_segment(&w, NULL, &seg, &err), ERR_CORRUPT);
        replace(&w, (enum segment_file)file, files[file].data, files[file].len);
        buf_release(&zeroes);
    }
    assert_int_equal(open_segment(&w, NULL, &seg, &err), 0);
    segment_unref(seg);
    buf_release(&files[0]);
    buf_release(&files[1]);
    world_free(&w);
}

static void test_a_segment_under_another_name_is_refused(void **state)
{
    struct segment *seg;
    struct world w;
    struct buf agg;
    struct err err;

    (void)state;
    world_make(&w, 23, 1, 3);
    slurp(&w, SEGMENT_FILE_AGG, &agg);
    w.meta.id.lo = 2;
    assert_int_equal(open_segment(&w, NULL, &seg, &err), ERR_NOT_FOUND);
    {
        char from[SEGMENT_PATH_MAX], to[SEGMENT_PATH_MAX];

        segment_path(w.meta.tenant, w.meta.day, (struct segment_id){23, 1}, 0, SEGMENT_FILE_AGG,
                     from);
        segment_path(w.meta.tenant, w.meta.day, w.meta.id, 0, SEGMENT_FILE_AGG, to);
        assert_int_equal(fs_rename(w.fs, from, to, &err), 0);
    }
    assert_int_equal(open_segment(&w, NULL, &seg, &err), ERR_CORRUPT);
    buf_release(&agg);
    world_free(&w);
}

static void test_names_and_paths_are_each_others_inverse(void **state)
{
    static const char *const bad[] = {"seg/t/20261123/0-0123456789abcdef0123456789abcde.agg",
                                      "seg/t/20261123/0-0123456789abcdef0123456789abcdeg.agg",
                                      "seg/t/20261131/0-0123456789abcdef0123456789abcdef.agg",
                                      "seg/t/20262229/0-0123456789abcdef0123456789abcdef.agg",
                                      "seg/t/20261123/00-0123456789abcdef0123456789abcdef.agg",
                                      "seg/t/20261123/256-0123456789abcdef0123456789abcdef.agg",
                                      "seg/t/20261123/0-0123456789abcdef0123456789abcdef.smp",
                                      "seg/t/x/20261123/0-0123456789abcdef0123456789abcdef.agg",
                                      "x",
                                      ""};
    struct segment_id id = {UINT64_C(0x0123456789abcdef), UINT64_MAX};
    char path[SEGMENT_PATH_MAX];
    struct segment_name n;

    (void)state;
    segment_path(STR("ten-ant"), 20780, id, 3, SEGMENT_FILE_AGG, path);
    assert_string_equal(path, "seg/ten-ant/20261123/3-0123456789abcdefffffffffffffffff.agg");
    assert_true(segment_path_parse(path, &n));
    assert_true(str_eq(n.tenant, STR("ten-ant")) && n.day == 20780 && n.level == 3 &&
                n.id.hi == id.hi && n.id.lo == id.lo);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(segment_path_parse(bad[i], &n));
}

static void test_a_segment_without_rows_is_refused_and_leaves_nothing(void **state)
{
    struct fs *fs = fs_fault_new();
    struct segment_meta meta = segment_make_meta(5);
    struct blob_store *blobs;
    struct err err;

    (void)state;
    assert_int_equal(blob_store_dir_open(fs, &blobs, &err), 0);
    assert_int_equal(segment_write(blobs, NULL, 0, &meta, &err), ERR_INVALID);
    assert_int_equal(fs_fault_used(fs), 0);
    blobs->ops->free(blobs);
    fs_free(fs);
}

static void test_decoded_parts_are_shared_and_bounded(void **state)
{
    struct segment_cache *cache = segment_cache_new(200000);
    const struct symbols *a, *b;
    struct dataset *x, *y;
    struct segment *seg;
    struct world w;
    struct err err;
    uint32_t nodes;

    (void)state;
    world_make(&w, 31, 3, 60);
    assert_int_equal(open_segment(&w, cache, &seg, &err), 0);
    assert_int_equal(segment_dataset_open(seg, 0, &x, &err), 0);
    assert_int_equal(segment_dataset_open(seg, 0, &y, &err), 0);
    assert_int_equal(x->ops->symbols(x, &a, &nodes, &err), 0);
    assert_int_equal(y->ops->symbols(y, &b, &nodes, &err), 0);
    assert_ptr_equal(a, b);
    segment_dataset_close(x);
    segment_dataset_close(y);
    for (uint32_t i = 0; i < 30; i++) {
        assert_int_equal(segment_dataset_open(seg, i % 3, &x, &err), 0);
        assert_int_equal(x->ops->symbols(x, &a, &nodes, &err), 0);
        segment_dataset_close(x);
        assert_true(segment_cache_bytes(cache) <= 200000);
    }
    segment_cache_forget(cache, w.meta.id);
    assert_int_equal(segment_cache_bytes(cache), 0);
    segment_unref(seg);
    segment_cache_free(cache);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_segment_shows_what_the_rows_show),
        cmocka_unit_test(test_meta_comes_back_from_the_footer),
        cmocka_unit_test(test_the_same_rows_in_any_order_give_the_same_bytes),
        cmocka_unit_test(test_every_flipped_byte_is_noticed),
        cmocka_unit_test(test_files_cut_short_lengthened_zeroed_or_swapped_are_corrupt),
        cmocka_unit_test(test_a_segment_under_another_name_is_refused),
        cmocka_unit_test(test_names_and_paths_are_each_others_inverse),
        cmocka_unit_test(test_a_segment_without_rows_is_refused_and_leaves_nothing),
        cmocka_unit_test(test_decoded_parts_are_shared_and_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

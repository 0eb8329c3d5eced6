/* Parts merged show what the whole shows. */
#include "storage/merged_dataset.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include "tests/support/dataset_fake.h"
#include "tests/support/profile_gen.h"
#include "tests/support/rng.h"
#include "tests/support/segment_make.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    PARTS = 4,
    ROWS = 60,
    SEEDS = 20,
};

static const struct time_span always = {INT64_MIN, INT64_MAX};

struct world {
    struct dataset_fake *whole, *parts[PARTS];
    struct dataset *inputs[PARTS], *merged;
    uint32_t count;
};

/* The same rows in one dataset and dealt out to several. */
static void world_make(struct world *w, uint64_t seed)
{
    struct str tenant = STR("t"), service = STR("s");
    struct profile_gen gen;
    struct rng rng;
    struct err err;

    memset(w, 0, sizeof(*w));
    rng = rng_of(seed);
    profile_gen_init(&gen, seed, service, SEGMENT_MAKE_NS, 1000);
    w->whole = dataset_fake_new(tenant, service);
    for (uint32_t i = 0; i < PARTS; i++)
        w->parts[i] = dataset_fake_new(tenant, service);
    for (uint32_t i = 0; i < ROWS; i++) {
        struct push_row row;

        profile_gen_row(&gen, &row);
        dataset_fake_add(w->whole, &row, 1 + i, 0);
        dataset_fake_add(w->parts[rng_below(&rng, PARTS)], &row, 1 + i, 0);
    }
    profile_gen_release(&gen);
    for (uint32_t i = 0; i < PARTS; i++)
        w->inputs[w->count++] = dataset_fake_dataset(w->parts[i]);
    if (merged_dataset_open(w->inputs, w->count, &w->merged, &err) != 0)
        fail_msg("%s", err.msg);
}

static void world_free(struct world *w)
{
    merged_dataset_close(w->merged);
    dataset_fake_free(w->whole);
    for (uint32_t i = 0; i < PARTS; i++)
        dataset_fake_free(w->parts[i]);
}

static void assert_alike(struct dataset *a, struct dataset *b, struct time_span time,
                         uint64_t types, bool samples)
{
    struct buf x, y;
    struct err err;

    buf_init(&x, SIZE_MAX);
    buf_init(&y, SIZE_MAX);
    assert_int_equal(dataset_describe(a, time, types, samples, &x, &err), 0);
    assert_int_equal(dataset_describe(b, time, types, samples, &y, &err), 0);
    assert_true(x.len > 0);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    buf_release(&x);
    buf_release(&y);
}

static void test_parts_show_what_the_whole_shows(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world w;

        world_make(&w, seed);
        assert_alike(w.merged, dataset_fake_dataset(w.whole), always, UINT64_MAX, true);
        assert_alike(w.merged, dataset_fake_dataset(w.whole), always, 1, true);
        assert_alike(w.merged, dataset_fake_dataset(w.whole), always, 0, false);
        world_free(&w);
    }
}

static void test_a_range_shows_its_rows_only(void **state)
{
    struct time_span half = {SEGMENT_MAKE_NS, SEGMENT_MAKE_NS + 30 * 1000};
    struct world w;

    (void)state;
    world_make(&w, 7);
    assert_alike(w.merged, dataset_fake_dataset(w.whole), half, UINT64_MAX, true);
    world_free(&w);
}

struct order {
    int64_t time_ns;
    uint64_t sequence;
    uint32_t rows;
};

static int check_order(void *ctx, const struct dataset_row *row,
                       const struct sample_columns *columns, struct err *err)
{
    struct order *o = ctx;

    (void)columns;
    (void)err;
    assert_true(o->rows == 0 || row->time_ns > o->time_ns ||
                (row->time_ns == o->time_ns && row->sequence > o->sequence));
    o->time_ns = row->time_ns;
    o->sequence = row->sequence;
    o->rows++;
    return 0;
}

static void test_rows_of_an_entry_come_in_order(void **state)
{
    const struct dataset_index *index;
    struct arena scratch;
    uint32_t rows = 0;
    struct world w;
    struct err err;

    (void)state;
    world_make(&w, 3);
    arena_init(&scratch, SIZE_MAX);
    assert_int_equal(w.merged->ops->index(w.merged, &index, &err), 0);
    for (uint32_t e = 0; e < index->entry_count; e++) {
        uint64_t types = UINT64_MAX;
        struct dataset_scan scan = {&e, &types, 1, always, true};
        struct order o = {0};

        assert_int_equal(w.merged->ops->scan(w.merged, &scan, &scratch, check_order, &o, &err), 0);
        assert_int_equal(o.rows, index->entries[e].row_count);
        rows += o.rows;
    }
    assert_int_equal(rows, ROWS);
    arena_release(&scratch);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_show_what_the_whole_shows),
        cmocka_unit_test(test_a_range_shows_its_rows_only),
        cmocka_unit_test(test_rows_of_an_entry_come_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

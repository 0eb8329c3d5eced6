/* segment_chunk: what goes in comes out, one type alone too, and what repeats costs next to
 * nothing. */
#include "storage/segment_chunk.h"

#include "storage/segment_pack.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    COUNT_MAX = 3000,
    ROWS_MAX = 20,
    TYPES_MAX = 4,
    NODES = 1 << 20,
};

struct row {
    uint32_t count, stacks[COUNT_MAX], links[COUNT_MAX];
    int64_t values[TYPES_MAX][COUNT_MAX];
};

struct fixture {
    struct segment_pack *pack;
    struct segment_chunk_writer *writer;
    struct arena arena;
    struct buf bytes;
    struct row *rows; /* ROWS_MAX */
    uint32_t row_count, type_count, samples[ROWS_MAX];
    struct profile_link table[3];
    bool links;
};

static void setup(struct fixture *f, uint32_t rows, uint32_t types)
{
    memset(f, 0, sizeof(*f));
    f->pack = segment_pack_new();
    f->writer = segment_chunk_writer_new();
    arena_init(&f->arena, 64 << 20);
    buf_init(&f->bytes, SIZE_MAX);
    f->row_count = rows;
    f->type_count = types;
    f->rows = arena_calloc(&f->arena, rows, sizeof(*f->rows));
    for (uint64_t i = 0; i < 3; i++)
        f->table[i] = (struct profile_link){.span_id = 9 - i, .trace_id = {(uint8_t)i}};
}

static void teardown(struct fixture *f)
{
    segment_pack_free(f->pack);
    segment_chunk_writer_free(f->writer);
    arena_release(&f->arena);
    buf_release(&f->bytes);
}

static void encode(struct fixture *f)
{
    segment_chunk_begin(f->writer, f->type_count);
    for (uint32_t r = 0; r < f->row_count; r++) {
        struct row *row = &f->rows[r];
        struct sample_columns c = {.count = row->count,
                                   .type_count = f->type_count,
                                   .stacks = row->stacks,
                                   .links = f->links ? row->links : NULL,
                                   .link_table = f->table,
                                   .link_count = f->links ? 3 : 0};

        for (uint32_t t = 0; t < f->type_count; t++)
            c.values[t] = row->values[t];
        segment_chunk_add(f->writer, &c);
        f->samples[r] = row->count;
    }
    buf_reset(&f->bytes);
    segment_chunk_encode(f->writer, f->pack, &f->bytes);
}

static int decode(struct fixture *f, uint64_t types, struct sample_columns *out, struct err *err)
{
    struct segment_chunk_shape shape = {f->samples, f->row_count, 0, f->type_count, NODES};

    for (uint32_t r = 0; r < f->row_count; r++)
        shape.sample_count += f->samples[r];
    return segment_chunk_decode(buf_str(&f->bytes), &shape, types, f->pack, &f->arena, out, err);
}

static void assert_link(struct fixture *f, const struct row *row, uint32_t i,
                        const struct sample_columns *c, uint32_t at)
{
    if (row->links[i] == 0)
        assert_int_equal(c->links[at], 0);
    else
        assert_memory_equal(&c->link_table[c->links[at] - 1], &f->table[row->links[i] - 1],
                            sizeof(f->table[0]));
}

static void assert_comes_back(struct fixture *f, uint64_t types)
{
    struct arena_mark mark = arena_mark(&f->arena);
    struct sample_columns c;
    struct err err;
    uint32_t at = 0;

    if (decode(f, types, &c, &err) != 0)
        fail_msg("%s", err.msg);
    for (uint32_t r = 0; r < f->row_count; r++)
        for (uint32_t i = 0; i < f->rows[r].count; i++, at++) {
            assert_int_equal(c.stacks[at], f->rows[r].stacks[i]);
            for (uint32_t t = 0; t < f->type_count; t++)
                if (types >> t & 1)
                    assert_true(c.values[t][at] == f->rows[r].values[t][i]);
                else
                    assert_null(c.values[t]);
            if (f->links)
                assert_link(f, &f->rows[r], i, &c, at);
        }
    assert_int_equal(at, c.count);
    arena_rewind(&f->arena, mark);
}

static void draw_row(struct rng *rng, struct row *row, uint32_t gap, bool duplicates)
{
    uint32_t id = 0;

    row->count = 1 + (uint32_t)rng_below(rng, 200);
    for (uint32_t i = 0; i < row->count; i++) {
        id += (uint32_t)rng_below(rng, gap) + (duplicates ? 0 : 1);
        row->stacks[i] = id;
    }
}

static void test_any_columns_come_back_all_or_one_at_a_time(void **state)
{
    struct rng rng = rng_of(5);

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct fixture f;
        uint32_t kind = (uint32_t)rng_below(&rng, 6);

        setup(&f, 1 + (uint32_t)rng_below(&rng, ROWS_MAX),
              1 + (uint32_t)rng_below(&rng, TYPES_MAX));
        f.links = rng_one_in(&rng, 3);
        for (uint32_t r = 0; r < f.row_count; r++) {
            struct row *row = &f.rows[r];

            if (r > 0 && kind == 3 && !rng_one_in(&rng, 3))
                *row = f.rows[r - 1];
            else
                draw_row(&rng, row, kind == 1 ? 4000 : 4, f.links);
            for (uint32_t i = 0; i < row->count; i++) {
                row->links[i] = (uint32_t)rng_below(&rng, 4);
                for (uint32_t t = 0; t < f.type_count; t++)
                    if (kind != 3 || r == 0 || rng_one_in(&rng, 20))
                        row->values[t][i] = kind == 0   ? 0
                                            : kind == 1 ? 10000000
                                            : kind == 2 ? (int64_t)(rng_next(&rng) >> 1)
                                            : kind == 4 ? 7 * (1 + (int64_t)rng_one_in(&rng, 9))
                                                        : (int64_t)rng_below(&rng, 1000) * 100;
            }
        }
        encode(&f);
        assert_comes_back(&f, UINT64_MAX);
        assert_comes_back(&f, 0);
        for (uint32_t t = 0; t < f.type_count; t++)
            assert_comes_back(&f, UINT64_C(1) << t);
        teardown(&f);
    }
}

static void test_rows_that_do_not_change_cost_next_to_nothing(void **state)
{
    struct rng rng = rng_of(6);
    struct fixture f;
    size_t one;

    (void)state;
    setup(&f, ROWS_MAX, 2);
    f.rows[0].count = COUNT_MAX;
    for (uint32_t i = 0; i < COUNT_MAX; i++) {
        f.rows[0].stacks[i] = i * 5 + (uint32_t)rng_below(&rng, 5);
        f.rows[0].values[0][i] = (int64_t)rng_below(&rng, 1 << 20);
        f.rows[0].values[1][i] = (int64_t)rng_below(&rng, 1 << 20);
    }
    for (uint32_t r = 1; r < ROWS_MAX; r++)
        f.rows[r] = f.rows[0];
    encode(&f);
    assert_comes_back(&f, UINT64_MAX);
    one = f.bytes.len;
    f.row_count = 1;
    encode(&f);
    assert_true(one < f.bytes.len + 200);
    teardown(&f);
}

static void test_a_type_that_is_a_multiple_of_another_costs_a_few_bytes(void **state)
{
    struct rng rng = rng_of(7);
    struct fixture f;
    size_t one;

    (void)state;
    setup(&f, 1, 2);
    f.rows[0].count = 2000;
    for (uint32_t i = 0; i < 2000; i++) {
        f.rows[0].stacks[i] = i * 3 + 1;
        f.rows[0].values[0][i] = 1 + (int64_t)rng_below(&rng, 9);
        f.rows[0].values[1][i] = f.rows[0].values[0][i] * 10000000;
    }
    encode(&f);
    assert_comes_back(&f, UINT64_MAX);
    assert_comes_back(&f, 2);
    one = f.bytes.len;
    f.type_count = 1;
    encode(&f);
    assert_true(one <= f.bytes.len + 12);
    teardown(&f);
}

static void test_a_chunk_is_full_by_bytes_and_by_samples(void **state)
{
    struct rng rng = rng_of(8);
    struct fixture f;
    uint32_t rows = 0;

    (void)state;
    setup(&f, 1, 1);
    f.rows[0].count = COUNT_MAX;
    segment_chunk_begin(f.writer, 1);
    while (!segment_chunk_is_full(f.writer)) {
        struct sample_columns c = {.count = COUNT_MAX, .type_count = 1, .stacks = f.rows[0].stacks};

        for (uint32_t i = 0; i < COUNT_MAX; i++) {
            f.rows[0].stacks[i] = i * 7 + (uint32_t)rng_below(&rng, 7);
            f.rows[0].values[0][i] = (int64_t)rng_below(&rng, 100);
        }
        c.values[0] = f.rows[0].values[0];
        segment_chunk_add(f.writer, &c);
        rows++;
    }
    assert_in_range(rows, CHUNK_RAW_BYTES / (COUNT_MAX * 2) / 2, CHUNK_RAW_BYTES / COUNT_MAX + 2);
    rows = 0;
    segment_chunk_begin(f.writer, 1);
    while (!segment_chunk_is_full(f.writer)) {
        struct sample_columns c = {.count = COUNT_MAX, .type_count = 1, .stacks = f.rows[0].stacks};

        c.values[0] = f.rows[0].values[0];
        segment_chunk_add(f.writer, &c);
        rows++;
    }
    assert_int_equal(rows, (CHUNK_SAMPLES + COUNT_MAX - 1) / COUNT_MAX);
    teardown(&f);
}

static void test_ids_beyond_the_dictionary_and_wrong_shapes_are_corrupt(void **state)
{
    struct sample_columns c;
    struct fixture f;
    struct err err;

    (void)state;
    setup(&f, 2, 1);
    for (uint32_t r = 0; r < 2; r++) {
        f.rows[r].count = 10;
        for (uint32_t i = 0; i < 10; i++) {
            f.rows[r].stacks[i] = i + (i == 9 && r == 1 ? NODES : 0);
            f.rows[r].values[0][i] = 1 + i;
        }
    }
    encode(&f);
    assert_int_equal(decode(&f, 1, &c, &err), ERR_CORRUPT);
    f.rows[1].stacks[9] = 9;
    encode(&f);
    assert_int_equal(decode(&f, 1, &c, &err), 0);
    f.samples[1] = 9;
    assert_int_equal(decode(&f, 1, &c, &err), ERR_CORRUPT);
    f.samples[1] = 11;
    assert_int_equal(decode(&f, 1, &c, &err), ERR_CORRUPT);
    f.samples[1] = 10;
    f.type_count = 2;
    assert_int_equal(decode(&f, 1, &c, &err), ERR_CORRUPT);
    f.type_count = 1;
    while (f.bytes.len > 0) {
        f.bytes.len--;
        assert_int_equal(decode(&f, 1, &c, &err), ERR_CORRUPT);
    }
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_columns_come_back_all_or_one_at_a_time),
        cmocka_unit_test(test_rows_that_do_not_change_cost_next_to_nothing),
        cmocka_unit_test(test_a_type_that_is_a_multiple_of_another_costs_a_few_bytes),
        cmocka_unit_test(test_a_chunk_is_full_by_bytes_and_by_samples),
        cmocka_unit_test(test_ids_beyond_the_dictionary_and_wrong_shapes_are_corrupt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

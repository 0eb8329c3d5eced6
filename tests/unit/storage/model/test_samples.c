/* samples: columns survive their byte form, and damaged bytes are refused. */
#include "storage/model/samples.h"

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
    COUNT_MAX = 300,
    TYPES = 5,
    LINKS = 3, /* distinct ones, never more than samples */
    NODES = 100000,
};

struct columns {
    uint32_t stacks[COUNT_MAX], links[COUNT_MAX];
    int64_t values[TYPES][COUNT_MAX];
    struct profile_link table[LINKS];
    struct sample_columns c;
};

/* Columns of every kind: zero, one scale, none, huge, sparse. */
static void draw(struct rng *rng, struct columns *d, bool links)
{
    uint32_t stack = 0;

    memset(d, 0, sizeof(*d));
    d->c.count = (uint32_t)rng_below(rng, COUNT_MAX + 1);
    d->c.link_count = d->c.count < LINKS ? d->c.count : LINKS;
    d->c.type_count = TYPES;
    d->c.stacks = d->stacks;
    for (uint32_t t = 0; t < TYPES; t++)
        d->c.values[t] = d->values[t];
    for (uint32_t i = 0; i < d->c.count; i++) {
        stack += (uint32_t)rng_below(rng, rng_one_in(rng, 10) ? 300 : 3);
        d->stacks[i] = stack;
        d->links[i] = (uint32_t)rng_below(rng, d->c.link_count + 1);
        d->values[1][i] = 10000000 * (int64_t)rng_below(rng, 4);
        d->values[2][i] = (int64_t)(rng_next(rng) >> 1);
        d->values[3][i] = INT64_MAX;
        d->values[4][i] = rng_one_in(rng, 20) ? 7 : 0;
    }
    if (links) {
        d->c.links = d->links;
        d->c.link_table = d->table;
        for (uint32_t i = 0; i < LINKS; i++) {
            d->table[i].span_id = rng_next(rng);
            rng_fill(rng, d->table[i].trace_id, sizeof(d->table[i].trace_id));
        }
    }
}

static void assert_same(const struct sample_columns *a, const struct sample_columns *b,
                        uint64_t types)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->stacks, b->stacks, a->count * sizeof(*a->stacks));
    for (uint32_t t = 0; t < TYPES; t++) {
        if (types >> t & 1)
            assert_memory_equal(a->values[t], b->values[t], a->count * sizeof(int64_t));
        else
            assert_null(b->values[t]);
    }
    assert_int_equal(a->links == NULL, b->links == NULL);
    if (!a->links)
        return;
    assert_memory_equal(a->links, b->links, a->count * sizeof(*a->links));
    assert_int_equal(a->link_count, b->link_count);
    assert_memory_equal(a->link_table, b->link_table, a->link_count * sizeof(*a->link_table));
}

static void test_columns_come_back(void **state)
{
    struct rng rng = rng_of(test_seed(2));
    struct arena arena;
    struct buf bytes;

    (void)state;
    arena_init(&arena, SIZE_MAX);
    buf_init(&bytes, SIZE_MAX);
    for (int round = 0; round < 200; round++) {
        static struct columns d;
        struct sample_columns back;
        struct err err = {0};
        uint64_t types = rng_one_in(&rng, 2) ? UINT64_MAX : rng_next(&rng);

        draw(&rng, &d, rng_one_in(&rng, 2));
        buf_reset(&bytes);
        samples_encode(&d.c, &bytes);
        assert_false(bytes.failed);
        arena_reset(&arena);
        assert_int_equal(
            samples_decode(buf_str(&bytes), d.c.count, TYPES, NODES, types, &arena, &back, &err),
            0);
        assert_same(&d.c, &back, types & ((1U << TYPES) - 1));
    }
    arena_release(&arena);
    buf_release(&bytes);
}

static void test_a_column_of_one_value_costs_a_byte_a_sample(void **state)
{
    static struct columns d;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    d.c = (struct sample_columns){.count = 100, .type_count = 2, .stacks = d.stacks};
    d.c.values[0] = d.values[0];
    d.c.values[1] = d.values[1];
    for (uint32_t i = 0; i < 100; i++) {
        d.stacks[i] = i;
        d.values[1][i] = 10000000;
    }
    samples_encode(&d.c, &bytes);
    assert_true(bytes.len <= 100 + 100 + 12);
    buf_release(&bytes);
}

static void test_damaged_bytes_are_refused(void **state)
{
    static struct columns d;
    struct rng rng = rng_of(test_seed(3));
    struct sample_columns back;
    struct arena arena;
    struct buf bytes;
    struct err err = {0};

    (void)state;
    arena_init(&arena, 1 << 20);
    buf_init(&bytes, SIZE_MAX);
    do
        draw(&rng, &d, true);
    while (d.c.count < 20);
    samples_encode(&d.c, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        arena_reset(&arena);
        assert_int_equal(samples_decode((struct str){(char *)bytes.data, len}, d.c.count, TYPES,
                                        NODES, UINT64_MAX, &arena, &back, &err),
                         ERR_CORRUPT);
    }
    arena_reset(&arena);
    assert_int_equal(samples_decode(buf_str(&bytes), d.c.count, TYPES, d.stacks[d.c.count - 1],
                                    UINT64_MAX, &arena, &back, &err),
                     ERR_CORRUPT); /* a node that is not there */
    assert_int_equal(samples_decode(buf_str(&bytes), d.c.count + 1, TYPES, NODES, UINT64_MAX,
                                    &arena, &back, &err),
                     ERR_CORRUPT);
    arena_release(&arena);
    buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_come_back),
        cmocka_unit_test(test_a_column_of_one_value_costs_a_byte_a_sample),
        cmocka_unit_test(test_damaged_bytes_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Seeds of fuzz_smp: chunks with every codec, and row blocks, from the writer. */
#include "storage/segment_chunk.h"
#include "storage/segment_pack.h"
#include "storage/segment_rows.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"

#include "tests/support/rng.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SEEDS = 32,
    ROWS_MAX = 6,
    SAMPLES_MAX = 60,
};

struct making {
    struct rng rng;
    struct segment_chunk_writer *chunk;
    struct segment_rows rows;
    uint32_t types, count, stacks[SAMPLES_MAX], links[SAMPLES_MAX];
    int64_t values[8][SAMPLES_MAX];
    struct profile_link table[3];
};

/* Few changes from row to row in some seeds, everything new in others. */
static void change(struct making *m, uint64_t seed, bool first)
{
    uint32_t id = 0;

    if (first || seed % 3 == 0) {
        m->count = 1 + (uint32_t)rng_below(&m->rng, SAMPLES_MAX);
        for (uint32_t i = 0; i < m->count; i++)
            m->stacks[i] = id += 1 + (uint32_t)rng_below(&m->rng, seed % 5 == 4 ? 80 : 3);
    }
    for (uint32_t i = 0; i < m->count; i++) {
        m->links[i] = seed % 4 == 1 ? (uint32_t)rng_below(&m->rng, 4) : 0;
        for (uint32_t t = 0; t < m->types; t++)
            if (first || rng_one_in(&m->rng, 4))
                m->values[t][i] = t == 1 && seed % 2
                                      ? m->values[0][i] * 3
                                      : (int64_t)rng_below(&m->rng, 1 + seed % 7) * 1000;
    }
}

static void add_row(struct making *m, uint32_t r)
{
    value128 totals[8] = {0};
    struct sample_columns c = {.count = m->count,
                               .type_count = m->types,
                               .stacks = m->stacks,
                               .links = m->links,
                               .link_table = m->table,
                               .link_count = 3};
    struct dataset_row row = {.time_ns = 1000000 + r * 15000,
                              .duration_ns = 15,
                              .period = 10,
                              .totals = totals,
                              .sample_count = m->count,
                              .sequence = r + 7};

    for (uint32_t t = 0; t < m->types; t++) {
        c.values[t] = m->values[t];
        totals[t] = samples_total(m->values[t], m->count);
        row.present |= (uint64_t)(totals[t] > 0) << t;
    }
    segment_chunk_add(m->chunk, &c);
    segment_rows_add(&m->rows, &row);
}

static void write_seed(const char *dir, uint64_t seed, struct segment_pack *pack)
{
    struct making m = {.rng = rng_of(seed), .table = {{1, {1}}, {2, {2}}, {2, {3}}}};
    uint32_t rows = 1 + (uint32_t)(seed % ROWS_MAX);
    struct buf head, chunk;
    struct arena arena;
    char path[4096];
    FILE *f;

    m.types = 1 + (uint32_t)(seed % 4);
    buf_init(&head, SIZE_MAX);
    buf_init(&chunk, SIZE_MAX);
    arena_init(&arena, SIZE_MAX);
    m.chunk = segment_chunk_writer_new();
    segment_chunk_begin(m.chunk, m.types);
    check(segment_rows_init(&m.rows, ROWS_MAX, m.types, &arena));
    (void)buf_append_byte(&head, (uint8_t)(m.types - 1));
    (void)buf_append_byte(&head, (uint8_t)(rows - 1));
    for (uint32_t r = 0; r < rows; r++) {
        change(&m, seed, r == 0);
        add_row(&m, r);
        (void)buf_append_byte(&head, (uint8_t)(m.count - 1));
    }
    segment_chunk_encode(m.chunk, pack, &chunk);
    (void)buf_append_byte(&head, (uint8_t)chunk.len);
    (void)buf_append_byte(&head, (uint8_t)(chunk.len >> 8));
    (void)buf_append_str(&head, buf_str(&chunk));
    segment_rows_encode(&m.rows, &head);
    (void)snprintf(path, sizeof(path), "%s/chunk-%llu", dir, (unsigned long long)seed);
    f = fopen(path, "wb");
    check(f && fwrite(head.data, 1, head.len, f) == head.len && fclose(f) == 0);
    segment_chunk_writer_free(m.chunk);
    arena_release(&arena);
    buf_release(&head);
    buf_release(&chunk);
}

int main(int argc, char **argv)
{
    struct segment_pack *pack = segment_pack_new();

    check(argc == 2);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        write_seed(argv[1], seed, pack);
    segment_pack_free(pack);
    return 0;
}

/* Seeds of fuzz_rollup: each section from its writer, small and large values. */
#include "storage/segment_rollup.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"

#include "tests/support/rng.h"

#include <stdio.h>

enum {
    SEEDS = 24,
    ITEMS = 40,
    TYPES = 3,
};

static void save(const char *dir, uint32_t section, uint32_t seed, uint32_t items, uint32_t types,
                 uint32_t ids, const struct buf *raw)
{
    uint8_t head[6] = {(uint8_t)section};
    char path[4096];
    FILE *f;

    put_le16(head + 1, (uint16_t)items);
    head[3] = (uint8_t)types;
    put_le16(head + 4, (uint16_t)ids);
    check(snprintf(path, sizeof(path), "%s/%u-%02u", dir, section, seed) < (int)sizeof(path));
    f = fopen(path, "wb");
    check(f && fwrite(head, sizeof(head), 1, f) == 1);
    check(raw->len == 0 || fwrite(raw->data, raw->len, 1, f) == 1);
    check(fclose(f) == 0);
}

static value128 any_value(struct rng *rng)
{
    value128 v = rng_below(rng, 5) + 1;

    switch (rng_below(rng, 4)) {
    case 0:
        return v << 70;
    case 1:
        return v * 10000000 * rng_below(rng, 1 << 20);
    default:
        return v;
    }
}

static void vector(const char *dir, struct rng *rng, uint32_t seed, struct buf *raw)
{
    value128 cells[TYPES][ITEMS], *columns[TYPES] = {cells[0], cells[1], cells[2]};
    uint32_t ids[ITEMS], id = 0;
    struct rollup_items v = {ids, columns, (uint32_t)rng_below(rng, ITEMS) + 1, TYPES};

    for (uint32_t i = 0; i < v.count; i++) {
        ids[i] = id += (uint32_t)rng_below(rng, 9) + (i > 0);
        for (uint32_t t = 0; t < TYPES; t++)
            cells[t][i] = t == 1 ? cells[0][i] * 3 : seed % 3 == t ? 0 : any_value(rng);
    }
    rollup_vector_encode(&v, raw);
    save(dir, 0, seed, v.count, TYPES, id + 1, raw);
}

static void directory(const char *dir, struct rng *rng, uint32_t seed, struct buf *raw)
{
    struct rollup_vector vectors[] = {
        {.kind = ROLLUP_STREAM, .owner = 3, .items = 2, .rows = 9},
        {.kind = ROLLUP_HOUR, .owner = 1, .hour = 480000, .items = 5, .rows = 3},
        {.kind = ROLLUP_HOUR, .owner = 1, .hour = 480001, .items = 6, .rows = 6},
        {.kind = ROLLUP_ALL, .owner = 1, .items = 9, .rows = 9},
        {.kind = ROLLUP_FLAME, .owner = 1, .items = 7, .rows = 9},
    };
    struct rollup_directory d = {.vectors = vectors, .vector_count = seed % 6};
    uint32_t agg = 0;

    d.has_flame = d.vector_count == 5;
    d.flame_names = 3;
    d.flame_nodes = 4;
    d.names = (struct rollup_block){.stored = 20, .raw = 20};
    d.tree = (struct rollup_block){.stored = 9, .raw = 40};
    for (uint32_t i = 0; i < d.vector_count; i++) {
        vectors[i].raw = 50 + (uint32_t)rng_below(rng, 50);
        vectors[i].stored = vectors[i].raw - (uint32_t)rng_below(rng, 30);
        agg += vectors[i].stored;
    }
    rollup_directory_encode(&d, raw);
    save(dir, 1, seed, agg, TYPES, d.has_flame ? 29 : 0, raw);
}

static void flame(const char *dir, struct rng *rng, uint32_t seed, struct buf *raw)
{
    struct str texts[] = {STR("a"), STR("bb"), STR("ccc"), STR("main.run")};
    uint32_t parents[ITEMS] = {0}, names[ITEMS] = {0}, last = 0;
    struct flame f = {(uint32_t)rng_below(rng, ITEMS - 1) + 1, 4, parents, names, texts};

    for (uint32_t n = 1; n < f.node_count; n++) {
        for (last = n - 1; last > 0 && rng_one_in(rng, 3);)
            last = parents[last];
        parents[n] = last;
        names[n] = (uint32_t)rng_below(rng, 4);
    }
    flame_names_encode(&f, raw);
    save(dir, 2, seed, f.node_count - 1, 0, 4, raw);
    buf_reset(raw);
    flame_tree_encode(&f, raw);
    save(dir, 3, seed, f.node_count - 1, 0, 4, raw);
}

/* Types 7: entries have the types 7, 3, 1, ... & 3, so 3, 3, 1, 3, 3, 1. */
static void totals(const char *dir, struct rng *rng, uint32_t seed, struct buf *raw)
{
    uint32_t first[11], windows[ITEMS];
    struct totals t = {.column_count = 10, .first = first, .windows = windows};
    value128 sums[ITEMS];

    t.sums = sums;
    for (uint32_t c = 0; c <= 10; c++)
        first[c] = c * 4;
    for (uint32_t i = 0; i < ITEMS; i++) {
        windows[i] = 2900000 + i % 4 * (1 + seed % 3);
        sums[i] = any_value(rng) + 1;
    }
    totals_encode(&t, raw);
    save(dir, 4, seed, 0, 7, 0, raw);
}

int main(int argc, char **argv)
{
    void (*const makers[])(const char *, struct rng *, uint32_t, struct buf *) = {vector, directory,
                                                                                  flame, totals};
    struct buf raw;

    check(argc == 2);
    buf_init(&raw, SIZE_MAX);
    for (uint32_t seed = 0; seed < SEEDS; seed++)
        for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
            struct rng rng = rng_of(seed * 10 + i);

            buf_reset(&raw);
            makers[i](argv[1], &rng, seed, &raw);
        }
    buf_release(&raw);
    return 0;
}

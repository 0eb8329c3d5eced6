/* seed_samples - seeds of fuzz_samples: rows as the store writes them. */
#include "storage/model/samples.h"

#include "base/buf.h"
#include "base/check.h"

#include "tests/support/rng.h"

#include <stdio.h>

enum {
    SEEDS = 12,
    COUNT_MAX = 40,
    TYPES = 2,
};

static void write_seed(const char *dir, uint64_t seed)
{
    static int64_t values[TYPES][COUNT_MAX];
    static uint32_t stacks[COUNT_MAX], links[COUNT_MAX];
    struct profile_link table[2] = {{.span_id = 1}, {.span_id = 2, .trace_id = {7}}};
    struct rng rng = rng_of(seed);
    struct sample_columns c = {.count = (uint32_t)rng_below(&rng, COUNT_MAX),
                               .type_count = TYPES,
                               .stacks = stacks,
                               .values = {values[0], values[1]},
                               .links = seed % 2 ? links : NULL,
                               .link_table = table,
                               .link_count = 2};
    struct buf bytes;
    char path[4096];
    FILE *out;

    for (uint32_t i = 0; i < c.count; i++) {
        stacks[i] = (i ? stacks[i - 1] : 0) + (uint32_t)rng_below(&rng, 100);
        links[i] = (uint32_t)rng_below(&rng, 3);
        values[0][i] = (int64_t)rng_below(&rng, 3);
        values[1][i] = values[0][i] * 10000000;
    }
    buf_init(&bytes, SIZE_MAX);
    (void)buf_append_byte(&bytes, (uint8_t)c.count);
    (void)buf_append_byte(&bytes, 0);
    (void)buf_append_byte(&bytes, TYPES);
    samples_encode(&c, &bytes);
    (void)snprintf(path, sizeof(path), "%s/%llu", dir, (unsigned long long)seed);
    out = fopen(path, "wb");
    check(out && fwrite(bytes.data, 1, bytes.len, out) == bytes.len && fclose(out) == 0);
    buf_release(&bytes);
}

int main(int argc, char **argv)
{
    check(argc == 2);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        write_seed(argv[1], seed);
    return 0;
}

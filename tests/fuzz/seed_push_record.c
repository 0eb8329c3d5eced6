/* seed_push_record - seeds of fuzz_push_record: records as the store writes them. */
#include "storage/head.h"
#include "storage/head_encode.h"

#include "base/buf.h"
#include "base/check.h"

#include "tests/support/profile_gen.h"

#include <stdio.h>

enum {
    SEEDS = 10,
};

/* One row in a record of log file `epoch`. */
static struct str encode(struct encoder *e, struct head *h, struct profile_gen *g, uint32_t epoch)
{
    static const uint32_t which[] = {0};
    const uint64_t keys[] = {epoch};
    struct push_row row;
    struct push push = {STR("t"), &row, 1};
    struct str out;

    profile_gen_row(g, &row);
    encoder_begin(e, epoch, 1);
    check(encoder_add_part(e, h, &push, which, keys, 1, NULL) == 0);
    check(encoder_payload(e, &out, NULL) == 0);
    check(encoder_publish(e, epoch, 1, NULL) == 0);
    return out;
}

static void write_seed(const char *dir, uint64_t seed)
{
    const struct head_key key = {STR("t"), STR("svc"), 20000};
    struct head *h = head_new(&key, seed, SIZE_MAX);
    struct encoder *e = encoder_new();
    struct profile_gen g;
    struct str record;
    struct buf bytes;
    char path[4096];
    FILE *out;

    profile_gen_init(&g, seed, STR("svc"), 1, 1000);
    g.functions = 4;
    g.locations = 6;
    g.depth_max = 4;
    g.samples_max = 6;
    buf_init(&bytes, SIZE_MAX);
    record = encode(e, h, &g, 1);
    (void)buf_append_byte(&bytes, (uint8_t)record.len);
    (void)buf_append_byte(&bytes, (uint8_t)(record.len >> 8));
    (void)buf_append_str(&bytes, record);
    (void)buf_append_str(&bytes, encode(e, h, &g, 2));
    (void)snprintf(path, sizeof(path), "%s/%llu", dir, (unsigned long long)seed);
    out = fopen(path, "wb");
    check(out && fwrite(bytes.data, 1, bytes.len, out) == bytes.len && fclose(out) == 0);
    buf_release(&bytes);
    profile_gen_release(&g);
    encoder_free(e);
    head_unref(h);
}

int main(int argc, char **argv)
{
    check(argc == 2);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        write_seed(argv[1], seed);
    return 0;
}

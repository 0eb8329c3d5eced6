/* seed_wal - seeds of fuzz_wal: records as the log writes them. */
#include "storage/wal_format.h"

#include "base/buf.h"
#include "base/check.h"

#include "tests/support/rng.h"

#include <stdio.h>

enum {
    SEEDS = 10,
    PAYLOAD_MAX = 60,
    RECORDS = 3, /* in the first file; the second begins with the LSN after them */
};

static void add_record(struct buf *out, uint32_t epoch, uint64_t lsn, struct rng *rng)
{
    uint8_t at[WAL_RECORD_BYTES + PAYLOAD_MAX + WAL_ALIGN];
    char payload[PAYLOAD_MAX];
    struct wal_record r = {.type = 1,
                           .encode_epoch = epoch,
                           .lsn = lsn,
                           .payload = {payload, rng_below(rng, PAYLOAD_MAX)}};

    rng_fill(rng, payload, sizeof(payload));
    wal_record_put(&r, at);
    wal_record_seal(at, epoch, lsn - 1);
    check(buf_append(out, at, wal_record_size(r.payload.len)) == 0);
}

static void write_seed(const char *dir, uint64_t seed)
{
    struct rng rng = rng_of(seed);
    struct buf first, second;
    char path[4096];
    FILE *out;

    buf_init(&first, SIZE_MAX);
    buf_init(&second, SIZE_MAX);
    for (uint64_t lsn = 1; lsn <= RECORDS; lsn++)
        add_record(&first, 1, lsn, &rng);
    for (uint64_t lsn = RECORDS + 1; lsn <= RECORDS + seed % 3; lsn++)
        add_record(&second, 2, lsn, &rng);
    (void)snprintf(path, sizeof(path), "%s/%llu", dir, (unsigned long long)seed);
    out = fopen(path, "wb");
    check(out && fputc((int)(first.len & 0xff), out) != EOF &&
          fputc((int)(first.len >> 8), out) != EOF);
    check(fwrite(first.data, 1, first.len, out) == first.len);
    check(second.len == 0 || fwrite(second.data, 1, second.len, out) == second.len);
    check(fclose(out) == 0);
    buf_release(&first);
    buf_release(&second);
}

int main(int argc, char **argv)
{
    check(argc == 2);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        write_seed(argv[1], seed);
    return 0;
}

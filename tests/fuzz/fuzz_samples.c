/*
 * fuzz_samples - any bytes as the byte form of a row.
 *
 * The first three bytes pick how many samples and types there should be. What decodes is
 * encoded again and gives the same columns.
 */
#include "storage/model/samples.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MEMORY_MAX = 16 << 20,
    NODES = 5000,
    TYPES_MAX = 8,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample_columns first, second;
    uint32_t count, types;
    struct arena arena;
    struct buf bytes;

    if (size < 3)
        return 0;
    count = data[0] | (uint32_t)data[1] << 8;
    types = data[2] % (TYPES_MAX + 1);
    arena_init(&arena, MEMORY_MAX);
    buf_init(&bytes, MEMORY_MAX);
    if (samples_decode((struct str){(const char *)data + 3, size - 3}, count, types, NODES,
                       UINT64_MAX, &arena, &first, NULL) == 0) {
        samples_encode(&first, &bytes);
        check(!bytes.failed);
        check(samples_decode(buf_str(&bytes), count, types, NODES, UINT64_MAX, &arena, &second,
                             NULL) == 0);
        check(count == 0 || memcmp(first.stacks, second.stacks, count * sizeof(uint32_t)) == 0);
        for (uint32_t t = 0; count > 0 && t < types; t++)
            check(memcmp(first.values[t], second.values[t], count * sizeof(int64_t)) == 0);
        check((first.links == NULL) == (second.links == NULL));
    }
    buf_release(&bytes);
    arena_release(&arena);
    return 0;
}

/*
 * A sample chunk and a row block of anybody's bytes, for a shape that the input names.
 * What decodes is used as a query would: ids below the count, values not negative.
 * Input: types, rows, then a byte of samples per row; le16 length of the chunk, chunk, row block.
 */
#include "storage/segment_chunk.h"
#include "storage/segment_pack.h"
#include "storage/segment_rows.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

enum {
    NODES = 5000,
    ROWS_MAX = 64,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct sample_columns *c, uint64_t types)
{
    for (uint32_t i = 0; i < c->count; i++) {
        check(c->stacks[i] < NODES);
        check(!c->links || c->links[i] <= c->link_count);
        for (uint32_t t = 0; t < c->type_count; t++)
            check((types >> t & 1) == (c->values[t] != NULL) &&
                  (!c->values[t] || c->values[t][i] >= 0));
    }
}

static void decode(struct str chunk, struct segment_chunk_shape *shape, uint64_t types,
                   struct segment_pack *pack)
{
    struct sample_columns columns;
    struct arena arena;
    struct err err;

    arena_init(&arena, 16 << 20);
    if (segment_chunk_decode(chunk, shape, types, pack, &arena, &columns, &err) == 0)
        use(&columns, types & ((UINT64_C(1) << shape->type_count) - 1));
    arena_release(&arena);
}

static void decode_rows(struct str raw, uint32_t count, uint32_t types)
{
    struct segment_rows rows;
    struct arena arena;
    struct err err;

    arena_init(&arena, 16 << 20);
    check(segment_rows_init(&rows, count, types, &arena));
    if (segment_rows_decode(raw, count, &rows, &err) == 0)
        for (uint32_t i = 1; i < count; i++)
            check(rows.times[i] >= rows.times[i - 1]);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct segment_pack *pack;
    struct bytes b = bytes_of((struct str){(const char *)data, size});
    uint32_t samples[ROWS_MAX];
    struct segment_chunk_shape shape = {.row_samples = samples, .node_count = NODES};
    uint8_t types, rows, low, high;
    struct str chunk;

    if (!pack)
        pack = segment_pack_new();
    if (!bytes_u8(&b, &types) || !bytes_u8(&b, &rows))
        return 0;
    shape.type_count = 1 + types % 8;
    shape.row_count = 1 + rows % ROWS_MAX;
    for (uint32_t r = 0; r < shape.row_count; r++) {
        if (!bytes_u8(&b, &low))
            return 0;
        samples[r] = 1U + low;
        shape.sample_count += samples[r];
    }
    if (!bytes_u8(&b, &low) || !bytes_u8(&b, &high) ||
        !bytes_take(&b, (size_t)(low | high << 8), &chunk))
        return 0;
    decode(chunk, &shape, UINT64_MAX, pack);
    decode(chunk, &shape, UINT64_C(1) << (shape.type_count - 1), pack);
    decode(chunk, &shape, 0, pack);
    decode_rows((struct str){(const char *)b.p, bytes_left(&b)}, shape.row_count, shape.type_count);
    return 0;
}

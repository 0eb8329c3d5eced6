/*
 * Decoders of the sections that hold sums. Input: 1 byte section (0 AGG, 1 RLD, 2 FLM names, 3 FLM
 * tree, 4 TOT), then what the decoder knows beforehand: le16 items, 1 byte types, le16 ids; then
 * the bytes.
 */
#include "storage/segment_rollup.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    ENTRIES = 6,
    MEMORY = 32 << 20,
};

struct knowing {
    struct rollup_shape shape;
    struct dataset_index index;
    struct arena arena;
};

static void add_vector(struct knowing *k, struct str raw)
{
    value128 *sums[PROFILE_TYPES_MAX];
    uint64_t *touched = arena_calloc(&k->arena, k->shape.id_max / 64 + 1, sizeof(*touched));
    struct err err;

    check(touched);
    for (uint32_t t = 0; t < PROFILE_TYPES_MAX; t++)
        if (t < 4)
            sums[t] = arena_calloc(&k->arena, (size_t)k->shape.id_max + 1, sizeof(value128));
        else
            sums[t] = sums[0];
    (void)rollup_vector_add(raw, &k->shape, UINT64_MAX, &k->arena, sums, touched, &err);
}

static void read_flame(struct knowing *k, struct str raw, bool tree)
{
    struct flame f = {.node_count = k->shape.items + 1, .name_count = k->shape.id_max};
    struct err err;

    if (!tree) {
        if (flame_names_decode(raw, &k->arena, &f, &err) == 0 && f.name_count > 0)
            check(f.texts[f.name_count - 1].len <= raw.len);
    } else if (flame_tree_decode(raw, &k->arena, &f, &err) == 0) {
        for (uint32_t n = 1; n < f.node_count; n++)
            check(f.parents[n] < n && f.names[n] < f.name_count);
    }
}

static void read_directory(struct knowing *k, struct str raw)
{
    struct rollup_directory d;
    struct err err;

    if (rollup_directory_decode(raw, &k->index, 2, k->shape.items, k->shape.id_max, &k->arena, &d,
                                &err) != 0)
        return;
    for (uint32_t i = 0; i < d.vector_count; i++)
        check(d.vectors[i].offset + d.vectors[i].stored <= k->shape.items);
}

static void read_totals(struct knowing *k, struct str raw)
{
    struct totals t;
    struct err err;

    if (totals_decode(raw, &k->index, &k->arena, &t, &err) != 0)
        return;
    for (uint32_t i = 0; i < t.first[t.column_count]; i++)
        check(t.sums[i] > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct dataset_entry entries[ENTRIES] = {0};
    struct knowing k = {.index = {.entries = entries, .entry_count = ENTRIES}};

    if (size < 6)
        return 0;
    rest = str_slice(rest, 6, size);
    k.shape = (struct rollup_shape){get_le16(data + 1), data[3], get_le16(data + 4)};
    for (uint32_t e = 0; e < ENTRIES; e++)
        entries[e].present = data[3] >> e % 3 & 3;
    arena_init(&k.arena, MEMORY);
    switch (data[0]) {
    case 0:
        add_vector(&k, rest);
        break;
    case 1:
        read_directory(&k, rest);
        break;
    case 2:
    case 3:
        read_flame(&k, rest, data[0] == 3);
        break;
    default:
        read_totals(&k, rest);
    }
    arena_release(&k.arena);
    return 0;
}

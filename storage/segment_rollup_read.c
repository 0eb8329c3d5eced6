/* Reading TOT, FLM, AGG and RLD: ascending, in range, as long as said, or refused. */
#include "storage/segment_rollup.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

#include <string.h>

static int corrupt(const char *section, const char *what, uint64_t item, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "section %s: %s %llu is damaged", section, what,
                   (unsigned long long)item);
}

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "a segment's sums need more than %zu bytes of memory",
                   arena_limit(arena));
}

/* ---- vectors ---- */

uint64_t rollup_vector_raw_max(const struct rollup_shape *shape)
{
    return ((uint64_t)shape->items * (5 + (uint64_t)shape->type_count * VARINT128_BYTES_MAX)) +
           VARINT_BYTES_MAX +
           (uint64_t)shape->type_count * (VARINT128_BYTES_MAX + 2 * VARINT_BYTES_MAX);
}

/* Ids from gaps; a gap of 0 is for the first only. */
static bool take_ids(struct str column, const struct rollup_shape *shape, uint32_t *ids)
{
    struct bytes b = bytes_of(column);
    uint64_t id = 0;

    for (uint32_t i = 0; i < shape->items; i++) {
        uint64_t gap;

        if (!bytes_varint(&b, &gap) || gap > shape->id_max - id || (gap == 0 && i > 0))
            return false;
        id += gap;
        ids[i] = (uint32_t)id;
    }
    return bytes_left(&b) == 0;
}

/* Values that do not fit 64 bits even when divided, or are divided by more. */
static bool add_large(struct bytes *b, const uint32_t *ids, uint32_t count, value128 scale,
                      value128 *sum)
{
    for (uint32_t i = 0; i < count; i++) {
        value128 v;

        if (!bytes_varint128(b, &v) || (v != 0 && scale > ~(value128)0 / v))
            return false;
        sum[ids[i]] += v * scale;
    }
    return bytes_left(b) == 0;
}

static bool add_column(struct str column, const uint32_t *ids, uint32_t count, value128 scale,
                       value128 *sum)
{
    struct bytes b = bytes_of(column);
    uint64_t small = (uint64_t)scale;
    uint32_t i = 0;

    if (scale == 0)
        return bytes_left(&b) == 0;
    if (scale >> 64 != 0)
        return add_large(&b, ids, count, scale, sum);
    /* At most 9 bytes: 63 bits. What is longer goes the slow way from there on. */
    for (; i < count && bytes_left(&b) >= VARINT_BYTES_MAX; i++) {
        const uint8_t *p = b.p;
        uint64_t v = *p & 0x7f;
        unsigned shift = 0;

        while (*p++ >= 0x80 && shift < 56) {
            shift += 7;
            v |= (uint64_t)(*p & 0x7f) << shift;
        }
        if (p[-1] >= 0x80)
            break;
        sum[ids[i]] += (value128)v * small;
        b.p = p;
    }
    return add_large(&b, ids + i, count - i, scale, sum);
}

int rollup_vector_add(struct str raw, const struct rollup_shape *shape, uint64_t types,
                      struct arena *scratch, value128 *const *sums, uint64_t *touched,
                      struct err *err)
{
    struct arena_mark mark = arena_mark(scratch);
    uint32_t *ids = arena_array(scratch, uint32_t, shape->items);
    struct str columns[PROFILE_TYPES_MAX];
    struct bytes b = bytes_of(raw);
    struct str column;

    if (!ids)
        return out_of_memory(scratch, err);
    if (shape->type_count > PROFILE_TYPES_MAX || !bytes_take_sized(&b, &column) ||
        !take_ids(column, shape, ids))
        return corrupt("AGG", "the stacks of a vector of", shape->items, err);
    for (uint32_t t = 0; t < shape->type_count; t++) {
        value128 scale;
        uint32_t same;

        if (!bytes_varint128(&b, &scale) || !bytes_varint32(&b, t, &same) ||
            !bytes_take_sized(&b, &columns[t]) || (same > 0 && columns[t].len > 0))
            return corrupt("AGG", "a vector's column of type", t, err);
        if (same > 0)
            columns[t] = columns[same - 1];
        if ((types >> t & 1) && !add_column(columns[t], ids, shape->items, scale, sums[t]))
            return corrupt("AGG", "a vector's values of type", t, err);
    }
    if (bytes_left(&b) != 0)
        return corrupt("AGG", "the end of a vector of", shape->items, err);
    for (uint32_t i = 0; touched && i < shape->items; i++)
        touched[ids[i] / 64] |= UINT64_C(1) << ids[i] % 64;
    arena_rewind(scratch, mark);
    return 0;
}

/* ---- RLD ---- */

static bool take_block(struct bytes *b, uint64_t *at, struct rollup_block *out)
{
    out->offset = *at;
    if (!bytes_varint32(b, UINT32_MAX, &out->raw) || !bytes_varint32(b, out->raw, &out->stored) ||
        !bytes_le64(b, &out->checksum))
        return false;
    *at += out->stored;
    return true;
}

static bool take_flame(struct bytes *b, uint64_t flm_bytes, struct rollup_directory *out)
{
    uint64_t at = 0;

    /* A node is two bytes at least, a name one. */
    return bytes_varint32(b, UINT32_MAX, &out->flame_names) &&
           bytes_varint32(b, UINT32_MAX - 1, &out->flame_nodes) && out->flame_nodes > 0 &&
           take_block(b, &at, &out->names) && take_block(b, &at, &out->tree) && at == flm_bytes &&
           out->flame_names <= out->names.raw && out->flame_nodes - 1 <= out->tree.raw / 2;
}

static bool take_vector(struct bytes *b, const struct dataset_index *index, uint32_t family_count,
                        bool has_flame, struct rollup_vector *v)
{
    uint32_t kind = 0;

    if (!bytes_varint32(b, ROLLUP_KINDS - 1, &kind) || !bytes_varint32(b, UINT32_MAX, &v->owner) ||
        !bytes_varint32(b, UINT32_MAX, &v->hour) || !bytes_varint(b, &v->rows) ||
        !bytes_varint32(b, UINT32_MAX, &v->items) || !bytes_varint32(b, UINT32_MAX, &v->raw) ||
        !bytes_varint32(b, v->raw, &v->stored))
        return false;
    v->kind = (enum rollup_kind)kind;
    return v->owner < (v->kind == ROLLUP_STREAM ? index->entry_count : family_count) &&
           (v->kind == ROLLUP_HOUR || v->hour == 0) && v->hour < 84000 * 24 && v->items <= v->raw &&
           v->rows > 0 && (v->kind != ROLLUP_FLAME || has_flame);
}

static int take_vectors(struct bytes *b, const struct dataset_index *index, uint32_t family_count,
                        uint64_t agg_bytes, struct rollup_directory *out, struct err *err)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < out->vector_count; i++) {
        struct rollup_vector *v = &out->vectors[i];

        v->offset = at;
        if (!take_vector(b, index, family_count, out->has_flame, v) ||
            (i > 0 && rollup_vector_cmp(v - 1, v) >= 0))
            return corrupt("RLD", "vector", i, err);
        at += v->stored;
    }
    for (uint32_t i = 0; i < out->vector_count; i++)
        if (!bytes_le64(b, &out->vectors[i].checksum))
            return corrupt("RLD", "the checksum of vector", i, err);
    if (at != agg_bytes || bytes_left(b) != 0)
        return corrupt("RLD", "the end after vector", out->vector_count, err);
    return 0;
}

int rollup_directory_decode(struct str raw, const struct dataset_index *index,
                            uint32_t family_count, uint64_t agg_bytes, uint64_t flm_bytes,
                            struct arena *arena, struct rollup_directory *out, struct err *err)
{
    struct bytes b = bytes_of(raw);
    uint32_t has_flame = 0;

    memset(out, 0, sizeof(*out));
    if (!bytes_varint32(&b, 1, &has_flame))
        return corrupt("RLD", "the flame tree of", 0, err);
    out->has_flame = has_flame == 1;
    if (out->has_flame ? !take_flame(&b, flm_bytes, out) : flm_bytes != 0)
        return corrupt("RLD", "the flame tree of", out->flame_nodes, err);
    /* Seven varints and a checksum each. */
    if (!bytes_varint32(&b, UINT32_MAX, &out->vector_count) ||
        out->vector_count > bytes_left(&b) / 15)
        return corrupt("RLD", "the count of vectors", out->vector_count, err);
    out->vectors = arena_calloc(arena, out->vector_count, sizeof(*out->vectors));
    if (!out->vectors)
        return out_of_memory(arena, err);
    return take_vectors(&b, index, family_count, agg_bytes, out, err);
}

/* ---- FLM ---- */

int flame_names_decode(struct str raw, struct arena *arena, struct flame *f, struct err *err)
{
    struct str *texts = arena_array(arena, struct str, f->name_count);
    char *copy = arena_strndup(arena, raw.p, raw.len);
    struct bytes b = bytes_of(raw);
    uint64_t at;

    if (!texts || !copy)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < f->name_count; i++) {
        uint32_t len;

        if (!bytes_varint32(&b, UINT32_MAX, &len))
            return corrupt("FLM", "the length of name", i, err);
        texts[i].len = len;
    }
    at = raw.len - bytes_left(&b);
    for (uint32_t i = 0; i < f->name_count; i++) {
        if (texts[i].len > raw.len - at)
            return corrupt("FLM", "name", i, err);
        texts[i].p = copy + at;
        at += texts[i].len;
        if (i > 0 && str_cmp(texts[i - 1], texts[i]) >= 0)
            return corrupt("FLM", "the order of name", i, err);
    }
    f->texts = texts;
    return at == raw.len ? 0 : corrupt("FLM", "the end after name", f->name_count, err);
}

int flame_tree_decode(struct str raw, struct arena *arena, struct flame *f, struct err *err)
{
    uint32_t *parents = arena_array(arena, uint32_t, f->node_count);
    uint32_t *names = arena_array(arena, uint32_t, f->node_count);
    struct bytes b = bytes_of(raw), steps;
    struct str column;

    if (!parents || !names)
        return out_of_memory(arena, err);
    if (!bytes_take_sized(&b, &column))
        return corrupt("FLM", "the column of", f->node_count, err);
    steps = bytes_of(column);
    parents[0] = names[0] = 0;
    for (uint32_t n = 1; n < f->node_count; n++) {
        uint32_t up = n - 1, left;

        if (!bytes_varint32(&steps, n - 1, &left) || f->name_count == 0 ||
            !bytes_varint32(&b, f->name_count - 1, &names[n]))
            return corrupt("FLM", "node", n, err);
        /* Every step up is one that a node before went down: linear altogether. */
        for (; left > 0 && up > 0; left--)
            up = parents[up];
        if (left > 0)
            return corrupt("FLM", "the parent of node", n, err);
        parents[n] = up;
    }
    f->parents = parents;
    f->names = names;
    return bytes_left(&b) == 0 && bytes_left(&steps) == 0
               ? 0
               : corrupt("FLM", "the end after node", f->node_count, err);
}

/* ---- TOT ---- */

/* The count of columns, and where each entry's begin. */
static int number_columns(const struct dataset_index *index, struct arena *arena,
                          struct totals *out, struct err *err)
{
    uint32_t *first = arena_array(arena, uint32_t, (size_t)index->entry_count + 1);
    uint32_t count = 0;

    if (!first)
        return out_of_memory(arena, err);
    for (uint32_t e = 0; e < index->entry_count; e++) {
        first[e] = count;
        count += (uint32_t)__builtin_popcountll(index->entries[e].present);
    }
    first[index->entry_count] = count;
    out->entry_first = first;
    out->column_count = count;
    return 0;
}

static bool take_column(struct bytes *b, uint32_t base, uint32_t count, uint32_t *windows,
                        value128 *sums)
{
    uint64_t window = base;
    value128 scale;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t gap;

        if (!bytes_varint32(b, UINT32_MAX, &gap) || (gap == 0 && i > 0) ||
            gap > UINT32_MAX - window)
            return bytes_fail(b);
        window += gap;
        windows[i] = (uint32_t)window;
    }
    if (!bytes_varint128(b, &scale) || (scale == 0 && count > 0))
        return bytes_fail(b);
    for (uint32_t i = 0; i < count; i++) {
        value128 v;

        if (!bytes_varint128(b, &v) || v == 0 || scale > ~(value128)0 / v)
            return bytes_fail(b);
        sums[i] = v * scale;
    }
    return true;
}

int totals_decode(struct str raw, const struct dataset_index *index, struct arena *arena,
                  struct totals *out, struct err *err)
{
    /* A window is two bytes at least. */
    size_t max = raw.len / 2 + 1;
    uint32_t *windows = arena_array(arena, uint32_t, max), base, at = 0, *first;
    value128 *sums = arena_array(arena, value128, max);
    struct bytes b = bytes_of(raw);
    int rc;

    memset(out, 0, sizeof(*out));
    if ((rc = number_columns(index, arena, out, err)) != 0)
        return rc;
    first = arena_array(arena, uint32_t, (size_t)out->column_count + 1);
    if (!windows || !sums || !first)
        return out_of_memory(arena, err);
    if (!bytes_varint32(&b, UINT32_MAX, &base) || base == 0)
        return corrupt("TOT", "the first window", base, err);
    for (uint32_t c = 0; c < out->column_count; c++) {
        uint32_t count;

        first[c] = at;
        if (!bytes_varint32(&b, UINT32_MAX, &count) || count > max - at ||
            !take_column(&b, base, count, windows + at, sums + at))
            return corrupt("TOT", "column", c, err);
        at += count;
    }
    first[out->column_count] = at;
    out->first = first;
    out->windows = windows;
    out->sums = sums;
    return bytes_left(&b) == 0 ? 0 : corrupt("TOT", "the end after column", out->column_count, err);
}

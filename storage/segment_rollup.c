/* Writing TOT, FLM, AGG and RLD. */
#include "storage/segment_rollup.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"

#include <string.h>

/* Euclid; 64 bits are the rule. */
static value128 common_divisor(value128 a, value128 b)
{
    while (b != 0) {
        value128 rest =
            a >> 64 == 0 && b >> 64 == 0 ? (value128)((uint64_t)a % (uint64_t)b) : a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* 0 when all are. */
static value128 scale_of(const value128 *values, uint32_t count)
{
    value128 scale = 0;

    for (uint32_t i = 0; i < count && scale != 1; i++)
        scale = common_divisor(values[i], scale);
    return scale;
}

static void put_scaled(const value128 *values, uint32_t count, value128 scale, struct buf *out)
{
    for (uint32_t i = 0; scale != 0 && i < count; i++) {
        value128 v = values[i];

        if (v >> 64 == 0 && scale >> 64 == 0)
            buf_put_varint(out, (uint64_t)v / (uint64_t)scale);
        else
            buf_put_varint128(out, v / scale);
    }
}

/* Are the columns the same but for the scale? */
static bool same_column(const value128 *a, value128 a_scale, const value128 *b, value128 b_scale,
                        uint32_t count)
{
    if (a_scale == 0 || b_scale == 0)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        bool small = (a[i] | a_scale | b[i] | b_scale) >> 64 == 0;

        if (small ? (uint64_t)a[i] / (uint64_t)a_scale != (uint64_t)b[i] / (uint64_t)b_scale
                  : a[i] / a_scale != b[i] / b_scale)
            return false;
    }
    return true;
}

/* Sized: what `put` appended since `at`. */
static void end_sized(struct buf *out, size_t at)
{
    uint8_t head[VARINT_BYTES_MAX];
    size_t size = out->len - at, head_size = (size_t)(put_varint(head, size) - head);

    if (buf_append(out, head, head_size) != 0)
        return;
    memmove(out->data + at + head_size, out->data + at, size);
    memcpy(out->data + at, head, head_size);
}

void rollup_vector_encode(const struct rollup_items *v, struct buf *out)
{
    value128 scales[PROFILE_TYPES_MAX];
    size_t at = out->len;
    uint32_t last = 0;

    check(v->type_count <= PROFILE_TYPES_MAX);
    for (uint32_t i = 0; i < v->count; i++) {
        check(i == 0 || v->ids[i] > last);
        buf_put_varint(out, v->ids[i] - last);
        last = v->ids[i];
    }
    end_sized(out, at);
    for (uint32_t t = 0; t < v->type_count; t++) {
        uint32_t same = 0;

        scales[t] = scale_of(v->values[t], v->count);
        while (same < t &&
               !same_column(v->values[same], scales[same], v->values[t], scales[t], v->count))
            same++;
        buf_put_varint128(out, scales[t]);
        buf_put_varint(out, same < t ? same + 1 : 0);
        at = out->len;
        if (same == t)
            put_scaled(v->values[t], v->count, scales[t], out);
        end_sized(out, at);
    }
}

void rollup_directory_encode(const struct rollup_directory *d, struct buf *out)
{
    const struct rollup_block *blocks[] = {&d->names, &d->tree};

    buf_put_varint(out, d->has_flame);
    if (d->has_flame) {
        buf_put_varint(out, d->flame_names);
        buf_put_varint(out, d->flame_nodes);
        for (size_t i = 0; i < 2; i++) {
            buf_put_varint(out, blocks[i]->raw);
            buf_put_varint(out, blocks[i]->stored);
            buf_put_le64(out, blocks[i]->checksum);
        }
    }
    buf_put_varint(out, d->vector_count);
    for (uint32_t i = 0; i < d->vector_count; i++) {
        const struct rollup_vector *v = &d->vectors[i];

        check(i == 0 || rollup_vector_cmp(v - 1, v) < 0);
        buf_put_varint(out, v->kind);
        buf_put_varint(out, v->owner);
        buf_put_varint(out, v->hour);
        buf_put_varint(out, v->rows);
        buf_put_varint(out, v->items);
        buf_put_varint(out, v->raw);
        buf_put_varint(out, v->stored);
    }
    for (uint32_t i = 0; i < d->vector_count; i++)
        buf_put_le64(out, d->vectors[i].checksum);
}

void flame_names_encode(const struct flame *f, struct buf *out)
{
    for (uint32_t i = 0; i < f->name_count; i++)
        buf_put_varint(out, f->texts[i].len);
    for (uint32_t i = 0; i < f->name_count; i++)
        (void)buf_append(out, f->texts[i].p, f->texts[i].len);
}

/* Depth first, so the parent is a few steps above the node before. */
static uint32_t pops(const struct flame *f, uint32_t node)
{
    uint32_t steps = 0, up = node - 1;

    for (; up != f->parents[node]; up = f->parents[up])
        steps++;
    return steps;
}

void flame_tree_encode(const struct flame *f, struct buf *out)
{
    size_t at = out->len;

    for (uint32_t n = 1; n < f->node_count; n++)
        buf_put_varint(out, pops(f, n));
    end_sized(out, at);
    for (uint32_t n = 1; n < f->node_count; n++)
        buf_put_varint(out, f->names[n]);
}

void totals_encode(const struct totals *t, struct buf *out)
{
    uint32_t base = UINT32_MAX;

    for (uint32_t c = 0; c < t->column_count; c++)
        if (t->first[c] < t->first[c + 1] && t->windows[t->first[c]] < base)
            base = t->windows[t->first[c]];
    buf_put_varint(out, base);
    for (uint32_t c = 0; c < t->column_count; c++) {
        uint32_t from = t->first[c], count = t->first[c + 1] - from, last = base;
        value128 scale = scale_of(t->sums + from, count);

        buf_put_varint(out, count);
        for (uint32_t i = from; i < from + count; i++) {
            check(t->sums[i] > 0 && (i == from || t->windows[i] > last));
            buf_put_varint(out, t->windows[i] - last);
            last = t->windows[i];
        }
        buf_put_varint128(out, scale);
        put_scaled(t->sums + from, count, scale, out);
    }
}

#include "storage/model/samples.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

/*
 * Byte form:
 *
 *   flags        1 byte: bit 0 = links follow
 *   stacks       sized; gaps: first id, then differences (0: same stack, other link)
 *   per type     sized; scale (greatest common divisor, 0 = all zero), then value / scale each
 *   links        sized; count, (span 8 bytes, trace 16 bytes) each, then per sample an index
 *                into them plus one, 0 = none
 *
 * "sized" is a varint length and that many bytes, so that a reader skips what
 * it does not want.
 */
enum {
    FLAG_LINKS = 1,
    LINK_BYTES = 24,
};

/*
 * A sized column whose bytes are not counted beforehand: they are written behind the longest
 * length there may be, then moved to where they belong. NULL: no memory, `out` says so.
 */
static uint8_t *begin_column(struct buf *out, size_t values)
{
    if (buf_reserve(out, (values + 1) * VARINT_BYTES_MAX) != 0)
        return NULL;
    return out->data + out->len + VARINT_BYTES_MAX;
}

static void end_column(struct buf *out, const uint8_t *end)
{
    const uint8_t *start = out->data + out->len + VARINT_BYTES_MAX;
    size_t size = (size_t)(end - start);

    buf_put_varint(out, size);
    memmove(out->data + out->len, start, size);
    out->len += size;
}

static void put_stacks(const struct sample_columns *c, struct buf *out)
{
    uint8_t *p = begin_column(out, c->count);
    uint32_t last = 0;

    for (uint32_t i = 0; p && i < c->count; i++) {
        check(c->stacks[i] >= last);
        p = put_varint(p, c->stacks[i] - last);
        last = c->stacks[i];
    }
    if (p)
        end_column(out, p);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t r = a % b;

        a = b;
        b = r;
    }
    return a;
}

/* Most columns have no common divisor, or the sampling period, which most values are. */
uint64_t samples_scale(const int64_t *values, uint32_t count)
{
    uint64_t scale = 0;

    for (uint32_t i = 0; i < count && scale != 1; i++) {
        uint64_t v = (uint64_t)values[i];

        if (v != 0 && v != scale && (scale == 0 || v % scale != 0))
            scale = gcd(scale, v);
    }
    return scale;
}

static void put_values(const int64_t *values, uint32_t count, struct buf *out)
{
    uint64_t scale = samples_scale(values, count);
    uint8_t *p = begin_column(out, scale == 0 ? 1 : (size_t)count + 1);

    if (!p)
        return;
    p = put_varint(p, scale);
    if (scale == 1)
        for (uint32_t i = 0; i < count; i++)
            p = put_varint(p, (uint64_t)values[i]);
    else if (scale > 1)
        for (uint32_t i = 0; i < count; i++)
            p = put_varint(p, (uint64_t)values[i] == scale ? 1 : (uint64_t)values[i] / scale);
    end_column(out, p);
}

static void put_links(const struct sample_columns *c, struct buf *out)
{
    size_t size = varint_size(c->link_count) + (size_t)c->link_count * LINK_BYTES;

    for (uint32_t i = 0; i < c->count; i++)
        size += varint_size(c->links[i]);
    buf_put_varint(out, size);
    buf_put_varint(out, c->link_count);
    for (uint32_t i = 0; i < c->link_count; i++) {
        buf_put_le64(out, c->link_table[i].span_id);
        (void)buf_append(out, c->link_table[i].trace_id, sizeof(c->link_table[i].trace_id));
    }
    for (uint32_t i = 0; i < c->count; i++)
        buf_put_varint(out, c->links[i]);
}

void samples_encode(const struct sample_columns *c, struct buf *out)
{
    (void)buf_append_byte(out, c->links ? FLAG_LINKS : 0);
    put_stacks(c, out);
    for (uint32_t t = 0; t < c->type_count; t++)
        put_values(c->values[t], c->count, out);
    if (c->links)
        put_links(c, out);
}

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "row: the %s column is damaged", what);
}

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "a row's samples need more than %zu bytes of memory",
                   arena_limit(arena));
}

static int take_stacks(struct bytes *in, uint32_t node_count, struct arena *arena,
                       struct sample_columns *out, struct err *err)
{
    struct str column;
    struct bytes b;
    uint64_t id = 0;

    if (!bytes_take_sized(in, &column) || column.len < out->count)
        return corrupt("stack", err);
    out->stacks = arena_array(arena, uint32_t, out->count);
    if (!out->stacks)
        return out_of_memory(arena, err);
    b = bytes_of(column);
    for (uint32_t i = 0; i < out->count; i++) {
        uint64_t gap;

        if (!bytes_varint(&b, &gap) || gap >= node_count || (id += gap) >= node_count)
            return corrupt("stack", err);
        out->stacks[i] = (uint32_t)id;
    }
    return bytes_left(&b) == 0 ? 0 : corrupt("stack", err);
}

static int take_values(struct str column, struct arena *arena, uint32_t count, int64_t **out,
                       struct err *err)
{
    struct bytes b = bytes_of(column);
    int64_t *values = arena_array(arena, int64_t, count);
    uint64_t scale;

    if (!values)
        return out_of_memory(arena, err);
    if (!bytes_varint(&b, &scale))
        return corrupt("value", err);
    if (scale == 0)
        memset(values, 0, count * sizeof(*values));
    for (uint32_t i = 0; scale != 0 && i < count; i++) {
        uint64_t v;

        if (!bytes_varint(&b, &v) || __builtin_mul_overflow(v, scale, &v) || v > INT64_MAX)
            return corrupt("value", err);
        values[i] = (int64_t)v;
    }
    *out = values;
    return bytes_left(&b) == 0 ? 0 : corrupt("value", err);
}

static int take_links(struct bytes *in, struct arena *arena, struct sample_columns *out,
                      struct err *err)
{
    struct str column, raw;
    struct bytes b;

    if (!bytes_take_sized(in, &column))
        return corrupt("link", err);
    b = bytes_of(column);
    if (!bytes_varint32(&b, out->count, &out->link_count) ||
        !bytes_take(&b, (size_t)out->link_count * LINK_BYTES, &raw))
        return corrupt("link", err);
    out->link_table = arena_array(arena, struct profile_link, out->link_count);
    out->links = arena_array(arena, uint32_t, out->count);
    if (!out->link_table || !out->links)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < out->link_count; i++) {
        const char *p = raw.p + (size_t)i * LINK_BYTES;

        out->link_table[i].span_id = get_le64(p);
        memcpy(out->link_table[i].trace_id, p + sizeof(uint64_t),
               sizeof(out->link_table[i].trace_id));
    }
    for (uint32_t i = 0; i < out->count; i++)
        if (!bytes_varint32(&b, out->link_count, &out->links[i]))
            return corrupt("link", err);
    return bytes_left(&b) == 0 ? 0 : corrupt("link", err);
}

int samples_decode(struct str in, uint32_t count, uint32_t type_count, uint32_t node_count,
                   uint64_t types, struct arena *arena, struct sample_columns *out, struct err *err)
{
    struct bytes b = bytes_of(in);
    struct sample_columns c = {.count = count, .type_count = type_count};
    struct str column;
    uint8_t flags;
    int rc;

    check(type_count <= PROFILE_TYPES_MAX);
    if (!bytes_u8(&b, &flags) || flags > FLAG_LINKS || count > in.len)
        return corrupt("flags", err);
    if ((rc = take_stacks(&b, node_count, arena, &c, err)) != 0)
        return rc;
    for (uint32_t t = 0; t < type_count; t++) {
        if (!bytes_take_sized(&b, &column))
            return corrupt("value", err);
        if ((types >> t & 1) && (rc = take_values(column, arena, count, &c.values[t], err)) != 0)
            return rc;
    }
    if ((flags & FLAG_LINKS) && (rc = take_links(&b, arena, &c, err)) != 0)
        return rc;
    if (bytes_left(&b) != 0)
        return corrupt("last", err);
    *out = c;
    return 0;
}

value128 samples_total(const int64_t *values, uint32_t count)
{
    value128 total = 0;

    for (uint32_t i = 0; i < count; i++)
        total += (value128)values[i];
    return total;
}

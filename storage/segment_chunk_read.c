/* A chunk back into columns. The bytes may be anybody's: nothing is believed. */
#include "storage/segment_chunk.h"

#include "storage/segment_format.h"
#include "storage/segment_pack.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

enum {
    FLAG_LINKS = 1,
    LINK_BYTES = 24,
};

struct column {
    uint8_t codec, compression;
    uint32_t source; /* of a copy */
    uint64_t scale, raw, stored;
    struct str bytes;
};

struct decoding {
    const struct segment_chunk_shape *shape;
    struct segment_pack *pack;
    struct arena *arena;
    struct sample_columns *out;
    struct column ids, values[PROFILE_TYPES_MAX], links;
    uint8_t *listed; /* with CHUNK_IDS_FLAGGED: per sample */
    uint32_t *match; /* made when first needed */
    bool has_links;
};

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "chunk: the %s column is damaged", what);
}

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "a chunk of samples needs more than %zu bytes of memory",
                   arena_limit(arena));
}

static bool take_head(struct bytes *b, struct column *c)
{
    uint8_t byte;

    if (!bytes_u8(b, &byte))
        return false;
    c->codec = byte & 15;
    c->compression = byte >> 4;
    return c->compression <= SEGMENT_ZSTD;
}

static bool take_sizes(struct bytes *b, struct column *c)
{
    if (!bytes_varint(b, &c->raw))
        return false;
    c->stored = c->raw;
    return c->compression == SEGMENT_PLAIN || bytes_varint(b, &c->stored);
}

static bool take_value_head(struct bytes *b, uint32_t t, bool flagged, struct column *c)
{
    if (!take_head(b, c))
        return false;
    switch (c->codec) {
    case CHUNK_VALUES_ONES:
        break;
    case CHUNK_VALUES_COPY:
        if (t == 0 || !bytes_varint32(b, t - 1, &c->source))
            return false;
        break;
    case CHUNK_VALUES_LISTED:
        if (t != 0 || !flagged)
            return false;
        /* fall through */
    case CHUNK_VALUES_PLAIN:
    case CHUNK_VALUES_PREVIOUS:
        if (!take_sizes(b, c))
            return false;
        break;
    default:
        return false;
    }
    if ((c->codec == CHUNK_VALUES_ONES || c->codec == CHUNK_VALUES_COPY) &&
        c->compression != SEGMENT_PLAIN)
        return false;
    return bytes_varint(b, &c->scale) && c->scale <= INT64_MAX;
}

static bool take_body(struct bytes *b, struct column *c)
{
    return c->stored <= bytes_left(b) && bytes_take(b, (size_t)c->stored, &c->bytes);
}

static int take_columns(struct decoding *d, struct str stored, struct err *err)
{
    struct bytes b = bytes_of(stored);
    uint32_t types = d->shape->type_count;
    bool flagged;
    uint8_t flags;

    if (!bytes_u8(&b, &flags) || flags > FLAG_LINKS || !take_head(&b, &d->ids) ||
        d->ids.codec > CHUNK_IDS_DIFFERENCE || !take_sizes(&b, &d->ids))
        return corrupt("stack", err);
    flagged = d->ids.codec == CHUNK_IDS_FLAGGED;
    d->has_links = flags & FLAG_LINKS;
    for (uint32_t t = 0; t < types; t++)
        if (!take_value_head(&b, t, flagged, &d->values[t]))
            return corrupt("value", err);
    if (flagged && d->values[0].codec != CHUNK_VALUES_LISTED)
        return corrupt("value", err);
    if (d->has_links &&
        (!take_head(&b, &d->links) || d->links.codec != 0 || !take_sizes(&b, &d->links)))
        return corrupt("link", err);
    if (!take_body(&b, &d->ids))
        return corrupt("stack", err);
    for (uint32_t t = 0; t < types; t++)
        if (!take_body(&b, &d->values[t]))
            return corrupt("value", err);
    if (d->has_links && !take_body(&b, &d->links))
        return corrupt("link", err);
    return bytes_left(&b) == 0 ? 0 : corrupt("last", err);
}

/* The column's raw bytes; at most `raw_max`, which follows from the number of samples. */
static int expand(struct decoding *d, struct column *c, uint64_t raw_max, const char *what,
                  struct err *err)
{
    void *raw;

    if (c->raw > raw_max)
        return corrupt(what, err);
    if (c->compression == SEGMENT_PLAIN)
        return 0;
    raw = arena_alloc(d->arena, (size_t)c->raw);
    if (!raw)
        return out_of_memory(d->arena, err);
    if (!segment_pack_get(d->pack, c->bytes, raw, (size_t)c->raw))
        return corrupt(what, err);
    c->bytes = (struct str){raw, (size_t)c->raw};
    return 0;
}

static bool take_gaps(struct decoding *d, struct bytes *b, bool flagged)
{
    const struct segment_chunk_shape *s = d->shape;
    uint32_t *stacks = d->out->stacks, at = 0;

    for (uint32_t r = 0; r < s->row_count; r++) {
        uint64_t id = 0;

        for (uint32_t end = at + s->row_samples[r]; at < end; at++) {
            uint64_t gap;

            if (!bytes_varint(b, &gap))
                return false;
            if (flagged) {
                d->listed[at] = gap & 1;
                gap >>= 1;
            }
            if (gap >= s->node_count || (id += gap) >= s->node_count)
                return false;
            stacks[at] = (uint32_t)id;
        }
    }
    return bytes_left(b) == 0;
}

/* One row: those of the last row that did not go, and those that came. */
static bool take_difference(struct bytes *b, const uint32_t *last, uint32_t last_count,
                            uint32_t *row, uint32_t count, uint32_t node_count)
{
    uint32_t changes, i = 0, n = 0;
    uint64_t id = 0, gap;

    if (!bytes_varint32(b, UINT32_MAX, &changes))
        return false;
    for (uint32_t k = 0; k < changes; k++) {
        if (!bytes_varint(b, &gap) || gap >= node_count || (k > 0 && gap == 0) ||
            (id += gap) >= node_count)
            return false;
        for (; i < last_count && last[i] < id; i++) {
            if (n == count)
                return false;
            row[n++] = last[i];
        }
        if (i < last_count && last[i] == id) {
            i++;
            continue;
        }
        if (n == count)
            return false;
        row[n++] = (uint32_t)id;
    }
    if (last_count - i != count - n)
        return false;
    for (; i < last_count; i++)
        row[n++] = last[i];
    return true;
}

static bool take_differences(struct decoding *d, struct bytes *b)
{
    const struct segment_chunk_shape *s = d->shape;
    uint32_t *row = d->out->stacks, last_count = 0;

    for (uint32_t r = 0; r < s->row_count; r++) {
        if (!take_difference(b, row - last_count, last_count, row, s->row_samples[r],
                             s->node_count))
            return false;
        last_count = s->row_samples[r];
        row += last_count;
    }
    return bytes_left(b) == 0;
}

static int decode_ids(struct decoding *d, struct err *err)
{
    uint32_t count = d->shape->sample_count;
    bool flagged = d->ids.codec == CHUNK_IDS_FLAGGED;
    struct bytes b;
    int rc = expand(d, &d->ids, ((uint64_t)count * 2 + d->shape->row_count) * 5, "stack", err);

    if (rc != 0)
        return rc;
    /* Gaps take a byte each at least: no memory for samples that cannot be there. */
    if (d->ids.codec != CHUNK_IDS_DIFFERENCE && d->ids.raw < count)
        return corrupt("stack", err);
    d->out->stacks = arena_array(d->arena, uint32_t, count);
    d->listed = flagged ? arena_alloc(d->arena, count) : NULL;
    if (!d->out->stacks || (flagged && !d->listed))
        return out_of_memory(d->arena, err);
    b = bytes_of(d->ids.bytes);
    if (d->ids.codec == CHUNK_IDS_DIFFERENCE ? !take_differences(d, &b)
                                             : !take_gaps(d, &b, flagged))
        return corrupt("stack", err);
    return 0;
}

static int need_match(struct decoding *d, struct err *err)
{
    const struct segment_chunk_shape *s = d->shape;
    uint32_t at = 0, last_count = 0;

    if (d->match)
        return 0;
    d->match = arena_array(d->arena, uint32_t, s->sample_count);
    if (!d->match)
        return out_of_memory(d->arena, err);
    for (uint32_t r = 0; r < s->row_count; r++) {
        uint32_t last = at - last_count, end = at + s->row_samples[r];

        segment_chunk_match(d->out->stacks + last, last_count, d->out->stacks + at,
                            s->row_samples[r], d->match + at);
        last_count = s->row_samples[r];
        for (; at < end; at++)
            if (d->match[at] != UINT32_MAX)
                d->match[at] += last;
    }
    return 0;
}

static bool take_previous(const struct decoding *d, struct bytes *b, uint64_t max, int64_t *values)
{
    uint32_t count = d->shape->sample_count, i = 0;

    for (;;) {
        uint32_t run;
        int64_t change;

        if (!bytes_varint32(b, count - i, &run))
            return false;
        for (; run > 0; run--, i++)
            values[i] = d->match[i] == UINT32_MAX ? 0 : values[d->match[i]];
        if (i == count)
            return bytes_left(b) == 0;
        if (!bytes_zigzag(b, &change))
            return false;
        values[i] = d->match[i] == UINT32_MAX ? 0 : values[d->match[i]];
        if (__builtin_add_overflow(values[i], change, &values[i]) || values[i] < 0 ||
            (uint64_t)values[i] > max)
            return false;
        i++;
        if (i == count) {
            /* The last run, which is 0. */
            return bytes_varint32(b, 0, &run) && bytes_left(b) == 0;
        }
    }
}

static bool take_plain(const struct decoding *d, struct bytes *b, uint64_t max, int64_t *values)
{
    for (uint32_t i = 0; i < d->shape->sample_count; i++) {
        uint64_t v;

        if (!bytes_varint(b, &v) || v > max)
            return false;
        values[i] = (int64_t)v;
    }
    return bytes_left(b) == 0;
}

static bool take_listed(const struct decoding *d, struct bytes *b, uint64_t max, int64_t *values)
{
    const uint8_t *listed = d->listed;

    check(listed); /* the codec is refused without flagged ids */
    for (uint32_t i = 0; i < d->shape->sample_count; i++) {
        uint64_t v = 1;

        if (listed[i] && (!bytes_varint(b, &v) || v > max))
            return false;
        values[i] = (int64_t)v;
    }
    return bytes_left(b) == 0;
}

static void fill_ones(const struct decoding *d, uint64_t scale, int64_t *values)
{
    for (uint32_t i = 0; i < d->shape->sample_count; i++)
        values[i] = scale != 0;
}

/* values / scale of a column that is no copy. */
static int decode_unscaled(struct decoding *d, struct column *c, uint64_t max, int64_t *values,
                           struct err *err)
{
    uint64_t count = d->shape->sample_count;
    struct bytes b;
    bool ok = true;
    int rc = expand(d, c, (count * 2 + 1) * VARINT_BYTES_MAX, "value", err);

    if (rc == 0 && c->codec == CHUNK_VALUES_PREVIOUS)
        rc = need_match(d, err);
    if (rc != 0)
        return rc;
    b = bytes_of(c->bytes);
    if (c->codec == CHUNK_VALUES_ONES)
        fill_ones(d, c->scale, values);
    else if (c->codec == CHUNK_VALUES_PLAIN)
        ok = take_plain(d, &b, max, values);
    else if (c->codec == CHUNK_VALUES_LISTED)
        ok = take_listed(d, &b, max, values);
    else
        ok = take_previous(d, &b, max, values);
    return ok ? 0 : corrupt("value", err);
}

static int decode_values(struct decoding *d, uint32_t t, struct err *err)
{
    uint32_t count = d->shape->sample_count;
    uint64_t scale = d->values[t].scale, max = scale ? INT64_MAX / scale : 0;
    struct column c = d->values[t];
    int64_t *values = arena_array(d->arena, int64_t, count);
    int rc;

    if (!values)
        return out_of_memory(d->arena, err);
    while (c.codec == CHUNK_VALUES_COPY) /* sources are before their copies: this ends */
        c = d->values[c.source];
    if ((rc = decode_unscaled(d, &c, max, values, err)) != 0)
        return rc;
    if (scale != 1)
        for (uint32_t i = 0; i < count; i++) {
            if ((uint64_t)values[i] > max)
                return corrupt("value", err);
            values[i] = (int64_t)((uint64_t)values[i] * scale);
        }
    d->out->values[t] = values;
    return 0;
}

static int decode_links(struct decoding *d, struct err *err)
{
    uint32_t count = d->shape->sample_count, distinct;
    struct sample_columns *out = d->out;
    struct str raw;
    struct bytes b;
    int rc = expand(d, &d->links, (uint64_t)count * (LINK_BYTES + 5) + 5, "link", err);

    if (rc != 0)
        return rc;
    b = bytes_of(d->links.bytes);
    if (!bytes_varint32(&b, count, &distinct) ||
        !bytes_take(&b, (size_t)distinct * LINK_BYTES, &raw) || bytes_left(&b) < count)
        return corrupt("link", err);
    out->link_table = arena_array(d->arena, struct profile_link, distinct);
    out->links = arena_array(d->arena, uint32_t, count);
    if (!out->link_table || !out->links)
        return out_of_memory(d->arena, err);
    for (uint32_t i = 0; i < distinct; i++) {
        out->link_table[i].span_id = get_le64(raw.p + (size_t)i * LINK_BYTES);
        memcpy(out->link_table[i].trace_id, raw.p + (size_t)i * LINK_BYTES + 8,
               sizeof(out->link_table[i].trace_id));
    }
    for (uint32_t i = 0; i < count; i++)
        if (!bytes_varint32(&b, distinct, &out->links[i]))
            return corrupt("link", err);
    out->link_count = distinct;
    return bytes_left(&b) == 0 ? 0 : corrupt("link", err);
}

int segment_chunk_decode(struct str stored, const struct segment_chunk_shape *shape, uint64_t types,
                         struct segment_pack *pack, struct arena *arena, struct sample_columns *out,
                         struct err *err)
{
    struct decoding *d = arena_calloc(arena, 1, sizeof(*d));
    int rc;

    if (!d)
        return out_of_memory(arena, err);
    check(shape->type_count <= PROFILE_TYPES_MAX);
    memset(out, 0, sizeof(*out));
    out->count = shape->sample_count;
    out->type_count = shape->type_count;
    d->shape = shape;
    d->pack = pack;
    d->arena = arena;
    d->out = out;
    if ((rc = take_columns(d, stored, err)) != 0 || (rc = decode_ids(d, err)) != 0)
        return rc;
    for (uint32_t t = 0; t < shape->type_count; t++)
        if ((types >> t & 1) && (rc = decode_values(d, t, err)) != 0)
            return rc;
    return d->has_links ? decode_links(d, err) : 0;
}

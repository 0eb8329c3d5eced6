#include "api/encode/series_out.h"

#include "api/encode/json_text.h"

#include "base/buf.h"
#include "base/bytes.h"

#include <string.h>

/* Keys (field << 3 | wire type) of SelectSeriesResponse, Series, LabelPair and Point. */
enum {
    KEY_RESPONSE_SERIES = 1 << 3 | 2,
    KEY_SERIES_LABELS = 1 << 3 | 2,
    KEY_SERIES_POINTS = 2 << 3 | 2,
    KEY_PAIR_NAME = 1 << 3 | 2,
    KEY_PAIR_VALUE = 2 << 3 | 2,
    KEY_POINT_VALUE = 1 << 3 | 1,
    KEY_POINT_TIMESTAMP = 2 << 3 | 0,
};

static size_t text_size(struct str s)
{
    return s.len == 0 ? 0 : 1 + varint_size(s.len) + s.len;
}

static size_t pair_size(const struct label *l)
{
    return text_size(l->name) + text_size(l->value);
}

static size_t point_size(const struct series_out_point *p)
{
    return (p->value != 0 ? 9 : 0) + (p->time_ms != 0 ? 1 + varint_size((uint64_t)p->time_ms) : 0);
}

static size_t framed(size_t size)
{
    return 1 + varint_size(size) + size;
}

static void put_text(struct buf *out, uint8_t key, struct str s)
{
    if (s.len == 0)
        return;
    (void)buf_append_byte(out, key);
    buf_put_sized(out, s);
}

static void put_point(const struct series_out_point *p, struct buf *out)
{
    uint64_t bits;

    memcpy(&bits, &p->value, sizeof(bits));
    (void)buf_append_byte(out, KEY_SERIES_POINTS);
    buf_put_varint(out, point_size(p));
    if (p->value != 0) {
        (void)buf_append_byte(out, KEY_POINT_VALUE);
        buf_put_le64(out, bits);
    }
    if (p->time_ms != 0) {
        (void)buf_append_byte(out, KEY_POINT_TIMESTAMP);
        buf_put_varint(out, (uint64_t)p->time_ms);
    }
}

void series_out_proto(const struct series_out *series, uint32_t count, struct buf *out)
{
    for (uint32_t s = 0; s < count; s++) {
        const struct series_out *one = &series[s];
        size_t size = 0;

        for (uint32_t i = 0; i < one->labels.count; i++)
            size += framed(pair_size(&one->labels.pairs[i]));
        for (uint32_t i = 0; i < one->point_count; i++)
            size += framed(point_size(&one->points[i]));
        (void)buf_append_byte(out, KEY_RESPONSE_SERIES);
        buf_put_varint(out, size);
        for (uint32_t i = 0; i < one->labels.count; i++) {
            const struct label *l = &one->labels.pairs[i];

            (void)buf_append_byte(out, KEY_SERIES_LABELS);
            buf_put_varint(out, pair_size(l));
            put_text(out, KEY_PAIR_NAME, l->name);
            put_text(out, KEY_PAIR_VALUE, l->value);
        }
        for (uint32_t i = 0; i < one->point_count; i++)
            put_point(&one->points[i], out);
    }
}

static void json_labels(const struct labels *labels, struct buf *out)
{
    (void)buf_append_cstr(out, "\"labels\":[");
    for (uint32_t i = 0; i < labels->count; i++) {
        (void)buf_append_cstr(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        json_text_put(out, labels->pairs[i].name);
        (void)buf_append_cstr(out, ",\"value\":");
        json_text_put(out, labels->pairs[i].value);
        (void)buf_append_byte(out, '}');
    }
    (void)buf_append_cstr(out, "],");
}

/* Defaults are left out, also inside a point. */
static void json_point(const struct series_out_point *p, struct buf *out)
{
    (void)buf_append_byte(out, '{');
    if (p->value != 0) {
        (void)buf_append_cstr(out, "\"value\":");
        json_text_put_double(out, p->value);
    }
    if (p->time_ms != 0) {
        (void)buf_append_cstr(out, p->value != 0 ? ",\"timestamp\":" : "\"timestamp\":");
        json_text_put_i64(out, p->time_ms, 1);
    }
    (void)buf_append_byte(out, '}');
}

void series_out_json(const struct series_out *series, uint32_t count, struct buf *out)
{
    (void)buf_append_byte(out, '{');
    for (uint32_t s = 0; s < count; s++) {
        (void)buf_append_cstr(out, s > 0 ? ",{" : "\"series\":[{");
        if (series[s].labels.count > 0)
            json_labels(&series[s].labels, out);
        (void)buf_append_cstr(out, "\"points\":[");
        for (uint32_t i = 0; i < series[s].point_count; i++) {
            if (i > 0)
                (void)buf_append_byte(out, ',');
            json_point(&series[s].points[i], out);
        }
        (void)buf_append_cstr(out, "]}");
    }
    (void)buf_append_cstr(out, count > 0 ? "]}" : "}");
}

/* Writing LBL and DIR. */
#include "storage/segment_index.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"

#include <stdlib.h>

int typeset_cmp(const struct typeset *a, const struct typeset *b)
{
    uint32_t types = a->count < b->count ? a->count : b->count;
    int d;

    if ((d = str_cmp(a->period_type, b->period_type)) != 0 ||
        (d = str_cmp(a->period_unit, b->period_unit)) != 0)
        return d;
    for (uint32_t i = 0; i < types; i++)
        if ((d = str_cmp(a->types[i].type, b->types[i].type)) != 0 ||
            (d = str_cmp(a->types[i].unit, b->types[i].unit)) != 0)
            return d;
    return (a->count > b->count) - (a->count < b->count);
}

/* Sorted distinct strings; found again by bisection. */
struct texts {
    struct str *items;
    size_t count, cap;
};

static void texts_add(struct texts *t, struct str s)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->items = realloc(t->items, t->cap * sizeof(*t->items));
        check(t->items);
    }
    t->items[t->count++] = s;
}

static int compare_texts(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void texts_sort(struct texts *t)
{
    size_t kept = 0;

    check(t->count > 0); /* a typeset has strings, if only empty ones */
    qsort(t->items, t->count, sizeof(*t->items), compare_texts);
    for (size_t i = 0; i < t->count; i++)
        if (i == 0 || !str_eq(t->items[i], t->items[kept - 1]))
            t->items[kept++] = t->items[i];
    t->count = kept;
}

static void put_text(const struct texts *t, struct str s, struct buf *out)
{
    const struct str *at = bsearch(&s, t->items, t->count, sizeof(s), compare_texts);

    check(at);
    buf_put_varint(out, (uint64_t)(at - t->items));
}

static void collect(const struct dataset_index *index, struct texts *t)
{
    for (uint32_t i = 0; i < index->stream_count; i++)
        for (uint32_t k = 0; k < index->streams[i].count; k++) {
            texts_add(t, index->streams[i].pairs[k].name);
            texts_add(t, index->streams[i].pairs[k].value);
        }
    for (uint32_t i = 0; i < index->typeset_count; i++) {
        const struct typeset *ts = &index->typesets[i];

        texts_add(t, ts->period_type);
        texts_add(t, ts->period_unit);
        for (uint32_t k = 0; k < ts->count; k++) {
            texts_add(t, ts->types[k].type);
            texts_add(t, ts->types[k].unit);
        }
    }
    texts_sort(t);
}

void segment_labels_encode(const struct dataset_index *index, struct buf *out)
{
    struct texts t = {0};

    collect(index, &t);
    buf_put_varint(out, t.count);
    for (size_t i = 0; i < t.count; i++)
        buf_put_sized(out, t.items[i]);
    buf_put_varint(out, index->stream_count);
    for (uint32_t i = 0; i < index->stream_count; i++) {
        buf_put_varint(out, index->streams[i].count);
        for (uint32_t k = 0; k < index->streams[i].count; k++) {
            put_text(&t, index->streams[i].pairs[k].name, out);
            put_text(&t, index->streams[i].pairs[k].value, out);
        }
    }
    buf_put_varint(out, index->typeset_count);
    for (uint32_t i = 0; i < index->typeset_count; i++) {
        const struct typeset *ts = &index->typesets[i];

        put_text(&t, ts->period_type, out);
        put_text(&t, ts->period_unit, out);
        buf_put_varint(out, ts->count);
        for (uint32_t k = 0; k < ts->count; k++) {
            put_text(&t, ts->types[k].type, out);
            put_text(&t, ts->types[k].unit, out);
        }
    }
    free(t.items);
}

void segment_directory_encode(const struct segment_index *ix, struct buf *out)
{
    uint32_t count = ix->index.entry_count, stream = 0;
    uint64_t last = 0;

    buf_put_varint(out, count);
    buf_put_varint(out, ix->smp_first);
    for (uint32_t e = 0; e < count; e++) {
        const struct dataset_entry *entry = &ix->index.entries[e];

        buf_put_varint(out, entry->stream - stream);
        buf_put_varint(out, entry->typeset);
        buf_put_varint(out, entry->present);
        buf_put_zigzag(out, (int64_t)((uint64_t)entry->time.first_ns - last));
        buf_put_varint(out, (uint64_t)entry->time.last_ns - (uint64_t)entry->time.first_ns);
        buf_put_varint(out, ix->chunk_first[e + 1] - ix->chunk_first[e]);
        buf_put_varint(out, ix->row_block_first[e + 1] - ix->row_block_first[e]);
        stream = entry->stream;
        last = (uint64_t)entry->time.first_ns;
    }
    for (uint32_t i = 0; i < ix->chunk_first[count]; i++) {
        buf_put_varint(out, ix->chunks[i].rows);
        buf_put_varint(out, ix->chunks[i].samples);
        buf_put_varint(out, ix->chunks[i].stored);
    }
    for (uint32_t i = 0; i < ix->row_block_first[count]; i++) {
        buf_put_varint(out, ix->row_blocks[i].rows);
        buf_put_varint(out, ix->row_blocks[i].raw);
        buf_put_varint(out, ix->row_blocks[i].stored);
    }
    for (uint32_t i = 0; i < ix->chunk_first[count]; i++)
        buf_put_le64(out, ix->chunks[i].checksum);
    for (uint32_t i = 0; i < ix->row_block_first[count]; i++)
        buf_put_le64(out, ix->row_blocks[i].checksum);
}

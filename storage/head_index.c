#include "storage/head_index.h"

#include "storage/head.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

struct head_index *head_index_ref(struct head_index *ix)
{
    (void)atomic_fetch_add(&ix->refs, 1);
    return ix;
}

void head_index_unref(struct head_index *ix)
{
    if (!ix || atomic_fetch_sub(&ix->refs, 1) != 1)
        return;
    arena_release(&ix->memory);
    free(ix);
}

static const struct head_row *row_at(const struct head *h, uint32_t id)
{
    return stable_array_at(&h->rows, id);
}

static void *take(struct head_index *ix, size_t count, size_t size)
{
    void *p = arena_calloc(&ix->memory, count ? count : 1, size);

    check(p);
    return p;
}

static int order(const void *a, const void *b, void *ctx)
{
    const struct head_row *x = row_at(ctx, *(const uint32_t *)a);
    const struct head_row *y = row_at(ctx, *(const uint32_t *)b);

    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    if (x->typeset != y->typeset)
        return x->typeset < y->typeset ? -1 : 1;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->lsn != y->lsn)
        return x->lsn < y->lsn ? -1 : 1;
    return x->lsn_index < y->lsn_index ? -1 : x->lsn_index > y->lsn_index;
}

static void add_to_entry(struct dataset_entry *e, const struct head_row *row)
{
    if (e->row_count == 0 || row->time_ns < e->time.first_ns)
        e->time.first_ns = row->time_ns;
    if (e->row_count == 0 || row->time_ns > e->time.last_ns)
        e->time.last_ns = row->time_ns;
    e->row_count++;
    e->present |= row->present;
}

/* Rows are in order: a new entry begins where stream or typeset changes. */
static void build_entries(struct head_index *ix, const struct head *h)
{
    struct dataset_entry *entries = take(ix, ix->row_count, sizeof(*entries)), *e = NULL;
    uint32_t count = 0;

    ix->row_first = take(ix, (size_t)ix->row_count + 1, sizeof(*ix->row_first));
    for (uint32_t i = 0; i < ix->row_count; i++) {
        const struct head_row *row = row_at(h, ix->rows[i]);

        if (!e || e->stream != row->stream || e->typeset != row->typeset) {
            ix->row_first[count] = i;
            e = &entries[count++];
            e->stream = row->stream;
            e->typeset = row->typeset;
        }
        add_to_entry(e, row);
    }
    ix->row_first[count] = ix->row_count;
    ix->index.entries = entries;
    ix->index.entry_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || entries[i].time.first_ns < ix->time.first_ns)
            ix->time.first_ns = entries[i].time.first_ns;
        if (i == 0 || entries[i].time.last_ns > ix->time.last_ns)
            ix->time.last_ns = entries[i].time.last_ns;
    }
}

static void build_labels(struct head_index *ix, const struct head *h)
{
    struct labels *streams = take(ix, h->streams.count, sizeof(*streams));
    struct typeset *typesets = take(ix, h->typesets.count, sizeof(*typesets));

    for (uint32_t i = 0; i < h->streams.count; i++) {
        const struct head_stream *s = stable_array_at(&h->streams, i);

        streams[i] = (struct labels){s->pairs, s->count};
    }
    for (uint32_t i = 0; i < h->typesets.count; i++)
        typesets[i] = ((const struct head_typeset *)stable_array_at(&h->typesets, i))->set;
    ix->index.streams = streams;
    ix->index.stream_count = h->streams.count;
    ix->index.typesets = typesets;
    ix->index.typeset_count = h->typesets.count;
}

/* The rows that `old` has are in order; the new ones, few, are sorted and merged in. */
static void order_rows(struct head_index *ix, struct head *h, const struct head_index *old)
{
    uint32_t known = old && old->row_count < ix->row_count ? old->row_count : 0;
    uint32_t count = ix->row_count - known, *fresh = take(ix, count, sizeof(*fresh));
    const uint32_t *sorted = known > 0 ? old->rows : fresh; /* of `known` rows */
    uint32_t a = 0, b = 0;

    for (uint32_t i = 0; i < count; i++)
        fresh[i] = known + i;
    qsort_r(fresh, count, sizeof(*fresh), order, h);
    for (uint32_t i = 0; i < ix->row_count; i++) {
        bool take_old = b == count || (a < known && order(&sorted[a], &fresh[b], h) < 0);

        ix->rows[i] = take_old ? sorted[a++] : fresh[b++];
    }
}

struct head_index *head_index_build(struct head *h, uint32_t row_count,
                                    const struct head_index *old)
{
    struct head_index *ix = calloc(1, sizeof(*ix));

    check(ix);
    atomic_init(&ix->refs, 1);
    ix->row_count = row_count;
    arena_init(&ix->memory, SIZE_MAX);
    ix->rows = take(ix, row_count, sizeof(*ix->rows));
    order_rows(ix, h, old);
    build_entries(ix, h);
    build_labels(ix, h);
    return ix;
}

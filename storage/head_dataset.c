/* The dataset of a head: its first durable rows, read without its mutex. */
#include "storage/head.h"

#include "storage/head_index.h"

#include "storage/model/samples.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

struct head_dataset {
    struct dataset ds;
    struct head *head;
    struct head_index *ix;
    uint32_t node_count;
};

static struct head_dataset *of(struct dataset *ds)
{
    return (struct head_dataset *)(void *)ds;
}

static int get_index(struct dataset *ds, const struct dataset_index **out, struct err *err)
{
    (void)err;
    *out = &of(ds)->ix->index;
    return 0;
}

static int get_symbols(struct dataset *ds, const struct symbols **out, uint32_t *node_count,
                       struct err *err)
{
    (void)err;
    *out = of(ds)->head->symbols;
    *node_count = of(ds)->node_count;
    return 0;
}

static int visit_row(struct head_dataset *d, const struct head_row *row, bool samples,
                     uint64_t types, struct arena *scratch, dataset_visit visit, void *ctx,
                     struct err *err)
{
    const struct dataset_row out = {
        .stream = row->stream,
        .typeset = row->typeset,
        .time_ns = row->time_ns,
        .duration_ns = row->duration_ns,
        .period = row->period,
        .present = row->present,
        .totals = row->totals,
        .sample_count = row->sample_count,
        .sequence = row->lsn,
        .sequence_index = row->lsn_index,
    };
    struct arena_mark mark = arena_mark(scratch);
    struct sample_columns columns;
    int rc;

    if (!samples)
        return visit(ctx, &out, NULL, err);
    rc = samples_decode(row->samples, row->sample_count, d->ix->index.typesets[row->typeset].count,
                        d->node_count, types, scratch, &columns, err);
    if (rc == 0)
        rc = visit(ctx, &out, &columns, err);
    arena_rewind(scratch, mark);
    return rc;
}

static int scan(struct dataset *ds, const struct dataset_scan *s, struct arena *scratch,
                dataset_visit visit, void *ctx, struct err *err)
{
    struct head_dataset *d = of(ds);

    for (uint32_t i = 0; i < s->entry_count; i++) {
        uint32_t entry = s->entries[i];

        check(entry < d->ix->index.entry_count);
        for (uint32_t r = d->ix->row_first[entry]; r < d->ix->row_first[entry + 1]; r++) {
            const struct head_row *row = stable_array_at(&d->head->rows, d->ix->rows[r]);
            int rc;

            if (row->time_ns < s->time.first_ns)
                continue;
            if (row->time_ns > s->time.last_ns)
                break;
            rc = visit_row(d, row, s->samples, s->types[i], scratch, visit, ctx, err);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static const struct dataset_ops head_ops = {
    .index = get_index, .symbols = get_symbols, .scan = scan};

/* Rows come in LSN order: the durable ones are a prefix. */
static uint32_t durable_rows(const struct head *h, uint64_t durable_lsn)
{
    uint32_t low = 0, high = h->rows.count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct head_row *row = stable_array_at(&h->rows, mid);

        if (row->lsn <= durable_lsn)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct dataset *head_dataset_open(struct head *h, uint64_t durable_lsn)
{
    struct head_dataset *d = NULL;
    uint32_t rows;

    mutex_lock(&h->mu);
    rows = durable_rows(h, durable_lsn);
    if (rows > 0) {
        if (!h->index || h->index->row_count != rows) {
            struct head_index *old = h->index;

            h->index = head_index_build(h, rows, old);
            head_index_unref(old);
        }
        d = calloc(1, sizeof(*d));
        check(d);
        d->ds = (struct dataset){&head_ops, h->key.tenant, h->key.service, h->index->time};
        d->head = head_ref(h);
        d->ix = head_index_ref(h->index);
        d->node_count = symbols_counts(h->symbols).nodes;
    }
    mutex_unlock(&h->mu);
    return d ? &d->ds : NULL;
}

void head_dataset_close(struct dataset *ds)
{
    struct head_dataset *d;

    if (!ds)
        return;
    d = of(ds);
    head_index_unref(d->ix);
    head_unref(d->head);
    free(d);
}

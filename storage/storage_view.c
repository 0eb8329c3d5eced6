/* What a query pins: datasets of heads and segments, ordered by service. */
#include "storage/storage_internal.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct storage_view {
    struct dataset **datasets;
    uint32_t count, cap;
    struct dataset **sorted;   /* the same, by service */
    uint32_t head_count;       /* the first of `datasets` are of heads */
    struct segment **segments; /* referenced as long as the view lives */
    uint32_t segment_count;
    struct head **heads;
    uint32_t heads_count;
    struct storage_missing missing;
    uint64_t bytes; /* see storage_view_bytes() */
};

static bool overlaps(struct time_span a, struct time_span b)
{
    return a.first_ns <= b.last_ns && b.first_ns <= a.last_ns;
}

static bool wants_tenant(const struct str *tenants, uint32_t count, struct str tenant)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(tenants[i], tenant))
            return true;
    return false;
}

static void add_dataset(struct storage_view *v, struct dataset *ds)
{
    if (v->count == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 16;
        v->datasets = realloc(v->datasets, v->cap * sizeof(struct dataset *));
        check(v->datasets);
    }
    v->datasets[v->count++] = ds;
}

/*
 * References to everything that may matter; under s->mu only this is done. Returns the durable
 * LSN of that moment: a push up to it has its rows in what is pinned, all of them, and no
 * segment holds a row above it. So a push is seen whole or not at all.
 */
static uint64_t pin(struct storage *s, struct storage_view *v, const struct str *tenants,
                    uint32_t tenant_count, struct str service, struct time_span time)
{
    uint64_t durable;

    mutex_lock(&s->mu);
    durable = wal_durable_lsn(s->wal);
    v->heads = malloc((s->head_count + 1) * sizeof(*v->heads));
    v->segments = malloc((s->segment_count + 1) * sizeof(*v->segments));
    check(v->heads && v->segments);
    for (uint32_t i = 0; i < s->head_count; i++) {
        struct head *h = s->heads[i];

        if (wants_tenant(tenants, tenant_count, h->key.tenant) &&
            (service.len == 0 || str_eq(service, h->key.service)) &&
            overlaps(time, storage_day_span(h->key.day)))
            v->heads[v->heads_count++] = head_ref(h);
    }
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        if (wants_tenant(tenants, tenant_count, m->tenant) && overlaps(time, m->time))
            v->segments[v->segment_count++] = segment_ref(s->segments[i]);
    }
    storage_find_missing(s, tenants, tenant_count, service, time, &v->missing);
    mutex_unlock(&s->mu);
    return durable;
}

static int open_segment_datasets(struct storage_view *v, struct segment *seg, struct str service,
                                 struct time_span time, struct err *err)
{
    uint32_t count = segment_service_count(seg);
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct time_span span;
        struct str name = segment_service_name(seg, i, &span);
        struct dataset *ds;
        int rc;

        if ((service.len > 0 && !str_eq(name, service)) || !overlaps(time, span))
            continue;
        if ((rc = segment_dataset_open(seg, i, &ds, err)) != 0)
            return rc;
        add_dataset(v, ds);
        bytes += segment_meta(seg)->agg_bytes / count;
    }
    if (bytes > v->bytes)
        v->bytes = bytes;
    return 0;
}

static int by_service(const void *a, const void *b)
{
    const struct dataset *x = *(struct dataset *const *)a, *y = *(struct dataset *const *)b;
    int order = str_cmp(x->service, y->service);

    return order != 0 ? order : str_cmp(x->tenant, y->tenant);
}

static void sort_datasets(struct storage_view *v)
{
    v->sorted = malloc((v->count + 1) * sizeof(struct dataset *));
    check(v->sorted);
    if (v->count > 0)
        memcpy(v->sorted, v->datasets, v->count * sizeof(struct dataset *));
    qsort(v->sorted, v->count, sizeof(struct dataset *), by_service);
}

int storage_view_acquire(struct storage *s, const struct str *tenants, uint32_t tenant_count,
                         struct str service, struct time_span time, struct storage_view **out,
                         struct err *err)
{
    struct storage_view *v = calloc(1, sizeof(*v));
    uint64_t durable;
    int rc = 0;

    check(v);
    durable = pin(s, v, tenants, tenant_count, service, time);
    for (uint32_t i = 0; i < v->heads_count; i++) {
        struct dataset *ds = head_dataset_open(v->heads[i], durable);

        if (ds)
            add_dataset(v, ds);
    }
    v->head_count = v->count;
    for (uint32_t i = 0; rc == 0 && i < v->segment_count; i++)
        rc = open_segment_datasets(v, v->segments[i], service, time, err);
    if (rc != 0) {
        storage_view_release(v);
        return rc;
    }
    sort_datasets(v);
    *out = v;
    return 0;
}

struct dataset **storage_view_datasets(struct storage_view *v, uint32_t *count)
{
    *count = v->count;
    return v->sorted;
}

const struct storage_missing *storage_view_missing(const struct storage_view *v)
{
    return &v->missing;
}

bool storage_view_damaged(struct storage_view *v, struct dataset *ds, bool lost,
                          const struct err *why)
{
    struct segment *seg;
    uint32_t service;

    if (!segment_is_damage(why->code, why) || !(seg = segment_of_dataset(ds, &service)))
        return false;
    storage_note_damage(seg, service, why);
    if (lost)
        storage_missing_add(&v->missing,
                            &(struct storage_missing){.datasets = 1,
                                                      .bytes = segment_share_bytes(seg, service),
                                                      .time = ds->time});
    return true;
}

uint64_t storage_view_bytes(const struct storage_view *v)
{
    return v->bytes;
}

void storage_view_release(struct storage_view *v)
{
    if (!v)
        return;
    for (uint32_t i = 0; i < v->count; i++) {
        if (i < v->head_count)
            head_dataset_close(v->datasets[i]);
        else
            segment_dataset_close(v->datasets[i]);
    }
    for (uint32_t i = 0; i < v->heads_count; i++)
        head_unref(v->heads[i]);
    for (uint32_t i = 0; i < v->segment_count; i++)
        segment_unref(v->segments[i]);
    free(v->datasets);
    free(v->sorted);
    free(v->heads);
    free(v->segments);
    free(v);
}

static void widen(struct time_span *all, bool *any, struct time_span one)
{
    if (!*any || one.first_ns < all->first_ns)
        all->first_ns = one.first_ns;
    if (!*any || one.last_ns > all->last_ns)
        all->last_ns = one.last_ns;
    *any = true;
}

bool storage_tenant_span(struct storage *s, struct str tenant, struct time_span *out)
{
    const struct time_span always = {INT64_MIN, INT64_MAX};
    struct storage_view v = {0};
    uint64_t durable;
    bool any = false;

    durable = pin(s, &v, &tenant, 1, STR(""), always);
    for (uint32_t i = 0; i < v.heads_count; i++) {
        struct dataset *ds = head_dataset_open(v.heads[i], durable);

        if (ds)
            widen(out, &any, ds->time);
        head_dataset_close(ds);
        head_unref(v.heads[i]);
    }
    for (uint32_t i = 0; i < v.segment_count; i++) {
        widen(out, &any, segment_meta(v.segments[i])->time);
        segment_unref(v.segments[i]);
    }
    free(v.heads);
    free(v.segments);
    return any;
}

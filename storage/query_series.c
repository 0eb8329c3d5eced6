/* query_series(): totals of rows, or of ten minutes, in buckets; no sample is read. */
#include "storage/query.h"

#include "storage/query_plan.h"
#include "storage/query_select.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/int128.h"

#include <stdlib.h>
#include <string.h>

enum {
    GROUPS_INITIAL = 16,
    POINTS_INITIAL = 16,
};

struct group {
    struct labels labels;
    uint64_t hash;
    struct series_point *points;
    uint32_t count, cap;
    value128 sum;
    uint32_t dataset; /* that touched it last, and what was there before it did: */
    uint32_t count_before;
    value128 sum_before, last_before;
};

struct groups {
    const struct query *q;
    const struct series_query *sq;
    uint64_t seed;
    struct group *items;
    uint32_t count, cap;
    uint32_t *slots; /* item + 1, 0 free */
    uint32_t slot_mask;
    uint32_t dataset; /* being added, from 1 */
};

/* What the visitor adds to: one group per type of the entry being scanned. */
struct series_ctx {
    struct groups *groups;
    const struct selected_dataset *sel;
    uint32_t at; /* in sel->entries */
    uint32_t group_of[PROFILE_TYPES_MAX];
    bool resolved;
};

static int groups_grow(struct groups *g, struct err *err)
{
    uint32_t cap = g->cap ? g->cap * 2 : GROUPS_INITIAL;
    struct group *items = arena_array(g->q->arena, struct group, cap);
    uint32_t *slots = arena_array(g->q->arena, uint32_t, (size_t)cap * 2);

    if (!items || !slots)
        return query_out_of_memory(g->q, err);
    memset(slots, 0, (size_t)cap * 2 * sizeof(*slots));
    if (g->count > 0)
        memcpy(items, g->items, g->count * sizeof(*items));
    g->items = items;
    g->slots = slots;
    g->slot_mask = cap * 2 - 1;
    g->cap = cap;
    for (uint32_t i = 0; i < g->count; i++) {
        uint32_t at = (uint32_t)items[i].hash & g->slot_mask;

        while (slots[at] != 0)
            at = (at + 1) & g->slot_mask;
        slots[at] = i + 1;
    }
    return 0;
}

static int find_group(struct groups *g, const struct labels *labels, uint32_t *out, struct err *err)
{
    uint64_t hash = labels_hash(labels, g->seed);
    uint32_t at;
    int rc;

    if (g->count == g->cap && (rc = groups_grow(g, err)) != 0)
        return rc;
    for (at = (uint32_t)hash & g->slot_mask; g->slots[at] != 0; at = (at + 1) & g->slot_mask) {
        struct group *item = &g->items[g->slots[at] - 1];

        if (item->hash == hash && labels_eq(&item->labels, labels)) {
            *out = g->slots[at] - 1;
            return 0;
        }
    }
    memset(&g->items[g->count], 0, sizeof(g->items[0]));
    g->items[g->count].hash = hash;
    if (!labels_copy(labels, g->q->arena, &g->items[g->count].labels))
        return query_out_of_memory(g->q, err);
    g->slots[at] = g->count + 1;
    *out = g->count++;
    return 0;
}

/* A dataset may turn out to be damaged half way. */
static void remember(const struct groups *g, struct group *item)
{
    if (item->dataset == g->dataset)
        return;
    item->dataset = g->dataset;
    item->count_before = item->count;
    item->sum_before = item->sum;
    item->last_before = item->count > 0 ? item->points[item->count - 1].value : 0;
}

/* Points are appended, or added to the last one: nothing else has changed. */
static void forget_dataset(struct groups *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        struct group *item = &g->items[i];

        if (item->dataset != g->dataset)
            continue;
        item->count = item->count_before;
        item->sum = item->sum_before;
        if (item->count > 0)
            item->points[item->count - 1].value = item->last_before;
    }
}

/* The labels that the answer groups by, in the order asked, missing ones left out. */
static int resolve_groups(struct series_ctx *c, struct err *err)
{
    struct groups *g = c->groups;
    const struct dataset_entry *entry = &c->sel->index->entries[c->sel->entries[c->at]];
    uint32_t types = c->sel->index->typesets[entry->typeset].count;
    int rc;

    for (uint32_t t = 0; t < types; t++) {
        struct labels labels = {0};

        if (!(c->sel->types[c->at] >> t & 1))
            continue;
        labels.pairs = arena_array(g->q->arena, struct label, (size_t)g->sq->group_by_count + 1);
        if (!labels.pairs)
            return query_out_of_memory(g->q, err);
        for (uint32_t i = 0; i < g->sq->group_by_count; i++) {
            struct label *pair = &labels.pairs[labels.count];

            pair->name = g->sq->group_by[i];
            rc = series_label(c->sel->index, entry, t, pair->name, g->q->arena, &pair->value, err);
            if (rc != 0)
                return rc;
            labels.count += pair->value.len > 0;
        }
        if ((rc = find_group(g, &labels, &c->group_of[t], err)) != 0)
            return rc;
        remember(g, &g->items[c->group_of[t]]);
    }
    c->resolved = true;
    return 0;
}

static int add_point(struct groups *g, uint32_t index, int64_t time_ms, value128 value,
                     struct err *err)
{
    struct group *item = &g->items[index];

    item->sum += value;
    /* Rows of an entry come in time order: nearly always the last bucket or a new one. */
    if (item->count > 0 && item->points[item->count - 1].time_ms == time_ms) {
        item->points[item->count - 1].value += value;
        return 0;
    }
    if (item->count == item->cap) {
        uint32_t cap = item->cap ? item->cap * 2 : POINTS_INITIAL;
        struct series_point *points = arena_array(g->q->arena, struct series_point, cap);

        if (!points)
            return query_out_of_memory(g->q, err);
        if (item->count > 0)
            memcpy(points, item->points, item->count * sizeof(*points));
        item->points = points;
        item->cap = cap;
    }
    item->points[item->count++] = (struct series_point){time_ms, value};
    return 0;
}

/*
 * A bucket is named by its right edge: start + k * step, k >= 0, and takes the
 * rows with edge - step < time <= edge; the first one its left edge too. What
 * lies behind the last edge is dropped. False: dropped.
 */
static bool bucket_of(const struct series_query *sq, int64_t time_ns, int64_t *time_ms)
{
    int128 t = time_ns / NS_PER_MS, edge;

    if (t <= sq->start_ms)
        edge = sq->start_ms;
    else
        edge =
            sq->start_ms + (t - sq->start_ms + sq->step_ms - 1) / sq->step_ms * (int128)sq->step_ms;
    *time_ms = (int64_t)edge;
    return edge <= sq->end_ms;
}

static int visit(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                 struct err *err)
{
    struct series_ctx *c = ctx;
    const struct dataset_entry *entry = &c->sel->index->entries[c->sel->entries[c->at]];
    int64_t time_ms;
    int rc;

    (void)columns;
    /* Rows come entry by entry, in the order of the selection. */
    while (entry->stream != row->stream || entry->typeset != row->typeset) {
        check(c->at + 1 < c->sel->count);
        entry = &c->sel->index->entries[c->sel->entries[++c->at]];
        c->resolved = false;
    }
    if (!c->resolved && (rc = resolve_groups(c, err)) != 0)
        return rc;
    if (!bucket_of(c->groups->sq, row->time_ns, &time_ms))
        return 0;
    for (uint64_t types = c->sel->types[c->at] & row->present; types != 0; types &= types - 1) {
        uint32_t t = (uint32_t)__builtin_ctzll(types);

        if ((rc = add_point(c->groups, c->group_of[t], time_ms, row->totals[t], err)) != 0)
            return rc;
    }
    return query_check_canceled(c->groups->q, err);
}

static int scan_rows(struct groups *g, struct selected_dataset *d, struct time_span time,
                     struct arena *scratch, struct err *err)
{
    struct dataset_scan scan = {d->entries, d->types, d->count, time, false};
    struct series_ctx ctx = {.groups = g, .sel = d};

    return d->ds->ops->scan(d->ds, &scan, scratch, visit, &ctx, err);
}

/* ---- totals instead of rows ---- */

enum {
    WINDOWS_MAX = 1000, /* of a dataset; a day has 145 */
    SPLIT_MAX = 2,      /* windows whose rows are read; with more of them rows are cheaper */
};

enum window_use {
    WINDOW_OUTSIDE,
    WINDOW_WHOLE, /* all of it was asked for and is in one bucket */
    WINDOW_SPLIT,
};

struct by_totals {
    struct groups *groups;
    struct selected_dataset *sel;
    uint32_t first, count; /* windows of the dataset */
    uint8_t use[WINDOWS_MAX];
};

static enum window_use use_of(const struct groups *g, struct time_span has, uint32_t window)
{
    struct time_span t = rollup_totals_span(window), asked = g->q->time;
    int64_t first_ms, last_ms;
    bool first_in, last_in;

    t.first_ns = t.first_ns > has.first_ns ? t.first_ns : has.first_ns;
    t.last_ns = t.last_ns < has.last_ns ? t.last_ns : has.last_ns;
    if (t.last_ns < asked.first_ns || t.first_ns > asked.last_ns)
        return WINDOW_OUTSIDE;
    if (t.first_ns < asked.first_ns || t.last_ns > asked.last_ns)
        return WINDOW_SPLIT;
    first_in = bucket_of(g->sq, t.first_ns, &first_ms);
    last_in = bucket_of(g->sq, t.last_ns, &last_ms);
    return first_in == last_in && (!first_in || first_ms == last_ms) ? WINDOW_WHOLE : WINDOW_SPLIT;
}

/* False: rows are cheaper. */
static bool plan_windows(struct by_totals *b)
{
    struct time_span has = b->sel->ds->time;
    uint32_t split = 0;

    if (!rollup_time_ok(has))
        return false;
    b->first = rollup_totals_window(has.first_ns);
    b->count = rollup_totals_window(has.last_ns) - b->first + 1;
    if (b->count > WINDOWS_MAX)
        return false;
    for (uint32_t i = 0; i < b->count; i++) {
        b->use[i] = (uint8_t)use_of(b->groups, has, b->first + i);
        split += b->use[i] == WINDOW_SPLIT;
    }
    return split <= SPLIT_MAX;
}

static int add_totals(struct by_totals *b, const struct totals *t, struct err *err)
{
    struct series_ctx c = {.groups = b->groups, .sel = b->sel};

    for (; c.at < b->sel->count; c.at++) {
        uint32_t e = b->sel->entries[c.at];
        uint64_t present = b->sel->index->entries[e].present;
        int rc = resolve_groups(&c, err);

        for (uint64_t types = b->sel->types[c.at]; rc == 0 && types != 0; types &= types - 1) {
            uint32_t type = (uint32_t)__builtin_ctzll(types);
            uint32_t below = (uint32_t)__builtin_popcountll(present & ((types & -types) - 1));
            uint32_t column = t->entry_first[e] + below;

            for (uint32_t i = t->first[column]; rc == 0 && i < t->first[column + 1]; i++) {
                uint32_t window = t->windows[i] - b->first;
                int64_t last_ns = rollup_totals_span(t->windows[i]).last_ns, time_ms;

                if (last_ns > b->sel->ds->time.last_ns)
                    last_ns = b->sel->ds->time.last_ns;
                if (window < b->count && b->use[window] == WINDOW_WHOLE &&
                    bucket_of(b->groups->sq, last_ns, &time_ms))
                    rc = add_point(b->groups, c.group_of[type], time_ms, t->sums[i], err);
            }
        }
        if (rc != 0)
            return rc;
    }
    return query_check_canceled(b->groups->q, err);
}

static int add_by_totals(struct by_totals *b, struct arena *scratch, struct err *err)
{
    struct dataset *ds = b->sel->ds;
    struct totals t;
    int rc;

    if ((rc = ds->ops->rollups->totals(ds, scratch, &t, err)) != 0 ||
        (rc = add_totals(b, &t, err)) != 0)
        return rc;
    for (uint32_t i = 0; rc == 0 && i < b->count; i++) {
        struct time_span span = rollup_totals_span(b->first + i), asked = b->groups->q->time;

        if (b->use[i] != WINDOW_SPLIT)
            continue;
        span.first_ns = span.first_ns > asked.first_ns ? span.first_ns : asked.first_ns;
        span.last_ns = span.last_ns < asked.last_ns ? span.last_ns : asked.last_ns;
        rc = scan_rows(b->groups, b->sel, span, scratch, err);
    }
    return rc;
}

static int add_dataset(void *ctx, const struct query *q, struct selected_dataset *sel,
                       struct arena *scratch, struct err *err)
{
    struct groups *g = ctx;
    struct by_totals b = {.groups = g, .sel = sel};
    bool totals = plan_windows(&b);
    int rc = query_plan_totals(q, sel, &totals, err);

    if (rc != 0)
        return rc;
    g->dataset++;
    rc = totals ? add_by_totals(&b, scratch, err) : scan_rows(g, sel, q->time, scratch, err);
    if (rc != 0)
        forget_dataset(g);
    return rc;
}

static int point_cmp(const void *a, const void *b)
{
    int64_t x = ((const struct series_point *)a)->time_ms;
    int64_t y = ((const struct series_point *)b)->time_ms;

    return x < y ? -1 : x > y;
}

/* Sorts by time and joins equal buckets that came from several entries. */
static void finish_points(struct group *g)
{
    uint32_t n = 0;

    qsort(g->points, g->count, sizeof(*g->points), point_cmp);
    for (uint32_t i = 0; i < g->count; i++) {
        if (n > 0 && g->points[n - 1].time_ms == g->points[i].time_ms)
            g->points[n - 1].value += g->points[i].value;
        else
            g->points[n++] = g->points[i];
    }
    g->count = n;
}

static int group_cmp(const void *a, const void *b)
{
    const struct group *x = a, *y = b;

    if (x->sum != y->sum)
        return x->sum > y->sum ? -1 : 1;
    return labels_cmp(&x->labels, &y->labels);
}

static int finish(struct groups *g, struct series **out, uint32_t *count, struct err *err)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->count; i++)
        if (g->items[i].count > 0)
            g->items[n++] = g->items[i];
    if (n > 0)
        qsort(g->items, n, sizeof(*g->items), group_cmp);
    if (g->sq->limit > 0 && n > g->sq->limit)
        n = (uint32_t)g->sq->limit;
    *out = arena_array(g->q->arena, struct series, (size_t)n + 1);
    if (!*out)
        return query_out_of_memory(g->q, err);
    for (uint32_t i = 0; i < n; i++) {
        finish_points(&g->items[i]);
        (*out)[i] = (struct series){g->items[i].labels, g->items[i].points, g->items[i].count};
    }
    *count = n;
    return 0;
}

int query_series(struct storage *s, const struct query *q, const struct series_query *sq,
                 struct series **out, uint32_t *count, struct err *err)
{
    struct groups g = {.q = q, .sq = sq, .seed = hash_seed_random()};
    struct selection sel;
    int rc;

    check(sq->step_ms >= 1);
    if ((rc = selection_open(s, q, q->time, &sel, err)) != 0)
        return rc;
    rc = selection_each(&sel, add_dataset, &g, err);
    /* Labels point into the view until they are copied: find_group() did that. */
    if (rc == 0)
        rc = finish(&g, out, count, err);
    selection_release(&sel);
    return rc;
}

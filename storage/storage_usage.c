/* Where the bytes are: by kind, tenant, service and day; and what would go next. */
#include "storage/storage_internal.h"

#include "storage/segment_format.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert((int)STORAGE_KINDS == (int)LEDGER_KINDS, "storage.h shows what the ledger counts");

enum {
    KEY_BYTES_MAX = 1024,
    GROWTH_DAYS = 7,
    PLAN_ROUND = 256,
    DAY_BYTES = 4,
};

/* Shares under keys of tenant and service or day. */
struct shares {
    struct map index;
    struct storage_share *items;
    uint32_t count, cap;
    struct arena *arena; /* keeps keys and texts */
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "no memory to add up what is stored");
}

/* The share under tenant and `rest`; NULL: no memory. */
static struct storage_share *share_of(struct shares *t, struct str tenant, struct str rest)
{
    char key[KEY_BYTES_MAX];
    struct map_slot *slot;
    struct storage_share *all;
    struct str lasting;
    bool added;

    if (tenant.len + rest.len >= sizeof(key))
        return NULL;
    memcpy(key, tenant.p, tenant.len);
    key[tenant.len] = '\0';
    memcpy(key + tenant.len + 1, rest.p, rest.len);
    slot = map_get(&t->index, (struct str){key, tenant.len + 1 + rest.len});
    if (slot)
        return &t->items[slot->value];
    lasting.len = tenant.len + 1 + rest.len;
    lasting.p = arena_strndup(t->arena, key, lasting.len);
    if (!lasting.p || !(slot = map_put(&t->index, lasting, &added)))
        return NULL;
    if (t->count == t->cap) {
        uint32_t cap = t->cap ? t->cap * 2 : 64;

        all = arena_array(t->arena, struct storage_share, cap);
        if (!all)
            return NULL;
        if (t->count > 0)
            memcpy(all, t->items, t->count * sizeof(*all));
        t->items = all;
        t->cap = cap;
    }
    slot->value = t->count;
    t->items[t->count] = (struct storage_share){
        .tenant = {lasting.p, tenant.len},
        .service = {lasting.p + tenant.len + 1, rest.len},
    };
    return &t->items[t->count++];
}

static int add_segment(struct shares *services, struct shares *days, const struct segment *seg,
                       struct err *err)
{
    const struct segment_meta *m = segment_meta(seg);
    uint64_t bytes = storage_segment_bytes(m);
    struct storage_share *share =
        share_of(days, m->tenant, (struct str){(const char *)&m->day, DAY_BYTES});

    if (!share)
        return no_memory(err);
    share->day = m->day;
    share->service = STR("");
    share->bytes += bytes;
    share->rows += m->rows;
    for (uint32_t i = 0; i < segment_service_count(seg); i++) {
        struct segment_share part = segment_service_share(seg, i);

        share = share_of(services, m->tenant, part.service);
        if (!share)
            return no_memory(err);
        share->rows += part.rows;
        if (m->samples > 0)
            share->bytes += (uint64_t)((double)bytes * (double)part.samples / (double)m->samples);
    }
    return 0;
}

static int by_tenant_service_day(const void *a, const void *b)
{
    const struct storage_share *x = a, *y = b;
    int order = str_cmp(x->tenant, y->tenant);

    if (order == 0)
        order = str_cmp(x->service, y->service);
    return order != 0 ? order : (x->day > y->day) - (x->day < y->day);
}

static struct storage_share *finish(struct shares *t, uint32_t *count)
{
    if (t->count > 0)
        qsort(t->items, t->count, sizeof(*t->items), by_tenant_service_day);
    map_release(&t->index);
    *count = t->count;
    return t->items;
}

/* Every segment, with a reference. */
static struct segment **list(struct storage *s, uint32_t *count)
{
    struct segment **all;

    mutex_lock(&s->mu);
    *count = s->segment_count;
    all = calloc((size_t)*count + 1, sizeof(struct segment *));
    check(all);
    for (uint32_t i = 0; i < *count; i++)
        all[i] = segment_ref(s->segments[i]);
    mutex_unlock(&s->mu);
    return all;
}

/* Days of the data, not of its arrival: what a day of this load takes. */
static uint64_t growth(const struct storage_usage *u, int32_t today)
{
    uint64_t bytes = 0, today_bytes = 0;
    uint32_t days = 0;

    for (int32_t day = today - GROWTH_DAYS; day < today; day++) {
        uint64_t one = 0;

        for (uint32_t i = 0; i < u->day_count; i++)
            one += u->days[i].day == day ? u->days[i].bytes : 0;
        bytes += one;
        days += one > 0;
    }
    for (uint32_t i = 0; i < u->day_count; i++)
        today_bytes += u->days[i].day == today ? u->days[i].bytes : 0;
    return days > 0 ? bytes / days : today_bytes;
}

static void note_leaving(struct storage_usage *out, const struct retention_item *items,
                         const struct retention_pick *picks, uint32_t count, bool due)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct retention_item *item = &items[picks[i].item];

        out->leaving[i] = (struct storage_leaving){
            .tenant = item->tenant,
            .day = storage_day_of(item->time.last_ns),
            .bytes = item->bytes,
            .newest_row_ns = item->time.last_ns,
            .reason = due ? picks[i].reason : RETENTION_KEEP,
        };
    }
    out->leaving_count = count;
}

static struct retention_item item_of(const struct segment_meta *m)
{
    return (struct retention_item){
        .id = m->id,
        .tenant = m->tenant,
        .time = m->time,
        .created_ns = m->created_ns,
        .bytes = storage_segment_bytes(m),
    };
}

static void find_leaving(struct storage *s, struct segment **segments, uint32_t count,
                         struct storage_usage *out)
{
    struct retention_item *items = calloc((size_t)count + 1, sizeof(*items));
    struct retention_rules rules = s->o.retention;
    struct retention_pick picks[STORAGE_LEAVING_MAX];
    struct retention_space space;
    uint32_t found;

    check(items);
    for (uint32_t i = 0; i < count; i++)
        items[i] = item_of(segment_meta(segments[i]));
    storage_measure(s, 0, &space);
    found = retention_plan(&rules, items, count, &space, picks, STORAGE_LEAVING_MAX);
    if (found > 0) {
        note_leaving(out, items, picks, found, true);
    } else if (storage_may_evict(s)) {
        space.must_free = 1;
        found = retention_plan(&rules, items, count, &space, picks, 1);
        note_leaving(out, items, picks, found, false);
    }
    free(items);
}

/* Texts of segments do not outlive them. */
static int keep_texts(struct storage_usage *u, struct arena *arena, struct err *err)
{
    for (uint32_t i = 0; i < u->leaving_count; i++) {
        struct str *t = &u->leaving[i].tenant;

        t->p = arena_strndup(arena, t->p, t->len);
        if (!t->p)
            return no_memory(err);
    }
    return 0;
}

void storage_fill_disk(struct storage *s, struct storage_stats *out)
{
    struct ledger_usage usage;

    ledger_usage(s->ledger, &usage);
    out->disk_used = usage.used;
    out->disk_limit = usage.limit;
    for (int k = 0; k < STORAGE_KINDS; k++) {
        out->kind_names[k] = ledger_kind_name((enum ledger_kind)k);
        out->kind_bytes[k] = usage.by_kind[k];
    }
}

static void fill_space(struct storage *s, struct storage_usage *out)
{
    struct fs_space volume = {0};
    struct ledger_usage usage;

    (void)fs_space(s->o.fs, &volume, NULL);
    ledger_usage(s->ledger, &usage);
    out->limit = usage.limit;
    out->used = usage.used;
    out->peak = usage.peak;
    out->volume_bytes = volume.total;
    out->volume_available = volume.available;
    out->space = storage_space_state(s);
    for (int k = 0; k < STORAGE_KINDS; k++) {
        out->kind_names[k] = ledger_kind_name((enum ledger_kind)k);
        out->kind_bytes[k] = usage.by_kind[k];
    }
}

int storage_usage(struct storage *s, struct arena *arena, struct storage_usage *out,
                  struct err *err)
{
    struct shares services = {.arena = arena}, days = {.arena = arena};
    struct segment **segments;
    uint32_t count;
    int rc = 0;

    memset(out, 0, sizeof(*out));
    fill_space(s, out);
    map_init(&services.index, NULL, SIZE_MAX);
    map_init(&days.index, NULL, SIZE_MAX);
    segments = list(s, &count);
    for (uint32_t i = 0; rc == 0 && i < count; i++)
        rc = add_segment(&services, &days, segments[i], err);
    out->services = finish(&services, &out->service_count);
    out->days = finish(&days, &out->day_count);
    out->growth_per_day = growth(out, storage_day_of(clock_now_ns(s->o.clock)));
    if (rc == 0) {
        find_leaving(s, segments, count, out);
        rc = keep_texts(out, arena, err);
    }
    if (rc == 0)
        rc = storage_list_missing(s, arena, out, err);
    for (uint32_t i = 0; i < count; i++)
        segment_unref(segments[i]);
    free(segments);
    return rc;
}

/* ---- offline ---- */

struct loading {
    struct blob_store *blobs;
    struct segment **segments;
    uint32_t count, cap;
};

static int load_one(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct loading *l = ctx;
    struct segment_name n;

    (void)size;
    if (!segment_path_parse(name, &n) || !str_ends(str_from(name), STR(".agg")))
        return 0;
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->segments = realloc(l->segments, l->cap * sizeof(*l->segments));
        check(l->segments);
    }
    /* What a running server has just removed, or what is damaged, is not counted. */
    if (segment_open(l->blobs, NULL, n.tenant, n.day, n.id, n.level, &l->segments[l->count], err) ==
        0)
        l->count++;
    return 0;
}

static void report_plan(const struct retention_rules *rules, const struct retention_space *space,
                        struct retention_item *items, uint32_t count, struct buf *report)
{
    struct retention_space now = *space;
    struct retention_pick picks[PLAN_ROUND];
    uint64_t bytes = 0, segments = 0;
    uint32_t found;

    while ((found = retention_plan(rules, items, count, &now, picks, PLAN_ROUND)) > 0) {
        for (uint32_t i = 0; i < found; i++) {
            struct retention_item *item = &items[picks[i].item];
            const time_t newest = (time_t)(item->time.last_ns / NS_PER_S);
            struct tm tm;

            gmtime_r(&newest, &tm);
            buf_printf(report,
                       "tenant %" STR_FMT ": newest profile %04d-%02d-%02d, %" PRIu64
                       " bytes (%s)\n",
                       STR_ARG(item->tenant), tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                       item->bytes, retention_reason_name(picks[i].reason));
            bytes += item->bytes;
            segments++;
            now.used -= item->bytes < now.used ? item->bytes : now.used;
            now.available += item->bytes;
            item->fixed = true;
            item->bytes = 0;
        }
    }
    buf_printf(report,
               "%" PRIu64 " of %u segments would be deleted, %" PRIu64
               " bytes; the data directory takes %" PRIu64 ", the limit is %" PRIu64
               " (0: none); nothing was changed\n",
               segments, count, bytes, space->used, space->limit);
}

int storage_retention_report(struct fs *fs, const struct retention_rules *rules, int64_t now_ns,
                             struct buf *report, struct err *err)
{
    struct fs *ledger = ledger_new(fs);
    struct fs_space volume = {0};
    struct retention_item *items;
    struct retention_space space;
    struct ledger_usage usage;
    struct loading l = {0};
    int rc = ledger_walk(ledger, err);

    if (rc == 0 && (rc = fs_space(fs, &volume, err)) == 0 &&
        (rc = blob_store_dir_open(fs, &l.blobs, err)) == 0)
        rc = l.blobs->ops->list(l.blobs, "seg", load_one, &l, err);
    items = calloc((size_t)l.count + 1, sizeof(*items));
    check(items);
    for (uint32_t i = 0; i < l.count; i++)
        items[i] = item_of(segment_meta(l.segments[i]));
    ledger_usage(ledger, &usage);
    storage_space_of(rules, &usage, &volume, now_ns, &space);
    if (rc == 0)
        report_plan(rules, &space, items, l.count, report);
    for (uint32_t i = 0; i < l.count; i++)
        segment_unref(l.segments[i]);
    free(l.segments);
    free(items);
    if (l.blobs)
        l.blobs->ops->free(l.blobs);
    fs_free(ledger);
    return rc;
}

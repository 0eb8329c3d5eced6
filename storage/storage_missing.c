/*
 * What answers lack: segments in quarantine/, known for as long as they lie there unless the
 * log or other segments hold all of their heads, and datasets that could not be read. A
 * question says which of it would have been its own.
 */
#include "storage/storage_internal.h"

#include "storage/segment_format.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

/* The folder is listed this often: what somebody took away is missing no more. */
#define LOOK_NS (5 * NS_PER_S)

static bool overlaps(struct time_span a, struct time_span b)
{
    return a.first_ns <= b.last_ns && b.first_ns <= a.last_ns;
}

static void tell(const struct missing *now, const struct missing *before)
{
    if (now->logs > before->logs)
        log_error("answers may lack pushes that damaged log files held",
                  LOG_U64("files", now->logs), LOG_U64("bytes", now->logs_bytes));
    for (uint32_t i = 0; i < now->count; i++) {
        const struct missing_item *item = &now->items[i];

        if ((item->elsewhere && item->part_count == 0) || missing_has(before, item->id))
            continue;
        log_error(
            "answers lack what a segment set aside held", LOG_CSTR("file", item->file.p),
            LOG_STR("tenant", item->tenant), LOG_I64("from_ms", item->time.first_ns / NS_PER_MS),
            LOG_I64("until_ms", item->time.last_ns / NS_PER_MS), LOG_U64("bytes", item->bytes));
    }
}

/* Does the store hold all that a head had when it went into the segment? Under s->mu. */
static bool holds(const struct storage *s, const struct segment_source *source)
{
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        for (uint32_t k = 0; k < m->source_count; k++)
            if (m->sources[k].head_id == source->head_id &&
                m->sources[k].lsn_first <= source->lsn_first &&
                m->sources[k].lsn_last >= source->lsn_last)
                return true;
    }
    for (uint32_t i = 0; i < s->head_count; i++) {
        struct head *h = s->heads[i];
        bool all;

        if (h->id != source->head_id)
            continue;
        mutex_lock(&h->mu);
        all = h->first_lsn <= source->lsn_first && h->last_lsn >= source->lsn_last;
        mutex_unlock(&h->mu);
        return all;
    }
    return false;
}

static void find_elsewhere(const struct storage *s, struct missing_item *item)
{
    item->elsewhere = item->source_count > 0;
    for (uint32_t i = 0; item->elsewhere && i < item->source_count; i++)
        item->elsewhere = holds(s, &item->sources[i]);
}

int storage_load_missing(struct storage *s, struct err *err)
{
    struct missing now, before;
    int rc;

    missing_init(&now);
    if ((rc = missing_load(&now, s->o.fs, s->blobs, err)) != 0) {
        missing_release(&now);
        return rc;
    }
    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < now.count; i++)
        find_elsewhere(s, &now.items[i]);
    before = s->missing;
    s->missing = now;
    mutex_unlock(&s->mu);
    tell(&s->missing, &before); /* nobody else changes it */
    missing_release(&before);
    return 0;
}

int storage_step_missing(struct storage *s, struct err *err)
{
    int64_t now = clock_mono_ns(s->o.clock);
    uint64_t fingerprint;
    int rc;

    if (now < s->missing_look_mono_ns)
        return 0;
    s->missing_look_mono_ns = now + LOOK_NS;
    if ((rc = missing_fingerprint(s->o.fs, &fingerprint, err)) != 0)
        return rc;
    if (fingerprint == s->missing.fingerprint)
        return 0;
    rc = storage_load_missing(s, err);
    return rc != 0 ? rc : 1;
}

static uint32_t count_of(const struct storage_missing *m)
{
    return m->segments + m->datasets + m->logs;
}

/* Around both; the one without anything has no time. */
static void widen(struct storage_missing *to, const struct storage_missing *more)
{
    if (count_of(more) == 0)
        return;
    if (count_of(to) == 0 || more->time.first_ns < to->time.first_ns)
        to->time.first_ns = more->time.first_ns;
    if (count_of(to) == 0 || more->time.last_ns > to->time.last_ns)
        to->time.last_ns = more->time.last_ns;
}

void storage_missing_add(struct storage_missing *to, const struct storage_missing *more)
{
    widen(to, more);
    to->segments += more->segments;
    to->datasets += more->datasets;
    to->logs += more->logs;
    to->bytes += more->bytes;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void storage_missing_join(struct storage_missing *to, const struct storage_missing *other)
{
    widen(to, other);
    to->segments = (uint32_t)larger(to->segments, other->segments);
    to->datasets = (uint32_t)larger(to->datasets, other->datasets);
    to->logs = (uint32_t)larger(to->logs, other->logs);
    to->bytes = larger(to->bytes, other->bytes);
}

/* One piece of what is missing; `service` empty: it is not known which. */
typedef void (*piece_fn)(void *ctx, const struct missing_item *item, struct str service,
                         struct time_span time, uint64_t bytes);

static void each_piece_of(const struct storage *s, const struct missing *m, piece_fn fn, void *ctx)
{
    int64_t now = clock_now_ns(s->o.clock);

    for (uint32_t i = 0; i < m->count; i++) {
        const struct missing_item *item = &m->items[i];
        int64_t age = retention_max_age(&s->o.retention, item->tenant);

        if (age > 0 && now - item->time.last_ns > age)
            continue; /* by now it would have been deleted */
        for (uint32_t k = 0; item->elsewhere && k < item->part_count; k++)
            fn(ctx, item, item->parts[k].service, item->parts[k].time, item->parts[k].bytes);
        if (!item->elsewhere)
            fn(ctx, item, STR(""), item->time, item->bytes);
    }
}

static void each_piece(const struct storage *s, piece_fn fn, void *ctx)
{
    each_piece_of(s, &s->missing, fn, ctx);
    each_piece_of(s, &s->left_behind, fn, ctx);
}

struct finding {
    const struct str *tenants;
    uint32_t tenant_count;
    struct str service;
    struct time_span time;
    struct storage_missing *out;
};

static void find_piece(void *ctx, const struct missing_item *item, struct str service,
                       struct time_span time, uint64_t bytes)
{
    struct finding *f = ctx;
    bool asked = false;

    for (uint32_t t = 0; t < f->tenant_count; t++)
        asked = asked || str_eq(f->tenants[t], item->tenant);
    if (!asked || !overlaps(time, f->time) ||
        (service.len > 0 && f->service.len > 0 && !str_eq(service, f->service)))
        return;
    storage_missing_add(f->out, &(struct storage_missing){.segments = service.len == 0,
                                                          .datasets = service.len > 0,
                                                          .bytes = bytes,
                                                          .time = time});
}

void storage_find_missing(const struct storage *s, const struct str *tenants, uint32_t tenant_count,
                          struct str service, struct time_span time, struct storage_missing *out)
{
    struct finding f = {tenants, tenant_count, service, time, out};

    if (s->missing.logs > 0 && time.first_ns <= s->missing.logs_until_ns)
        storage_missing_add(out, &(struct storage_missing){.logs = s->missing.logs,
                                                           .bytes = s->missing.logs_bytes,
                                                           .time = {0, s->missing.logs_until_ns}});
    each_piece(s, find_piece, &f);
}

struct counting {
    const struct missing_item *last;
    struct storage_stats *out;
};

static void count_piece(void *ctx, const struct missing_item *item, struct str service,
                        struct time_span time, uint64_t bytes)
{
    struct counting *c = ctx;

    (void)service;
    (void)time;
    c->out->segments_quarantined += item != c->last;
    c->out->missing_bytes += bytes;
    c->last = item;
}

void storage_count_missing(const struct storage *s, struct storage_stats *out)
{
    struct counting c = {NULL, out};

    each_piece(s, count_piece, &c);
    out->logs_quarantined = s->missing.logs;
    for (uint32_t i = 0; i < s->segment_count; i++)
        out->datasets_damaged += segment_damaged_services(s->segments[i]);
}

struct listing {
    struct arena *arena;
    struct storage_lacking *items; /* NULL: only counted */
    uint32_t count, cap;           /* a question may find damage between counting and listing */
    bool failed;
};

static struct str keep(struct listing *l, struct str text)
{
    char *copy = arena_strndup(l->arena, text.p, text.len);

    l->failed = l->failed || !copy;
    return copy ? (struct str){copy, text.len} : STR("");
}

static void list_one(struct listing *l, struct storage_lacking one)
{
    if (l->items && l->count == l->cap)
        return;
    if (l->items) {
        one.tenant = keep(l, one.tenant);
        one.service = keep(l, one.service);
        one.file = keep(l, one.file);
        l->items[l->count] = one;
    }
    l->count++;
}

static void list_piece(void *ctx, const struct missing_item *item, struct str service,
                       struct time_span time, uint64_t bytes)
{
    list_one(ctx, (struct storage_lacking){item->tenant, service, item->file, time, bytes});
}

static void list_damaged(struct listing *l, const struct segment *seg)
{
    const struct segment_meta *m = segment_meta(seg);
    char path[SEGMENT_PATH_MAX];

    segment_path(m->tenant, m->day, m->id, m->level, SEGMENT_FILE_AGG, path);
    for (uint32_t i = 0; i < segment_service_count(seg); i++) {
        struct time_span time;
        struct str service = segment_service_name(seg, i, &time);

        if (segment_is_damaged(seg, i))
            list_one(l, (struct storage_lacking){m->tenant, service, str_from(path), time,
                                                 segment_share_bytes(seg, i)});
    }
}

static void list_all(const struct storage *s, struct listing *l)
{
    l->count = 0;
    each_piece(s, list_piece, l);
    for (uint32_t i = 0; i < s->segment_count; i++)
        if (segment_damaged_services(s->segments[i]) > 0)
            list_damaged(l, s->segments[i]);
}

int storage_list_missing(struct storage *s, struct arena *arena, struct storage_usage *out,
                         struct err *err)
{
    struct listing l = {.arena = arena};

    mutex_lock(&s->mu);
    list_all(s, &l);
    l.cap = l.count;
    l.items = arena_array(arena, struct storage_lacking, (size_t)l.count + 1);
    if (l.items)
        list_all(s, &l);
    mutex_unlock(&s->mu);
    out->missing = l.items;
    out->missing_count = l.count;
    return l.items && !l.failed ? 0 : err_set(err, ERR_NOMEM, "no memory to list what is missing");
}

/* ---- datasets that cannot be read ---- */

void storage_note_damage(struct segment *seg, uint32_t service, const struct err *why)
{
    struct segment_share share = segment_service_share(seg, service);

    if (segment_note_damage(seg, service))
        log_error("stored profiles cannot be read, answers go on without",
                  LOG_STR("tenant", segment_meta(seg)->tenant), LOG_STR("service", share.service),
                  LOG_U64("profiles", share.rows), LOG_ERR(why));
}

uint32_t storage_find_damage(struct segment *seg)
{
    for (uint32_t i = 0; i < segment_service_count(seg); i++) {
        struct err why = {0};
        int rc = segment_check_service(seg, i, &why);

        if (rc != 0 && segment_is_damage(rc, &why))
            storage_note_damage(seg, i, &why);
    }
    return segment_damaged_services(seg);
}

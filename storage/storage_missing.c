/*
 * What answers lack: segments in quarantine/, known for as long as they lie there unless the
 * log or other segments hold all of their heads, and
 * datasets that could not be read. A question says which of it would have been its own.
 */
#include "storage/storage_internal.h"

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

/* What a repair could not save. */
static void find_parts(const struct missing_item *item, struct str service, struct time_span time,
                       struct storage_missing *out)
{
    for (uint32_t i = 0; i < item->part_count; i++) {
        const struct missing_part *part = &item->parts[i];

        if ((service.len == 0 || str_eq(service, part->service)) && overlaps(part->time, time))
            storage_missing_add(out, &(struct storage_missing){
                                         .datasets = 1, .bytes = part->bytes, .time = part->time});
    }
}

static void find_in(const struct missing *m, const struct str *tenants, uint32_t tenant_count,
                    struct str service, struct time_span time, struct storage_missing *out)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const struct missing_item *item = &m->items[i];
        bool asked = false;

        for (uint32_t t = 0; t < tenant_count; t++)
            asked = asked || str_eq(tenants[t], item->tenant);
        if (asked && item->elsewhere)
            find_parts(item, service, time, out);
        else if (asked && overlaps(item->time, time))
            storage_missing_add(out, &(struct storage_missing){
                                         .segments = 1, .bytes = item->bytes, .time = item->time});
    }
}

void storage_find_missing(const struct storage *s, const struct str *tenants, uint32_t tenant_count,
                          struct str service, struct time_span time, struct storage_missing *out)
{
    if (s->missing.logs > 0 && time.first_ns <= s->missing.logs_until_ns)
        storage_missing_add(out, &(struct storage_missing){.logs = s->missing.logs,
                                                           .bytes = s->missing.logs_bytes,
                                                           .time = {0, s->missing.logs_until_ns}});
    find_in(&s->missing, tenants, tenant_count, service, time, out);
    find_in(&s->left_behind, tenants, tenant_count, service, time, out);
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

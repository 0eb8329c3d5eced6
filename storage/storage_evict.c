/*
 * Eviction: what retention says goes.
 *
 *     plan -> EVICT into the log, durable -> one swap: segments out
 *       -> unlink with the last reader -> catalog
 *
 * The record is there for rows that the log still holds: replay would bring
 * them back. A segment whose rows have left the log goes without one, so that
 * eviction needs nothing from a log without room.
 */
#include "storage/storage_internal.h"

#include "storage/evict_record.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_NS NS_PER_S /* at what age takes, and others write */

enum {
    PICKS_MAX = 16, /* of one step; they share a sync of the log */
    RECORD_BYTES_MAX = 64 << 20,
    HEADROOM_PARTS = 10, /* of the limit */
    SEGMENT_PARTS = 20,
    WAL_PARTS = 10,
    WAL_FILE_PARTS = 80,
    CATALOG_PARTS = 32,
    CATALOG_BYTES_MIN = 1 << 20,
    CATALOG_BYTES_MAX = 64 << 20,
    WAL_FILE_BYTES_MIN = 64 << 10,
    OPEN_FILES = 3, /* of the log, that opening may make before it evicts */
};

#define HEADROOM_BYTES_MAX (1ULL << 30)

/* What is in the list, with references, and what of it goes. */
struct eviction {
    struct segment **segments;
    struct retention_item *items;
    uint32_t count;
    struct retention_pick *picks; /* PICKS_MAX of them */
    uint64_t lsns[PICKS_MAX];     /* of their records; 0: none */
    bool out[PICKS_MAX];
    uint32_t pick_count;
};

bool storage_may_evict(const struct storage *s)
{
    return retention_has_bytes(&s->o.retention);
}

static bool has_rules(const struct retention_rules *r)
{
    return retention_has_bytes(r) || r->max_age_ns > 0 || r->tenant_count > 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- how things are ---- */

static uint64_t headroom(uint64_t limit)
{
    return min_u64(limit / HEADROOM_PARTS, HEADROOM_BYTES_MAX);
}

void storage_space_of(const struct retention_rules *rules, const struct ledger_usage *usage,
                      const struct fs_space *volume, int64_t now_ns, struct retention_space *out)
{
    uint64_t limit = retention_limit(rules, volume->total);

    *out = (struct retention_space){
        .limit = limit,
        .used = usage->used,
        .headroom = headroom(limit),
        .available = volume->available,
        .now_ns = now_ns,
    };
}

void storage_measure(struct storage *s, uint64_t must_free, struct retention_space *out)
{
    struct fs_space volume = {.available = UINT64_MAX};
    struct ledger_usage usage;
    uint64_t leaving = 0, log_bytes;

    (void)fs_space(s->o.fs, &volume, NULL);
    ledger_usage(s->ledger, &usage);
    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->doomed_count; i++)
        leaving += storage_segment_bytes(segment_meta(s->doomed[i].segment));
    mutex_unlock(&s->mu);
    /* A log that is longer than it may be gets shorter by sealing: no segment has to go for it. */
    log_bytes = usage.by_kind[LEDGER_LOG];
    if (s->limit > 0 && log_bytes > s->o.wal_bytes_max)
        leaving += log_bytes - s->o.wal_bytes_max;
    *out = (struct retention_space){
        .limit = s->limit,
        .used = usage.used - min_u64(leaving, usage.used),
        .headroom = headroom(s->limit),
        .available = volume.available,
        .must_free = must_free,
        .now_ns = clock_now_ns(s->o.clock),
    };
}

static void list_segments(struct storage *s, struct eviction *e)
{
    mutex_lock(&s->mu);
    e->count = s->segment_count;
    e->segments = calloc((size_t)e->count + 1, sizeof(struct segment *));
    e->items = calloc((size_t)e->count + 1, sizeof(*e->items));
    check(e->segments && e->items);
    for (uint32_t i = 0; i < e->count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        e->segments[i] = segment_ref(s->segments[i]);
        e->items[i] = (struct retention_item){
            .id = m->id,
            .tenant = m->tenant,
            .time = m->time,
            .created_ns = m->created_ns,
            .bytes = storage_segment_bytes(m),
        };
    }
    mutex_unlock(&s->mu);
}

static void release_eviction(struct eviction *e)
{
    free(e->items);
    for (uint32_t i = 0; i < e->count; i++)
        segment_unref(e->segments[i]);
    free(e->segments);
}

/* ---- the record ---- */

static bool is_in_log(struct storage *s, const struct segment_meta *m)
{
    uint64_t first = wal_first_lsn(s->wal);

    for (uint32_t i = 0; i < m->source_count; i++)
        if (m->sources[i].lsn_last >= first)
            return true;
    return false;
}

static int append_record(struct storage *s, const struct segment_meta *m, uint64_t *lsn,
                         struct err *err)
{
    int rc = ERR_STALE;
    struct buf payload;

    buf_init(&payload, RECORD_BYTES_MAX);
    evict_record_put(m, &payload);
    while (rc == ERR_STALE)
        rc = wal_append(s->wal, wal_epoch(s->wal), WAL_EVICT, buf_str(&payload), lsn, err);
    buf_release(&payload);
    return rc;
}

/* A log without room may be longer than it has to be: rows in segments can leave it. */
static int write_record(struct storage *s, const struct segment_meta *m, uint64_t *lsn,
                        struct err *err)
{
    int rc;

    *lsn = 0;
    if (!is_in_log(s, m) || (rc = append_record(s, m, lsn, err)) == 0)
        return 0;
    if ((rc != ERR_BUSY && rc != ERR_NO_SPACE) || storage_step_release(s, err) != 0)
        return rc;
    *lsn = 0;
    return is_in_log(s, m) ? append_record(s, m, lsn, err) : 0;
}

/* Records for the picks, up to the first that cannot be written. Durable when it returns 0. */
static int write_records(struct storage *s, struct eviction *e, struct err *err)
{
    uint64_t last = 0;

    for (uint32_t i = 0; i < e->pick_count; i++) {
        int rc = write_record(s, segment_meta(e->segments[e->picks[i].item]), &e->lsns[i], err);

        if (rc != 0 && i == 0)
            return rc;
        if (rc != 0)
            e->pick_count = i;
        else if (e->lsns[i] > last)
            last = e->lsns[i];
    }
    return last > 0 ? storage_wait_durable(s, last, err) : 0;
}

/* ---- out of the list ---- */

static bool take_from_list(struct storage *s, const struct segment *seg)
{
    for (uint32_t i = 0; i < s->segment_count; i++) {
        if (s->segments[i] != seg)
            continue;
        memmove(&s->segments[i], &s->segments[i + 1],
                (s->segment_count - i - 1) * sizeof(*s->segments));
        s->segment_count--;
        return true;
    }
    return false;
}

static uint32_t swap_out(struct storage *s, struct eviction *e)
{
    uint32_t count = 0;

    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < e->pick_count; i++) {
        struct segment *seg = e->segments[e->picks[i].item];

        e->out[i] = take_from_list(s, seg);
        if (e->out[i]) {
            storage_doom(s, seg, e->lsns[i]);
            count++;
        }
    }
    mutex_unlock(&s->mu);
    return count;
}

static void tell(struct storage *s, const struct eviction *e)
{
    for (uint32_t i = 0; i < e->pick_count; i++) {
        const struct retention_item *item = &e->items[e->picks[i].item];

        if (!e->out[i])
            continue;
        (void)atomic_fetch_add(&s->evictions, 1);
        (void)atomic_fetch_add(&s->evicted_bytes, item->bytes);
        log_info("segment evicted", LOG_STR("tenant", item->tenant),
                 LOG_I64("day", storage_day_of(item->time.last_ns)), LOG_U64("bytes", item->bytes),
                 LOG_CSTR("reason", retention_reason_name(e->picks[i].reason)));
    }
}

/* With publish_mu. How many went, or negative. */
static int evict(struct storage *s, uint64_t must_free, struct err *err)
{
    struct retention_pick picks[PICKS_MAX];
    struct retention_space space;
    struct eviction e = {.picks = picks};
    int rc = 0;

    storage_measure(s, must_free, &space);
    list_segments(s, &e);
    e.pick_count = retention_plan(&s->o.retention, e.items, e.count, &space, picks, PICKS_MAX);
    if (e.pick_count > 0 && (rc = storage_unlink_replaced(s, err)) == 0 &&
        (rc = write_records(s, &e, err)) == 0) {
        rc = (int)swap_out(s, &e);
        tell(s, &e);
    }
    release_eviction(&e);
    return rc;
}

int storage_make_room(struct storage *s, uint64_t bytes, struct err *err)
{
    int rc = 0;

    if (!storage_may_evict(s))
        return 0;
    mutex_lock(&s->publish_mu);
    /* What is on its way out may be room enough. */
    rc = storage_step_unlink(s, err);
    if (rc == 0 && (rc = evict(s, bytes, err)) > 0) {
        (void)storage_step_unlink(s, err);
        rc = 1;
    }
    mutex_unlock(&s->publish_mu);
    return rc;
}

int storage_step_evict(struct storage *s, struct err *err)
{
    int64_t now = clock_mono_ns(s->o.clock);
    int rc;

    if (!has_rules(&s->o.retention) ||
        (!atomic_exchange(&s->evict_wanted, false) && now < s->evict_look_mono_ns))
        return 0;
    s->evict_look_mono_ns = now + LOOK_NS;
    mutex_lock(&s->publish_mu);
    rc = evict(s, 0, err);
    mutex_unlock(&s->publish_mu);
    if (rc < 0) {
        (void)atomic_fetch_add(&s->evict_failures, 1);
        return rc;
    }
    if (rc == PICKS_MAX)
        atomic_store(&s->evict_wanted, true); /* there may be more */
    return rc > 0;
}

/* ---- replay ---- */

void storage_note_evicted(struct storage *s, struct str payload)
{
    struct evict_record r;
    struct err err;
    bool added;

    if (evict_record_get(payload, &r, &err) != 0) {
        log_error("a record of the log is damaged", LOG_ERR(&err));
        return;
    }
    if (!s->evicted_heads) {
        s->evicted_heads = malloc(sizeof(*s->evicted_heads));
        check(s->evicted_heads);
        u64map_init(s->evicted_heads, NULL, SIZE_MAX);
    }
    for (uint32_t i = 0; i < r.head_count; i++)
        check(u64map_put(s->evicted_heads, r.heads[i], &added));
    s->evicted_ids =
        realloc(s->evicted_ids, ((size_t)s->evicted_id_count + 1) * sizeof(*s->evicted_ids));
    check(s->evicted_ids);
    s->evicted_ids[s->evicted_id_count++] = r.id;
    free(r.heads);
}

static bool is_evicted(const struct storage *s, const struct segment_meta *m)
{
    uint32_t heads = 0;

    for (uint32_t i = 0; i < s->evicted_id_count; i++)
        if (s->evicted_ids[i].hi == m->id.hi && s->evicted_ids[i].lo == m->id.lo)
            return true;
    /* What an interrupted seal or merge left of the same rows. */
    for (uint32_t i = 0; i < m->source_count; i++)
        heads += u64map_get(s->evicted_heads, m->sources[i].head_id) != NULL;
    return heads > 0 && heads == m->source_count;
}

void storage_apply_evicted(struct storage *s, struct storage_recovery *recovery)
{
    uint32_t kept = 0;

    if (!s->evicted_heads)
        return;
    for (uint32_t i = 0; i < s->head_count; i++) {
        if (u64map_get(s->evicted_heads, s->heads[i]->id))
            head_unref(s->heads[i]);
        else
            s->heads[kept++] = s->heads[i];
    }
    s->head_count = kept;
    kept = 0;
    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->segment_count; i++) {
        if (!is_evicted(s, segment_meta(s->segments[i]))) {
            s->segments[kept++] = s->segments[i];
            continue;
        }
        /* As long as its name may be there the record must be. */
        storage_doom(s, s->segments[i], 1);
        recovery->segments_evicted++;
    }
    s->segment_count = kept;
    mutex_unlock(&s->mu);
    u64map_release(s->evicted_heads);
    free(s->evicted_heads);
    s->evicted_heads = NULL;
    free(s->evicted_ids);
    s->evicted_ids = NULL;
    s->evicted_id_count = 0;
}

/* ---- what a limit bounds ---- */

static uint64_t at_least(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t storage_catalog_share(uint64_t limit)
{
    return min_u64(at_least(limit / CATALOG_PARTS, CATALOG_BYTES_MIN), CATALOG_BYTES_MAX);
}

int storage_fit_limit(struct storage *s, struct err *err)
{
    struct storage_options *o = &s->o;
    struct fs_space volume = {0};
    struct ledger_usage usage;
    uint64_t limit;
    int rc = o->retention.max_percent > 0 ? fs_space(o->fs, &volume, err) : 0;

    if (rc != 0)
        return rc;
    limit = retention_limit(&o->retention, volume.total);
    if (limit == 0)
        return 0;
    o->wal_bytes_max = min_u64(o->wal_bytes_max, limit / WAL_PARTS);
    o->wal_file_bytes_max =
        min_u64(o->wal_file_bytes_max, at_least(limit / WAL_FILE_PARTS, WAL_FILE_BYTES_MIN));
    o->wal_file_bytes_min = min_u64(o->wal_file_bytes_min, o->wal_file_bytes_max);
    o->segment_bytes_max = min_u64(o->segment_bytes_max, limit / SEGMENT_PARTS);
    o->head_seal_bytes = min_u64(o->head_seal_bytes, o->segment_bytes_max);
    /* Eviction may need a log file first, even where the limit has been passed already. */
    ledger_usage(s->ledger, &usage);
    s->limit = limit;
    ledger_set_limit(s->ledger, usage.used <= limit
                                    ? limit
                                    : usage.used + OPEN_FILES * o->wal_file_bytes_min +
                                          storage_catalog_share(limit));
    return 0;
}

void storage_settle_limit(struct storage *s)
{
    struct ledger_usage usage;
    struct err err;
    int rc = 1;

    ledger_usage(s->ledger, &usage);
    while (rc > 0 && s->limit > 0 && usage.used > s->limit) {
        atomic_store(&s->evict_wanted, true);
        rc = storage_step_evict(s, &err);
        if (rc >= 0)
            (void)storage_step_unlink(s, &err);
        ledger_usage(s->ledger, &usage);
    }
    if (rc < 0)
        log_warn("eviction failed, it will be tried again", LOG_ERR(&err));
    storage_enforce_limit(s);
    if (s->limit > 0 && usage.used > s->limit)
        log_warn("the data directory is larger than retention.max_bytes, it will shrink",
                 LOG_U64("bytes", usage.used), LOG_U64("limit", s->limit));
}

/*
 * A directory that was larger when the limit came, by its log or by what is no segment, must
 * be able to seal what the log holds: it may grow by a little from where it is, never back.
 */
void storage_enforce_limit(struct storage *s)
{
    uint64_t little = 2 * s->o.segment_bytes_max + OPEN_FILES * s->o.wal_file_bytes_max;
    struct ledger_usage usage;

    ledger_usage(s->ledger, &usage);
    /* Segments are smaller than the log of their rows, but one may be made of nearly all of it. */
    if (usage.by_kind[LEDGER_LOG] > s->o.wal_bytes_max)
        little += usage.by_kind[LEDGER_LOG];
    if (s->limit == 0 || usage.used <= s->limit)
        ledger_set_limit(s->ledger, s->limit);
    else if (usage.limit <= s->limit || usage.limit > usage.used + little)
        ledger_set_limit(s->ledger, usage.used + little);
}

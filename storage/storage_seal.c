/*
 * Sealing: heads of one tenant and day become a segment, and the log forgets them.
 *
 *     choose (tenant, day) -> freeze its heads -> rows durable -> segment_write
 *       -> one swap: heads out, segment in -> catalog -> later the log's files
 *
 * A frozen head keeps serving until the swap; when writing fails it stays and
 * is tried again.
 */
#include "storage/storage_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS (30 * NS_PER_S)

enum {
    PRESSURE_SHARE = 8, /* of head_bytes_max, sealed at a time when memory is short */
    ROOM_TRIES = 8,     /* at writing a segment while eviction makes room for it */
};

/* All heads of one tenant and day, by service. */
struct batch {
    struct head **heads;
    uint32_t count;
    struct str tenant;
    int32_t day;
};

struct candidate {
    struct head *head; /* any of its heads */
    uint64_t bytes;
    int64_t oldest_mono_ns;
    uint32_t heads;
    bool frozen; /* was being sealed when that failed */
};

static bool same_batch(const struct head *a, const struct head *b)
{
    return a->key.day == b->key.day && str_eq(a->key.tenant, b->key.tenant);
}

static void add_to_candidate(struct candidate *c, struct head *h)
{
    c->head = h;
    c->bytes += head_bytes(h);
    mutex_lock(&h->mu);
    if (h->rows.count > 0 && (c->oldest_mono_ns == 0 || h->first_mono_ns < c->oldest_mono_ns))
        c->oldest_mono_ns = h->first_mono_ns;
    c->frozen = c->frozen || h->frozen;
    mutex_unlock(&h->mu);
    c->heads++;
}

/* One candidate per tenant and day; returns how many. Tenants and days are few. */
static uint32_t list_candidates(const struct storage *s, struct candidate *out)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->head_count; i++) {
        uint32_t c = 0;

        while (c < count && !same_batch(out[c].head, s->heads[i]))
            c++;
        count += c == count;
        add_to_candidate(&out[c], s->heads[i]);
    }
    return count;
}

static uint32_t open_heads_of(const struct storage *s, struct str tenant)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->head_count; i++)
        count += str_eq(s->heads[i]->key.tenant, tenant);
    return count;
}

static bool wal_is_large(const struct storage *s, const struct wal_stats *wal)
{
    return wal->bytes_total >= s->o.wal_bytes_max / 4 * 3;
}

static bool is_large(const struct storage *s, const struct candidate *c, uint64_t total)
{
    return total >= s->o.head_bytes_max || c->bytes >= s->o.head_seal_bytes;
}

/* Is it time? The total over all heads decides whether the largest must go. */
static bool is_due(const struct storage *s, const struct candidate *c, uint64_t total, bool force)
{
    int64_t age = clock_mono_ns(s->o.clock) - c->oldest_mono_ns;
    struct wal_stats wal;

    if (c->oldest_mono_ns == 0)
        return false; /* no rows */
    if (force || c->frozen || age >= s->o.head_seal_age_ns || is_large(s, c, total))
        return true;
    wal_stats(s->wal, &wal);
    return wal_is_large(s, &wal) ||
           open_heads_of(s, c->head->key.tenant) > s->o.heads_per_tenant_max * 64;
}

static bool better(const struct candidate *a, const struct candidate *b, uint64_t total,
                   const struct storage *s)
{
    if (total >= s->o.head_bytes_max)
        return a->bytes > b->bytes;
    return a->oldest_mono_ns < b->oldest_mono_ns;
}

/* A head of the batch, and what decides whether it goes now. */
struct choice {
    struct head *head;
    uint64_t bytes;
    bool frozen;
};

/* Those being sealed when that failed go first, then the largest. */
static int choice_cmp(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->frozen != y->frozen)
        return x->frozen ? -1 : 1;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static bool has_service(const struct batch *b, struct str service)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (str_eq(b->heads[i]->key.service, service))
            return true;
    return false;
}

/*
 * The batch's heads, frozen and referenced, until `bytes_enough` are together. Those of a batch
 * that failed are all there again: what it left on disk is found out by that. Under s->mu.
 */
static void freeze(const struct storage *s, const struct candidate *c, uint64_t bytes_enough,
                   struct batch *out)
{
    struct choice *all = calloc(c->heads, sizeof(*all));
    uint64_t bytes = 0;
    uint32_t count = 0;

    out->heads = calloc(c->heads, sizeof(struct head *));
    check(out->heads && all);
    out->tenant = c->head->key.tenant;
    out->day = c->head->key.day;
    for (uint32_t i = 0; i < s->head_count; i++) {
        struct head *h = s->heads[i];

        if (same_batch(h, c->head))
            all[count++] = (struct choice){h, head_bytes(h), h->frozen};
    }
    qsort(all, count, sizeof(*all), choice_cmp);
    for (uint32_t i = 0; i < count; i++) {
        struct head *h = all[i].head;
        bool fits = bytes < bytes_enough &&
                    (out->count == 0 || bytes + all[i].bytes <= s->o.segment_bytes_max);

        /* One head per service, and no more than a segment may hold: others wait. */
        if (has_service(out, h->key.service) || (!all[i].frozen && !fits))
            continue;
        mutex_lock(&h->mu);
        h->frozen = true;
        mutex_unlock(&h->mu);
        out->heads[out->count++] = head_ref(h);
        bytes += all[i].bytes;
    }
    free(all);
}

/*
 * For memory's sake only the largest heads go: what is left keeps its dictionary, and heads
 * come to be of all sizes, so that each lives longer within the same memory than if all
 * went at once. For any other reason the whole tenant and day goes.
 */
static uint64_t enough(struct storage *s, const struct candidate *c, uint64_t total, bool force)
{
    int64_t age = clock_mono_ns(s->o.clock) - c->oldest_mono_ns;
    struct wal_stats wal;

    wal_stats(s->wal, &wal);
    if (force || age >= s->o.head_seal_age_ns || wal_is_large(s, &wal) || !is_large(s, c, total))
        return UINT64_MAX;
    atomic_store(&s->pressure_mono_ns, clock_mono_ns(s->o.clock));
    return s->o.head_bytes_max / PRESSURE_SHARE;
}

/* The batch to seal next, if one is due; its heads are frozen and referenced. */
static bool choose(struct storage *s, bool force, struct batch *out)
{
    const struct candidate *best = NULL;
    struct candidate *all;
    uint64_t total = 0;
    uint32_t count;
    bool found;

    memset(out, 0, sizeof(*out));
    mutex_lock(&s->mu);
    all = calloc((size_t)s->head_count + 1, sizeof(*all));
    check(all);
    count = list_candidates(s, all);
    for (uint32_t i = 0; i < count; i++)
        total += all[i].bytes;
    atomic_store(&s->head_bytes, total);
    for (uint32_t i = 0; i < count; i++)
        if (is_due(s, &all[i], total, force) && (!best || better(&all[i], best, total, s)))
            best = &all[i];
    found = best != NULL;
    if (found)
        freeze(s, best, enough(s, best, total, force), out);
    mutex_unlock(&s->mu);
    free(all);
    check(!found || out->count > 0);
    return found;
}

static void release_batch(struct batch *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        head_unref(b->heads[i]);
    free(b->heads);
}

/* More than its segment takes. */
static uint64_t batch_bytes(const struct batch *b)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < b->count; i++)
        bytes += head_bytes(b->heads[i]);
    return bytes;
}

static uint64_t batch_last_lsn(const struct batch *b)
{
    uint64_t last = 0;

    for (uint32_t i = 0; i < b->count; i++)
        if (b->heads[i]->last_lsn > last)
            last = b->heads[i]->last_lsn;
    return last;
}

int storage_wait_durable(struct storage *s, uint64_t lsn, struct err *err)
{
    while (wal_durable_lsn(s->wal) < lsn) {
        int rc;

        if (s->thread_count == 0) {
            rc = storage_step_commit(s, true, err);
        } else {
            struct wal_stats stats;

            wal_wake(s->wal);
            mutex_lock(&s->seal_mu);
            (void)cond_wait_for(&s->seal_more, &s->seal_mu, s->o.wal_window_ns);
            mutex_unlock(&s->seal_mu);
            wal_stats(s->wal, &stats);
            rc = stats.read_only ? err_set(err, ERR_IO, "the log is read-only") : 0;
            if (stats.blocked)
                rc = err_set(err, ERR_NO_SPACE, "the log waits for room");
            if (rc == 0 && atomic_load(&s->stopping))
                rc = err_set(err, ERR_CANCELED, "the store is closing");
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int dataset_by_service(const void *a, const void *b)
{
    const struct dataset *x = *(struct dataset *const *)a, *y = *(struct dataset *const *)b;

    return str_cmp(x->service, y->service);
}

/* What pushes look at, and wait for. */
static void count_heads(struct storage *s)
{
    uint64_t total = 0;

    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->head_count; i++)
        total += head_bytes(s->heads[i]);
    atomic_store(&s->head_bytes, total);
    mutex_unlock(&s->mu);
    mutex_lock(&s->seal_mu);
    cond_broadcast(&s->seal_more);
    mutex_unlock(&s->seal_mu);
}

static void swap_in(struct storage *s, const struct batch *b, struct segment *seg)
{
    uint32_t kept = 0;

    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->head_count; i++) {
        bool sealed = false;

        for (uint32_t k = 0; k < b->count; k++)
            sealed = sealed || s->heads[i] == b->heads[k];
        if (sealed)
            head_unref(s->heads[i]);
        else
            s->heads[kept++] = s->heads[i];
    }
    s->head_count = kept;
    if (seg)
        storage_add_segment(s, seg);
    mutex_unlock(&s->mu);
    atomic_store(&s->evict_wanted, true);
    count_heads(s);
}

static int write_segment(struct storage *s, const struct batch *b, struct segment **out,
                         struct err *err)
{
    struct dataset **datasets = calloc(b->count, sizeof(struct dataset *));
    struct segment_source *sources = calloc(b->count, sizeof(*sources));
    struct segment_meta meta = {.tenant = b->tenant,
                                .day = b->day,
                                .rollups = s->o.rollups,
                                .created_ns = clock_now_ns(s->o.clock),
                                .sources = sources};
    uint32_t count = 0;
    int rc = 0;

    check(datasets && sources);
    random_bytes(&meta.id, sizeof(meta.id));
    for (uint32_t i = 0; i < b->count; i++) {
        struct dataset *ds = head_dataset_open(b->heads[i], UINT64_MAX);

        if (!ds)
            continue; /* opened and never written to */
        datasets[count++] = ds;
        sources[meta.source_count++] =
            (struct segment_source){b->heads[i]->id, b->heads[i]->first_lsn, b->heads[i]->last_lsn};
    }
    qsort(datasets, count, sizeof(struct dataset *), dataset_by_service);
    if (count > 0)
        rc = segment_write(s->blobs, datasets, count, &meta, err);
    if (count > 0 && rc == 0)
        rc = segment_open(s->blobs, s->cache, meta.tenant, meta.day, meta.id, meta.level, out, err);
    for (uint32_t i = 0; i < count; i++)
        head_dataset_close(datasets[i]);
    free(datasets);
    free(sources);
    return rc;
}

static int seal(struct storage *s, struct batch *b, struct err *err)
{
    struct segment *seg = NULL;
    /* Frozen heads do not change, but the log may still owe them a sync. */
    int rc = storage_wait_durable(s, batch_last_lsn(b), err);

    for (int try = 0; rc == 0 && try < ROOM_TRIES; try++) {
        rc = write_segment(s, b, &seg, err);
        if (rc != ERR_NO_SPACE || try + 1 == ROOM_TRIES ||
            storage_make_room(s, batch_bytes(b), NULL) <= 0)
            break;
        rc = 0;
    }
    if (rc != 0)
        return rc;
    if (seg)
        storage_catalog_add(s, segment_meta(seg));
    swap_in(s, b, seg);
    return 0;
}

int storage_step_seal(struct storage *s, bool force, struct err *err)
{
    int64_t now = clock_mono_ns(s->o.clock);
    struct batch b;
    int rc;

    if (!force && !atomic_exchange(&s->seal_soon, false) && now < s->seal_again_mono_ns)
        return 0;
    if (!choose(s, force, &b))
        return 0;
    rc = seal(s, &b, err);
    if (rc == 0) {
        (void)atomic_fetch_add(&s->seals, 1);
        s->seal_again_mono_ns = 0;
    } else {
        (void)atomic_fetch_add(&s->seal_failures, 1);
        if (rc == ERR_NO_SPACE)
            storage_note_no_space(s);
        s->seal_again_mono_ns = now + RETRY_NS;
        log_error("sealing failed, the heads stay in memory and in the log", LOG_ERR(err),
                  LOG_STR("tenant", b.tenant), LOG_I64("day", b.day));
    }
    release_batch(&b);
    /* A head is thousands of pieces. Under load the next ones take their place. */
    if (atomic_load(&s->head_bytes) < s->o.head_bytes_max / PRESSURE_SHARE)
        (void)malloc_trim(0);
    return rc == 0 ? 1 : rc;
}

/*
 * What the log keeps for retries: they are recognised across restarts. A log
 * that is nearly full is let go sooner: taking pushes matters more.
 */
static uint64_t retries_lsn(struct storage *s)
{
    struct wal_stats stats;

    wal_stats(s->wal, &stats);
    if (stats.bytes_total >= s->o.wal_bytes_max / 2)
        return UINT64_MAX;
    return dedup_oldest_lsn(s->dedup, clock_mono_ns(s->o.clock));
}

int storage_step_release(struct storage *s, struct err *err)
{
    uint64_t last, floor, retries = retries_lsn(s);
    int rc = 0;

    mutex_lock(&s->release_mu);
    /* Before the heads are looked at: what is appended meanwhile is above it. */
    last = wal_last_lsn(s->wal);
    floor = last + 1;
    mutex_lock(&s->mu);
    if (storage_backup_holds_log(s))
        floor = 0;
    for (uint32_t i = 0; i < s->head_count; i++) {
        mutex_lock(&s->heads[i]->mu);
        if (s->heads[i]->first_lsn != 0 && s->heads[i]->first_lsn < floor)
            floor = s->heads[i]->first_lsn;
        mutex_unlock(&s->heads[i]->mu);
    }
    if (storage_doomed_lsn(s) < floor)
        floor = storage_doomed_lsn(s);
    mutex_unlock(&s->mu);
    if (floor > 0)
        rc = wal_release(s->wal, floor < retries ? floor : retries, err);
    mutex_unlock(&s->release_mu);
    return rc;
}

/*
 * A push: into the heads it touches and, as one record, into the log.
 *
 *     group rows by head -> lock heads by id -> drop duplicates -> encode
 *       -> append (again when the log's file changed) -> rows get their LSN
 *       -> unlock -> wait for durability without a thread
 */
#include "storage/storage_internal.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    PARTS_MAX = 1024, /* heads locked together */
    TRIES_MAX = 8,    /* frozen heads, changed log files: each happens once in minutes */
};

#define ROOM_WAIT_NS (3 * NS_PER_S)

/* The rows of a push that go to one head. */
struct part {
    struct head *head;
    struct head_key key;
    uint32_t *rows; /* indexes into push->rows */
    uint64_t *dedup_keys;
    uint32_t count;
};

struct work {
    struct storage *s;
    const struct push *push;
    struct arena memory;
    struct part *parts;
    uint32_t part_count;
    uint64_t wait_lsn; /* of a push that this one repeats */
    uint32_t duplicates;
};

int32_t storage_day_of(int64_t time_ns)
{
    int64_t day = time_ns / NS_PER_DAY;

    return (int32_t)(time_ns % NS_PER_DAY < 0 ? day - 1 : day);
}

struct time_span storage_day_span(int32_t day)
{
    int64_t first = day * NS_PER_DAY;

    return (struct time_span){first, first + (NS_PER_DAY - 1)};
}

static int row_cmp(const void *a, const void *b, void *ctx)
{
    const struct push *push = ctx;
    const struct push_row *x = &push->rows[*(const uint32_t *)a];
    const struct push_row *y = &push->rows[*(const uint32_t *)b];
    int32_t x_day = storage_day_of(x->profile->time_ns),
            y_day = storage_day_of(y->profile->time_ns);
    int order = str_cmp(labels_get(&x->labels, STR(LABEL_SERVICE_NAME)),
                        labels_get(&y->labels, STR(LABEL_SERVICE_NAME)));

    if (order == 0)
        order = x_day < y_day ? -1 : x_day > y_day;
    if (order == 0) /* rows of a head keep the order they came in */
        order = *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
    return order;
}

static int group_rows(struct work *w, struct err *err)
{
    uint32_t count = w->push->row_count, *rows = arena_array(&w->memory, uint32_t, count);
    uint64_t *keys = arena_calloc(&w->memory, count, sizeof(*keys));

    w->parts = arena_calloc(&w->memory, PARTS_MAX, sizeof(*w->parts));
    check(rows && keys && w->parts);
    for (uint32_t i = 0; i < count; i++)
        rows[i] = i;
    qsort_r(rows, count, sizeof(*rows), row_cmp, (void *)(uintptr_t)w->push);
    for (uint32_t i = 0; i < count; i++) {
        const struct push_row *row = &w->push->rows[rows[i]];
        struct head_key key = {w->push->tenant, labels_get(&row->labels, STR(LABEL_SERVICE_NAME)),
                               storage_day_of(row->profile->time_ns)};
        struct part *p = w->part_count > 0 ? &w->parts[w->part_count - 1] : NULL;

        check(row->sample_count > 0 && key.service.len > 0);
        if (!p || p->key.day != key.day || !str_eq(p->key.service, key.service)) {
            if (w->part_count == PARTS_MAX)
                return err_set(err, ERR_TOO_LARGE,
                               "one push holds more than %d services and days; send fewer series "
                               "at a time",
                               PARTS_MAX);
            p = &w->parts[w->part_count++];
            *p = (struct part){.key = key, .rows = &rows[i], .dedup_keys = &keys[i]};
        }
        p->count++;
    }
    return 0;
}

void storage_add_head(struct storage *s, struct head *h)
{
    if (s->head_count == s->head_cap) {
        s->head_cap = s->head_cap ? s->head_cap * 2 : 64;
        s->heads = realloc(s->heads, s->head_cap * sizeof(*s->heads));
        check(s->heads);
    }
    s->heads[s->head_count++] = h;
}

/* The open head of a key, made if missing; one reference. Under s->mu. */
static struct head *get_head(struct storage *s, const struct head_key *key)
{
    uint64_t id;

    for (uint32_t i = 0; i < s->head_count; i++) {
        struct head *h = s->heads[i];

        if (h->key.day == key->day && str_eq(h->key.service, key->service) &&
            str_eq(h->key.tenant, key->tenant) && !h->frozen)
            return head_ref(h);
    }
    do
        random_bytes(&id, sizeof(id));
    while (id == 0);
    storage_add_head(s, head_new(key, id, s->o.head_bytes_max));
    return head_ref(s->heads[s->head_count - 1]);
}

static int part_cmp(const void *a, const void *b)
{
    uint64_t x = ((const struct part *)a)->head->id, y = ((const struct part *)b)->head->id;

    return x < y ? -1 : x > y;
}

static void unlock_heads(struct work *w)
{
    for (uint32_t i = w->part_count; i-- > 0;) {
        mutex_unlock(&w->parts[i].head->mu);
        head_unref(w->parts[i].head);
        w->parts[i].head = NULL;
    }
}

/* False when one was frozen before it could be locked: look again. */
static bool lock_heads(struct work *w)
{
    bool frozen = false;

    mutex_lock(&w->s->mu);
    for (uint32_t i = 0; i < w->part_count; i++)
        w->parts[i].head = get_head(w->s, &w->parts[i].key);
    mutex_unlock(&w->s->mu);
    qsort(w->parts, w->part_count, sizeof(*w->parts), part_cmp);
    for (uint32_t i = 0; i < w->part_count; i++) {
        if (i == 0)
            mutex_lock(&w->parts[i].head->mu);
        else
            mutex_lock_same_rank(&w->parts[i].head->mu);
        frozen = frozen || w->parts[i].head->frozen;
    }
    if (frozen)
        unlock_heads(w);
    return !frozen;
}

/* The keys of a part's rows: a push may hold a row twice, too. */
struct key_set {
    uint64_t *slots;
    uint32_t mask;
};

static struct key_set new_key_set(struct work *w, uint32_t count)
{
    uint32_t size = 16;

    while (size < 2 * (uint64_t)count && size < UINT32_C(1) << 31)
        size *= 2;
    return (struct key_set){arena_calloc(&w->memory, size, sizeof(uint64_t)), size - 1};
}

/* False when it was there already. */
static bool add_key(struct key_set *set, uint64_t key)
{
    uint32_t at = (uint32_t)key & set->mask;

    for (; set->slots[at] != 0; at = (at + 1) & set->mask)
        if (set->slots[at] == key)
            return false;
    set->slots[at] = key;
    return true;
}

static uint64_t dedup_key(const struct work *w, const struct push_row *row)
{
    return w->s->o.dedup == STORAGE_DEDUP_ID ? dedup_key_id(w->push->tenant, row)
                                             : dedup_key_content(w->push->tenant, row);
}

/* Rows seen before leave their part; with the heads locked nobody adds them meanwhile. */
static void drop_duplicates(struct work *w, int64_t now)
{
    if (w->s->o.dedup == STORAGE_DEDUP_OFF)
        return;
    for (uint32_t p = 0; p < w->part_count; p++) {
        struct part *part = &w->parts[p];
        struct key_set keys = new_key_set(w, part->count);
        uint32_t kept = 0;

        check(keys.slots);
        for (uint32_t i = 0; i < part->count; i++) {
            uint64_t lsn = 0, key = dedup_key(w, &w->push->rows[part->rows[i]]);

            if (key != 0 && (dedup_find(w->s->dedup, key, now, &lsn) || !add_key(&keys, key))) {
                w->duplicates++;
                if (lsn > w->wait_lsn)
                    w->wait_lsn = lsn;
                continue;
            }
            part->dedup_keys[kept] = key;
            part->rows[kept++] = part->rows[i];
        }
        part->count = kept;
    }
}

static struct encoder *take_encoder(struct storage *s)
{
    struct encoder *e = NULL;

    mutex_lock(&s->acks_mu);
    if (s->encoder_count > 0)
        e = s->encoders[--s->encoder_count];
    mutex_unlock(&s->acks_mu);
    return e ? e : encoder_new();
}

static void give_encoder(struct storage *s, struct encoder *e)
{
    encoder_trim(e);
    mutex_lock(&s->acks_mu);
    if (s->encoder_count < STORAGE_ENCODERS_MAX) {
        s->encoders[s->encoder_count++] = e;
        e = NULL;
    }
    mutex_unlock(&s->acks_mu);
    encoder_free(e);
}

static int encode(struct work *w, struct encoder *e, uint32_t epoch, struct str *payload,
                  struct err *err)
{
    uint32_t parts = 0;

    for (uint32_t i = 0; i < w->part_count; i++)
        parts += w->parts[i].count > 0;
    encoder_begin(e, epoch, parts);
    for (uint32_t i = 0; i < w->part_count; i++) {
        const struct part *p = &w->parts[i];
        int rc = p->count == 0
                     ? 0
                     : encoder_add_part(e, p->head, w->push, p->rows, p->dedup_keys, p->count, err);

        if (rc != 0)
            return rc;
    }
    return encoder_payload(e, payload, err);
}

/* With the heads locked: encodes for the log's current file until it takes the record. */
static int append(struct work *w, struct encoder *e, uint64_t *lsn, struct err *err)
{
    struct storage *s = w->s;
    int rc = ERR_BUSY;

    for (int try = 0; try < TRIES_MAX; try++) {
        uint32_t epoch = wal_epoch(s->wal);
        struct str payload = STR("");

        rc = encode(w, e, epoch, &payload, err);
        if (rc == 0)
            rc = wal_append(s->wal, epoch, WAL_PUSH, payload, lsn, err);
        if (rc == 0)
            return encoder_publish(e, *lsn, clock_mono_ns(s->o.clock), err);
        encoder_undo(e);
        /* A record larger than the spares: the next one is made to fit. */
        if (rc == ERR_BUSY && payload.len > s->o.wal_file_bytes_min / 2 &&
            wal_prepare_spare(s->wal, NULL) == 1)
            continue;
        if (rc != ERR_STALE)
            return rc;
    }
    return rc;
}

static void add_ack(struct storage *s, uint64_t lsn, storage_push_done done, void *ctx)
{
    struct ack *a = malloc(sizeof(*a));
    struct wal_stats stats;
    struct err err;

    check(a);
    mutex_lock(&s->acks_mu);
    *a = (struct ack){s->acks, lsn, done, ctx};
    s->acks = a;
    mutex_unlock(&s->acks_mu);
    /* The group may have been committed, or have failed, before the ack was in the list. */
    if (wal_durable_lsn(s->wal) >= lsn) {
        storage_complete_acks(s, NULL);
        return;
    }
    wal_stats(s->wal, &stats);
    if (stats.read_only) {
        (void)err_set(&err, ERR_IO, "the log is read-only after a failed sync");
        storage_complete_acks(s, &err);
    }
}

void storage_complete_acks(struct storage *s, const struct err *failed)
{
    uint64_t durable = wal_durable_lsn(s->wal);
    struct ack *ready = NULL, **at;

    mutex_lock(&s->acks_mu);
    for (at = &s->acks; *at;) {
        struct ack *a = *at;

        if (a->lsn > durable && !failed) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        a->next = ready;
        ready = a;
    }
    mutex_unlock(&s->acks_mu);
    while (ready) {
        struct ack *a = ready;
        bool lost = a->lsn > durable;

        check(!lost || failed);
        ready = a->next;
        a->done(a->ctx, lost ? failed->code : 0, lost ? failed : NULL);
        free(a);
    }
}

/* Locked heads to an LSN to wait for; 0 rows left: that of the push this one repeats. */
static int store(struct work *w, uint64_t *lsn, struct err *err)
{
    int64_t now = clock_mono_ns(w->s->o.clock);
    struct encoder *e = take_encoder(w->s);
    uint64_t before = 0, after = 0;
    uint32_t rows = 0;
    int rc = 0;

    drop_duplicates(w, now);
    for (uint32_t i = 0; i < w->part_count; i++) {
        rows += w->parts[i].count;
        before += head_bytes_locked(w->parts[i].head);
    }
    *lsn = w->wait_lsn;
    if (rows > 0)
        rc = append(w, e, lsn, err);
    for (uint32_t p = 0; rc == 0 && p < w->part_count; p++)
        for (uint32_t i = 0; i < w->parts[p].count; i++)
            if (w->parts[p].dedup_keys[i] != 0)
                dedup_add(w->s->dedup, w->parts[p].dedup_keys[i], now, *lsn);
    give_encoder(w->s, e);
    for (uint32_t i = 0; i < w->part_count; i++)
        after += head_bytes_locked(w->parts[i].head);
    (void)atomic_fetch_add(&w->s->head_bytes, after - before);
    if (rc == 0) {
        (void)atomic_fetch_add(&w->s->pushes, 1);
        (void)atomic_fetch_add(&w->s->rows, rows);
        (void)atomic_fetch_add(&w->s->duplicates, w->duplicates);
    }
    return rc;
}

/*
 * When sealing is behind, pushes slow down to its pace rather than grow memory:
 * whoever pushes waits a little, and is sent away when that does not help.
 */
static int wait_for_room(struct storage *s, struct err *err)
{
    uint64_t limit = s->o.head_bytes_max + s->o.head_bytes_max / 8;
    int64_t until = clock_mono_ns(s->o.clock) + ROOM_WAIT_NS;

    while (atomic_load(&s->head_bytes) > limit) {
        if (s->thread_count == 0 || clock_mono_ns(s->o.clock) >= until)
            return err_set(err, ERR_BUSY,
                           "recent data holds %llu bytes (head.max_bytes %llu): sealing is behind, "
                           "retry later",
                           (unsigned long long)atomic_load(&s->head_bytes),
                           (unsigned long long)s->o.head_bytes_max);
        mutex_lock(&s->seal_mu);
        (void)cond_wait_for(&s->seal_more, &s->seal_mu, ROOM_WAIT_NS / 20);
        mutex_unlock(&s->seal_mu);
    }
    return 0;
}

static int push_once(struct storage *s, const struct push *push, uint64_t *lsn, struct err *err)
{
    struct work w = {.s = s, .push = push};
    int rc;

    arena_init(&w.memory, SIZE_MAX);
    rc = group_rows(&w, err);
    for (int try = 0; rc == 0 && !lock_heads(&w); try++)
        if (try == TRIES_MAX)
            rc = err_set(err, ERR_BUSY, "the head was sealed %d times meanwhile, retry", try);
    if (rc == 0) {
        rc = store(&w, lsn, err);
        unlock_heads(&w);
    }
    arena_release(&w.memory);
    return rc;
}

/* A full log is emptied by sealing, a full quota by eviction: both take a moment. */
static bool passes_soon(const struct storage *s, int rc)
{
    return s->thread_count > 0 && (rc == ERR_BUSY || (rc == ERR_NO_SPACE && storage_may_evict(s)));
}

static void wait_for_seal(struct storage *s)
{
    atomic_store(&s->seal_wanted, true);
    mutex_lock(&s->seal_mu);
    cond_broadcast(&s->seal_more);
    (void)cond_wait_for(&s->seal_more, &s->seal_mu, ROOM_WAIT_NS / 60);
    mutex_unlock(&s->seal_mu);
}

int storage_push(struct storage *s, const struct push *push, storage_push_done done, void *ctx,
                 struct err *err)
{
    int64_t until = clock_mono_ns(s->o.clock) + ROOM_WAIT_NS;
    uint64_t lsn = 0;
    int rc;

    if (push->row_count == 0) {
        done(ctx, 0, NULL);
        return 0;
    }
    if ((rc = wait_for_room(s, err)) != 0)
        return rc;
    while ((rc = push_once(s, push, &lsn, err)) != 0) {
        if (!passes_soon(s, rc) || clock_mono_ns(s->o.clock) >= until) {
            if (rc == ERR_NO_SPACE)
                storage_note_no_space(s);
            return rc;
        }
        wait_for_seal(s);
    }
    add_ack(s, lsn, done, ctx);
    return 0;
}

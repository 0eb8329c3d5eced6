#include "storage/head.h"

#include "storage/head_index.h"

#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    STREAM_SLOTS_INITIAL = 16,
};

struct head *head_new(const struct head_key *key, uint64_t id, size_t bytes_max)
{
    struct head *h = calloc(1, sizeof(*h));

    check(h);
    atomic_init(&h->refs, 1);
    h->id = id;
    mutex_init(&h->mu, MUTEX_RANK_HEAD, "head");
    arena_init(&h->memory, bytes_max);
    h->symbols = symbols_new(bytes_max);
    stable_array_init(&h->rows, sizeof(struct head_row));
    stable_array_init(&h->streams, sizeof(struct head_stream));
    stable_array_init(&h->typesets, sizeof(struct head_typeset));
    h->key.tenant =
        (struct str){arena_strndup(&h->memory, key->tenant.p, key->tenant.len), key->tenant.len};
    h->key.service =
        (struct str){arena_strndup(&h->memory, key->service.p, key->service.len), key->service.len};
    h->key.day = key->day;
    check(h->key.tenant.p && h->key.service.p);
    return h;
}

struct head *head_ref(struct head *h)
{
    (void)atomic_fetch_add(&h->refs, 1);
    return h;
}

void head_unref(struct head *h)
{
    if (!h || atomic_fetch_sub(&h->refs, 1) != 1)
        return;
    head_index_unref(h->index);
    symbols_free(h->symbols);
    stable_array_release(&h->rows);
    stable_array_release(&h->streams);
    stable_array_release(&h->typesets);
    for (int t = 0; t < HEAD_TABLES; t++)
        free(h->marks[t].bits);
    free(h->stream_slots);
    arena_release(&h->memory);
    mutex_destroy(&h->mu);
    free(h);
}

size_t head_bytes_locked(const struct head *h)
{
    size_t bytes = symbols_bytes(h->symbols) + arena_used(&h->memory) +
                   h->rows.count * sizeof(struct head_row);

    for (int t = 0; t < HEAD_TABLES; t++)
        bytes += h->marks[t].count / 8;
    return bytes;
}

size_t head_bytes(struct head *h)
{
    size_t bytes;

    mutex_lock(&h->mu);
    bytes = head_bytes_locked(h);
    mutex_unlock(&h->mu);
    return bytes;
}

int head_is_full(const struct head *h, struct err *err)
{
    return err_set(err, ERR_BUSY, "the head of service '%.128s' holds %zu bytes, retry later",
                   h->key.service.p, arena_limit(&h->memory));
}

static void place_stream(struct head *h, uint32_t id)
{
    const struct head_stream *s = stable_array_at(&h->streams, id);
    uint32_t at = (uint32_t)s->hash & h->stream_mask;

    while (h->stream_slots[at] != 0)
        at = (at + 1) & h->stream_mask;
    h->stream_slots[at] = id + 1;
}

static void grow_streams(struct head *h)
{
    uint32_t size = h->stream_slots ? (h->stream_mask + 1) * 2 : STREAM_SLOTS_INITIAL;

    if (h->stream_slots && h->streams.count < size / 4)
        return;
    free(h->stream_slots);
    h->stream_slots = calloc(size, sizeof(*h->stream_slots));
    check(h->stream_slots);
    h->stream_mask = size - 1;
    for (uint32_t id = 0; id < h->streams.count; id++)
        place_stream(h, id);
}

/* Copies a label set into the head; its texts become those of the dictionary. */
static int copy_stream(struct head *h, const struct labels *labels, struct head_stream *out,
                       struct err *err)
{
    out->count = labels->count;
    out->pairs = arena_array(&h->memory, struct label, (size_t)labels->count + 1);
    out->ids = arena_array(&h->memory, uint32_t, (size_t)labels->count * 2 + 1);
    if (!out->pairs || !out->ids)
        return head_is_full(h, err);
    for (uint32_t i = 0; i < labels->count; i++) {
        uint32_t *id = &out->ids[(size_t)i * 2];
        int rc;

        if ((rc = symbols_intern_string(h->symbols, labels->pairs[i].name, &id[0], err)) != 0 ||
            (rc = symbols_intern_string(h->symbols, labels->pairs[i].value, &id[1], err)) != 0)
            return rc;
        out->pairs[i].name = symbols_string(h->symbols, id[0]);
        out->pairs[i].value = symbols_string(h->symbols, id[1]);
    }
    return 0;
}

int head_intern_stream(struct head *h, const struct labels *labels, uint32_t *id, struct err *err)
{
    struct head_stream s = {.hash = labels_hash(labels, h->id)}, *item;
    uint32_t at;
    int rc;

    grow_streams(h);
    for (at = (uint32_t)s.hash & h->stream_mask; h->stream_slots[at] != 0;
         at = (at + 1) & h->stream_mask) {
        const struct head_stream *have = stable_array_at(&h->streams, h->stream_slots[at] - 1);

        if (have->hash == s.hash && labels_eq(&(struct labels){have->pairs, have->count}, labels)) {
            *id = h->stream_slots[at] - 1;
            return 0;
        }
    }
    if ((rc = copy_stream(h, labels, &s, err)) != 0)
        return rc;
    item = stable_array_add(&h->streams);
    if (!item)
        return head_is_full(h, err);
    *item = s;
    *id = h->streams.count - 1;
    place_stream(h, *id);
    return 0;
}

static bool typeset_eq(const struct typeset *a, const struct typeset *b)
{
    if (a->count != b->count || !str_eq(a->period_type, b->period_type) ||
        !str_eq(a->period_unit, b->period_unit))
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!str_eq(a->types[i].type, b->types[i].type) ||
            !str_eq(a->types[i].unit, b->types[i].unit))
            return false;
    return true;
}

/* One text of a typeset: interned, and read back from the dictionary. */
static int typeset_text(struct head *h, struct str text, uint32_t *id, struct str *out,
                        struct err *err)
{
    int rc = symbols_intern_string(h->symbols, text, id, err);

    if (rc == 0)
        *out = symbols_string(h->symbols, *id);
    return rc;
}

int head_intern_typeset(struct head *h, const struct typeset *set, uint32_t *id, struct err *err)
{
    struct head_typeset t = {.set = {.count = set->count}}, *item;
    int rc;

    /* A service has a handful: one per kind of profile. */
    for (uint32_t i = 0; i < h->typesets.count; i++)
        if (typeset_eq(&((struct head_typeset *)stable_array_at(&h->typesets, i))->set, set)) {
            *id = i;
            return 0;
        }
    t.set.types = arena_array(&h->memory, struct profile_value_type, set->count);
    t.ids = arena_array(&h->memory, uint32_t, (size_t)set->count * 2 + 2);
    if (!t.set.types || !t.ids)
        return head_is_full(h, err);
    if ((rc = typeset_text(h, set->period_type, &t.ids[0], &t.set.period_type, err)) != 0 ||
        (rc = typeset_text(h, set->period_unit, &t.ids[1], &t.set.period_unit, err)) != 0)
        return rc;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t *ids = &t.ids[2 + (size_t)i * 2];

        if ((rc = typeset_text(h, set->types[i].type, &ids[0], &t.set.types[i].type, err)) != 0 ||
            (rc = typeset_text(h, set->types[i].unit, &ids[1], &t.set.types[i].unit, err)) != 0)
            return rc;
    }
    item = stable_array_add(&h->typesets);
    if (!item)
        return head_is_full(h, err);
    *item = t;
    *id = h->typesets.count - 1;
    return 0;
}

int head_prepare_row(struct head *h, const struct head_row *row, struct head_row *out,
                     struct err *err)
{
    const struct head_typeset *t = stable_array_at(&h->typesets, row->typeset);
    char *samples = arena_memdup(&h->memory, row->samples.p, row->samples.len);
    value128 *totals = arena_memdup(&h->memory, row->totals, t->set.count * sizeof(*row->totals));

    if (!samples || !totals)
        return head_is_full(h, err);
    *out = *row;
    out->samples.p = samples;
    out->totals = totals;
    return 0;
}

int head_publish_row(struct head *h, const struct head_row *row, int64_t mono_ns, struct err *err)
{
    struct head_row *item;

    check(!h->frozen && row->lsn >= h->last_lsn);
    item = stable_array_add(&h->rows);
    if (!item)
        return head_is_full(h, err);
    *item = *row;
    if (h->first_lsn == 0) {
        h->first_lsn = row->lsn;
        h->first_mono_ns = mono_ns;
    }
    h->last_lsn = row->lsn;
    return 0;
}

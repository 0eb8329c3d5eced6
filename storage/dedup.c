#include "storage/dedup.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/thread.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOTS_INITIAL = 256, /* at most half of a generation's slots are taken */
};

struct slot {
    uint64_t key, lsn; /* key 0: free */
};

struct generation {
    struct slot *slots;
    uint32_t mask, used;
    uint64_t oldest_lsn; /* with `used` above 0 */
};

struct dedup {
    struct mutex mu;
    struct generation young, old;
    int64_t turned_mono_ns;
    uint32_t slots_max; /* of a generation, a power of two */
    uint64_t turned_early;
};

struct dedup *dedup_new(size_t bytes_max)
{
    struct dedup *d = calloc(1, sizeof(*d));

    check(d);
    d->slots_max = SLOTS_INITIAL;
    while (d->slots_max < UINT32_C(1) << 30 && 4 * sizeof(struct slot) * d->slots_max <= bytes_max)
        d->slots_max *= 2;
    mutex_init(&d->mu, MUTEX_RANK_ACKS, "dedup");
    return d;
}

void dedup_free(struct dedup *d)
{
    if (!d)
        return;
    free(d->young.slots);
    free(d->old.slots);
    mutex_destroy(&d->mu);
    free(d);
}

/* Chains hashes under a seed that is part of the WAL's format. */
static uint64_t add_text(uint64_t hash, struct str s)
{
    uint64_t len = s.len;

    return hash64(hash64(hash, &len, sizeof(len)), s.p, s.len);
}

static uint64_t stream_key(struct str tenant, const struct push_row *row)
{
    uint64_t hash = add_text(0, tenant);

    for (uint32_t i = 0; i < row->labels.count; i++)
        hash = add_text(add_text(hash, row->labels.pairs[i].name), row->labels.pairs[i].value);
    return hash64(hash, &row->profile->time_ns, sizeof(row->profile->time_ns));
}

uint64_t dedup_key_id(struct str tenant, const struct push_row *row)
{
    uint64_t key;

    if (row->id.len == 0)
        return 0;
    key = add_text(stream_key(tenant, row), row->id);
    return key ? key : 1;
}

uint64_t dedup_key_content(struct str tenant, const struct push_row *row)
{
    const struct profile *p = row->profile;
    const struct profile_sample *samples = p->samples + row->sample_first;
    uint64_t key = stream_key(tenant, row);

    for (uint32_t i = 0; i < p->typeset.count; i++)
        key = add_text(add_text(key, p->typeset.types[i].type), p->typeset.types[i].unit);
    for (uint32_t i = 0; i < p->string_count; i++)
        key = add_text(key, p->strings[i]);
    for (uint32_t i = 0; i < p->function_count; i++) {
        const struct profile_function *f = &p->functions[i];
        const uint64_t v[4] = {f->name, f->system_name, f->filename, (uint64_t)f->start_line};

        key = hash64(key, v, sizeof(v));
    }
    for (uint32_t i = 0; i < p->location_count; i++) {
        const uint64_t v[3] = {p->locations[i].mapping, p->locations[i].address,
                               p->locations[i].line_count};

        key = hash64(key, v, sizeof(v));
    }
    for (uint32_t i = 0; i < p->line_count; i++) {
        const uint64_t v[2] = {p->lines[i].function, (uint64_t)p->lines[i].line};

        key = hash64(key, v, sizeof(v));
    }
    for (uint32_t i = 0; i < row->sample_count; i++) {
        const struct profile_sample *s = &samples[i];

        key = hash64(key, p->stacks + s->stack_first, s->stack_count * sizeof(*p->stacks));
        key = hash64(key, p->values + s->value_first, p->typeset.count * sizeof(*p->values));
        key = hash64(key ^ s->link.span_id, s->link.trace_id, sizeof(s->link.trace_id));
    }
    return key ? key : 1;
}

static struct slot *find(struct generation *g, uint64_t key)
{
    if (!g->slots)
        return NULL;
    for (uint32_t at = (uint32_t)key & g->mask; g->slots[at].key != 0; at = (at + 1) & g->mask)
        if (g->slots[at].key == key)
            return &g->slots[at];
    return NULL;
}

static void forget_old(struct dedup *d)
{
    free(d->old.slots);
    d->old = d->young;
    d->young = (struct generation){0};
}

static void turn(struct dedup *d, int64_t mono_ns)
{
    if (d->turned_mono_ns == 0)
        d->turned_mono_ns = mono_ns;
    while (mono_ns - d->turned_mono_ns >= DEDUP_WINDOW_NS) {
        forget_old(d);
        d->turned_mono_ns += DEDUP_WINDOW_NS;
        if (!d->old.slots)
            d->turned_mono_ns = mono_ns;
    }
}

bool dedup_find(struct dedup *d, uint64_t key, int64_t mono_ns, uint64_t *lsn)
{
    const struct slot *s;

    mutex_lock(&d->mu);
    turn(d, mono_ns);
    s = find(&d->young, key);
    if (!s)
        s = find(&d->old, key);
    if (s)
        *lsn = s->lsn;
    mutex_unlock(&d->mu);
    return s != NULL;
}

static void place(struct generation *g, struct slot s)
{
    uint32_t at = (uint32_t)s.key & g->mask;

    while (g->slots[at].key != 0)
        at = (at + 1) & g->mask;
    g->slots[at] = s;
    g->used++;
}

/* Twice the slots for the young, or a new one when it is as large as it may be. */
static void make_room(struct dedup *d, int64_t mono_ns)
{
    struct generation *g = &d->young, old;
    uint32_t size = SLOTS_INITIAL;

    if (g->slots && g->mask + 1 >= d->slots_max) {
        forget_old(d);
        d->turned_mono_ns = mono_ns;
        d->turned_early++;
    } else if (g->slots) {
        size = (g->mask + 1) * 2;
    }
    old = *g;
    *g = (struct generation){calloc(size, sizeof(*g->slots)), size - 1, 0, old.oldest_lsn};
    check(g->slots);
    for (uint32_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].key != 0)
            place(g, old.slots[i]);
    free(old.slots);
}

void dedup_add(struct dedup *d, uint64_t key, int64_t mono_ns, uint64_t lsn)
{
    struct generation *g = &d->young;

    mutex_lock(&d->mu);
    turn(d, mono_ns);
    if (!g->slots || g->used >= (g->mask + 1) / 2)
        make_room(d, mono_ns);
    if (g->used == 0 || lsn < g->oldest_lsn)
        g->oldest_lsn = lsn;
    place(g, (struct slot){key, lsn});
    mutex_unlock(&d->mu);
}

static uint64_t generation_bytes(const struct generation *g)
{
    return g->slots ? ((uint64_t)g->mask + 1) * sizeof(*g->slots) : 0;
}

void dedup_stats(struct dedup *d, struct dedup_stats *out)
{
    mutex_lock(&d->mu);
    *out = (struct dedup_stats){
        .keys = (uint64_t)d->young.used + d->old.used,
        .bytes = generation_bytes(&d->young) + generation_bytes(&d->old),
        .turned_early = d->turned_early,
    };
    mutex_unlock(&d->mu);
}

uint64_t dedup_oldest_lsn(struct dedup *d, int64_t mono_ns)
{
    uint64_t oldest = UINT64_MAX;

    mutex_lock(&d->mu);
    turn(d, mono_ns);
    if (d->young.used > 0)
        oldest = d->young.oldest_lsn;
    if (d->old.used > 0 && d->old.oldest_lsn < oldest)
        oldest = d->old.oldest_lsn;
    mutex_unlock(&d->mu);
    return oldest;
}

#include "storage/segment_cache.h"

#include "base/budget.h"
#include "base/check.h"
#include "base/thread.h"

#include <stdlib.h>

enum {
    SLOTS = 4096, /* chains; entries are hundreds of kilobytes, so there are few */
};

struct segment_cache {
    struct mutex mu; /* guards everything below, and the list fields of items */
    uint64_t bytes, bytes_max;
    struct segment_cached *slots[SLOTS];
    struct segment_cached *oldest, *newest;
};

struct segment_cache *segment_cache_new(uint64_t bytes_max)
{
    struct segment_cache *c = calloc(1, sizeof(*c));

    check(c);
    mutex_init(&c->mu, MUTEX_RANK_CACHE, "segment cache");
    c->bytes_max = bytes_max;
    return c;
}

static struct segment_cached **slot_of(struct segment_cache *c, const struct segment_cache_key *key)
{
    /* Ids are random: their bits are the hash. */
    uint64_t h = key->id.lo ^ (key->id.hi >> 7) ^ key->service * UINT64_C(0x9e3779b97f4a7c15) ^
                 (uint64_t)key->part << 5;

    return &c->slots[(h ^ h >> 32) % SLOTS];
}

static bool key_eq(const struct segment_cache_key *a, const struct segment_cache_key *b)
{
    return a->id.hi == b->id.hi && a->id.lo == b->id.lo && a->service == b->service &&
           a->part == b->part;
}

static struct segment_cached *find(struct segment_cache *c, const struct segment_cache_key *key)
{
    struct segment_cached *i = *slot_of(c, key);

    while (i && !key_eq(&i->key, key))
        i = i->next_hash;
    return i;
}

static void unlink_age(struct segment_cache *c, struct segment_cached *i)
{
    *(i->older ? &i->older->newer : &c->oldest) = i->newer;
    *(i->newer ? &i->newer->older : &c->newest) = i->older;
    i->older = i->newer = NULL;
}

static void link_newest(struct segment_cache *c, struct segment_cached *i)
{
    i->older = c->newest;
    i->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = i;
    c->newest = i;
}

static void take_out(struct segment_cache *c, struct segment_cached *i)
{
    struct segment_cached **at = slot_of(c, &i->key);

    while (*at != i)
        at = &(*at)->next_hash;
    *at = i->next_hash;
    unlink_age(c, i);
    check(c->bytes >= i->bytes);
    c->bytes -= i->bytes;
    budget_give(BUDGET_CACHE, i->bytes);
}

/* What must go, chained by next_hash, to be freed without the mutex. */
static struct segment_cached *evict(struct segment_cache *c, uint64_t bytes_max)
{
    struct segment_cached *gone = NULL, *i = c->oldest;

    while (i && c->bytes > bytes_max) {
        struct segment_cached *newer = i->newer;

        if (i->refs == 0) {
            take_out(c, i);
            i->next_hash = gone;
            gone = i;
        }
        i = newer;
    }
    return gone;
}

/* Nothing that is not in use, while the process is over its memory. */
static uint64_t bytes_to_keep(const struct segment_cache *c)
{
    return budget_is_over() ? 0 : c->bytes_max;
}

static void free_chain(struct segment_cached *i)
{
    while (i) {
        struct segment_cached *next = i->next_hash;

        i->free(i);
        i = next;
    }
}

void segment_cache_free(struct segment_cache *c)
{
    struct segment_cached *gone;

    if (!c)
        return;
    gone = evict(c, 0);
    check(c->newest == NULL); /* nobody holds a reference any more */
    free_chain(gone);
    mutex_destroy(&c->mu);
    free(c);
}

struct segment_cached *segment_cache_get(struct segment_cache *c,
                                         const struct segment_cache_key *key)
{
    struct segment_cached *i;

    if (!c)
        return NULL;
    mutex_lock(&c->mu);
    i = find(c, key);
    if (i) {
        i->refs++;
        unlink_age(c, i);
        link_newest(c, i);
    }
    mutex_unlock(&c->mu);
    return i;
}

struct segment_cached *segment_cache_add(struct segment_cache *c,
                                         const struct segment_cache_key *key,
                                         struct segment_cached *item)
{
    struct segment_cached *there, *gone = NULL, **slot;

    item->key = *key;
    item->cache = c;
    item->refs = 1;
    item->next_hash = item->older = item->newer = NULL;
    if (!c)
        return item;
    mutex_lock(&c->mu);
    there = find(c, key);
    if (there) {
        there->refs++;
    } else {
        slot = slot_of(c, key);
        item->next_hash = *slot;
        *slot = item;
        link_newest(c, item);
        c->bytes += item->bytes;
        budget_add(BUDGET_CACHE, item->bytes);
        gone = evict(c, bytes_to_keep(c));
    }
    mutex_unlock(&c->mu);
    free_chain(gone);
    if (!there)
        return item;
    item->free(item);
    return there;
}

void segment_cache_unref(struct segment_cached *item)
{
    struct segment_cache *c = item ? item->cache : NULL;
    struct segment_cached *gone;

    if (!item)
        return;
    if (!c) {
        check(--item->refs == 0);
        item->free(item);
        return;
    }
    mutex_lock(&c->mu);
    check(item->refs > 0);
    item->refs--;
    gone = evict(c, bytes_to_keep(c));
    mutex_unlock(&c->mu);
    free_chain(gone);
}

int segment_cache_room(struct segment_cache *c, struct err *err)
{
    struct segment_cached *gone;

    if (!c || !budget_is_over())
        return 0;
    mutex_lock(&c->mu);
    gone = evict(c, 0);
    mutex_unlock(&c->mu);
    free_chain(gone);
    return budget_is_over() ? budget_refuse(BUDGET_CACHE, segment_cache_bytes(c), err) : 0;
}

void segment_cache_forget(struct segment_cache *c, struct segment_id id)
{
    struct segment_cached *gone = NULL;

    if (!c)
        return;
    mutex_lock(&c->mu);
    for (struct segment_cached *i = c->oldest, *newer; i; i = newer) {
        newer = i->newer;
        if (i->refs == 0 && i->key.id.hi == id.hi && i->key.id.lo == id.lo) {
            take_out(c, i);
            i->next_hash = gone;
            gone = i;
        }
    }
    mutex_unlock(&c->mu);
    free_chain(gone);
}

uint64_t segment_cache_bytes(struct segment_cache *c)
{
    uint64_t bytes;

    mutex_lock(&c->mu);
    bytes = c->bytes;
    mutex_unlock(&c->mu);
    return bytes;
}

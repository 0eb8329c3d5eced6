/*
 * The stack tree of a dictionary: nodes by (parent, location), whole stacks by hash.
 *
 * Most look-ups miss the processor's caches, so many are in flight together: hashes
 * first, then the slots, which have been asked for meanwhile; stacks that are new walk
 * the tree side by side, each waiting for its next slot while the others step.
 */
#include "storage/model/symbols_internal.h"

#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>

enum {
    BATCH = 256, /* stacks looked up together: their slots fit the first cache */
    LANES = 12,  /* stacks that walk side by side: as many as a core has line buffers */
    STRIDE = 16, /* frames from the root, and its multiples, are remembered as stacks, too */
};

static uint32_t node_hash(const struct symbols *s, uint32_t parent, uint32_t location)
{
    uint64_t x = ((uint64_t)parent << 32 | location) ^ s->seed;

    x *= 0x9e3779b97f4a7c15u; /* Fibonacci hashing, folded once: ids are ours and dense */
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return (uint32_t)(x >> 32);
}

static uint32_t hash_of_node(const struct symbols *s, uint32_t id)
{
    struct symbol_node n = symbols_node(s, id);

    return node_hash(s, n.parent, n.location);
}

static bool node_is(const struct symbols *s, uint32_t id, uint32_t parent, uint32_t location)
{
    const struct symbol_node *n = stable_array_at(&s->tables[NODES], id);

    return n->parent == parent && n->location == location;
}

int symbols_intern_node(struct symbols *s, uint32_t parent, uint32_t location, uint32_t *id,
                        struct err *err)
{
    const struct index *ix = &s->indexes[NODES];
    uint32_t hash = node_hash(s, parent, location), at;
    int rc = index_reserve(s, NODES, hash_of_node, err);

    if (rc != 0)
        return rc;
    for (at = index_probe(ix, hash, hash); ix->slots[at] != 0; at = index_probe(ix, hash, at + 1)) {
        *id = slot_id(ix->slots[at]);
        if (node_is(s, *id, parent, location))
            return 0;
    }
    if ((rc = symbols_add_node(s, parent, location, err)) == 0)
        *id = index_take(s, NODES, hash, at);
    return rc;
}

/* Room for `more` entries; at most three quarters full. */
static int content_reserve(struct symbols *s, struct content_index *ix, uint32_t more,
                           struct err *err)
{
    uint32_t old_size = ix->slots ? ix->mask + 1 : 0;
    uint32_t size = old_size ? old_size : SLOTS_INITIAL;
    struct content_slot *fresh;
    int rc;

    while (size / 4 * 3 < ix->used + more)
        size *= 2;
    if (size == old_size)
        return 0;
    if ((rc = symbols_charge(s, (size - old_size) * sizeof(*fresh), err)) != 0)
        return rc;
    fresh = calloc(size, sizeof(*fresh));
    if (!fresh)
        return err_set(err, ERR_NOMEM, "no memory for an index of %u stacks", size);
    for (uint32_t i = 0; i < old_size; i++) {
        uint32_t at = (uint32_t)ix->slots[i].lo & (size - 1);

        if (ix->slots[i].id == 0)
            continue;
        while (fresh[at].id != 0)
            at = (at + 1) & (size - 1);
        fresh[at] = ix->slots[i];
    }
    free(ix->slots);
    ix->slots = fresh;
    ix->mask = size - 1;
    return 0;
}

/* The slot of a content, or the free one where it belongs. The index has slots. */
static struct content_slot *content_slot(const struct content_index *ix, struct hash128 h)
{
    uint32_t at = (uint32_t)h.lo & ix->mask;

    while (ix->slots[at].id != 0 &&
           (ix->slots[at].lo != h.lo || ix->slots[at].hi != (uint32_t)h.hi))
        at = (at + 1) & ix->mask;
    return &ix->slots[at];
}

static void content_prefetch(const struct content_index *ix, struct hash128 h)
{
    if (ix->slots)
        __builtin_prefetch(&ix->slots[(uint32_t)h.lo & ix->mask]);
}

static void content_put(struct content_index *ix, struct hash128 h, uint32_t id)
{
    struct content_slot *slot = content_slot(ix, h);

    if (slot->id != 0)
        return;
    *slot = (struct content_slot){h.lo, (uint32_t)h.hi, id + 1};
    ix->used++;
}

struct hash128 symbols_hash(const struct symbols *s, const void *data, size_t size)
{
    return hash128(s->seed, data, size);
}

void symbols_prefetch_location(const struct symbols *s, struct hash128 content)
{
    content_prefetch(&s->contents, content);
}

bool symbols_find_location(const struct symbols *s, struct hash128 content, uint32_t *id)
{
    const struct content_slot *slot;

    if (!s->contents.slots || (slot = content_slot(&s->contents, content))->id == 0)
        return false;
    *id = slot->id - 1;
    return true;
}

int symbols_note_location(struct symbols *s, struct hash128 content, uint32_t id, struct err *err)
{
    int rc = content_reserve(s, &s->contents, 1, err);

    if (rc == 0)
        content_put(&s->contents, content, id);
    return rc;
}

/* One stack on its way from the root to its leaf. */
struct lane {
    const uint32_t *locations; /* the next one is locations[left - 1] */
    uint32_t left, node, which, hash;
    uint32_t guess; /* a node that is probably the next one, on its way; 0: its slot is */
};

/* Where to start: behind the longest remembered part on the root's side. */
static void lane_start(const struct symbols *s, struct lane *l, uint32_t count)
{
    l->node = SYMBOLS_ROOT;
    l->left = count;
    for (uint32_t depth = (count - 1) / STRIDE * STRIDE; depth > 0; depth -= STRIDE) {
        const uint32_t *part = l->locations + (count - depth);
        const struct content_slot *slot =
            content_slot(&s->stacks, hash128(s->seed, part, depth * sizeof(*part)));

        if (slot->id == 0)
            continue;
        l->node = slot->id - 1;
        l->left = count - depth;
        return;
    }
}

/* Remembers how far a lane has come. */
static int lane_remember(struct symbols *s, const struct lane *l, uint32_t count, struct err *err)
{
    uint32_t depth = count - l->left;
    int rc;

    if (depth % STRIDE != 0)
        return 0;
    if ((rc = content_reserve(s, &s->stacks, 1, err)) == 0)
        content_put(&s->stacks,
                    hash128(s->seed, l->locations + l->left, depth * sizeof(*l->locations)),
                    l->node);
    return rc;
}

/* Asks for the slot of the next node. */
static void lane_aim(const struct symbols *s, struct lane *l)
{
    const struct index *ix = &s->indexes[NODES];

    l->guess = 0;
    l->hash = node_hash(s, l->node, l->locations[l->left - 1]);
    if (ix->slots)
        __builtin_prefetch(&ix->slots[l->hash & ix->mask]);
}

/* True when the lane now waits for a node: its slot has arrived and names one. */
static bool lane_guess(const struct symbols *s, struct lane *l)
{
    const struct index *ix = &s->indexes[NODES];
    uint32_t slot;

    if (!ix->slots || (slot = ix->slots[index_probe(ix, l->hash, l->hash)]) == 0)
        return false;
    l->guess = slot_id(slot);
    __builtin_prefetch(stable_array_at(&s->tables[NODES], l->guess));
    return true;
}

static int lane_step(struct symbols *s, struct lane *l, struct err *err)
{
    uint32_t location = l->locations[l->left - 1];
    int rc = 0;

    if (l->guess != 0 && node_is(s, l->guess, l->node, location))
        l->node = l->guess;
    else
        rc = symbols_intern_node(s, l->node, location, &l->node, err);
    l->left--;
    return rc;
}

/* Stacks `which` of the batch, none of them empty, side by side. */
static int walk(struct symbols *s, const uint32_t *locations, const struct stack_span *stacks,
                const uint32_t *which, uint32_t count, uint32_t *nodes, struct err *err)
{
    struct lane lanes[LANES];
    uint32_t next = 0, active = 0;

    for (;;) {
        for (; active < LANES && next < count; next++) {
            struct lane *l = &lanes[active++];

            *l = (struct lane){.locations = locations + stacks[which[next]].first,
                               .which = which[next]};
            lane_start(s, l, stacks[which[next]].count);
            lane_aim(s, l);
        }
        if (active == 0)
            return 0;
        for (uint32_t i = 0; i < active;) {
            struct lane *l = &lanes[i];
            int rc;

            if (l->guess == 0 && lane_guess(s, l)) {
                i++;
                continue;
            }
            if ((rc = lane_step(s, l, err)) != 0 ||
                (rc = lane_remember(s, l, stacks[l->which].count, err)) != 0)
                return rc;
            if (l->left > 0) {
                lane_aim(s, l);
                i++;
            } else {
                nodes[l->which] = l->node;
                *l = lanes[--active];
            }
        }
    }
}

static int intern_batch(struct symbols *s, const uint32_t *locations,
                        const struct stack_span *stacks, uint32_t count, uint32_t *nodes,
                        struct err *err)
{
    struct hash128 hashes[BATCH];
    uint32_t missing[BATCH], missing_count = 0;
    int rc = content_reserve(s, &s->stacks, 1, err);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < count; i++) {
        hashes[i] =
            hash128(s->seed, locations + stacks[i].first, stacks[i].count * sizeof(*locations));
        content_prefetch(&s->stacks, hashes[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct content_slot *slot = content_slot(&s->stacks, hashes[i]);

        if (stacks[i].count == 0)
            nodes[i] = SYMBOLS_ROOT;
        else if (slot->id != 0)
            nodes[i] = slot->id - 1;
        else
            missing[missing_count++] = i;
    }
    if ((rc = walk(s, locations, stacks, missing, missing_count, nodes, err)) != 0 ||
        (rc = content_reserve(s, &s->stacks, missing_count, err)) != 0)
        return rc;
    for (uint32_t i = 0; i < missing_count; i++)
        content_put(&s->stacks, hashes[missing[i]], nodes[missing[i]]);
    return 0;
}

int symbols_intern_stacks(struct symbols *s, const uint32_t *locations,
                          const struct stack_span *stacks, uint32_t count, uint32_t *nodes,
                          struct err *err)
{
    for (uint32_t i = 0; i < count; i += BATCH) {
        uint32_t n = count - i < BATCH ? count - i : BATCH;
        int rc = intern_batch(s, locations, stacks + i, n, nodes + i, err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

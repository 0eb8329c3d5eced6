/* go_fix - see go_fix.h. */
#include "storage/model/go_fix.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "storage/model/go_merge.h"
#include "storage/model/pprof.h"

#include <stdint.h>
#include <string.h>

#define SHAPE "[go.shape."

enum {
    SHAPE_LENGTH = sizeof(SHAPE) - 1,

    /* Stacks shorter than this take no part; it is also what two stacks must share to
       be of one group. */
    SUFFIX_LENGTH = 24,
    TOKEN_LENGTH = 16,
    TOKENS_PER_GROUP = 8, /* so at most 8 frames are completed per step */
    CHAIN_MAX = 56,       /* the reference gives up on the whole profile here */

    CPU_DEPTH = 60,      /* some stack this deep: the runtime cuts at 64 */
    HEAP_DEPTH_MIN = 28, /* some stack this deep and none of HEAP_DEPTH_MAX: it cuts at 32 */
    HEAP_DEPTH_MAX = 33,
};

/* --- type parameters --- */

/* One past the bracket that closes the one at `start`, or 0. */
static size_t closing_bracket(struct str s, size_t start)
{
    size_t depth = 0;

    for (size_t i = start; i < s.len; i++) {
        if (s.p[i] == '[')
            depth++;
        else if (s.p[i] == ']' && --depth == 0)
            return i + 1;
    }
    return 0;
}

bool go_fix_symbol(struct str symbol, struct arena *arena, struct str *out)
{
    const char *found = memmem(symbol.p, symbol.len, SHAPE, SHAPE_LENGTH);
    size_t kept = 0, copied_to = 0;
    char *text;

    *out = symbol;
    if (found == NULL)
        return true;
    /* An unbalanced group keeps the rest, and what stood before it twice (below). */
    text = arena_alloc(arena, 2 * symbol.len);
    if (text == NULL)
        return false;
    while (found != NULL) {
        size_t start = (size_t)(found - symbol.p);
        size_t end = closing_bracket(symbol, start);

        memcpy(text + kept, symbol.p + copied_to, start - copied_to);
        kept += start - copied_to;
        if (end == 0)
            break; /* copied_to stays, so that part comes again: as the reference has it */
        copied_to = end;
        found = memmem(symbol.p + end, symbol.len - end, SHAPE, SHAPE_LENGTH);
    }
    memcpy(text + kept, symbol.p + copied_to, symbol.len - copied_to);
    *out = (struct str){.p = text, .len = kept + symbol.len - copied_to};
    return true;
}

static int drop_type_parameters(struct pprof *p, const uint32_t *brackets, uint32_t count,
                                struct arena *arena, bool *changed, struct err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        struct str *s = &p->strings[brackets[i]];
        const char *before = s->p;

        if (!go_fix_symbol(*s, arena, s))
            return err_set(err, ERR_TOO_LARGE, "profile: no memory for its symbols");
        *changed |= s->p != before;
    }
    return 0;
}

/* --- truncated stacks --- */

/* Samples with SUFFIX_LENGTH frames and more that share the last of them. */
struct group {
    uint32_t first;  /* sample that shows the group's stack */
    uint32_t count;  /* samples */
    uint32_t parent; /* the group that shows more callers, or NONE */
    uint32_t offset; /* how many more */
    uint32_t token;  /* its top token: the last TOKEN_LENGTH ids */
};

/* A top token, and the group that shows it with most frames above. */
struct token {
    const uint64_t *ids;
    uint32_t hash;
    uint32_t group, distance; /* 0 frames: none */
};

struct repair {
    struct pprof *p;
    uint64_t seed;
    uint32_t *group_of; /* by sample; NONE: takes no part */
    struct group *groups;
    uint32_t group_count;
    struct token *tokens;
    uint32_t token_count;
    uint32_t *slots; /* group plus one, by suffix; then token plus one */
    uint32_t slot_mask;
};

#define NONE UINT32_MAX /* no group */

/* Of the polynomial over a window of ids, so that it can be moved along a stack. */
#define HASH_BASE UINT64_C(0x9e3779b97f4a7c15)

static const uint64_t *stack_end(const struct pprof *p, const struct pprof_sample *s)
{
    return p->location_ids + s->location_first + s->location_count;
}

static bool has_type(const struct pprof *p, const char *name)
{
    for (uint32_t i = 0; i < p->sample_type_count; i++) {
        int64_t index = p->sample_types[i].type;

        if (index >= 0 && index < p->string_count && str_eq(p->strings[index], str_from(name)))
            return true;
    }
    return false;
}

static bool may_be_truncated(const struct pprof *p)
{
    uint32_t deepest = 0;

    for (uint32_t i = 0; i < p->sample_count; i++)
        if (p->samples[i].location_count > deepest)
            deepest = p->samples[i].location_count;
    if (deepest >= HEAP_DEPTH_MIN && deepest < HEAP_DEPTH_MAX &&
        (has_type(p, "alloc_objects") || has_type(p, "alloc_space") ||
         has_type(p, "inuse_objects") || has_type(p, "inuse_space")))
        return true;
    return deepest >= CPU_DEPTH && has_type(p, "cpu");
}

/* --- groups --- */

/* The byte image of the last ids, ids little endian: the order in which the reference has
 * its groups. */
static bool suffix_before(const struct repair *r, const struct group *a, const struct group *b)
{
    const uint64_t *x = stack_end(r->p, &r->p->samples[a->first]) - SUFFIX_LENGTH;
    const uint64_t *y = stack_end(r->p, &r->p->samples[b->first]) - SUFFIX_LENGTH;

    for (int i = 0; i < SUFFIX_LENGTH; i++)
        if (x[i] != y[i])
            return __builtin_bswap64(x[i]) < __builtin_bswap64(y[i]);
    return false;
}

static uint32_t group_of_suffix(struct repair *r, uint32_t sample)
{
    const uint64_t *ids = stack_end(r->p, &r->p->samples[sample]) - SUFFIX_LENGTH;
    uint32_t slot = (uint32_t)hash64(r->seed, ids, SUFFIX_LENGTH * sizeof(ids[0])) & r->slot_mask;

    for (; r->slots[slot] != 0; slot = (slot + 1) & r->slot_mask) {
        const struct group *g = &r->groups[r->slots[slot] - 1];

        if (memcmp(stack_end(r->p, &r->p->samples[g->first]) - SUFFIX_LENGTH, ids,
                   SUFFIX_LENGTH * sizeof(ids[0])) == 0)
            return r->slots[slot] - 1;
    }
    r->groups[r->group_count] = (struct group){.first = sample, .parent = NONE};
    r->slots[slot] = ++r->group_count;
    return r->group_count - 1;
}

static bool make_groups(struct repair *r, struct arena *arena)
{
    struct pprof *p = r->p;
    uint32_t capacity = 16;

    while (capacity < 2 * (uint64_t)p->sample_count && capacity < UINT32_C(1) << 31)
        capacity *= 2;
    r->slot_mask = capacity - 1;
    r->slots = arena_calloc(arena, capacity, sizeof(r->slots[0]));
    r->group_of = arena_array(arena, uint32_t, p->sample_count);
    r->groups = arena_array(arena, struct group, p->sample_count);
    if (r->slots == NULL || r->group_of == NULL || r->groups == NULL)
        return false;
    for (uint32_t i = 0; i < p->sample_count; i++) {
        r->group_of[i] = NONE;
        if (p->samples[i].location_count < SUFFIX_LENGTH)
            continue;
        r->group_of[i] = group_of_suffix(r, i);
        r->groups[r->group_of[i]].count++;
    }
    return true;
}

/* --- tokens --- */

static const uint64_t *group_end(const struct repair *r, const struct group *g)
{
    return stack_end(r->p, &r->p->samples[g->first]);
}

static uint64_t hash_token(const uint64_t *ids)
{
    uint64_t h = 0;

    for (int i = 0; i < TOKEN_LENGTH; i++)
        h = h * HASH_BASE + ids[i];
    return h;
}

static uint32_t fold(const struct repair *r, uint64_t hash)
{
    hash = (hash ^ r->seed) * UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(hash >> 32);
}

/* The top token at `ids`, or where it would be: a slot that holds 0. */
static uint32_t *find_token(const struct repair *r, const uint64_t *ids, uint32_t hash)
{
    uint32_t slot = hash & r->slot_mask;

    for (; r->slots[slot] != 0; slot = (slot + 1) & r->slot_mask) {
        const struct token *t = &r->tokens[r->slots[slot] - 1];

        if (t->hash == hash && memcmp(t->ids, ids, TOKEN_LENGTH * sizeof(ids[0])) == 0)
            break;
    }
    return &r->slots[slot];
}

/* The memory of the suffix table serves again. */
static bool make_tokens(struct repair *r, struct arena *arena)
{
    r->tokens = arena_array(arena, struct token, r->group_count);
    if (r->tokens == NULL)
        return false;
    memset(r->slots, 0, ((size_t)r->slot_mask + 1) * sizeof(r->slots[0]));
    for (uint32_t g = 0; g < r->group_count; g++) {
        const uint64_t *ids = group_end(r, &r->groups[g]) - TOKEN_LENGTH;
        uint32_t hash = fold(r, hash_token(ids));
        uint32_t *slot = find_token(r, ids, hash);

        if (*slot == 0) {
            r->tokens[r->token_count] = (struct token){.ids = ids, .hash = hash};
            *slot = ++r->token_count;
        }
        r->groups[g].token = *slot - 1;
    }
    return true;
}

/*
 * Group g shows the token at `ids` with `distance` more frames towards the root. Most
 * frames win, then the group that the reference has first.
 */
static void offer(struct repair *r, uint32_t g, const uint64_t *ids, uint32_t hash,
                  uint32_t distance)
{
    uint32_t slot = *find_token(r, ids, hash);
    struct token *t;

    if (slot == 0)
        return;
    t = &r->tokens[slot - 1];
    if (distance > t->distance ||
        (distance == t->distance && suffix_before(r, &r->groups[g], &r->groups[t->group]))) {
        t->group = g;
        t->distance = distance;
    }
}

static void link_groups(struct repair *r)
{
    uint64_t power = 1;

    for (int i = 1; i < TOKEN_LENGTH; i++)
        power *= HASH_BASE;
    for (uint32_t g = 0; g < r->group_count; g++) {
        const uint64_t *ids = group_end(r, &r->groups[g]) - TOKENS_PER_GROUP - TOKEN_LENGTH;
        uint64_t hash = hash_token(ids);

        for (uint32_t j = TOKENS_PER_GROUP; j > 0; j--, ids++) {
            offer(r, g, ids, fold(r, hash), j);
            hash = (hash - ids[0] * power) * HASH_BASE + ids[TOKEN_LENGTH];
        }
    }
    for (uint32_t g = 0; g < r->group_count; g++) {
        const struct token *t = &r->tokens[r->groups[g].token];

        if (t->distance == 0 || t->group == g)
            continue;
        r->groups[g].parent = t->group;
        r->groups[g].offset = t->distance;
    }
}

/* The frames to append to group g: the last *offset ids of the stack *from. False: a cycle. */
static bool follow_chain(const struct repair *r, uint32_t g, const struct pprof_sample **from,
                         uint32_t *offset)
{
    uint32_t links = 0;

    *offset = 0;
    while (r->groups[g].parent != NONE) {
        *offset += r->groups[g].offset;
        g = r->groups[g].parent;
        if (++links == CHAIN_MAX)
            return false;
    }
    *from = &r->p->samples[r->groups[g].first];
    return true;
}

/* What a group's stacks get, in location_ids; none: nothing. */
struct extra {
    uint32_t first, count;
    uint32_t stacks_left; /* that get it */
};

/*
 * The reference takes the number of groups for the end of its last group, so that most or
 * all of that group's stacks stay as they are. They must here too, or a flame graph would
 * differ from the one that Grafana showed before. Returns how many are completed.
 */
static uint32_t last_group_stacks(const struct repair *r, uint32_t *last)
{
    uint32_t taking_part = 0, first;

    *last = 0;
    for (uint32_t g = 0; g < r->group_count; g++) {
        taking_part += r->groups[g].count;
        if (suffix_before(r, &r->groups[*last], &r->groups[g]))
            *last = g;
    }
    first = taking_part - r->groups[*last].count;
    return r->group_count > first ? r->group_count - first : 0;
}

/* False when a chain has no end: nothing is completed then. */
static bool find_extras(const struct repair *r, struct extra *extras, uint64_t *id_count)
{
    uint32_t last, last_stacks = last_group_stacks(r, &last);

    for (uint32_t g = 0; g < r->group_count; g++) {
        const struct pprof_sample *from;
        uint32_t offset;

        extras[g] = (struct extra){0};
        if (!follow_chain(r, g, &from, &offset))
            return false;
        if (offset == 0 || offset >= from->location_count)
            continue;
        extras[g] = (struct extra){from->location_first + from->location_count - offset, offset,
                                   r->groups[g].count};
        if (g == last && extras[g].stacks_left > last_stacks)
            extras[g].stacks_left = last_stacks;
        *id_count += (uint64_t)offset * extras[g].stacks_left;
    }
    return true;
}

static void complete_stacks(const struct repair *r, struct extra *extras)
{
    for (uint32_t i = 0; i < r->p->sample_count; i++) {
        struct pprof_sample *s = &r->p->samples[i];
        struct extra *e;

        if (r->group_of[i] == NONE || (e = &extras[r->group_of[i]])->stacks_left == 0)
            continue;
        e->stacks_left--;
        s->caller_first = e->first;
        s->caller_count = e->count;
    }
}

static int repair_stacks(struct pprof *p, uint64_t seed, struct arena *arena, struct err *err)
{
    struct repair r = {.p = p, .seed = seed};
    uint64_t id_count = p->location_id_count;
    struct extra *extras;

    if (!make_groups(&r, arena))
        goto no_memory;
    if (r.group_count < 2)
        return 0;
    if (!make_tokens(&r, arena))
        goto no_memory;
    link_groups(&r);
    extras = arena_array(arena, struct extra, r.group_count);
    if (extras == NULL)
        goto no_memory;
    if (!find_extras(&r, extras, &id_count) || id_count > UINT32_MAX)
        return 0;
    complete_stacks(&r, extras);
    return 0;

no_memory:
    return err_set(err, ERR_TOO_LARGE, "profile: no memory to complete %u stacks", p->sample_count);
}

int go_fix(struct pprof *p, const uint32_t *brackets, uint32_t bracket_count, uint64_t seed,
           struct arena *arena, struct err *err)
{
    bool changed = false;
    int rc = drop_type_parameters(p, brackets, bracket_count, arena, &changed, err);

    if (rc != 0 || !may_be_truncated(p))
        return rc;
    if (changed && go_merge_needed(p) && !go_merge(p, seed, arena))
        return err_set(err, ERR_TOO_LARGE, "profile: no memory to merge %u locations",
                       p->location_count);
    return repair_stacks(p, seed, arena, err);
}

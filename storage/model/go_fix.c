/* go_fix - see go_fix.h. */
#include "storage/model/go_fix.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "storage/model/pprof.h"

#include <stdint.h>
#include <stdlib.h>
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

static int drop_type_parameters(struct pprof *p, struct arena *arena, struct err *err)
{
    for (uint32_t i = 0; i < p->string_count; i++)
        if (!go_fix_symbol(p->strings[i], arena, &p->strings[i]))
            return err_set(err, ERR_TOO_LARGE, "profile: no memory for its symbols");
    return 0;
}

/* --- truncated stacks --- */

/* The samples with SUFFIX_LENGTH frames and more, grouped by their last ids. */
struct group {
    uint32_t first; /* in `order` */
    uint32_t count;
    uint32_t parent; /* the group that shows more callers, or NONE */
    uint32_t offset; /* how many more */
};

struct token {
    const uint64_t *ids; /* TOKEN_LENGTH of them */
    uint32_t group, distance;
};

struct repair {
    struct pprof *p;
    uint32_t *order; /* samples, sorted by suffix */
    uint32_t order_count;
    struct group *groups;
    uint32_t group_count;
    struct token *slots; /* open addressing */
    uint32_t slot_mask;
};

#define NONE UINT32_MAX /* no group */

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

/* The byte image of the last ids, ids little endian: the reference's order. */
static int compare_suffix(const void *a, const void *b, void *context)
{
    const struct pprof *p = context;
    const uint64_t *x = stack_end(p, &p->samples[*(const uint32_t *)a]) - SUFFIX_LENGTH;
    const uint64_t *y = stack_end(p, &p->samples[*(const uint32_t *)b]) - SUFFIX_LENGTH;

    for (int i = 0; i < SUFFIX_LENGTH; i++) {
        uint64_t l = __builtin_bswap64(x[i]), r = __builtin_bswap64(y[i]);

        if (l != r)
            return l < r ? -1 : 1;
    }
    /* Equal suffixes keep the order of the profile. */
    return *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

static bool equal_suffix(const struct pprof *p, uint32_t a, uint32_t b)
{
    return memcmp(stack_end(p, &p->samples[a]) - SUFFIX_LENGTH,
                  stack_end(p, &p->samples[b]) - SUFFIX_LENGTH,
                  SUFFIX_LENGTH * sizeof(uint64_t)) == 0;
}

static bool make_groups(struct repair *r, struct arena *arena)
{
    struct pprof *p = r->p;

    r->order = arena_alloc(arena, p->sample_count * sizeof(r->order[0]));
    if (r->order == NULL)
        return false;
    for (uint32_t i = 0; i < p->sample_count; i++)
        if (p->samples[i].location_count >= SUFFIX_LENGTH)
            r->order[r->order_count++] = i;
    qsort_r(r->order, r->order_count, sizeof(r->order[0]), compare_suffix, p);

    r->groups = arena_alloc(arena, r->order_count * sizeof(r->groups[0]));
    if (r->groups == NULL)
        return false;
    for (uint32_t i = 0; i < r->order_count; i++) {
        if (i > 0 && equal_suffix(p, r->order[i - 1], r->order[i])) {
            r->groups[r->group_count - 1].count++;
            continue;
        }
        r->groups[r->group_count++] =
            (struct group){.first = i, .count = 1, .parent = NONE, .offset = 0};
    }
    return true;
}

static uint32_t hash_token(const uint64_t *ids)
{
    uint64_t h = 0x9e3779b97f4a7c15u;

    for (int i = 0; i < TOKEN_LENGTH; i++) {
        h = (h ^ ids[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return (uint32_t)h;
}

static struct token *find_token(const struct repair *r, const uint64_t *ids)
{
    uint32_t i = hash_token(ids) & r->slot_mask;

    while (r->slots[i].ids != NULL &&
           memcmp(r->slots[i].ids, ids, TOKEN_LENGTH * sizeof(ids[0])) != 0)
        i = (i + 1) & r->slot_mask;
    return &r->slots[i];
}

static const uint64_t *group_end(const struct repair *r, const struct group *g)
{
    return stack_end(r->p, &r->p->samples[r->order[g->first]]);
}

/* Every run of TOKEN_LENGTH ids that ends 1 to 8 frames below the root, by group. */
static bool make_tokens(struct repair *r, struct arena *arena)
{
    uint32_t capacity = 16;

    while (capacity < 2 * TOKENS_PER_GROUP * (uint64_t)r->group_count)
        capacity *= 2;
    r->slots = arena_calloc(arena, capacity, sizeof(r->slots[0]));
    if (r->slots == NULL)
        return false;
    r->slot_mask = capacity - 1;
    for (uint32_t g = 0; g < r->group_count; g++) {
        for (uint32_t j = 1; j <= TOKENS_PER_GROUP; j++) {
            const uint64_t *ids = group_end(r, &r->groups[g]) - j - TOKEN_LENGTH;
            struct token *t = find_token(r, ids);

            /* The deepest match wins: it completes most frames. */
            if (t->ids == NULL || j > t->distance)
                *t = (struct token){.ids = ids, .group = g, .distance = j};
        }
    }
    return true;
}

static void link_groups(struct repair *r)
{
    for (uint32_t g = 0; g < r->group_count; g++) {
        const struct token *t = find_token(r, group_end(r, &r->groups[g]) - TOKEN_LENGTH);

        if (t->ids == NULL || t->group == g)
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
    *from = &r->p->samples[r->order[r->groups[g].first]];
    return true;
}

/* How many ids the new table takes, or NONE-like 0 when a chain has no end. */
static bool measure(const struct repair *r, uint64_t *ids)
{
    *ids = 0;
    for (uint32_t i = 0; i < r->p->sample_count; i++)
        *ids += r->p->samples[i].location_count;
    for (uint32_t g = 0; g < r->group_count; g++) {
        const struct pprof_sample *from;
        uint32_t offset;

        if (!follow_chain(r, g, &from, &offset))
            return false;
        *ids += (uint64_t)offset * r->groups[g].count;
    }
    return true;
}

/* Copies all stacks to `table`, completed ones longer. The last group stays as it is. */
static void rewrite_stacks(struct repair *r, uint64_t *table, uint32_t *extra,
                           const uint64_t **extra_ids)
{
    struct pprof *p = r->p;
    uint32_t used = 0;

    for (uint32_t g = 0; g < r->group_count; g++) {
        const struct group *group = &r->groups[g];
        const struct pprof_sample *from;
        uint32_t offset;

        if (group->parent == NONE || !follow_chain(r, g, &from, &offset) ||
            offset >= from->location_count)
            continue;
        for (uint32_t i = 0; i < group->count; i++) {
            extra[r->order[group->first + i]] = offset;
            extra_ids[r->order[group->first + i]] = stack_end(p, from) - offset;
        }
    }
    for (uint32_t i = 0; i < p->sample_count; i++) {
        struct pprof_sample *s = &p->samples[i];
        uint32_t first = used;

        memcpy(table + used, p->location_ids + s->location_first,
               s->location_count * sizeof(table[0]));
        used += s->location_count;
        if (extra[i] > 0)
            memcpy(table + used, extra_ids[i], extra[i] * sizeof(table[0]));
        used += extra[i];
        s->location_first = first;
        s->location_count += extra[i];
    }
    p->location_ids = table;
    p->location_id_count = used;
}

static int repair_stacks(struct pprof *p, struct arena *arena, struct err *err)
{
    struct repair r = {.p = p};
    uint64_t id_count;
    uint64_t *table;
    uint32_t *extra;
    const uint64_t **extra_ids;

    if (!make_groups(&r, arena))
        goto no_memory;
    if (r.group_count < 2)
        return 0;
    if (!make_tokens(&r, arena))
        goto no_memory;
    link_groups(&r);
    if (!measure(&r, &id_count) || id_count > UINT32_MAX)
        return 0;
    table = arena_alloc(arena, id_count * sizeof(table[0]));
    extra = arena_calloc(arena, p->sample_count, sizeof(extra[0]));
    extra_ids = arena_alloc(arena, p->sample_count * sizeof(extra_ids[0]));
    if (table == NULL || extra == NULL || extra_ids == NULL)
        goto no_memory;
    rewrite_stacks(&r, table, extra, extra_ids);
    return 0;

no_memory:
    return err_set(err, ERR_TOO_LARGE, "profile: no memory to complete %u stacks", p->sample_count);
}

int go_fix(struct pprof *p, bool has_bracket, struct arena *arena, struct err *err)
{
    int rc = 0;

    if (has_bracket)
        rc = drop_type_parameters(p, arena, err);
    if (rc == 0 && may_be_truncated(p))
        rc = repair_stacks(p, arena, err);
    return rc;
}

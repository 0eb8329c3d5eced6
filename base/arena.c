#include "base/arena.h"

#include "base/budget.h"
#include "base/check.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_PER_OBJECT 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_PER_OBJECT 1
#endif
#endif
#ifndef ARENA_PER_OBJECT
#define ARENA_PER_OBJECT 0
#endif

enum {
    ALIGN = 16,
    BLOCK_MIN = 4 << 10,
    BLOCK_MAX = 4 << 20, /* doubling stops here: what a last block wastes stays small */
};

struct arena_block {
    struct arena_block *next;
    size_t size;
    alignas(ALIGN) unsigned char data[];
};

void arena_init(struct arena *a, size_t limit)
{
    *a = (struct arena){.limit = limit};
}

void arena_init_shared(struct arena *a, size_t limit, struct budget_share *share)
{
    *a = (struct arena){.limit = limit, .share = share};
}

static void free_chain(const struct arena *a, struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;

        if (a->share)
            budget_share_unuse(a->share, sizeof(*b) + b->size);
        free(b);
        b = next;
    }
}

void arena_release(struct arena *a)
{
    free_chain(a, a->first);
    arena_init_shared(a, a->limit, a->share);
}

/* The size of a block that the share has room for, `want` or only `size`; 0: neither. */
static size_t share_block(struct budget_share *share, size_t want, size_t size)
{
    uint64_t refused = share->refused;

    if (budget_share_use(share, sizeof(struct arena_block) + want))
        return want;
    if (!budget_share_use(share, sizeof(struct arena_block) + size))
        return 0;
    share->refused = refused;
    return size;
}

/* A block for at least `size` bytes behind the current one, an old one if it is large enough. */
static int next_block(struct arena *a, size_t size)
{
    struct arena_block *b = a->current ? a->current->next : a->first;
    size_t want = a->current ? a->current->size * 2 : BLOCK_MIN;

    if (!b || b->size < size) {
        struct arena_block *fresh;

        if (want > BLOCK_MAX)
            want = BLOCK_MAX;
        if (want < size || ARENA_PER_OBJECT)
            want = size;
        if (a->share && (want = share_block(a->share, want, size)) == 0)
            return -1;
        fresh = malloc(sizeof(*fresh) + want);
        if (!fresh) {
            if (a->share)
                budget_share_unuse(a->share, sizeof(*fresh) + want);
            return -1;
        }
        fresh->size = want;
        fresh->next = b;
        if (a->current)
            a->current->next = fresh;
        else
            a->first = fresh;
        b = fresh;
    }
    a->current = b;
    a->offset = 0;
    return 0;
}

/* `size` bytes from a multiple of `align` on; both of them a multiple of it when it is ALIGN. */
static void *take(struct arena *a, size_t size, size_t align)
{
    size_t start = (a->offset + align - 1) & ~(align - 1);

    if (size > a->limit - a->used)
        return NULL;
    if (ARENA_PER_OBJECT || !a->current || start > a->current->size ||
        a->current->size - start < size) {
        if (next_block(a, size) != 0)
            return NULL;
        start = 0;
    }
    a->offset = ARENA_PER_OBJECT ? a->current->size : start + size;
    a->used += size;
    return a->current->data + start;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > a->limit || size > SIZE_MAX / 2)
        return NULL;
    if (ARENA_PER_OBJECT)
        return take(a, size ? size : 1, 1);
    return take(a, size == 0 ? ALIGN : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1), ALIGN);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return arena_alloc(a, bytes);
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
    void *p = arena_alloc_array(a, count, size);

    if (p && count * size > 0)
        memset(p, 0, count * size);
    return p;
}

void *arena_memdup(struct arena *a, const void *data, size_t size)
{
    void *p = arena_alloc(a, size);

    if (p && size > 0)
        memcpy(p, data, size);
    return p;
}

char *arena_strndup(struct arena *a, const char *text, size_t len)
{
    char *p;

    if (len >= a->limit)
        return NULL;
    p = take(a, len + 1, 1); /* texts are many and short: no rounding */
    if (p) {
        if (len > 0)
            memcpy(p, text, len);
        p[len] = '\0';
    }
    return p;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->current, a->offset, a->used};
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    check(mark.used <= a->used);
    if (ARENA_PER_OBJECT) {
        struct arena_block **tail = mark.block ? &mark.block->next : &a->first;

        free_chain(a, *tail);
        *tail = NULL;
    }
    a->current = mark.block;
    a->offset = mark.offset;
    a->used = mark.used;
}

void arena_reset(struct arena *a)
{
    arena_rewind(a, (struct arena_mark){0});
}

void arena_trim(struct arena *a, size_t keep)
{
    struct arena_block **next = &a->first;
    size_t kept = 0;

    check(a->used == 0);
    while (*next && kept + (*next)->size <= keep) {
        kept += (*next)->size;
        next = &(*next)->next;
    }
    free_chain(a, *next);
    *next = NULL;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

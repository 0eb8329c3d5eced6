/*
 * arena - memory that is freed all at once, with a limit.
 *
 * Allocation is a pointer bump; nothing is freed by hand. At the limit
 * arena_alloc() returns NULL: running out is an input condition and becomes an
 * error (ERR_TOO_LARGE), never an abort. arena_reset() keeps the blocks, so a
 * reused arena is warm and does not call malloc.
 *
 * Under AddressSanitizer every allocation is a malloc of its own, so that
 * overruns are seen. Memory is not zeroed unless the name says so.
 * Threads: one owner.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;
struct budget_share;

struct arena {
    size_t limit; /* bytes handed out at most */
    size_t used;  /* bytes handed out */
    struct arena_block *first, *current;
    size_t offset;              /* in current */
    struct budget_share *share; /* blocks are taken from it; NULL: not counted */
};

struct arena_mark {
    struct arena_block *block;
    size_t offset, used;
};

void arena_init(struct arena *a, size_t limit);
/* Its blocks count as used of `share` (base/budget.h), which may refuse: NULL below the limit. */
void arena_init_shared(struct arena *a, size_t limit, struct budget_share *share);
void arena_release(struct arena *a); /* leaves it as after arena_init() */

/* Aligned to 16. Size 0 gives a valid pointer. NULL at the limit. */
void *arena_alloc(struct arena *a, size_t size) __attribute__((malloc, alloc_size(2)));
void *arena_calloc(struct arena *a, size_t count, size_t size);
void *arena_memdup(struct arena *a, const void *data, size_t size);
/* Adds a NUL. Not aligned. */
char *arena_strndup(struct arena *a, const char *text, size_t len);

#define arena_new(a, type) ((type *)arena_alloc(a, sizeof(type)))
/* Uninitialised; NULL when count * size overflows or is over the limit. */
#define arena_array(a, type, count) ((type *)arena_alloc_array(a, count, sizeof(type)))
void *arena_alloc_array(struct arena *a, size_t count, size_t size);

/* Everything allocated after the mark goes at arena_rewind(). */
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
/* Forgets every allocation, keeps the memory for the next round. */
void arena_reset(struct arena *a);
/* After a reset: gives back all memory but the first blocks, `keep` bytes together at most. */
void arena_trim(struct arena *a, size_t keep);

size_t arena_used(const struct arena *a);
static inline size_t arena_limit(const struct arena *a)
{
    return a->limit;
}

#endif

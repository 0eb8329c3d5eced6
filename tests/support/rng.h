/*
 * rng - random numbers that a seed repeats (SplitMix64), for tests.
 *
 * Pure; one owner per struct rng.
 */
#ifndef TESTS_SUPPORT_RNG_H
#define TESTS_SUPPORT_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

static inline struct rng rng_of(uint64_t seed)
{
    return (struct rng){seed};
}

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In [0, bound); bound must not be 0. */
static inline uint64_t rng_below(struct rng *r, uint64_t bound)
{
    return rng_next(r) % bound;
}

/* In [low, high]. */
static inline int64_t rng_between(struct rng *r, int64_t low, int64_t high)
{
    return low + (int64_t)rng_below(r, (uint64_t)(high - low) + 1);
}

/* True once in `n`. */
static inline bool rng_one_in(struct rng *r, uint64_t n)
{
    return rng_below(r, n) == 0;
}

static inline void rng_fill(struct rng *r, void *out, size_t size)
{
    uint8_t *p = out;

    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)rng_next(r);
}

/*
 * The seed of a test: FLAMEKEEP_SEED when set, a fresh one when FLAMEKEEP_SOAK_SECONDS
 * is, else `fixed`. Prints it, so that a failure can be repeated.
 */
uint64_t test_seed(uint64_t fixed);

#endif

/*
 * hash - XXH3: seeded for tables in memory, fixed for checksums on disk.
 *
 * Table hashes take a seed from the kernel's random source, so that a client
 * cannot choose keys that collide; they are never stored. The checksum's seed
 * is part of the disk format.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/int128.h"

#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t lo, hi;
};

uint64_t hash_seed_random(void);
void random_bytes(void *out, size_t size);

uint64_t hash64(uint64_t seed, const void *data, size_t size);
struct hash128 hash128(uint64_t seed, const void *data, size_t size);

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    uint128 product = (uint128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Two more words into a hash that depends on a secret seed: for short keys of fixed shape,
 * made of hashes and numbers, at a quarter of what hashing them as bytes costs. The step is
 * that of wyhash (multiply to 128 bits, fold), done twice. Both words meet the secret before
 * they are multiplied, so that nobody can choose one that wipes out the state.
 */
static inline struct hash128 hash128_add(struct hash128 h, uint64_t a, uint64_t b)
{
    uint64_t x = a ^ h.lo, y = b ^ h.hi;

    return (struct hash128){hash_fold(x, y),
                            hash_fold(x ^ 0xa0761d6478bd642fu, y ^ 0xe7037ed1a0b428dbu)};
}

/* XXH3-64 with the seed of the disk format. */
uint64_t checksum64(const void *data, size_t size);
/* The same over bytes that come in parts. A plain value: nothing to release. */
struct checksum {
    uint64_t state[80] __attribute__((aligned(64))); /* as large as XXH3 needs, and checked */
};
void checksum_begin(struct checksum *c);
void checksum_add(struct checksum *c, const void *data, size_t size);
uint64_t checksum_end(const struct checksum *c);
/* Over two parts as if they followed each other. */
uint64_t checksum64_parts(const void *a, size_t a_size, const void *b, size_t b_size);

#endif

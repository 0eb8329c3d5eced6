/*
 * hash - XXH3: seeded for tables in memory, fixed for checksums on disk.
 *
 * Table hashes take a seed from the kernel's random source, so that a client
 * cannot choose keys that collide; they are never stored. The checksum's seed
 * is part of the disk format.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t lo, hi;
};

uint64_t hash_seed_random(void);
void random_bytes(void *out, size_t size);

uint64_t hash64(uint64_t seed, const void *data, size_t size);
struct hash128 hash128(uint64_t seed, const void *data, size_t size);

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

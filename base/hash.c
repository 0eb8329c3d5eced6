#include "base/hash.h"

#include "base/check.h"

#include <errno.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* "flamkeep" as bytes: part of the disk format, docs/storage-format.md. */
static const uint64_t checksum_seed = 0x7065656b6d616c66u;

void random_bytes(void *out, size_t size)
{
    unsigned char *p = out;

    while (size > 0) {
        ssize_t got = getrandom(p, size, 0);

        if (got < 0) {
            check(errno == EINTR); /* nothing else can happen, or no table is safe */
            continue;
        }
        p += got;
        size -= (size_t)got;
    }
}

uint64_t hash_seed_random(void)
{
    uint64_t seed;

    random_bytes(&seed, sizeof(seed));
    return seed;
}

uint64_t hash64(uint64_t seed, const void *data, size_t size)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

struct hash128 hash128(uint64_t seed, const void *data, size_t size)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(data, size, seed);

    return (struct hash128){h.low64, h.high64};
}

uint64_t checksum64(const void *data, size_t size)
{
    return XXH3_64bits_withSeed(data, size, checksum_seed);
}

uint64_t checksum64_parts(const void *a, size_t a_size, const void *b, size_t b_size)
{
    XXH3_state_t state;

    XXH3_INITSTATE(&state);
    check(XXH3_64bits_reset_withSeed(&state, checksum_seed) == XXH_OK);
    check(XXH3_64bits_update(&state, a, a_size) == XXH_OK);
    check(XXH3_64bits_update(&state, b, b_size) == XXH_OK);
    return XXH3_64bits_digest(&state);
}

_Static_assert(sizeof(XXH3_state_t) <= sizeof(struct checksum), "struct checksum is too small");

void checksum_begin(struct checksum *c)
{
    XXH3_state_t *state = (XXH3_state_t *)(void *)c->state;

    XXH3_INITSTATE(state);
    check(XXH3_64bits_reset_withSeed(state, checksum_seed) == XXH_OK);
}

void checksum_add(struct checksum *c, const void *data, size_t size)
{
    check(XXH3_64bits_update((XXH3_state_t *)(void *)c->state, data, size) == XXH_OK);
}

uint64_t checksum_end(const struct checksum *c)
{
    return XXH3_64bits_digest((const XXH3_state_t *)(const void *)c->state);
}

#include "tests/support/rng.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t test_seed(uint64_t fixed)
{
    const char *text = getenv("FLAMEKEEP_SEED");
    uint64_t seed = fixed;

    if (text)
        seed = strtoull(text, NULL, 0);
    else if (getenv("FLAMEKEEP_SOAK_SECONDS"))
        seed = hash_seed_random();
    printf("# seed %" PRIu64 ": repeat with FLAMEKEEP_SEED=%" PRIu64 "\n", seed, seed);
    return seed;
}

/*
 * value - the sum of sample values.
 *
 * Values are int64 on the wire and never negative once stored; 10,000 cores
 * for 30 days in nanoseconds are 2.6 * 10^19, which no 64-bit sum holds.
 * Everything that adds uses value128; an encoder saturates at the end.
 */
#ifndef STORAGE_MODEL_VALUE_H
#define STORAGE_MODEL_VALUE_H

#include "base/int128.h"

#include <stdbool.h>
#include <stdint.h>

typedef uint128 value128;

/* Saturates at INT64_MAX and sets *saturated when it did. */
static inline int64_t value_saturate(value128 v, bool *saturated)
{
    if (v > (value128)INT64_MAX) {
        *saturated = true;
        return INT64_MAX;
    }
    return (int64_t)v;
}

#endif

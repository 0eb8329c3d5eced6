/*
 * clock_fake - a clock that a test sets.
 *
 *     struct clock_fake c;
 *     clock_fake_init(&c, unix_ns);
 *     store_open(..., &c.clock, ...);
 *     clock_fake_advance(&c, 5 * NS_PER_S);
 *
 * Time stands still unless moved. Threads: any.
 */
#ifndef TESTS_SUPPORT_CLOCK_FAKE_H
#define TESTS_SUPPORT_CLOCK_FAKE_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdint.h>

struct clock_fake {
    struct clock clock; /* first: what the code under test is given */
    _Atomic int64_t wall, mono;
};

void clock_fake_init(struct clock_fake *c, int64_t unix_ns);
/* Both clocks go on. */
void clock_fake_advance(struct clock_fake *c, int64_t ns);
/* The wall clock jumps, back too; monotonic time does not notice. */
void clock_fake_jump(struct clock_fake *c, int64_t unix_ns);

#endif

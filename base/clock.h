/*
 * clock - time as an argument, so that a test can be it.
 *
 * Wall time decides what a profile without time is stamped with; everything
 * that waits or measures uses monotonic time.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US 1000LL
#define NS_PER_MS 1000000LL
#define NS_PER_S 1000000000LL
#define NS_PER_DAY (86400LL * NS_PER_S)

struct clock {
    int64_t (*now_ns)(const struct clock *c);  /* unix, UTC */
    int64_t (*mono_ns)(const struct clock *c); /* never goes back */
};

/* The real one; static. */
const struct clock *clock_system(void);

static inline int64_t clock_now_ns(const struct clock *c)
{
    return c->now_ns(c);
}

static inline int64_t clock_mono_ns(const struct clock *c)
{
    return c->mono_ns(c);
}

#endif

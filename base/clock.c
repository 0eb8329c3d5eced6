#include "base/clock.h"

#include "base/check.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    check(clock_gettime(id, &t) == 0);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t system_now_ns(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_mono_ns(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

const struct clock *clock_system(void)
{
    static const struct clock clock = {system_now_ns, system_mono_ns};

    return &clock;
}

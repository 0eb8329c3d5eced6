#include "tests/support/clock_fake.h"

#include "base/check.h"

static const struct clock_fake *fake_of(const struct clock *c)
{
    return (const struct clock_fake *)(const void *)c;
}

static int64_t fake_now_ns(const struct clock *c)
{
    return atomic_load(&fake_of(c)->wall);
}

static int64_t fake_mono_ns(const struct clock *c)
{
    return atomic_load(&fake_of(c)->mono);
}

void clock_fake_init(struct clock_fake *c, int64_t unix_ns)
{
    c->clock = (struct clock){fake_now_ns, fake_mono_ns};
    atomic_init(&c->wall, unix_ns);
    atomic_init(&c->mono, NS_PER_S);
}

void clock_fake_advance(struct clock_fake *c, int64_t ns)
{
    check(ns >= 0);
    (void)atomic_fetch_add(&c->wall, ns);
    (void)atomic_fetch_add(&c->mono, ns);
}

void clock_fake_jump(struct clock_fake *c, int64_t unix_ns)
{
    atomic_store(&c->wall, unix_ns);
}

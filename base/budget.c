#include "base/budget.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>

static struct {
    _Atomic uint64_t limit, used;
    _Atomic uint64_t accounts[BUDGET_ACCOUNTS];
    _Atomic uint64_t waits, refusals;
    _Atomic unsigned int waiting;
    pthread_once_t once;
    struct mutex mu; /* guards nothing: it makes looking and sleeping one step */
    struct cond given;
} all = {.limit = UINT64_MAX, .once = PTHREAD_ONCE_INIT};

static const char *const names[BUDGET_ACCOUNTS] = {
    [BUDGET_PROCESS] = "process", [BUDGET_HEADS] = "heads",    [BUDGET_SEALING] = "sealing",
    [BUDGET_CACHE] = "cache",     [BUDGET_BODIES] = "bodies",  [BUDGET_INTAKE] = "intake",
    [BUDGET_QUERIES] = "queries", [BUDGET_MERGING] = "merging"};

static void init_once(void)
{
    mutex_init(&all.mu, MUTEX_RANK_BUDGET, "budget");
    cond_init(&all.given);
}

const char *budget_account_name(enum budget_account account)
{
    check((unsigned int)account < BUDGET_ACCOUNTS);
    return names[account];
}

void budget_limit(uint64_t bytes)
{
    atomic_store(&all.limit, bytes);
}

bool budget_take(enum budget_account account, uint64_t bytes)
{
    uint64_t used = atomic_load(&all.used), limit = atomic_load(&all.limit);

    do {
        if (used > limit || bytes > limit - used)
            return false;
    } while (!atomic_compare_exchange_weak(&all.used, &used, used + bytes));
    (void)atomic_fetch_add(&all.accounts[account], bytes);
    return true;
}

void budget_add(enum budget_account account, uint64_t bytes)
{
    (void)atomic_fetch_add(&all.used, bytes);
    (void)atomic_fetch_add(&all.accounts[account], bytes);
}

void budget_give(enum budget_account account, uint64_t bytes)
{
    uint64_t had = atomic_fetch_sub(&all.accounts[account], bytes);

    check(had >= bytes);
    (void)atomic_fetch_sub(&all.used, bytes);
    if (bytes == 0 || atomic_load(&all.waiting) == 0)
        return;
    mutex_lock(&all.mu);
    cond_broadcast(&all.given);
    mutex_unlock(&all.mu);
}

bool budget_is_over(void)
{
    return atomic_load(&all.used) > atomic_load(&all.limit);
}

int budget_refuse(enum budget_account account, uint64_t bytes, struct err *err)
{
    uint64_t used = atomic_load(&all.used), limit = atomic_load(&all.limit);

    (void)atomic_fetch_add(&all.refusals, 1);
    return err_set(err, ERR_BUSY,
                   "%s: %" PRIu64 " bytes of memory are needed, %" PRIu64
                   " of memory.max_bytes %" PRIu64
                   " are free: retry later, ask for less or raise memory.max_bytes",
                   budget_account_name(account), bytes, used < limit ? limit - used : 0, limit);
}

int budget_take_wait(enum budget_account account, uint64_t bytes, int64_t timeout_ns,
                     struct err *err)
{
    const struct clock *clock = clock_system();
    int64_t until_ns;
    bool taken;

    if (budget_take(account, bytes))
        return 0;
    (void)pthread_once(&all.once, init_once);
    (void)atomic_fetch_add(&all.waits, 1);
    until_ns = clock_mono_ns(clock) + timeout_ns;
    mutex_lock(&all.mu);
    (void)atomic_fetch_add(&all.waiting, 1); /* before looking: who gives from now on wakes us */
    while (!(taken = budget_take(account, bytes))) {
        int64_t left_ns = until_ns - clock_mono_ns(clock);

        if (left_ns <= 0)
            break;
        (void)cond_wait_for(&all.given, &all.mu, left_ns);
    }
    (void)atomic_fetch_sub(&all.waiting, 1);
    mutex_unlock(&all.mu);
    return taken ? 0 : budget_refuse(account, bytes, err);
}

int budget_share_expect(struct budget_share *s, uint64_t bytes, int64_t timeout_ns, struct err *err)
{
    uint64_t there = s->taken - s->used;
    int rc;

    if (bytes <= there)
        return 0;
    rc = budget_take_wait(s->account, bytes - there, timeout_ns, err);
    if (rc == 0)
        s->taken += bytes - there;
    return rc;
}

bool budget_share_use(struct budget_share *s, uint64_t bytes)
{
    uint64_t there = s->taken - s->used;

    if (bytes > there) {
        if (!budget_take(s->account, bytes - there)) {
            if (s->refused == 0)
                s->refused = bytes;
            return false;
        }
        s->taken += bytes - there;
    }
    s->used += bytes;
    return true;
}

void budget_share_unuse(struct budget_share *s, uint64_t bytes)
{
    check(s->used >= bytes);
    s->used -= bytes;
}

void budget_share_end(struct budget_share *s)
{
    budget_give(s->account, s->taken - s->used);
    s->taken = s->used;
}

void budget_usage(struct budget_usage *out)
{
    *out = (struct budget_usage){.limit = atomic_load(&all.limit),
                                 .used = atomic_load(&all.used),
                                 .waits = atomic_load(&all.waits),
                                 .refusals = atomic_load(&all.refusals)};
    for (int a = 0; a < BUDGET_ACCOUNTS; a++)
        out->accounts[a] = atomic_load(&all.accounts[a]);
}

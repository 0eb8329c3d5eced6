/* rate_limit - see rate_limit.h. */
#include "api/rate_limit.h"

#include "api/tenant.h"
#include "base/thread.h"
#include "storage/model/limits.h"

#include <pthread.h>

struct bucket {
    char tenant[TENANT_BYTES_MAX];
    size_t tenant_length; /* 0: unused */
    double tokens;
    int64_t updated_ns;
};

static struct {
    pthread_once_t once;
    struct mutex mu; /* guards buckets */
    struct bucket buckets[RATE_LIMIT_TENANTS_MAX];
} limiter = {.once = PTHREAD_ONCE_INIT};

static void init(void)
{
    mutex_init(&limiter.mu, MUTEX_RANK_API, "rate_limit");
}

/* The tenant's bucket, a free one, or the one that was idle longest. */
static struct bucket *find(struct str tenant)
{
    struct bucket *oldest = &limiter.buckets[0];

    for (int i = 0; i < RATE_LIMIT_TENANTS_MAX; i++) {
        struct bucket *b = &limiter.buckets[i];

        if (str_eq((struct str){b->tenant, b->tenant_length}, tenant))
            return b;
        if (oldest->tenant_length > 0 &&
            (b->tenant_length == 0 || b->updated_ns < oldest->updated_ns))
            oldest = b;
    }
    oldest->tenant_length = 0;
    return oldest;
}

bool rate_limit_take(const struct limits *limits, struct str tenant, uint64_t bytes,
                     int64_t mono_ns)
{
    double burst = (double)limits->push_burst_bytes;
    struct bucket *b;
    bool ok;

    if (limits->push_rate_bytes == 0)
        return true;
    if (tenant.len > TENANT_BYTES_MAX)
        tenant.len = TENANT_BYTES_MAX;
    (void)pthread_once(&limiter.once, init);
    mutex_lock(&limiter.mu);
    b = find(tenant);
    if (b->tenant_length == 0) {
        memcpy(b->tenant, tenant.p, tenant.len);
        b->tenant_length = tenant.len;
        b->tokens = burst;
    } else if (mono_ns > b->updated_ns) {
        b->tokens += (double)(mono_ns - b->updated_ns) / 1e9 * (double)limits->push_rate_bytes;
    }
    if (b->tokens > burst)
        b->tokens = burst;
    b->updated_ns = mono_ns;
    ok = (double)bytes <= b->tokens;
    if (ok)
        b->tokens -= (double)bytes;
    mutex_unlock(&limiter.mu);
    return ok;
}

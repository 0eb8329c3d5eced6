/*
 * rate_limit - a token bucket per tenant, for pushed bytes.
 *
 * Off unless the operator sets a rate (--limits reference does). As the reference:
 * a profile larger than the burst can never pass (../shared/spec/ingest-api.md, 5.3).
 *
 * Tenants are remembered up to RATE_LIMIT_TENANTS_MAX; beyond it the one that was idle
 * longest starts anew. Threads: any.
 */
#ifndef API_RATE_LIMIT_H
#define API_RATE_LIMIT_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct limits;

enum {
    RATE_LIMIT_TENANTS_MAX = 256,
};

/* Takes `bytes` from the tenant's bucket; false, taking nothing, when it holds fewer. */
bool rate_limit_take(const struct limits *limits, struct str tenant, uint64_t bytes,
                     int64_t mono_ns);

#endif

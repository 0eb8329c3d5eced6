#include "storage/retention.h"

#include "base/check.h"

#include <stdlib.h>

struct plan {
    const struct retention_rules *rules;
    const struct retention_item *items;
    uint32_t count;
    struct retention_space space; /* as it will be after the picks */
    uint64_t freed;
    bool *gone;
};

const char *retention_reason_name(enum retention_reason reason)
{
    static const char *const names[] = {"keep", "age", "tenant", "max_bytes", "min_free"};

    return names[reason];
}

bool retention_has_bytes(const struct retention_rules *rules)
{
    return rules->max_bytes > 0 || rules->max_percent > 0 || rules->min_free_bytes > 0;
}

uint64_t retention_limit(const struct retention_rules *rules, uint64_t volume_bytes)
{
    return rules->max_percent > 0 ? volume_bytes / 100 * rules->max_percent : rules->max_bytes;
}

static const struct retention_tenant *tenant_rule(const struct retention_rules *rules,
                                                  struct str tenant)
{
    for (uint32_t i = 0; i < rules->tenant_count; i++)
        if (str_eq(rules->tenants[i].tenant, tenant))
            return &rules->tenants[i];
    return NULL;
}

int64_t retention_max_age(const struct retention_rules *rules, struct str tenant)
{
    const struct retention_tenant *t = tenant_rule(rules, tenant);

    return t && t->max_age_ns > 0 ? t->max_age_ns : rules->max_age_ns;
}

static bool goes_before(const struct retention_item *a, const struct retention_item *b)
{
    if (a->time.last_ns != b->time.last_ns)
        return a->time.last_ns < b->time.last_ns;
    if (a->created_ns != b->created_ns)
        return a->created_ns < b->created_ns;
    return a->id.hi != b->id.hi ? a->id.hi < b->id.hi : a->id.lo < b->id.lo;
}

/* The oldest that is there and may go; of `tenant`, if that is given. UINT32_MAX: none. */
static uint32_t oldest(const struct plan *p, const struct str *tenant)
{
    uint32_t best = UINT32_MAX;

    for (uint32_t i = 0; i < p->count; i++) {
        if (p->gone[i] || p->items[i].fixed || (tenant && !str_eq(p->items[i].tenant, *tenant)))
            continue;
        if (best == UINT32_MAX || goes_before(&p->items[i], &p->items[best]))
            best = i;
    }
    return best;
}

static bool find_aged(const struct plan *p, uint32_t *item)
{
    *item = UINT32_MAX;
    for (uint32_t i = 0; i < p->count; i++) {
        int64_t age = retention_max_age(p->rules, p->items[i].tenant);

        if (age == 0 || p->gone[i] || p->items[i].fixed ||
            p->items[i].time.last_ns >= p->space.now_ns - age)
            continue;
        if (*item == UINT32_MAX || goes_before(&p->items[i], &p->items[*item]))
            *item = i;
    }
    return *item != UINT32_MAX;
}

static bool find_over_tenant(const struct plan *p, uint32_t *item)
{
    for (uint32_t t = 0; t < p->rules->tenant_count; t++) {
        const struct retention_tenant *rule = &p->rules->tenants[t];
        uint64_t bytes = 0;

        if (rule->max_bytes == 0)
            continue;
        for (uint32_t i = 0; i < p->count; i++)
            if (!p->gone[i] && str_eq(p->items[i].tenant, rule->tenant))
                bytes += p->items[i].bytes;
        if (bytes > rule->max_bytes && (*item = oldest(p, &rule->tenant)) != UINT32_MAX)
            return true;
    }
    return false;
}

static bool is_over_limit(const struct retention_space *s)
{
    return s->limit > 0 && s->used + s->headroom > s->limit;
}

static enum retention_reason next(const struct plan *p, uint32_t *item)
{
    const struct retention_space *s = &p->space;

    if (find_aged(p, item))
        return RETENTION_AGE;
    if (find_over_tenant(p, item))
        return RETENTION_TENANT_BYTES;
    if (!retention_has_bytes(p->rules) || (*item = oldest(p, NULL)) == UINT32_MAX)
        return RETENTION_KEEP;
    if (is_over_limit(s))
        return RETENTION_MAX_BYTES;
    if (s->available < p->rules->min_free_bytes)
        return RETENTION_MIN_FREE;
    if (p->freed < s->must_free)
        return s->limit > 0 ? RETENTION_MAX_BYTES : RETENTION_MIN_FREE;
    return RETENTION_KEEP;
}

static void take_out(struct plan *p, uint32_t item)
{
    uint64_t bytes = p->items[item].bytes;

    p->gone[item] = true;
    p->freed += bytes;
    p->space.used -= bytes < p->space.used ? bytes : p->space.used;
    p->space.available += bytes;
}

uint32_t retention_plan(const struct retention_rules *rules, const struct retention_item *items,
                        uint32_t count, const struct retention_space *space,
                        struct retention_pick *picks, uint32_t max)
{
    struct plan p = {rules, items, count, *space, 0, calloc((size_t)count + 1, sizeof(bool))};
    uint32_t found = 0;

    check(p.gone);
    while (found < max) {
        uint32_t item;
        enum retention_reason reason = next(&p, &item);

        if (reason == RETENTION_KEEP)
            break;
        picks[found++] = (struct retention_pick){item, reason};
        take_out(&p, item);
    }
    free(p.gone);
    return found;
}

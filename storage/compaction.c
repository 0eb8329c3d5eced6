#include "storage/compaction.h"

#include "base/clock.h"

#define DAY_NS (24 * 3600 * NS_PER_S)

enum {
    LEVEL_DAY = 2,
    LATE_PARTS = 10, /* of the day's bytes, that are worth another pass */
};

/* What there is of one tenant and day: items[first .. end). */
struct day {
    const struct compaction_item *items;
    uint32_t first, end;
    uint32_t segments[LEVEL_DAY + 1];
    uint64_t bytes[LEVEL_DAY + 1];
    int64_t oldest_ns[LEVEL_DAY + 1], newest_ns[LEVEL_DAY + 1]; /* by when they were made */
};

static uint8_t level_of(const struct compaction_item *item)
{
    return item->level < LEVEL_DAY ? item->level : LEVEL_DAY;
}

static bool same_day(const struct compaction_item *a, const struct compaction_item *b)
{
    return a->day == b->day && str_eq(a->tenant, b->tenant);
}

static void look_at(const struct compaction_item *items, uint32_t count, uint32_t first,
                    struct day *out)
{
    uint32_t i = first;

    *out = (struct day){.items = items, .first = first};
    for (; i < count && same_day(&items[i], &items[first]); i++) {
        uint8_t l = level_of(&items[i]);
        int64_t made = items[i].created_ns;

        if (out->segments[l] == 0 || made < out->oldest_ns[l])
            out->oldest_ns[l] = made;
        if (out->segments[l] == 0 || made > out->newest_ns[l])
            out->newest_ns[l] = made;
        out->segments[l]++;
        out->bytes[l] += items[i].bytes;
    }
    out->end = i;
}

/* The oldest of levels up to `level_max` that fit together. False: fewer than two do. */
static bool take(const struct day *d, uint8_t level_max, const struct compaction_rules *rules,
                 struct compaction_job *out)
{
    uint64_t bytes = 0;

    out->count = 0;
    for (;;) {
        uint32_t best = d->end;

        for (uint32_t i = d->first; i < d->end && out->count < COMPACTION_FANIN_MAX; i++) {
            const struct compaction_item *item = &d->items[i];
            bool taken = false;

            for (uint32_t k = 0; k < out->count; k++)
                taken = taken || out->inputs[k] == i;
            if (!taken && level_of(item) <= level_max && item->bytes <= rules->bytes_max - bytes &&
                (best == d->end || item->created_ns < d->items[best].created_ns))
                best = i;
        }
        if (best == d->end)
            return out->count >= 2;
        out->inputs[out->count++] = best;
        bytes += d->items[best].bytes;
    }
}

static bool day_is_over(const struct day *d, const struct compaction_rules *rules, int64_t now_ns)
{
    return now_ns - rules->age_ns >= ((int64_t)d->items[d->first].day + 1) * DAY_NS;
}

static bool plan_closed(const struct day *d, const struct compaction_rules *rules, int64_t now_ns,
                        struct compaction_job *out)
{
    uint32_t late = d->segments[0] + d->segments[1];
    uint64_t late_bytes = d->bytes[0] + d->bytes[1];

    if (late == 0 || late + d->segments[LEVEL_DAY] < 2)
        return false;
    if (d->segments[LEVEL_DAY] > 0 && late < COMPACTION_FANIN_MIN &&
        late_bytes < d->bytes[LEVEL_DAY] / LATE_PARTS && now_ns - d->newest_ns[LEVEL_DAY] < DAY_NS)
        return false;
    if (take(d, LEVEL_DAY, rules, out)) {
        out->level = out->count == late + d->segments[LEVEL_DAY] ? LEVEL_DAY : 1;
        return true;
    }
    out->level = 1;
    return take(d, 1, rules, out);
}

static bool plan_open(const struct day *d, const struct compaction_rules *rules, int64_t now_ns,
                      struct compaction_job *out)
{
    out->level = 1;
    if (d->segments[0] >= COMPACTION_FANIN_MIN ||
        (d->segments[0] >= 2 && now_ns - d->oldest_ns[0] >= rules->age_ns))
        return take(d, 0, rules, out);
    return d->segments[1] >= COMPACTION_FANIN_MIN && take(d, 1, rules, out);
}

bool compaction_plan(const struct compaction_item *items, uint32_t count,
                     const struct compaction_rules *rules, int64_t now_ns,
                     struct compaction_job *out)
{
    struct day d;

    for (uint32_t i = 0; i < count; i = d.end) {
        look_at(items, count, i, &d);
        if (day_is_over(&d, rules, now_ns) ? plan_closed(&d, rules, now_ns, out)
                                           : plan_open(&d, rules, now_ns, out))
            return true;
    }
    return false;
}

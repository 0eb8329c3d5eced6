#include "api/timeline.h"

#include "storage/query.h"

#include "base/arena.h"

#include <string.h>

enum {
    POINTS_WANTED = 1500,
    MS_PER_S = 1000,
    SLOTS_MAX = 1 << 20, /* the table keeps real ranges near POINTS_WANTED */
};

#define MINUTE_MS (60LL * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

/* Range / POINTS_WANTED up to the limit: this step. */
static const struct {
    int64_t limit_ms, step_s;
} steps[] = {
    {17500, 15},
    {25000, 20},
    {45000, 30},
    {90000, 60},
    {MINUTE_MS * 7 / 2, 120},
    {MINUTE_MS * 15 / 2, 300},
    {MINUTE_MS * 25 / 2, 600},
    {MINUTE_MS * 35 / 2, 900},
    {MINUTE_MS * 25, 1200},
    {MINUTE_MS * 45, 1800},
    {HOUR_MS * 3 / 2, 3600},
    {HOUR_MS * 5 / 2, 2 * 3600},
    {HOUR_MS * 9 / 2, 3 * 3600},
    {HOUR_MS * 9, 6 * 3600},
    {HOUR_MS * 24, 12 * 3600},
    {DAY_MS * 7, 24 * 3600},
    {DAY_MS * 21, 7 * 24 * 3600},
    {DAY_MS * 42, 30 * 24 * 3600},
};

int64_t timeline_step_s(int64_t start_ms, int64_t end_ms)
{
    int64_t share = (end_ms - start_ms) / POINTS_WANTED;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (share <= steps[i].limit_ms)
            return steps[i].step_s;
    return 365LL * 24 * 3600;
}

static int64_t floor_to(int64_t value, int64_t step)
{
    int64_t rest = value % step;

    return value - (rest < 0 ? rest + step : rest);
}

bool timeline_build(const struct series *series, int64_t start_ms, int64_t end_ms, int64_t step_s,
                    struct arena *arena, struct render_timeline *out)
{
    int64_t first_s = floor_to(start_ms, step_s * MS_PER_S) / MS_PER_S;
    int64_t last_s = floor_to(end_ms, step_s * MS_PER_S) / MS_PER_S;
    int64_t count = (last_s - first_s) / step_s;
    uint64_t *samples;

    if (count > SLOTS_MAX)
        count = SLOTS_MAX;
    samples = arena_calloc(arena, (size_t)count + 1, sizeof(*samples));
    if (!samples)
        return false;
    for (uint32_t i = 0; series && i < series->point_count; i++) {
        int64_t slot = (series->points[i].time_ms / MS_PER_S - first_s) / step_s;
        value128 v = series->points[i].value;

        if (series->points[i].time_ms >= first_s * MS_PER_S && slot < count)
            samples[slot] = v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
    }
    *out = (struct render_timeline){first_s, step_s, samples, (uint32_t)count};
    return true;
}

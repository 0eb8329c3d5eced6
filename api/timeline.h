/*
 * timeline - a series on the grid of /pyroscope/render.
 *
 * The step comes from the range by table; points, named by the right edge of
 * their bucket, are dropped onto slots that start at multiples of the step
 * (../shared/spec/query-api.md, section 7.1). Pure functions.
 */
#ifndef API_TIMELINE_H
#define API_TIMELINE_H

#include "api/encode/render_json.h"

#include <stdint.h>

struct arena;
struct series;

int64_t timeline_step_s(int64_t start_ms, int64_t end_ms);

/* `series` NULL: all zero. False: the arena is at its limit. */
bool timeline_build(const struct series *series, int64_t start_ms, int64_t end_ms, int64_t step_s,
                    struct arena *arena, struct render_timeline *out);

#endif

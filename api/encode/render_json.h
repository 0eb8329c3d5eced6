/*
 * render_json - the flamebearer document of the legacy routes.
 *
 * One JSON object with a newline at the end, every member present, plain
 * numbers (../shared/spec/query-api.md, section 7.1). Appends to a buf and
 * relies on its sticky `failed`.
 */
#ifndef API_ENCODE_RENDER_JSON_H
#define API_ENCODE_RENDER_JSON_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct flamegraph;
struct profile_type;

/* Values over time; slot i covers start_s + i * step_s. */
struct render_timeline {
    int64_t start_s, step_s;
    const uint64_t *samples;
    uint32_t count;
};

struct render_group {
    struct str name;
    struct render_timeline timeline;
};

struct render_document {
    const struct flamegraph *graph;
    const struct profile_type *type;
    bool diff;
    const struct render_timeline *timeline; /* NULL: null */
    bool grouped;                           /* groups is an object, maybe an empty one */
    const struct render_group *groups;      /* names are unique */
    uint32_t group_count;
};

void render_json(const struct render_document *d, struct buf *out);

#endif

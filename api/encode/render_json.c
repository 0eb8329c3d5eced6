#include "api/encode/render_json.h"

#include "api/encode/flamegraph_out.h"
#include "api/encode/json_text.h"

#include "storage/model/flamegraph.h"
#include "storage/model/profile_type.h"

#include "base/buf.h"

#include <inttypes.h>

/* What the front ends show beside the numbers, from the sample type's name. */
static const struct {
    const char *type, *units;
    uint32_t rate;
} known_units[] = {
    {"cpu", "samples", 1000000000},    {"inuse_objects", "objects", 100},
    {"alloc_objects", "objects", 100}, {"goroutine", "objects", 100},
    {"samples", "objects", 100},
};

static void put_metadata(const struct render_document *d, struct buf *out)
{
    struct str units = d->type->sample_unit;
    uint32_t rate = 100;

    for (size_t i = 0; i < sizeof(known_units) / sizeof(known_units[0]); i++)
        if (str_eq(d->type->sample_type, str_from(known_units[i].type))) {
            units = str_from(known_units[i].units);
            rate = known_units[i].rate;
        }
    (void)buf_printf(out,
                     ",\"metadata\":{\"format\":\"%s\",\"spyName\":\"\",\"sampleRate\":%" PRIu32
                     ",\"units\":",
                     d->diff ? "double" : "single", rate);
    json_text_put(out, units);
    (void)buf_append_cstr(out, ",\"name\":");
    json_text_put(out, d->type->sample_type);
    (void)buf_append_byte(out, '}');
}

static void put_timeline(const struct render_timeline *t, struct buf *out)
{
    (void)buf_printf(out, "{\"startTime\":%" PRId64 ",\"samples\":[", t->start_s);
    for (uint32_t i = 0; i < t->count; i++)
        (void)buf_printf(out, i > 0 ? ",%" PRIu64 : "%" PRIu64, t->samples[i]);
    (void)buf_printf(out, "],\"durationDelta\":%" PRId64 ",\"watermarks\":null}", t->step_s);
}

void render_json(const struct render_document *d, struct buf *out)
{
    (void)buf_append_cstr(out, "{\"version\":1,\"flamebearer\":");
    flamegraph_out_flamebearer(d->graph, out);
    put_metadata(d, out);
    (void)buf_append_cstr(out, ",\"timeline\":");
    if (d->timeline)
        put_timeline(d->timeline, out);
    else
        (void)buf_append_cstr(out, "null");
    (void)buf_append_cstr(out, d->grouped ? ",\"groups\":{" : ",\"groups\":null");
    for (uint32_t i = 0; i < d->group_count; i++) {
        if (i > 0)
            (void)buf_append_byte(out, ',');
        json_text_put(out, d->groups[i].name);
        (void)buf_append_byte(out, ':');
        put_timeline(&d->groups[i].timeline, out);
    }
    if (d->grouped)
        (void)buf_append_byte(out, '}');
    (void)buf_append_cstr(out, ",\"heatmap\":null");
    if (d->diff && d->graph->left_ticks != 0)
        (void)buf_printf(out, ",\"leftTicks\":%" PRId64, d->graph->left_ticks);
    if (d->diff && d->graph->right_ticks != 0)
        (void)buf_printf(out, ",\"rightTicks\":%" PRId64, d->graph->right_ticks);
    (void)buf_append_cstr(out, "}\n");
}

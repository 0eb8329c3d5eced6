/*
 * series_out - the answer of SelectSeries, by hand, in both codecs.
 *
 * Layout: ../shared/spec/query-api.md, section 5.0. Appends to a buf and relies
 * on its sticky `failed`.
 */
#ifndef API_ENCODE_SERIES_OUT_H
#define API_ENCODE_SERIES_OUT_H

#include "storage/model/labels.h"

#include <stdint.h>

struct buf;

/* A point as a client sees it: the sum as a double. */
struct series_out_point {
    int64_t time_ms;
    double value;
};

struct series_out {
    struct labels labels;
    const struct series_out_point *points;
    uint32_t point_count;
};

void series_out_proto(const struct series_out *series, uint32_t count, struct buf *out);
void series_out_json(const struct series_out *series, uint32_t count, struct buf *out);

#endif

/*
 * metrics - counters, gauges and histograms, each declared once, in metrics.def.
 *
 *     METRIC_COUNTER(pushes, "flamekeep_pushes_total", "Pushes accepted.")
 *     METRIC_FAMILY(discarded, "flamekeep_discarded_profiles_total", "reason", "...")
 *     METRIC_GAUGE_FAMILY(disk_bytes, "flamekeep_disk_bytes", "kind", "...")
 *
 *     metric_add(METRIC_pushes, 1);
 *     metric_family_add(METRIC_discarded, STR("rate_limited"), 1);
 *
 * The text is Prometheus' exposition 0.0.4. A family has one label whose set of
 * values is bounded: beyond METRIC_VALUES_MAX everything is counted as "other".
 * Process metrics (CPU, memory, descriptors) are added when written.
 *
 * Threads: any; adding is one atomic operation, a family's first use of a value
 * takes a mutex.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/str.h"

#include <stdint.h>

struct buf;

enum {
    METRIC_VALUES_MAX = 64,
    METRIC_VALUE_BYTES_MAX = 96,
};

enum metric {
#define METRIC_COUNTER(id, name, help) METRIC_##id,
#define METRIC_GAUGE(id, name, help) METRIC_##id,
#define METRIC_FAMILY(id, name, label, help) METRIC_##id,
#define METRIC_GAUGE_FAMILY(id, name, label, help) METRIC_##id,
#define METRIC_HISTOGRAM(id, name, label, help) METRIC_##id,
#include "base/metrics.def"
#undef METRIC_COUNTER
#undef METRIC_GAUGE
#undef METRIC_FAMILY
#undef METRIC_GAUGE_FAMILY
#undef METRIC_HISTOGRAM
    METRIC_COUNT
};

/* A plain counter. */
void metric_add(enum metric id, uint64_t n);
/* The total of a plain counter that is kept elsewhere. */
void metric_set_total(enum metric id, uint64_t total);
/* A gauge: its value, or a change of it. */
void metric_set(enum metric id, int64_t value);
void metric_change(enum metric id, int64_t by);
/* A counter with one label. */
void metric_family_add(enum metric id, struct str value, uint64_t n);
/* A gauge with one label. */
void metric_family_set(enum metric id, struct str value, int64_t n);
/* A histogram of seconds with one label; fixed buckets from 1 ms to 60 s. */
void metric_observe(enum metric id, struct str value, double seconds);

/* Current value of a counter or gauge, of a family's or histogram's value: for tests and stats. */
int64_t metric_get(enum metric id);
uint64_t metric_family_get(enum metric id, struct str value);

/* Appends the exposition text of everything. */
void metrics_write(struct buf *out);

#endif

#include "base/metrics.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum metric_kind {
    KIND_COUNTER,
    KIND_GAUGE,
    KIND_FAMILY,
    KIND_GAUGE_FAMILY,
    KIND_HISTOGRAM,
};

enum {
    BUCKETS = 12,
};

/* Upper bounds in seconds; the last bucket is +Inf. */
static const double bucket_bounds[BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                              0.1,   0.25,   0.5,   1,    10,    60};

struct cell {
    char value[METRIC_VALUE_BYTES_MAX];
    _Atomic uint64_t n; /* counter, or number of observations */
    _Atomic uint64_t sum_ns;
    _Atomic uint64_t buckets[BUCKETS];
};

struct metric_info {
    enum metric_kind kind;
    const char *name, *label, *help;
};

static const struct metric_info infos[METRIC_COUNT] = {
#define METRIC_COUNTER(id, name, help) {KIND_COUNTER, name, NULL, help},
#define METRIC_GAUGE(id, name, help) {KIND_GAUGE, name, NULL, help},
#define METRIC_FAMILY(id, name, label, help) {KIND_FAMILY, name, label, help},
#define METRIC_GAUGE_FAMILY(id, name, label, help) {KIND_GAUGE_FAMILY, name, label, help},
#define METRIC_HISTOGRAM(id, name, label, help) {KIND_HISTOGRAM, name, label, help},
#include "base/metrics.def"
};

static _Atomic int64_t plain[METRIC_COUNT];
static struct {
    _Atomic uint32_t count; /* cells below it are complete */
    struct cell *_Atomic cells[METRIC_VALUES_MAX];
} families[METRIC_COUNT];
static pthread_mutex_t grow_mu = PTHREAD_MUTEX_INITIALIZER; /* a leaf: guards adding cells */

void metric_add(enum metric id, uint64_t n)
{
    check(infos[id].kind == KIND_COUNTER);
    (void)atomic_fetch_add_explicit(&plain[id], (int64_t)n, memory_order_relaxed);
}

void metric_set_total(enum metric id, uint64_t total)
{
    check(infos[id].kind == KIND_COUNTER);
    atomic_store_explicit(&plain[id], (int64_t)total, memory_order_relaxed);
}

void metric_set(enum metric id, int64_t value)
{
    check(infos[id].kind == KIND_GAUGE);
    atomic_store_explicit(&plain[id], value, memory_order_relaxed);
}

void metric_change(enum metric id, int64_t by)
{
    check(infos[id].kind == KIND_GAUGE);
    (void)atomic_fetch_add_explicit(&plain[id], by, memory_order_relaxed);
}

int64_t metric_get(enum metric id)
{
    return atomic_load(&plain[id]);
}

static struct cell *find_cell(enum metric id, struct str value)
{
    uint32_t count = atomic_load(&families[id].count);

    for (uint32_t i = 0; i < count; i++) {
        struct cell *c = atomic_load(&families[id].cells[i]);

        if (str_eq(str_from(c->value), value))
            return c;
    }
    return NULL;
}

/* The cell of a value; of "other" when the family is full or the value too long. */
static struct cell *get_cell(enum metric id, struct str value)
{
    struct cell *c = find_cell(id, value);
    uint32_t count;

    if (c)
        return c;
    check(pthread_mutex_lock(&grow_mu) == 0);
    count = atomic_load(&families[id].count);
    if (count >= METRIC_VALUES_MAX - 1 || value.len >= METRIC_VALUE_BYTES_MAX)
        value = STR("other");
    c = find_cell(id, value);
    if (!c) {
        c = calloc(1, sizeof(*c));
        check(c && count < METRIC_VALUES_MAX);
        memcpy(c->value, value.p, value.len);
        atomic_store(&families[id].cells[count], c);
        atomic_store(&families[id].count, count + 1);
    }
    check(pthread_mutex_unlock(&grow_mu) == 0);
    return c;
}

void metric_family_add(enum metric id, struct str value, uint64_t n)
{
    check(infos[id].kind == KIND_FAMILY);
    (void)atomic_fetch_add_explicit(&get_cell(id, value)->n, n, memory_order_relaxed);
}

void metric_family_set(enum metric id, struct str value, int64_t n)
{
    check(infos[id].kind == KIND_GAUGE_FAMILY);
    atomic_store_explicit(&get_cell(id, value)->n, (uint64_t)n, memory_order_relaxed);
}

uint64_t metric_family_get(enum metric id, struct str value)
{
    const struct cell *c = find_cell(id, value);

    return c ? atomic_load(&c->n) : 0;
}

void metric_observe(enum metric id, struct str value, double seconds)
{
    struct cell *c;

    check(infos[id].kind == KIND_HISTOGRAM);
    c = get_cell(id, value);
    (void)atomic_fetch_add(&c->n, 1);
    (void)atomic_fetch_add(&c->sum_ns, seconds > 0 ? (uint64_t)(seconds * 1e9) : 0);
    for (int i = 0; i < BUCKETS; i++) {
        if (seconds > bucket_bounds[i])
            continue;
        (void)atomic_fetch_add(&c->buckets[i], 1);
        return;
    }
}

static void put_label(struct buf *out, const char *label, const char *value)
{
    (void)buf_printf(out, "%s=\"", label);
    for (; *value; value++) {
        if (*value == '\n')
            (void)buf_append_cstr(out, "\\n");
        else if (*value == '"' || *value == '\\')
            (void)buf_printf(out, "\\%c", *value);
        else
            (void)buf_append_byte(out, (uint8_t)*value);
    }
    (void)buf_append_byte(out, '"');
}

static void write_histogram(struct buf *out, const struct metric_info *info, struct cell *c)
{
    uint64_t total = 0, count;

    for (int i = 0; i < BUCKETS; i++) {
        total += atomic_load(&c->buckets[i]);
        (void)buf_printf(out, "%s_bucket{", info->name);
        put_label(out, info->label, c->value);
        (void)buf_printf(out, ",le=\"%g\"} %" PRIu64 "\n", bucket_bounds[i], total);
    }
    count = atomic_load(&c->n); /* counted before its bucket: never less than total */
    (void)buf_printf(out, "%s_bucket{", info->name);
    put_label(out, info->label, c->value);
    (void)buf_printf(out, ",le=\"+Inf\"} %" PRIu64 "\n%s_sum{", count, info->name);
    put_label(out, info->label, c->value);
    (void)buf_printf(out, "} %.9f\n%s_count{", (double)atomic_load(&c->sum_ns) / 1e9, info->name);
    put_label(out, info->label, c->value);
    (void)buf_printf(out, "} %" PRIu64 "\n", count);
}

static void write_metric(struct buf *out, enum metric id)
{
    static const char *const types[] = {"counter", "gauge", "counter", "gauge", "histogram"};
    const struct metric_info *info = &infos[id];

    (void)buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
                     types[info->kind]);
    if (info->kind == KIND_COUNTER || info->kind == KIND_GAUGE) {
        (void)buf_printf(out, "%s %" PRId64 "\n", info->name, atomic_load(&plain[id]));
        return;
    }
    for (uint32_t i = 0; i < atomic_load(&families[id].count); i++) {
        struct cell *c = atomic_load(&families[id].cells[i]);

        if (info->kind == KIND_HISTOGRAM) {
            write_histogram(out, info, c);
            continue;
        }
        (void)buf_printf(out, "%s{", info->name);
        put_label(out, info->label, c->value);
        if (info->kind == KIND_GAUGE_FAMILY)
            (void)buf_printf(out, "} %" PRId64 "\n", (int64_t)atomic_load(&c->n));
        else
            (void)buf_printf(out, "} %" PRIu64 "\n", atomic_load(&c->n));
    }
}

static void write_process(struct buf *out)
{
    struct rusage usage;
    char line[128] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    bool got = f && fgets(line, sizeof(line), f) != NULL;
    /* "total resident ...", in pages */
    unsigned long long pages = strtoull(line + strcspn(line, " "), NULL, 10);

    if (f)
        (void)fclose(f);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        (void)buf_printf(
            out,
            "# HELP process_cpu_seconds_total CPU time of the process, user and system.\n"
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n",
            (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    if (got)
        (void)buf_printf(out,
                         "# HELP process_resident_memory_bytes Resident memory.\n"
                         "# TYPE process_resident_memory_bytes gauge\n"
                         "process_resident_memory_bytes %llu\n",
                         pages * (unsigned long long)sysconf(_SC_PAGESIZE));
}

void metrics_write(struct buf *out)
{
    for (int id = 0; id < METRIC_COUNT; id++)
        write_metric(out, (enum metric)id);
    write_process(out);
}

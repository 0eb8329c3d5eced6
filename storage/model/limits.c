/* limits - the numbers of the presets. See limits.h for what each one bounds. */
#include "storage/model/limits.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define SECOND_NS ((int64_t)1000000000)
#define MINUTE_NS (60 * SECOND_NS)
#define HOUR_NS (60 * MINUTE_NS)
#define DAY_NS (24 * HOUR_NS)

static const struct limits limits_default = {
    .profile_bytes_max = 64 * MIB,
    .samples_max = 1000000,
    .stack_depth_max = 1000,
    .sample_labels_max = 100,
    .string_bytes_max = 65535,
    .labels_max = 64,
    .label_name_bytes_max = 1024,
    .label_value_bytes_max = 2048,
    .ingest_body_bytes_max = 64 * MIB,
    .push_body_bytes_max = 64 * MIB,
    .push_json_bytes_max = 32 * MIB,
    .push_profiles_bytes_max = 256 * MIB,
    .otlp_body_bytes_max = 64 * MIB,
    .query_body_bytes_max = 1 * MIB,
    .push_age_max_ns = 0,
    .push_future_max_ns = 0,
    .push_rate_bytes = 0,
    .push_burst_bytes = 0,
    .query_length_max_ns = 0,
    .query_lookback_max_ns = 0,
    .nodes_default = 8192,
    .nodes_max = 1048576,
    .query_memory_bytes_max = 512 * MIB,
};

static void limits_reference_sizes(struct limits *limits)
{
    limits->profile_bytes_max = 4 * MIB;
    limits->samples_max = 16000;
    limits->labels_max = 30;
    limits->ingest_body_bytes_max = 256 * MIB;
    limits->push_body_bytes_max = 256 * MIB;
    limits->push_json_bytes_max = 256 * MIB;
    limits->push_profiles_bytes_max = 256 * MIB;
    limits->otlp_body_bytes_max = 256 * MIB;
}

void limits_init(struct limits *limits, enum limits_preset preset)
{
    *limits = limits_default;
    if (preset == LIMITS_REFERENCE_SIZES || preset == LIMITS_REFERENCE)
        limits_reference_sizes(limits);
    if (preset == LIMITS_REFERENCE) {
        limits->push_age_max_ns = HOUR_NS;
        limits->push_future_max_ns = 10 * MINUTE_NS;
        limits->push_rate_bytes = 4 * MIB;
        limits->push_burst_bytes = 2 * MIB;
        limits->query_length_max_ns = DAY_NS;
        limits->query_lookback_max_ns = 7 * DAY_NS;
    }
}

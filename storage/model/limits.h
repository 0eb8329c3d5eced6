/*
 * limits - every number that bounds what a client may push or ask.
 *
 * A plain struct: the server fills it from its configuration (one option per
 * member, server/config.def), api reads it. Each limit protects memory or
 * time; the defaults are generous and the presets carry Pyroscope's own
 * numbers. For the members marked (0 = off) zero means no limit.
 *
 * Threads: constant once the server has started.
 */
#ifndef STORAGE_MODEL_LIMITS_H
#define STORAGE_MODEL_LIMITS_H

#include <stdint.h>

struct limits {
    /* One pushed profile. */
    uint64_t profile_bytes_max; /* pprof after inflating */
    uint32_t samples_max;       /* samples of one profile */
    uint32_t stack_depth_max;   /* frames of one sample; deeper stacks are cut as the
                                   reference cuts them, not refused */
    uint32_t sample_labels_max; /* labels of one sample */
    uint32_t string_bytes_max;  /* a string of a profile; longer ones are cut */
    uint32_t labels_max;        /* labels of one series */
    uint32_t label_name_bytes_max;
    uint32_t label_value_bytes_max;

    /* One request. */
    uint64_t ingest_body_bytes_max;   /* /ingest: raw body */
    uint64_t push_body_bytes_max;     /* Push: message, compressed and inflated, each */
    uint64_t push_json_bytes_max;     /* Push with JSON: message after inflating */
    uint64_t push_profiles_bytes_max; /* Push: sum of all profiles after inflating */
    uint64_t otlp_body_bytes_max;     /* OTLP: message, compressed and inflated, each */
    uint64_t query_body_bytes_max;    /* a question, compressed and inflated, each */

    /* Time of pushed profiles, against the clock (0 = off). */
    int64_t push_age_max_ns;    /* older is refused */
    int64_t push_future_max_ns; /* further ahead is refused; off: stored at receive time */

    /* Push rate of one tenant, inflated bytes (0 = off). */
    uint64_t push_rate_bytes; /* per second */
    uint64_t push_burst_bytes;

    uint64_t none; /* always 0: what api/routes.def names for an endpoint without a body */

    /* Questions. */
    int64_t query_length_max_ns;     /* end - start (0 = off) */
    int64_t query_lookback_max_ns;   /* start is moved up to now - this (0 = off) */
    int64_t nodes_default;           /* max_nodes when the question has none */
    int64_t nodes_max;               /* largest max_nodes one may ask for */
    uint64_t query_memory_bytes_max; /* working memory of one question */
};

enum limits_preset {
    LIMITS_DEFAULT,         /* ours */
    LIMITS_REFERENCE_SIZES, /* Pyroscope's sizes, no time window, no rates */
    LIMITS_REFERENCE,       /* Pyroscope's sizes, time window, query length, look-back and rates */
};

/* Fills every member. */
void limits_init(struct limits *limits, enum limits_preset preset);

#endif

/*
 * pprof - a decoded pprof message, as it came: flat arrays, nothing checked.
 *
 * api/decode fills it (from protobuf or from text); normalise turns it into a
 * struct profile. Every id and every string index is data from outside: any
 * value is possible. Field meanings are those of google/pprof's profile.proto
 * (../shared/spec/ingest-api.md, section 4.6).
 *
 * Ownership: arrays belong to the decoder's scratch (struct pprof_decoder in
 * api/decode/pprof.h) or to an arena, strings point into the decoded body; all
 * are valid until that scratch is reused. Threads: one owner.
 */
#ifndef STORAGE_MODEL_PPROF_H
#define STORAGE_MODEL_PPROF_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* String indexes are kept as int64_t because the wire has int64 and negative ones must be seen. */
struct pprof_value_type {
    int64_t type, unit;
};

struct pprof_sample {
    uint32_t location_first, location_count; /* in location_ids, leaf first */
    uint32_t caller_first, caller_count;     /* in location_ids: what go_fix appends */
    uint32_t value_first, value_count;       /* in values */
    uint32_t label_first, label_count;       /* in labels */
};

struct pprof_label {
    int64_t key, str, num, num_unit;
};

struct pprof_mapping {
    uint64_t id, memory_start, memory_limit, file_offset;
    int64_t filename, build_id;
    bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct pprof_location {
    uint64_t id, mapping_id, address;
    uint32_t line_first, line_count; /* in lines, innermost inlined first */
    bool is_folded;
};

struct pprof_line {
    uint64_t function_id;
    int64_t line;
};

struct pprof_function {
    uint64_t id;
    int64_t name, system_name, filename, start_line;
};

struct pprof {
    struct pprof_value_type *sample_types;
    uint32_t sample_type_count;
    struct pprof_sample *samples;
    uint32_t sample_count;
    uint64_t *location_ids;
    uint32_t location_id_count;
    int64_t *values;
    uint32_t value_count;
    struct pprof_label *labels;
    uint32_t label_count;
    struct pprof_mapping *mappings;
    uint32_t mapping_count;
    struct pprof_location *locations;
    uint32_t location_count;
    struct pprof_line *lines;
    uint32_t line_count;
    struct pprof_function *functions;
    uint32_t function_count;
    struct str *strings;
    uint32_t string_count;
    int64_t *comments; /* string indexes */
    uint32_t comment_count;
    struct pprof_value_type period_type;
    bool has_period_type;
    int64_t drop_frames, keep_frames; /* string indexes */
    int64_t time_ns, duration_ns, period, default_sample_type;
    uint64_t encoded_bytes; /* size of the message as protobuf; what size limits compare */
};

#endif

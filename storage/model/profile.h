/*
 * profile - a normalised profile: what storage takes.
 *
 * Made by normalise from a struct pprof; everything in it is checked. All
 * references are dense zero-based indexes into the arrays beside them, so a
 * consumer translates a table once and then works with array look-ups.
 *
 * Invariants: strings[0] is empty; every index is in range or, where said,
 * PROFILE_NONE; every string is UTF-8; values are >= 0 and no sample is all
 * zero. Entries may be equal in content, and so may the (stack, link) of two
 * samples of one row: only who interns them can tell, and sums them. Strings, functions
 * and locations may be there that no sample uses: they are not to be stored.
 *
 * One profile may feed several rows (split by sample labels): each row is a
 * contiguous range of samples. Ownership: one arena. Threads: read-only.
 */
#ifndef STORAGE_MODEL_PROFILE_H
#define STORAGE_MODEL_PROFILE_H

#include "base/str.h"
#include "storage/model/labels.h"

#include <stdbool.h>
#include <stdint.h>

#define PROFILE_NONE UINT32_MAX

enum {
    /* Rows carry a presence bit per type in one 64-bit word; real clients send at most 8 types. */
    PROFILE_TYPES_MAX = 64,
};

struct profile_function {
    uint32_t name, system_name, filename; /* strings */
    int64_t start_line;
};

struct profile_mapping {
    uint64_t memory_start, memory_limit, file_offset;
    uint32_t filename, build_id; /* strings */
    bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct profile_line {
    uint32_t function;
    int64_t line;
};

struct profile_location {
    uint32_t mapping; /* or PROFILE_NONE */
    uint64_t address;
    uint32_t line_first, line_count; /* in lines, innermost inlined first */
    bool is_folded;
    bool is_unused; /* no sample names it: nothing but line_first and line_count means anything */
};

struct profile_value_type {
    struct str type, unit;
};

/* Span and trace of a sample; all zero means none (../shared/spec/ingest-api.md, section 3.16). */
struct profile_link {
    uint64_t span_id; /* the 8 bytes of the hex text read as little endian */
    uint8_t trace_id[16];
};

struct profile_sample {
    uint32_t stack_first, stack_count; /* in stacks, leaf first; 0 locations is legal */
    uint32_t value_first;              /* in values: type_count numbers */
    struct profile_link link;
};

/* The sample types and the period type: together they name the series of a row. */
struct typeset {
    struct str period_type, period_unit; /* empty: the profile has none */
    struct profile_value_type *types;
    uint32_t count; /* 1..PROFILE_TYPES_MAX */
};

struct profile {
    struct typeset typeset;
    struct str *strings;
    uint32_t string_count;
    struct profile_function *functions;
    uint32_t function_count;
    struct profile_mapping *mappings;
    uint32_t mapping_count;
    struct profile_location *locations;
    uint32_t location_count;
    struct profile_line *lines;
    uint32_t line_count;
    uint32_t *stacks; /* location indexes */
    uint32_t stack_index_count;
    int64_t *values;
    uint32_t value_count;
    struct profile_sample *samples;
    uint32_t sample_count;
    int64_t time_ns; /* > 0 */
    int64_t duration_ns, period;
};

/*
 * One profile of one stream: what is stored, counted and found again as a unit.
 * `labels` is the stream's set: sorted, validated, with __name__ and
 * service_name, without the labels that storage derives per sample type
 * (__type__, __unit__, __period_*__, __profile_type__, __service_name__).
 */
struct push_row {
    struct labels labels;
    const struct profile *profile;
    uint32_t sample_first, sample_count;
    struct str id; /* RawSample.ID, for duplicate detection; may be empty */
};

/* All rows of one request that are accepted: stored together or not at all. */
struct push {
    struct str tenant;
    struct push_row *rows;
    uint32_t row_count;
};

#endif

/*
 * sample_type_config - the JSON part beside a pprof on /ingest that renames
 * sample types: {"contentions": {"display-name": "block_count", "units": ...}}.
 *
 * Only the display names have an effect; the other members are checked for their
 * JSON type and dropped. A config that was sent replaces the built-in table of
 * pprof_fixups completely, an empty object too; `null` counts as not sent.
 *
 * Source: ../shared/spec/ingest-api.md, section 2.8. Pure functions.
 */
#ifndef API_DECODE_SAMPLE_TYPE_CONFIG_H
#define API_DECODE_SAMPLE_TYPE_CONFIG_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;

enum {
    SAMPLE_TYPE_CONFIG_BYTES_MAX = 64 * 1024, /* real ones have 500 bytes */
};

struct sample_type_config_entry {
    struct str sample_type;
    struct str display_name; /* may be empty */
};

struct sample_type_config {
    bool is_set;
    struct sample_type_config_entry *entries; /* in the arena */
    uint32_t count;
};

/* ERR_INVALID: not JSON or of another shape; ERR_TOO_LARGE: past the limit. */
int sample_type_config_parse(struct str json, struct arena *arena, struct sample_type_config *out,
                             struct err *err);

/* The entry of that sample type, or NULL. */
const struct sample_type_config_entry *
sample_type_config_find(const struct sample_type_config *config, struct str sample_type);

#endif

/*
 * text_kind - what the last component of an application name says about a
 * profile that is sent as text: `shop.alloc_space` holds bytes of `shop`.
 *
 * Bodies of stacks and counts carry no types of their own; this table supplies
 * them. The rows are in profile_kind.def.
 *
 * Source: ../shared/spec/ingest-api.md, section 2.7. Pure functions.
 */
#ifndef API_DECODE_TEXT_KIND_H
#define API_DECODE_TEXT_KIND_H

#include "base/str.h"

#include <stdint.h>

struct err;

struct text_kind {
    struct str app;                      /* without the suffix; points into the argument */
    struct str metric_name;              /* label __name__ */
    struct str sample_type, sample_unit; /* as stored */
    struct str period_type, period_unit; /* empty: none */
    int64_t period;                      /* 0: none */
    int64_t scale;                       /* every value is multiplied by it; may be 0 */
};

enum {
    TEXT_KIND_SAMPLE_RATE = 100, /* per second, when a client does not say */
};

/*
 * Splits `app` at its last dot. Without a dot the kind is cpu. ERR_INVALID:
 * "unknown profile type: <suffix>". `sample_rate` 0 means unscaled counts.
 * Strings of *out are constants but `app`.
 */
int text_kind_of(struct str app, uint32_t sample_rate, struct text_kind *out, struct err *err);

#endif

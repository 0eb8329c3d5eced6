/*
 * time_form - times as clients write them in URLs, as Unix nanoseconds.
 *
 * 20200101, seconds, milliseconds, microseconds, nanoseconds by number of
 * digits, now-1h, now+10min. Nothing is refused: what is not understood is `now_ns`.
 *
 * Results are clamped to the range of int64_t. Pure functions.
 */
#ifndef API_DECODE_TIME_FORM_H
#define API_DECODE_TIME_FORM_H

#include "base/str.h"

#include <stdint.h>

/* from= and until= of /ingest: one offset, now-1h30m is an hour (ingest-api.md, 2.3). */
int64_t time_form_ingest_ns(struct str text, int64_t now_ns);

/* from= and until= of /pyroscope/render: offsets add up, now-1h30m is 90 minutes
 * (query-api.md, 7.1). */
int64_t time_form_query_ns(struct str text, int64_t now_ns);

#endif

/*
 * json_text - strings as JSON, for the hand-written encoders.
 *
 * Control characters, quotes and backslashes are escaped; everything else
 * goes out as it is. Names of functions are UTF-8 by validation at ingest.
 */
#ifndef API_ENCODE_JSON_TEXT_H
#define API_ENCODE_JSON_TEXT_H

#include "base/str.h"

#include <stdint.h>

struct buf;

/* Appends the string in quotes. */
void json_text_put(struct buf *out, struct str s);
/* Appends a decimal number, in quotes when `quoted` (64-bit integers of Connect JSON). */
void json_text_put_i64(struct buf *out, int64_t v, int quoted);
/* The shortest text that reads back as `v`; NaN and infinities as Connect spells them. */
void json_text_put_double(struct buf *out, double v);

#endif

/*
 * base64 - RFC 4648, as JSON carries bytes.
 *
 * Read: the standard or the URL-safe alphabet, padding or not. Written: standard, padded.
 * Pure functions.
 */
#ifndef API_BASE64_H
#define API_BASE64_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Bytes that base64_decode() writes at most. */
static inline size_t base64_decoded_max(size_t text_length)
{
    return text_length / 4 * 3 + 3;
}

/* False when `text` is not base64; `out` has room for base64_decoded_max(). */
bool base64_decode(struct str text, uint8_t *out, size_t *length);

void base64_append(struct buf *out, const uint8_t *data, size_t length);

#endif

/*
 * gzip - bounded inflate and deflate over libdeflate.
 *
 * Inflating never grows the output past `max`: a bomb costs what it is allowed
 * to, no more. The trailer's size rejects early and sizes the buffer; when it
 * lies, or there are several members, the buffer grows up to the cap.
 *
 * Threads: any; each thread keeps a decompressor and a compressor for reuse.
 */
#ifndef BASE_GZIP_H
#define BASE_GZIP_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct err;

/* True when `data` begins with the two magic bytes. */
bool gzip_is(struct str data);

/*
 * Appends the content of all members to `out`, at most `max` bytes of it.
 * ERR_TOO_LARGE: more than max; ERR_INVALID: not gzip, too short for it, or
 * damaged (which includes cut short: the checksum tells no more); ERR_NOMEM. On failure out is as
 * before.
 */
int gzip_inflate(struct str data, struct buf *out, size_t max, struct err *err);
int zlib_inflate(struct str data, struct buf *out, size_t max, struct err *err);

/* Appends one member. `level` 1 (fast) to 12. */
int gzip_deflate(struct str data, int level, struct buf *out, struct err *err);

#endif

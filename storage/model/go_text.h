/*
 * go_text - text as Go prints it, where clients of the reference see such text.
 *
 * Pure functions that append to a buffer; what does not fit is left out (the buffer
 * remembers that).
 */
#ifndef STORAGE_MODEL_GO_TEXT_H
#define STORAGE_MODEL_GO_TEXT_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;

/* %q: quoted, with \n \t \" \\ \xNN \uNNNN escapes; printable UTF-8 stays as it is. */
void go_quote_append(struct buf *out, struct str text);

/*
 * A JSON string with its quotes, as encoding/json writes it: <, > and & escaped when
 * `html`, U+2028 and U+2029 always, invalid UTF-8 replaced by U+FFFD.
 */
void go_json_append(struct buf *out, struct str text, bool html);

/*
 * A time as Go's "2006-01-02 15:04:05.999 +0000 UTC": milliseconds only when there are
 * some, without trailing zeros.
 */
void go_time_append(struct buf *out, int64_t unix_ms);

/* Bytes as "4.2 MB" (base 1000) or "4.0 MiB" (base 1024), one decimal below ten. */
void go_bytes_si_append(struct buf *out, uint64_t bytes);
void go_bytes_iec_append(struct buf *out, uint64_t bytes);

#endif

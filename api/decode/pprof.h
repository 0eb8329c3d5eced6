/*
 * pprof - a pprof message from bytes into flat arrays.
 *
 * One pass over the protobuf wire form, no object per message: every kind of
 * message goes to an array of its own in storage/model/pprof.h. The arrays are
 * kept by a struct pprof_decoder and used again, so a warm decoder allocates
 * nothing. It decides nothing about meaning: zero ids, indexes out of range and
 * too many samples are for validation to refuse, with a better text.
 *
 * Wire rules are those of the reference's decoder: fields in any order, repeated
 * numbers packed or not, unknown fields and groups skipped, a second period type
 * merged into the first, the last of a repeated single field wins; a known field
 * with a foreign wire type, a bad tag, a length past the end are refused with the
 * offset. Strings are not checked for UTF-8 and point into the body.
 *
 * Memory: a body of n bytes may fill at most PPROF_DECODED_PER_BYTE * n +
 * PPROF_DECODED_FREE bytes of arrays (real profiles need 3 to 8 per byte; a
 * hostile one could ask for 28), and never more than the limit of the caller.
 * Time is linear in n; nothing recurses.
 *
 * Source: ../shared/spec/ingest-api.md, sections 3.1 and 4.6.
 * Threads: a decoder has one user at a time.
 */
#ifndef API_DECODE_PPROF_H
#define API_DECODE_PPROF_H

#include "base/str.h"
#include "storage/model/pprof.h"

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct pprof_decoder;

enum {
    PPROF_DECODED_PER_BYTE = 16,      /* twice what real profiles need */
    PPROF_DECODED_FREE = 1024 * 1024, /* so that tiny odd bodies are judged by their content */
};

struct pprof_decoder *pprof_decoder_new(void);
void pprof_decoder_free(struct pprof_decoder *d); /* NULL is fine */

/* Bytes of arrays held at present, for the accounts of memory. */
size_t pprof_decoder_bytes(const struct pprof_decoder *d);

/* Gives arrays back when they hold more than `keep_bytes`; call it between bodies. */
void pprof_decoder_trim(struct pprof_decoder *d, size_t keep_bytes);

/*
 * Decodes an inflated body. On success *out describes it, valid until `d` or
 * `body` is used again; the caller may change *out and the arrays. On failure
 * *out is left alone.
 * `decoded_bytes_max` bounds the arrays beside the rule above; 0: that rule alone.
 * ERR_INVALID: not a pprof message; ERR_TOO_LARGE: needs more memory than allowed.
 */
int pprof_decode(struct pprof_decoder *d, struct str body, size_t decoded_bytes_max,
                 struct pprof *out, struct err *err);

/*
 * A profile as clients send it: gzip with any number of members, or bare. *out
 * is `raw` itself when it is not gzip, otherwise the bytes in `scratch`, which is
 * reused and grows to what is needed and never past `size_max` (0: no limit).
 * ERR_TOO_LARGE: more than size_max bytes, compressed or not.
 * ERR_INVALID: damaged, or shorter than a gzip header (text begins "gzip reset: ").
 */
int pprof_inflate(struct str raw, size_t size_max, struct buf *scratch, struct str *out,
                  struct err *err);

/*
 * Size of `p` when written as protobuf again, as the reference measures it for its
 * size limits: numbers packed, zeros left out, every string of the table counted.
 * Fields we do not know are not counted. Linear, so call it only when it matters:
 * it is never more than 1.5 times the decoded body, changes of `p` aside.
 */
uint64_t pprof_encoded_bytes(const struct pprof *p);

#endif

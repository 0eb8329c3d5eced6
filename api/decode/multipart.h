/*
 * multipart - the parts of a complete multipart/form-data body.
 *
 * RFC 2046 with the habits of the reference's library: only a part with a file
 * name counts as a file, the first of a name wins, an empty one counts as absent,
 * quoted-printable is not unpacked. A bounded scan, linear in the body; nothing
 * is copied but escaped parameters.
 *
 * Source: ../shared/spec/ingest-api.md, section 2.6. Pure functions.
 */
#ifndef API_DECODE_MULTIPART_H
#define API_DECODE_MULTIPART_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;

enum {
    MULTIPART_PARTS_MAX = 1000,         /* the reference's */
    MULTIPART_HEADER_BYTES_MAX = 16384, /* of one part; real ones have 200 */
    MULTIPART_BOUNDARY_MAX = 70,        /* RFC 2046 */
};

struct multipart_part {
    struct str name, filename;
    struct str body; /* points into the request body */
};

struct multipart {
    struct multipart_part *parts; /* in order, those without a file name too */
    uint32_t count;
};

/*
 * The boundary parameter of a Content-Type header. ERR_INVALID with the text
 * "malformed multipart content type header" when there is none.
 */
int multipart_boundary(struct str content_type, struct arena *arena, struct str *out,
                       struct err *err);

/* ERR_INVALID: broken framing; ERR_TOO_LARGE: too many parts, headers too long, arena full. */
int multipart_parse(struct str body, struct str boundary, struct arena *arena,
                    struct multipart *out, struct err *err);

/* The content of the first file of that name; empty when absent. */
struct str multipart_file(const struct multipart *m, struct str name);

#endif

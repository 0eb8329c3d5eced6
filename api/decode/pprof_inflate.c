#include "api/decode/pprof.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/gzip.h"

enum {
    GZIP_HEADER_BYTES = 10,
    GZIP_METHOD_AT = 2,
    GZIP_METHOD_DEFLATE = 8,
};

static int too_large(size_t size_max, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "decompressed size exceeds maximum allowed size of %zu bytes", size_max);
}

int pprof_inflate(struct str raw, size_t size_max, struct buf *scratch, struct str *out,
                  struct err *err)
{
    int rc;

    if (size_max == 0 || size_max > INT32_MAX)
        size_max = INT32_MAX; /* what pprof_decode() takes */
    if (raw.len < GZIP_HEADER_BYTES)
        return err_set(err, ERR_INVALID, "gzip reset: %s", raw.len == 0 ? "EOF" : "unexpected EOF");
    if (!gzip_is(raw) || raw.p[GZIP_METHOD_AT] != GZIP_METHOD_DEFLATE) {
        if (raw.len > size_max)
            return too_large(size_max, err);
        *out = raw;
        return 0;
    }
    buf_reset(scratch);
    rc = gzip_inflate(raw, scratch, size_max, err);
    if (rc == ERR_TOO_LARGE)
        return too_large(size_max, err);
    if (rc != 0)
        return rc;
    *out = buf_str(scratch);
    return 0;
}

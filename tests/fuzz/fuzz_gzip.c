/*
 * fuzz_gzip - any bytes as gzip and as zlib, under a cap.
 *
 * Never more than the cap comes out, a failure leaves what was there, and what we
 * deflate comes back.
 */
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/gzip.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    CAP = 1 << 16,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_result(const struct buf *out, int rc, const struct err *err)
{
    check(memcmp(out->data, "kept", 4) == 0);
    check(out->len <= 4 + CAP && out->cap <= out->max);
    check(rc == 0 || (out->len == 4 && err->code == rc && err->msg[0]));
    check(rc == 0 || rc == ERR_INVALID || rc == ERR_TOO_LARGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct buf out, packed;
    struct err err;
    int rc;

    buf_init(&out, 2 * CAP);
    buf_init(&packed, 1 << 24);
    check(buf_append_cstr(&out, "kept") == 0);
    rc = gzip_inflate(in, &out, CAP, &err);
    check_result(&out, rc, &err);
    out.len = 4;
    rc = zlib_inflate(in, &out, CAP, &err);
    check_result(&out, rc, &err);
    if (size > 0 && size <= CAP) {
        out.len = 4;
        check(gzip_deflate(in, 1 + data[0] % 3, &packed, &err) == 0);
        check(gzip_inflate(buf_str(&packed), &out, CAP, &err) == 0);
        check(out.len - 4 == size && memcmp(out.data + 4, data, size) == 0);
    }
    buf_release(&out);
    buf_release(&packed);
    return 0;
}

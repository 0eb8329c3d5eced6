#include "storage/segment_pack.h"

#include "base/buf.h"
#include "base/check.h"

#include <stdlib.h>
#include <zstd.h>

struct segment_pack {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
};

struct segment_pack *segment_pack_new(void)
{
    struct segment_pack *p = calloc(1, sizeof(*p));

    check(p);
    return p;
}

void segment_pack_free(struct segment_pack *p)
{
    if (!p)
        return;
    (void)ZSTD_freeCCtx(p->c);
    (void)ZSTD_freeDCtx(p->d);
    free(p);
}

bool segment_pack_put(struct segment_pack *p, struct str raw, int level, struct buf *out)
{
    size_t got, bound = ZSTD_compressBound(raw.len);

    if (!p->c) {
        p->c = ZSTD_createCCtx();
        check(p->c);
        /* Sizes and checksums are kept outside of the frame. */
        check(!ZSTD_isError(ZSTD_CCtx_setParameter(p->c, ZSTD_c_contentSizeFlag, 0)));
    }
    if (raw.len == 0 || buf_reserve(out, bound) != 0)
        return false;
    check(!ZSTD_isError(ZSTD_CCtx_setParameter(p->c, ZSTD_c_compressionLevel, level)));
    got = ZSTD_compress2(p->c, out->data + out->len, bound, raw.p, raw.len);
    check(!ZSTD_isError(got));
    if (got >= raw.len)
        return false;
    out->len += got;
    return true;
}

bool segment_pack_get(struct segment_pack *p, struct str stored, void *into, size_t raw_size)
{
    if (!p->d) {
        p->d = ZSTD_createDCtx();
        check(p->d);
    }
    return ZSTD_decompressDCtx(p->d, into, raw_size, stored.p, stored.len) == raw_size;
}

#include "base/gzip.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    GZIP_SMALLEST = 18, /* header and trailer without any data */
    GUESS_RATIO = 4,    /* when the trailer cannot be believed */
    GUESS_MIN = 4096,
    EXPANSION_MAX = 1032, /* deflate cannot do better (zlib's algorithm note) */
    LEVELS = 13,
};

/* Freed when their thread ends. */
struct codecs {
    struct libdeflate_decompressor *inflate;
    struct libdeflate_compressor *deflate[LEVELS];
};

static pthread_key_t codecs_key;
static pthread_once_t codecs_once = PTHREAD_ONCE_INIT;

static void codecs_free(void *arg)
{
    struct codecs *c = arg;

    libdeflate_free_decompressor(c->inflate);
    for (int i = 0; i < LEVELS; i++)
        libdeflate_free_compressor(c->deflate[i]);
    free(c);
}

static void make_key(void)
{
    check(pthread_key_create(&codecs_key, codecs_free) == 0);
}

static struct codecs *thread_codecs(void)
{
    struct codecs *c;

    check(pthread_once(&codecs_once, make_key) == 0);
    c = pthread_getspecific(codecs_key);
    if (!c) {
        c = calloc(1, sizeof(*c));
        check(c);
        check(pthread_setspecific(codecs_key, c) == 0);
    }
    return c;
}

bool gzip_is(struct str data)
{
    return data.len >= 2 && (uint8_t)data.p[0] == 0x1f && (uint8_t)data.p[1] == 0x8b;
}

static int too_large(size_t max, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "inflated data is larger than %zu bytes", max);
}

typedef enum libdeflate_result (*inflate_fn)(struct libdeflate_decompressor *d, const void *in,
                                             size_t in_size, void *out, size_t out_room,
                                             size_t *in_used, size_t *out_size);

/*
 * Inflates one member or stream behind out->len; the room doubles until it
 * fits or `max` bytes are reached. `guess` is the first room to try.
 */
static int inflate_one(inflate_fn inflate, struct str in, struct buf *out, size_t max, size_t guess,
                       size_t *used, struct err *err)
{
    struct codecs *c = thread_codecs();
    size_t room = guess < max ? guess : max, size = 0;

    if (!c->inflate && !(c->inflate = libdeflate_alloc_decompressor()))
        return err_set(err, ERR_NOMEM, "no memory for a decompressor");
    for (;;) {
        enum libdeflate_result result;
        int rc = buf_reserve(out, room ? room : 1);

        if (rc != 0)
            return err_set(err, rc, "no room for %zu inflated bytes", room);
        result = inflate(c->inflate, in.p, in.len, out->data + out->len, room, used, &size);
        if (result == LIBDEFLATE_SUCCESS) {
            out->len += size;
            return 0;
        }
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
            return err_set(err, ERR_INVALID, "compressed data of %zu bytes is damaged or cut short",
                           in.len);
        if (room >= max)
            return too_large(max, err);
        room = room > max / 2 ? max : (room < GUESS_MIN ? GUESS_MIN : room * 2);
    }
}

/* The last member's size modulo 2^32, if it is possible at all. */
static size_t trailer_size(struct str in)
{
    size_t size = get_le32(in.p + in.len - 4);

    return size / EXPANSION_MAX <= in.len ? size : in.len * GUESS_RATIO;
}

int gzip_inflate(struct str in, struct buf *out, size_t max, struct err *err)
{
    size_t before = out->len, used = 0;
    int rc = 0;

    if (!gzip_is(in))
        return err_set(err, ERR_INVALID, "not gzip: the magic bytes 1f 8b are missing");
    if (in.len < GZIP_SMALLEST)
        return err_set(err, ERR_INVALID, "gzip data of %zu bytes is cut short", in.len);
    /* Honest: too large. Lying: the member fails its own check. Either way no work is done. */
    if (trailer_size(in) > max && trailer_size(in) == get_le32(in.p + in.len - 4))
        return too_large(max, err);
    while (rc == 0 && in.len > 0) {
        size_t left = max - (out->len - before);

        if (in.len < GZIP_SMALLEST)
            rc =
                err_set(err, ERR_INVALID, "gzip data ends in %zu bytes that are no member", in.len);
        else
            rc = inflate_one(libdeflate_gzip_decompress_ex, in, out, left, trailer_size(in), &used,
                             err);
        if (rc == 0)
            in = str_slice(in, used, in.len);
    }
    if (rc == ERR_TOO_LARGE)
        rc = too_large(max, err);
    if (rc != 0)
        out->len = before;
    return rc;
}

int zlib_inflate(struct str in, struct buf *out, size_t max, struct err *err)
{
    size_t used;

    return inflate_one(libdeflate_zlib_decompress_ex, in, out, max,
                       in.len * GUESS_RATIO + GUESS_MIN, &used, err);
}

int gzip_deflate(struct str in, int level, struct buf *out, struct err *err)
{
    struct codecs *c = thread_codecs();
    size_t bound, size;
    int rc;

    check(level >= 1 && level < LEVELS);
    if (!c->deflate[level] && !(c->deflate[level] = libdeflate_alloc_compressor(level)))
        return err_set(err, ERR_NOMEM, "no memory for a compressor");
    bound = libdeflate_gzip_compress_bound(c->deflate[level], in.len);
    if ((rc = buf_reserve(out, bound)) != 0)
        return err_set(err, rc, "no room for %zu compressed bytes", bound);
    size = libdeflate_gzip_compress(c->deflate[level], in.p, in.len, out->data + out->len, bound);
    check(size > 0);
    out->len += size;
    return 0;
}

/*
 * assets - the files of web/static, inside the binary.
 *
 * web/embed.sh turns them into one read-only object at build time (.incbin),
 * each plain and gzipped, and a table sorted by path. Nothing is read from
 * disk at run time and nothing is copied: the bytes live as long as the
 * program. Any thread may read.
 */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include <stddef.h>
#include <stdint.h>

struct web_asset {
    const char *path;         /* below web/static, without a leading slash: "index.html" */
    const char *content_type; /* with charset where it is text */
    const char *etag;         /* quoted, changes with the bytes */
    const uint8_t *data;
    size_t size;
    const uint8_t *gzip;
    size_t gzip_size;
};

/* The asset of that path, or NULL. `path` needs no terminating NUL. */
const struct web_asset *web_asset_find(const char *path, size_t path_size);

/* All of them, sorted by path. */
const struct web_asset *web_asset_table(size_t *count);

#endif

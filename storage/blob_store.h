/*
 * blob_store - immutable named objects: the files of segments.
 *
 * The seam behind which objects may one day live elsewhere. An object appears
 * whole under its name or not at all, and never changes afterwards. Names are
 * relative paths such as `seg/<tenant>/<yyyymmdd>/<level>-<id>.agg`.
 *
 * Threads: all functions from any thread; one writer per blob_writer.
 */
#ifndef STORAGE_BLOB_STORE_H
#define STORAGE_BLOB_STORE_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct blob_reader;
struct blob_store;
struct blob_writer;
struct err;
struct fs;

struct blob_store_ops {
    /* Starts an object under a temporary name; content is appended. */
    int (*create)(struct blob_store *b, const char *name, struct blob_writer **out,
                  struct err *err);
    int (*append)(struct blob_writer *w, const void *data, size_t size, struct err *err);
    /*
     * Syncs, gives the object its name, syncs the directory. Frees the writer in any case.
     * After a failure the object may still be found, whole, at the next start.
     */
    int (*commit)(struct blob_writer *w, struct err *err);
    void (*abort)(struct blob_writer *w); /* NULL is fine */

    int (*open)(struct blob_store *b, const char *name, struct blob_reader **out, struct err *err);
    uint64_t (*size)(const struct blob_reader *r);
    /* Exactly [offset, offset + size) or an error: short data is ERR_CORRUPT. */
    int (*read)(struct blob_reader *r, uint64_t offset, void *into, size_t size, struct err *err);
    void (*close)(struct blob_reader *r); /* NULL is fine */

    int (*remove)(struct blob_store *b, const char *name, struct err *err);
    /* Moves an object to quarantine/<prefix><name, '/' as '_'>, with a number if that is taken. */
    int (*quarantine)(struct blob_store *b, const char *name, const char *prefix, struct err *err);
    /* Every object below `prefix`, any depth. */
    int (*list)(struct blob_store *b, const char *prefix,
                int (*each)(void *ctx, const char *name, uint64_t size, struct err *err), void *ctx,
                struct err *err);
    void (*free)(struct blob_store *b);
};

struct blob_store {
    const struct blob_store_ops *ops;
};

/* A directory tree below the fs root; temporary names live in tmp/. */
int blob_store_dir_open(struct fs *fs, struct blob_store **out, struct err *err);

#endif

/*
 * copy - whole files between two directories, with their hashes (base/hash.h, checksum64).
 *
 * What is written appears whole under its name, durably: temporary name, sync, rename, sync of
 * the directory, which is made when missing. Threads: any.
 */
#ifndef SERVER_BACKUP_COPY_H
#define SERVER_BACKUP_COPY_H

#include <stdint.h>

#include "base/str.h"

struct buf;
struct err;
struct fs;

struct copied {
    uint64_t bytes, hash;
};

int copy_file(struct fs *from, const char *path, struct fs *to, const char *name,
              struct copied *out, struct err *err);
/* A second name for a file that never changes, where both are on one volume; else as above. */
int copy_or_link(struct fs *from, const char *path, struct fs *to, const char *name,
                 struct copied *out, struct err *err);
int copy_hash(struct fs *fs, const char *path, struct copied *out, struct err *err);

int copy_text_to(struct str text, struct fs *to, const char *name, struct err *err);
int copy_text_from(struct fs *from, const char *name, struct buf *out, struct err *err);

#endif

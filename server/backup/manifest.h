/*
 * manifest - the text that says what one backup consists of; docs/storage-format.md, "Backup".
 *
 * One per backup in manifests/, named by its time, written last: a backup without one is
 * none. Its last line is a checksum of the lines before. Files that never change (segments)
 * are shared by all manifests that name them.
 *
 * Ownership: everything is in `memory`. Threads: one owner.
 */
#ifndef SERVER_BACKUP_MANIFEST_H
#define SERVER_BACKUP_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct buf;
struct err;
struct fs;

enum {
    MANIFEST_NAME_MAX = 64, /* "manifests/01763920000000000000.txt" */
    MANIFEST_BYTES_MAX = 1 << 30,
};

struct manifest_file {
    const char *name; /* below the backup's directory */
    uint64_t bytes, hash;
};

struct manifest {
    struct arena memory;
    char instance[33]; /* hex, of FORMAT */
    uint64_t lsn;      /* 0: of a store that was not running */
    int64_t time_ns;
    uint64_t missing;            /* damaged files that could not be part of it */
    struct manifest_file *files; /* sorted by name */
    uint32_t count, cap;
};

void manifest_init(struct manifest *m);
void manifest_release(struct manifest *m);

/* The name is copied. */
void manifest_add(struct manifest *m, struct str name, uint64_t bytes, uint64_t hash);
void manifest_sort(struct manifest *m);
/* NULL: not in it. Sorted. */
const struct manifest_file *manifest_find(const struct manifest *m, const char *name);

void manifest_print(const struct manifest *m, struct buf *out);
/* ERR_CORRUPT with the line that is wrong. `m` is initialised. */
int manifest_parse(struct manifest *m, struct str text, struct err *err);

/* Sorts and writes it below `fs`, durably; `name` gets where. */
int manifest_write(struct manifest *m, struct fs *fs, char name[MANIFEST_NAME_MAX],
                   struct err *err);
int manifest_read(struct manifest *m, struct fs *fs, const char *name, struct err *err);
/* All of a backup's directory, oldest first; *names in `memory`. ERR_NOT_FOUND: there is none. */
int manifest_list(struct fs *fs, struct arena *memory, const char ***names, uint32_t *count,
                  struct err *err);

#endif

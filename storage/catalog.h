/*
 * catalog - the list of live segments, kept in SQLite as a cache of their footers.
 *
 * Never the only copy and never trusted: any older, missing or garbage catalog
 * gives the same answers, because storage compares it with the files at start
 * and rebuilds from footers what does not agree. No query reads it; nothing is
 * written to it per profile.
 *
 * One connection, EXCLUSIVE (no -shm file), WAL, NORMAL; its file I/O is
 * SQLite's own, in the directory given, or in memory for the simulator.
 * Threads: one user at a time (storage's catalog mutex, last in the lock order).
 */
#ifndef STORAGE_CATALOG_H
#define STORAGE_CATALOG_H

#include "storage/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct catalog;
struct err;

enum catalog_state {
    CATALOG_LIVE = 0,
    CATALOG_DELETING = 1,    /* superseded or evicted: files may be gone */
    CATALOG_QUARANTINED = 2, /* files are set aside */
};

/* A seam: SQLite here, another database when there are several machines. */
struct catalog_ops {
    int (*add)(struct catalog *c, const struct segment_meta *meta, struct err *err);
    /* In one transaction: `out` live, `in` deleting. For compaction. */
    int (*replace)(struct catalog *c, const struct segment_meta *out, const struct segment_id *in,
                   uint32_t in_count, struct err *err);
    int (*set_state)(struct catalog *c, struct segment_id id, enum catalog_state state,
                     struct err *err);
    int (*remove)(struct catalog *c, struct segment_id id, struct err *err);
    /* Calls `each` per row; meta is valid during the call. */
    int (*load)(struct catalog *c,
                int (*each)(void *ctx, const struct segment_meta *meta, enum catalog_state state,
                            struct err *err),
                void *ctx, struct err *err);
    int (*clear)(struct catalog *c, struct err *err); /* before a rebuild */
    void (*close)(struct catalog *c);
};

struct catalog {
    const struct catalog_ops *ops;
};

/*
 * Opens `path` (an absolute or relative file name, or ":memory:"). A file that
 * is not a sound catalog is renamed to <path>.corrupt-<n> and a new one made;
 * *fresh tells that the content must be rebuilt.
 */
int catalog_sqlite_open(const char *path, struct catalog **out, bool *fresh, struct err *err);

/*
 * Reads `path` without changing anything: 0 sound or not there, ERR_CORRUPT, ERR_BUSY: a log beside
 * it says that somebody uses it or died over it, which the next open settles.
 */
int catalog_sqlite_check(const char *path, struct err *err);

/*
 * Bounds what the file and its log may take together: changes beyond it fail with
 * ERR_NO_SPACE. *bound is the most that they can come to: more than `bytes` when the
 * catalog is larger already.
 */
int catalog_sqlite_limit(struct catalog *c, uint64_t bytes, uint64_t *bound, struct err *err);

#endif

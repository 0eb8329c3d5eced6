/*
 * ledger - a disk that knows what everything on it takes, and keeps below a limit.
 *
 * A decorator of struct fs: all of the store's writing goes through it. Before
 * a write may allocate, its blocks are reserved; a write that would take the
 * sum over the limit fails with ERR_NO_SPACE and touches nothing. So the sum of
 * the data directory's allocated blocks is below the limit at every moment, not
 * at the next look. Reserved is the most that can become allocated: a file's
 * length in whole blocks and what the file system may need to find them.
 *
 * A file that is open after its name went still takes its blocks, and counts.
 * What others write below the root is found by ledger_walk(); the catalog's
 * files are SQLite's own and have a share of their own (ledger_set_catalog).
 *
 * Threads: as struct fs; the numbers from any thread. Locks: one around changes
 * of names, one around the table (rank LEDGER), none across a sync.
 */
#ifndef STORAGE_LEDGER_H
#define STORAGE_LEDGER_H

#include "base/fs.h"

#include <stdint.h>

struct err;

/* What a path belongs to: its first part. */
enum ledger_kind {
    LEDGER_SEGMENTS,    /* seg/ */
    LEDGER_LOG,         /* wal/ */
    LEDGER_TEMPORARY,   /* tmp/ */
    LEDGER_QUARANTINE,  /* quarantine/ */
    LEDGER_DIRECTORIES, /* of every directory, the root too */
    LEDGER_CATALOG,     /* its share, or what it takes if that is more */
    LEDGER_OTHER,
    LEDGER_KINDS,
};

struct ledger_usage {
    uint64_t limit; /* 0: none */
    uint64_t used;  /* sum of by_kind */
    uint64_t peak;  /* the highest `used` since the start */
    uint64_t by_kind[LEDGER_KINDS];
    uint64_t refusals;  /* writes that the limit stopped */
    uint64_t disk_full; /* calls that the disk itself stopped: no space, quota, read-only */
};

/* `inner` is borrowed. Nothing is known before ledger_walk(). */
struct fs *ledger_new(struct fs *inner);

/* "segments", "log", ...: for metrics and the API. Static. */
const char *ledger_kind_name(enum ledger_kind kind);

/*
 * Looks at every file below the root: learns those it does not know, and takes
 * more for those that take more than was thought. At start, and now and then.
 */
int ledger_walk(struct fs *ledger, struct err *err);

void ledger_set_limit(struct fs *ledger, uint64_t bytes); /* 0: none */
/* The most that the catalog's files may come to; counted from now on. */
void ledger_set_catalog(struct fs *ledger, uint64_t bytes);
void ledger_usage(struct fs *ledger, struct ledger_usage *out);

#endif

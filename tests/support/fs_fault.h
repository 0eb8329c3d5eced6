/*
 * fs_fault - a disk in memory that loses what was not synced, and fails on demand.
 *
 * Every file has a visible image (what reads see) and a durable one (what the
 * last datasync left), with the changes between them in a list. Every directory
 * has durable names and a list of name changes since. When the power goes, each
 * change of a file is kept, dropped or torn at 512-byte sectors, and each change
 * of a name is kept or dropped, independently, as the seed says. A rename is one
 * change: it happens as a whole or not at all. Syncing a file does not make its
 * name durable, syncing a directory does not make content durable.
 *
 * A datasync that fails settles what it should have written as a power cut
 * would (Linux marks such pages clean), so a second one that succeeds proves
 * nothing. A full disk writes what fits, then says ERR_NO_SPACE.
 *
 * How to find every cut point of an operation, fast (pages are shared, a copy
 * costs microseconds):
 *
 *     static void each(void *ctx, const struct fs_fault_call *call)
 *     {
 *         for (uint64_t seed = 0; seed < SEEDS; seed++) {
 *             struct fs *after = fs_fault_after_cut(call->fs, seed);
 *             ... open the store on `after`, check what was promised ...
 *             fs_free(after);
 *         }
 *     }
 *     fs_fault_on_call(fs, FS_FAULT_CHANGES, each, ctx);
 *     ... the operation, and each() once more at its end ...
 *
 * Threads: all functions from any thread; knobs are set before others run.
 */
#ifndef TESTS_SUPPORT_FS_FAULT_H
#define TESTS_SUPPORT_FS_FAULT_H

#include "base/fs.h"

#include <stdbool.h>
#include <stdint.h>

/* One bit per operation, for counting and failing. */
enum fs_fault_op {
    FS_FAULT_OPEN = 1 << 0,
    FS_FAULT_READ = 1 << 1,
    FS_FAULT_WRITE = 1 << 2,
    FS_FAULT_SIZE = 1 << 3,
    FS_FAULT_TRUNCATE = 1 << 4,
    FS_FAULT_ALLOCATE = 1 << 5,
    FS_FAULT_DATASYNC = 1 << 6,
    FS_FAULT_LOCK = 1 << 7,
    FS_FAULT_RENAME = 1 << 8,
    FS_FAULT_LINK = 1 << 9,
    FS_FAULT_UNLINK = 1 << 10,
    FS_FAULT_MKDIR = 1 << 11,
    FS_FAULT_RMDIR = 1 << 12,
    FS_FAULT_SYNC_DIR = 1 << 13,
    FS_FAULT_LIST = 1 << 14,
    FS_FAULT_STAT = 1 << 15,
    FS_FAULT_SPACE = 1 << 16,
    FS_FAULT_CREATE = 1 << 17, /* an open with FS_CREATE, which is no FS_FAULT_OPEN then */

    FS_FAULT_CHANGES = FS_FAULT_CREATE | FS_FAULT_WRITE | FS_FAULT_TRUNCATE | FS_FAULT_ALLOCATE |
                       FS_FAULT_DATASYNC | FS_FAULT_RENAME | FS_FAULT_LINK | FS_FAULT_UNLINK |
                       FS_FAULT_MKDIR | FS_FAULT_RMDIR | FS_FAULT_SYNC_DIR,
    FS_FAULT_ALL = (1 << 18) - 1,
};

enum fs_fault_how {
    FS_FAULT_ONCE,
    FS_FAULT_FOREVER,
};

struct fs *fs_fault_new(void);

/* ---- losing ---- */

/*
 * What a machine finds after the power came back: a new disk, to be given to
 * fs_free(). `fs` goes on as if nothing had happened. Limits and knobs (capacity)
 * are copied, failures, skips, hooks and counters are not.
 */
struct fs *fs_fault_after_cut(struct fs *fs, uint64_t seed);
/* The same after kill -9: nothing is lost, locks are free; what was unsynced still is. */
struct fs *fs_fault_after_kill(struct fs *fs);

/*
 * In place: every open file is dead (all but fs_close() give ERR_IO), failures
 * and skips are cleared, and the disk is as fs_fault_after_cut() says.
 */
void fs_fault_power_cut(struct fs *fs, uint64_t seed);
void fs_fault_kill(struct fs *fs);

/* Unsynced changes: of files and of names. 0 when all is durable. */
uint64_t fs_fault_unsynced(struct fs *fs);

/* ---- failing ---- */

/* Calls so far of the operations in `ops`. */
uint64_t fs_fault_calls(struct fs *fs, unsigned int ops);

/*
 * The `nth` call from now (1 is the next) of the operations in `ops` on a path
 * that fnmatch(3)es `pattern` (NULL: any) fails with `code` (ERR_IO or
 * ERR_NO_SPACE); FOREVER: that one and all matching ones after it. A failing
 * write leaves some prefix of itself. One rule at a time; replaces the last.
 */
void fs_fault_fail_at(struct fs *fs, unsigned int ops, const char *pattern, uint64_t nth, int code,
                      enum fs_fault_how how);
void fs_fault_fail_never(struct fs *fs);
/* How often the rule failed a call since it was set. */
uint64_t fs_fault_failed(struct fs *fs);

/* From now on no call does anything: all give ERR_IO, until a power cut. */
void fs_fault_power_off(struct fs *fs);

/* Bytes of the volume, in 4 KiB blocks; 0 (the default) is no limit. */
void fs_fault_set_capacity(struct fs *fs, uint64_t bytes);
uint64_t fs_fault_used(struct fs *fs);

/* ---- mutation checks: does a test notice that a sync is missing? ---- */

/*
 * The `nth` datasync or sync_dir from now (1 is the next, 0 every one) of a path
 * that matches `pattern` (NULL: any) does nothing and says 0.
 */
void fs_fault_skip_datasync(struct fs *fs, const char *pattern, uint64_t nth);
void fs_fault_skip_sync_dir(struct fs *fs, const char *pattern, uint64_t nth);

/* ---- watching ---- */

struct fs_fault_call {
    struct fs *fs;
    enum fs_fault_op op;
    const char *path;
    uint64_t number; /* of all calls, from 1 */
};

/* `each` runs before every call of `ops`, outside of any lock; NULL ends it. */
void fs_fault_on_call(struct fs *fs, unsigned int ops,
                      void (*each)(void *ctx, const struct fs_fault_call *call), void *ctx);

#endif

/*
 * wal_internal - what wal.c, wal_commit.c and wal_replay.c share. Private to the WAL.
 *
 * A group is a run of records for one file, closed when it is due or when the
 * file is full. Groups queue up in order; the commit step takes the first one,
 * writes and syncs it without the mutex, so appends go on meanwhile.
 */
#ifndef STORAGE_WAL_INTERNAL_H
#define STORAGE_WAL_INTERNAL_H

#include "storage/wal.h"
#include "storage/wal_format.h"

#include "base/thread.h"

#include <stdatomic.h>

enum {
    WAL_GROUP_BYTES = 1 << 20, /* a group this large is due */
    WAL_SPARES = 2,
    WAL_SPARE_LARGE = 16 << 20, /* of files this large one spare is enough: they fill slowly */
    WAL_SPARES_MAX = 8,
    WAL_ZERO_CHUNK = 1 << 20,
    WAL_ROOM_KEPT = 4096, /* of a file, at most; and at most a part of it */
    WAL_ROOM_PART = 16,
};

struct wal_group {
    struct wal_group *next;
    uint32_t epoch; /* of the file it goes to */
    uint64_t first_lsn, last_lsn;
    int64_t opened_mono_ns;
    uint8_t *data;
    uint64_t size, cap;
};

/* A file with records that may still be needed, or a spare that waits for its first group. */
struct wal_file {
    struct wal_file *next;
    uint32_t epoch;
    uint32_t spare_number;   /* while it is still called so */
    bool named, opened;      /* has its final name; has its header */
    bool leaving;            /* its name is being taken away, maybe not for the first time */
    uint64_t size, last_lsn; /* 0: none yet */
};

struct wal_spare {
    uint32_t number;
    uint64_t size;
};

struct wal {
    struct wal_options o;
    struct mutex mu; /* guards what follows, down to the next remark */
    struct cond more;
    struct wal_group *groups, *last_group; /* to write, oldest first; the last one is open */
    struct wal_group *idle;                /* one kept for reuse */
    uint64_t pending_bytes;                /* in groups, and being written */
    uint64_t next_lsn;
    uint32_t epoch;      /* that appends go to */
    uint64_t file_room;  /* bytes left in that epoch's file for appends */
    uint64_t room_kept;  /* of them, for records other than pushes */
    uint64_t first_lsn;  /* below it nothing is left */
    uint64_t file_bytes; /* size of the next spare */
    int64_t rotated_mono_ns;
    struct wal_file *files, *last_file; /* in order; with the one being written */
    struct wal_spare spares[WAL_SPARES_MAX];
    uint32_t spare_count, spare_number;
    uint64_t want_bytes; /* a record that fits no spare waits for one this large */
    uint64_t total_bytes;
    bool woken, no_space, blocked;
    struct wal_stats stats;

    /* The committing thread's own. */
    struct fs_file *file;
    uint32_t file_epoch;
    uint64_t file_size, offset;
    uint8_t *unsynced; /* WAL_SYNC_INTERVAL: records since the last sync */
    uint64_t unsynced_size, unsynced_cap;
    int64_t synced_mono_ns;

    _Atomic uint64_t durable_lsn, synced_lsn;
    _Atomic bool read_only;
};

/* Gives epoch `epoch` a spare of at least `bytes`; false when there is none. Under the mutex. */
bool wal_assign_spare(struct wal *w, uint32_t epoch, uint64_t bytes);

/* Writes a group where it belongs and makes it durable, on another file if need be. */
int wal_commit_one(struct wal *w, struct wal_group *g, struct err *err);
/* WAL_SYNC_INTERVAL: syncs what has been written since the last time. */
int wal_sync_now(struct wal *w, struct err *err);

/* Reads what is there; fills files, next_lsn and epoch of the new life. */
int wal_replay_files(struct wal *w, wal_replay_fn replay, void *ctx,
                     struct wal_replay_report *report, uint64_t *last_lsn, struct err *err);

#endif

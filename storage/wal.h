/*
 * wal - the log of accepted pushes; read only at start.
 *
 * A record is one push, encoded by the heads it touches, so a push is atomic:
 * its record is whole or it is not there. Appending gives an LSN; the push may
 * be acknowledged, and shown to queries, once that LSN is durable.
 *
 * Files `wal/<seq>.wal` are written in full once (zeroes), then overwritten and
 * recycled: an overwrite needs no new blocks, so the acknowledging path meets
 * no ENOSPC, and fdatasync is cheaper. Size starts at file_bytes_min and
 * doubles with the rate up to file_bytes_max; a larger record gets a file of
 * its own. Each file replays alone: ids inside a file are defined in that file
 * (storage/head.h), which is why a file has an *epoch* (its sequence number)
 * and appending for another epoch answers ERR_STALE: encode again.
 *
 * Group commit: a group closes when window_ns have passed since its first
 * record, when it is 1 MiB, or when wal_commit_group() is told to hurry. One
 * write, one fdatasync. After a failed sync the file is never written again
 * (Linux drops the dirty pages): the unsynced groups are rewritten into a spare
 * file under the same LSNs (replay ignores an LSN that it has seen); if that
 * fails too the WAL is read-only: appends answer ERR_IO until restart. A write
 * that found no room (where overwriting needs some) is no such failure: the group
 * stays first in line, nobody is told anything, and each commit tries it again.
 *
 * Torn tail or rot: every group header carries the durable LSN known when it
 * was written. A bad record whose LSN is not known durable is the torn end of a
 * power cut; at or below a durable LSN seen anywhere later it is corruption:
 * the file is copied to quarantine/ and reported, the valid records are used.
 * Bytes: docs/storage-format.md, "WAL"; constants in storage/wal_format.h.
 *
 * Threads: wal_append() from any thread (internal mutex, taken after a head's);
 * wal_commit_group() and wal_prepare_spare() from one thread each, or by the
 * simulator. No callback is called with a lock held.
 */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct clock;
struct err;
struct fs;
struct wal;

enum wal_sync {
    WAL_SYNC_GROUP,    /* acknowledged after fdatasync: nothing acknowledged is ever lost */
    WAL_SYNC_INTERVAL, /* acknowledged after write(); a power cut may cost `interval_ns` */
};

/* What a record means. */
enum wal_type {
    WAL_PUSH = 1,  /* payload: head_encode.h, all rows of one push */
    WAL_MARK = 2,  /* payload: head ids that are published in a segment */
    WAL_EVICT = 3, /* payload: evict_record.h; rows of these heads do not come back */
};

struct wal_replay_record;
/* Called in LSN order, each LSN once. A negative return stops the replay with that code. */
typedef int (*wal_replay_fn)(void *ctx, const struct wal_replay_record *record, struct err *err);

struct wal_options {
    struct fs *fs;
    const struct clock *clock;
    uint8_t instance[16]; /* of FORMAT; a file of another instance is refused */
    enum wal_sync sync;
    int64_t window_ns;       /* group commit window; default 20 ms */
    int64_t interval_ns;     /* WAL_SYNC_INTERVAL: longest time without a sync */
    uint64_t file_bytes_min; /* default 4 MiB */
    uint64_t file_bytes_max; /* default 64 MiB */
    uint64_t lsn_min;        /* LSNs start above it: segments have seen those below */
    uint64_t bytes_max;      /* all files together; beyond it appends answer ERR_BUSY */
    /*
     * Optional: gets all records that are not pushes before the replay begins, so that it
     * can leave out what they make void. They come again in their place.
     */
    wal_replay_fn early;
    uint64_t group_bytes_max; /* unwritten bytes in memory; beyond it appends answer ERR_BUSY */
};

struct wal_replay_record {
    enum wal_type type;
    uint64_t lsn;
    uint32_t epoch;     /* of the file it came from */
    struct str payload; /* valid during the call */
};

struct wal_replay_report {
    uint64_t records, bytes, last_lsn;
    uint32_t files, files_quarantined;
    uint64_t torn_bytes; /* dropped at the end, unacknowledged */
};

/*
 * Reads every file in wal/, calls `replay` for every valid record and opens the
 * log for appending in a fresh file. A damaged file never fails the open, it is
 * quarantined and counted in *report. Errors are those of the disk (ERR_IO,
 * ERR_NO_SPACE) and of `replay`. On success *out is owned: wal_close().
 */
int wal_open(const struct wal_options *options, wal_replay_fn replay, void *ctx,
             struct wal_replay_report *report, struct wal **out, struct err *err);

typedef void (*wal_damage_fn)(void *ctx, uint32_t epoch, const char *why);
/*
 * Reads the log as a start would and changes nothing, also beside a running server: a finding may
 * then be the server's writing, and is none if it is gone the next time. `each` gets the records.
 */
int wal_check(struct fs *fs, const uint8_t instance[16], wal_replay_fn each, wal_damage_fn damage,
              void *ctx, struct wal_replay_report *report, struct err *err);

/* Syncs what is appended and closes the files. NULL is fine. */
int wal_close(struct wal *wal, struct err *err);

/* The epoch an encoder must use for its next append. */
uint32_t wal_epoch(const struct wal *wal);

/*
 * Appends one record for the current epoch; returns 0 and *lsn. Otherwise
 * nothing was appended: ERR_STALE (the file changed: encode again for
 * wal_epoch()), ERR_BUSY (group or log is full: retry later), ERR_NO_SPACE (no
 * file could be made), ERR_IO (read-only after a failed sync), ERR_TOO_LARGE
 * (more than half of the log). In every file some room is kept for records
 * other than pushes, and a full log takes them too: they are what empties it.
 */
int wal_append(struct wal *wal, uint32_t epoch, enum wal_type type, struct str payload,
               uint64_t *lsn, struct err *err);

/* Highest LSN that survives a power cut (WAL_SYNC_INTERVAL: a process crash). Lock free. */
uint64_t wal_durable_lsn(const struct wal *wal);
uint64_t wal_last_lsn(const struct wal *wal);
/* No file holds a record below it. */
uint64_t wal_first_lsn(const struct wal *wal);

/*
 * One step: if a group is due (or `hurry`), write and sync it. Returns 1 when a
 * group was committed, 0 when nothing was due, negative on failure; ERR_NO_SPACE
 * with wal_stats.blocked is to be tried again, after any other it is read-only. After it
 * the caller completes what waited for wal_durable_lsn().
 */
int wal_commit_group(struct wal *wal, bool hurry, struct err *err);

/* Blocks until a group is due, new records arrive, or wal_wake(). For the commit thread only. */
void wal_wait(struct wal *wal);
void wal_wake(struct wal *wal);

/* One step: make one spare file if fewer than two exist. 1 made, 0 enough, negative failed. */
int wal_prepare_spare(struct wal *wal, struct err *err);

/*
 * Every record with an LSN below `floor` is published: files that hold only
 * such records become spares (or are removed when there are enough).
 */
int wal_release(struct wal *wal, uint64_t floor, struct err *err);

/* Appends a line `file BYTES PATH` for each file that holds records. */
void wal_list(struct wal *wal, struct buf *text);

struct wal_stats {
    uint64_t bytes_total;   /* all files, spares included */
    uint64_t bytes_pending; /* appended, not yet durable */
    uint32_t files, spares;
    uint64_t groups, syncs, sync_failures, records;
    bool read_only;
    bool no_space; /* no spare could be made for want of room */
    bool blocked;  /* the first group waits for room: it is written again until there is some */
};
void wal_stats(const struct wal *wal, struct wal_stats *out);

#endif

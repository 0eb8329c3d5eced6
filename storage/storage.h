/*
 * storage - the profile store as api/ sees it: open, push, view, stats, close.
 *
 * A push is encoded into the head of its (tenant, service, UTC day) and the
 * WAL, is acknowledged once durable, and is visible to every view taken after
 * that. Heads are sealed in the background into immutable segments. A view
 * pins heads and segments for one query; nothing it shows changes or goes away
 * before storage_view_release().
 *
 * Promise: an acknowledged push is in every later view exactly once, across
 * kill -9, power cuts and full disks; a push that was not acknowledged is whole
 * or absent.
 *
 * Threads: every function may be called from any thread, except open and
 * close. Background work consists of step functions (storage_step_*): the
 * threads of storage_start() loop over them, the simulator calls them in any
 * order instead of storage_start().
 *
 * Lock order (docs/architecture.md, "Locks"): storage.mu (list of heads and
 * segments) < head.mu (by head id when several) < wal.mu < catalog.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "storage/dataset.h"
#include "storage/model/profile.h"
#include "storage/retention.h"
#include "storage/space.h"
#include "storage/wal.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct buf;
struct clock;
struct err;
struct fs;
struct storage;
struct storage_view;

enum storage_dedup {
    STORAGE_DEDUP_OFF,
    STORAGE_DEDUP_ID,      /* equal stream, time and non-empty id within 10 min count once */
    STORAGE_DEDUP_CONTENT, /* equal stream, time and content too */
};

struct storage_options {
    struct fs *fs; /* rooted at the data directory */
    const struct clock *clock;
    const char *catalog_path; /* file, ":memory:", or NULL: none; borrowed during open */
    enum wal_sync wal_sync;
    int64_t wal_window_ns, wal_interval_ns;
    uint64_t wal_file_bytes_min, wal_file_bytes_max, wal_bytes_max;
    uint64_t head_bytes_max;       /* all heads together; beyond it the largest is sealed */
    uint64_t head_seal_bytes;      /* one tenant-day of heads this large is sealed */
    int64_t head_seal_age_ns;      /* oldest row this old (by receive time): sealed */
    uint32_t heads_per_tenant_max; /* open heads; the oldest is sealed beyond it */
    uint64_t cache_bytes_max;      /* decoded segment dictionaries */
    enum storage_dedup dedup;
    uint64_t dedup_bytes_max;         /* of what is remembered to know a repetition */
    struct retention_rules retention; /* borrowed for as long as the store is open */
    uint64_t scrub_bytes_per_s;       /* read again in the background; 0: never */
    int64_t scrub_interval_ns;        /* since a segment was written or read again */
    int64_t compaction_age_ns;        /* how long segments and ended days are left alone */
    enum segment_rollups rollups;     /* which sums sealing adds; for tests */
    uint64_t segment_bytes_max;       /* of a segment, about; with a limit a 20th of that at most */
};

/* Sensible defaults for everything but fs and clock. */
void storage_options_init(struct storage_options *o);

/* What start-up found; one log line says it. */
struct storage_recovery {
    struct wal_replay_report wal;
    uint64_t rows_replayed, rows_already_sealed;
    uint32_t segments, segments_quarantined, temps_removed, segments_evicted;
    bool catalog_rebuilt;
    int64_t duration_ns;
};

/*
 * Opens the data directory, whatever it looks like: damaged files are set aside
 * in quarantine/ and reported. Fails for: another process holds LOCK
 * (ERR_BUSY), a newer format (ERR_UNSUPPORTED), a disk that does not work.
 */
int storage_open(const struct storage_options *o, struct storage **out,
                 struct storage_recovery *recovery, struct err *err);
int storage_start(struct storage *s, struct err *err); /* background threads */

/*
 * Stops the threads, syncs the WAL, seals heads while `deadline_mono_ns` is not
 * reached, closes. What is not sealed is in the WAL. NULL is fine.
 */
int storage_close(struct storage *s, int64_t deadline_mono_ns, struct err *err);

/*
 * `done` is called exactly once, from a storage thread without locks (or from
 * within storage_push for a push of no rows), when the push is durable (rc 0)
 * or has failed (ERR_IO, ERR_NO_SPACE: not stored). It must not block.
 */
typedef void (*storage_push_done)(void *ctx, int rc, const struct err *err);

/*
 * Takes all rows or none. 0: taken, `done` will be called; the push and what it
 * points to may be freed at return. Negative: nothing stored, `done` is not
 * called: ERR_BUSY (memory or WAL full: retry later), ERR_NO_SPACE, ERR_IO
 * (read-only), ERR_TOO_LARGE.
 */
int storage_push(struct storage *s, const struct push *push, storage_push_done done, void *ctx,
                 struct err *err);

/*
 * Before the body of a push is read: ERR_NO_SPACE while the disk is full, with what to
 * do in *err. Quick, takes no lock.
 */
int storage_admit(const struct storage *s, struct err *err);
enum space_state storage_space_state(const struct storage *s);

/*
 * Pins what `tenants` hold in `time` (rows outside may be included in the
 * datasets; scans filter). `service` non-empty: only that service's datasets.
 * Datasets of one service from several heads and segments follow each other,
 * services ascend. No lock is held afterwards.
 */
int storage_view_acquire(struct storage *s, const struct str *tenants, uint32_t tenant_count,
                         struct str service, struct time_span time, struct storage_view **out,
                         struct err *err);
struct dataset **storage_view_datasets(struct storage_view *v, uint32_t *count);

/*
 * What an answer lacks although it was stored: segments set aside whose tenant and time were
 * asked for (whether they held rows that match is not known), datasets that could not be read,
 * and log files that were damaged (whose rows they held is not known) before the end of the time.
 */
struct storage_missing {
    uint32_t segments, datasets, logs;
    uint64_t bytes;        /* of their files, about */
    struct time_span time; /* around all of it; nothing: not set */
};
const struct storage_missing *storage_view_missing(const struct storage_view *v);
/*
 * Reading `ds` of the view failed as *why says. True: that is damage; it is remembered, and the
 * question goes on without the dataset, or, if not `lost`, with another part of it.
 */
bool storage_view_damaged(struct storage_view *v, struct dataset *ds, bool lost,
                          const struct err *why);
/* Of one view; and of several about the same, where each counts what the others counted. */
void storage_missing_add(struct storage_missing *to, const struct storage_missing *more);
void storage_missing_join(struct storage_missing *to, const struct storage_missing *other);
/* Stored size of the dictionaries it pins, about: those of the largest segment. */
uint64_t storage_view_bytes(const struct storage_view *v);
void storage_view_release(struct storage_view *v); /* NULL is fine */

/* Oldest and newest row of a tenant; false when it has none. Cheap. */
bool storage_tenant_span(struct storage *s, struct str tenant, struct time_span *out);

/* A real write, sync, read and unlink below the data directory, and the WAL's state. */
int storage_probe(struct storage *s, struct err *err);

/*
 * A backup: appends the list of the files that make up the store at one LSN (see
 * storage_backup.c for its form) and keeps them: the log until it is copied, two minutes at
 * most; segments until the end, or ten minutes after the last word, or until a limit on
 * bytes needs their room. One at a time: ERR_BUSY.
 */
int storage_backup_begin(struct storage *s, struct buf *text, struct err *err);
/* ERR_NOT_FOUND: no longer; ERR_STALE: the log was not held long enough. */
int storage_backup_renew(struct storage *s, uint64_t id, bool log_copied, struct err *err);
int storage_backup_end(struct storage *s, uint64_t id, struct err *err);
/* Is this the instance that FORMAT names, in hex? In constant time. */
bool storage_is_instance(const struct storage *s, struct str hex);

enum {
    STORAGE_KINDS = 7, /* of files in the data directory */
};

struct storage_stats {
    struct wal_stats wal;
    uint32_t heads, segments, tenants, services;
    uint32_t segments_quarantined; /* that lie there now, and whose rows are nowhere else */
    uint64_t head_bytes, head_rows, segment_bytes, segment_rows, segment_samples;
    uint64_t pushes, rows, duplicates;
    uint64_t retry_keys, retry_bytes; /* rows remembered, to know a repetition */
    uint64_t retries_forgotten;       /* times that the older half went before its time */
    uint64_t seals, seal_failures;
    uint64_t evictions, evicted_bytes, evict_failures;
    uint64_t compactions, compacted_bytes_in, compacted_bytes_out, compaction_failures;
    uint64_t missing_bytes; /* of segments in quarantine */
    uint32_t datasets_damaged;
    uint64_t scrub_bytes, scrub_segments, scrub_findings;
    int64_t scrub_pass_ns; /* when all of it had been read again; 0: not yet */
    uint32_t logs_quarantined;
    uint64_t disk_used, disk_limit; /* of the data directory, reserved blocks; limit 0: none */
    const char *kind_names[STORAGE_KINDS];
    uint64_t kind_bytes[STORAGE_KINDS];
    enum space_state space;
    uint32_t doomed; /* segments out of the list whose files are still read */
};
void storage_stats(struct storage *s, struct storage_stats *out);

/* Where the bytes are and where they go; arrays and texts in the caller's arena. */
struct storage_share {
    struct str tenant, service; /* service: empty in `days` */
    int32_t day;                /* in `days` */
    uint64_t bytes, rows;       /* of segments; a service's bytes by its part of the samples */
};

struct storage_leaving {
    struct str tenant;
    int32_t day;
    uint64_t bytes;
    int64_t newest_row_ns;
    enum retention_reason reason; /* RETENTION_KEEP: nothing has to go, this would be the first */
};

enum {
    STORAGE_LEAVING_MAX = 16,
};

/* A piece of what answers lack. */
struct storage_lacking {
    struct str tenant, service, file; /* service empty: not known, or several */
    struct time_span time;
    uint64_t bytes; /* about */
};

struct storage_usage {
    uint64_t limit, used, peak; /* of the data directory, reserved blocks; limit 0: none */
    uint64_t volume_bytes, volume_available;
    enum space_state space;
    const char *kind_names[STORAGE_KINDS];
    uint64_t kind_bytes[STORAGE_KINDS];
    struct storage_share *services, *days; /* by tenant, then service or day */
    uint32_t service_count, day_count;
    uint64_t growth_per_day; /* mean of the last seven days that have data, without today */
    struct storage_leaving leaving[STORAGE_LEAVING_MAX];
    uint32_t leaving_count;
    struct storage_lacking *missing;
    uint32_t missing_count;
};

/* Walks all segments: for people, not for every second. */
int storage_usage(struct storage *s, struct arena *arena, struct storage_usage *out,
                  struct err *err);

/*
 * `flamekeep retention --dry-run`: what `rules` would delete now, one line each. Reads
 * footers only, also beside a running server; changes nothing.
 */
int storage_retention_report(struct fs *fs, const struct retention_rules *rules, int64_t now_ns,
                             struct buf *report, struct err *err);

/* Steps: 1 did work, 0 nothing to do, negative failed (and said why once). */
int storage_step_commit(struct storage *s, bool hurry, struct err *err);
int storage_step_spare(struct storage *s, struct err *err);
int storage_step_seal(struct storage *s, bool force, struct err *err); /* force: any head */
int storage_step_release(struct storage *s, struct err *err);
int storage_step_evict(struct storage *s, struct err *err);   /* what retention says */
int storage_step_space(struct storage *s, struct err *err);   /* is there room, again? */
int storage_step_compact(struct storage *s, struct err *err); /* several segments into one */
int storage_step_unlink(struct storage *s, struct err *err);  /* files nobody reads any more */
int storage_step_scrub(struct storage *s, struct err *err);   /* reads some of it again */
int storage_step_backup(struct storage *s, struct err *err);  /* forgets one that nobody ends */
int storage_step_missing(struct storage *s, struct err *err); /* what lies in quarantine/? */

/*
 * `flamekeep verify`: reads every byte of segments, log and FORMAT, and the catalog (NULL: none),
 * also beside a running server; appends findings. 0: sound; ERR_CORRUPT: not; others: it could not
 * be told.
 */
int storage_verify(struct fs *fs, const char *catalog_path, struct buf *report, struct err *err);
/*
 * `flamekeep repair`: writes the sound services of damaged segments, in place or in quarantine,
 * into new ones; the damaged ones stay in quarantine with a note of what is lost. Without `apply`
 * it only says so and answers ERR_CORRUPT when there is something to do. ERR_BUSY while a server
 * runs.
 */
int storage_repair(struct fs *fs, int64_t now_ns, bool apply, struct buf *report, struct err *err);
/* `flamekeep rebuild-catalog`: from the footers; ERR_BUSY while a server runs. */
int storage_rebuild_catalog(struct fs *fs, const char *catalog_path, struct buf *report,
                            struct err *err);

#endif

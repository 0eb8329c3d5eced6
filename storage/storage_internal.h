/*
 * storage_internal - what the parts of the store share; private to storage/.
 *
 *   storage_open.c   directory, lock, format, recovery, close
 *   storage_push.c   a push into heads and WAL, acknowledgements
 *   storage_view.c   what a query pins
 *   storage_seal.c   heads into segments, the log's end
 *   storage_compact.c  several segments into one
 *   storage_evict.c  segments that have to go
 *   storage_scrub.c  reading everything again
 *   storage_backup.c  what somebody copies
 *   storage_missing.c  what answers lack
 *   storage_doomed.c   files of segments that nobody can find any more
 *   storage_space.c  full disks
 *   storage_threads.c  loops over the steps
 */
#ifndef STORAGE_STORAGE_INTERNAL_H
#define STORAGE_STORAGE_INTERNAL_H

#include "storage/storage.h"

#include "storage/blob_store.h"
#include "storage/catalog.h"
#include "storage/dedup.h"
#include "storage/head.h"
#include "storage/head_encode.h"
#include "storage/ledger.h"
#include "storage/missing.h"
#include "storage/segment.h"
#include "storage/segment_cache.h"

#include "base/fs.h"
#include "base/thread.h"

#include <stdatomic.h>

enum {
    STORAGE_ENCODERS_MAX = 16, /* kept for reuse */
};

struct ack {
    struct ack *next;
    uint64_t lsn;
    storage_push_done done;
    void *ctx;
};

/* Out of the list of segments; its files are there until nobody reads it. */
struct doomed {
    struct segment *segment;
    uint64_t
        lsn; /* of the record that says so: the log keeps it until the files are gone; 0: none */
    int64_t since_mono_ns;
    bool unlinked;
    bool replaced; /* by a merge, which must not go before its inputs' files have gone */
};

/* See storage_backup.c. */
struct backup_lease {
    uint64_t id; /* 0: none */
    struct segment **segments;
    uint32_t count;
    int64_t until_mono_ns, log_until_mono_ns; /* log: 0 once it is copied */
};

struct storage {
    struct storage_options o; /* o.fs is `ledger` */
    struct fs *ledger;        /* around the caller's disk */
    struct fs_file *lock;
    uint8_t instance[16];
    struct wal *wal;
    struct blob_store *blobs;
    struct segment_cache *cache;
    struct catalog *catalog; /* used by sealing and opening only */
    struct dedup *dedup;

    /*
     * Held by whoever takes segments out of the list, from the look at what is in it to
     * the swap, and by whoever writes one from others, from naming it to the swap: so what
     * was evicted does not come back in a merge.
     */
    struct mutex publish_mu;
    struct u64map *evicted_heads; /* while the log is replayed */
    struct segment_id *evicted_ids;
    uint32_t evicted_id_count;

    struct mutex release_mu; /* around giving up files of the log */
    struct mutex mu;         /* guards heads, segments, doomed, missing, left_behind, backup */
    struct backup_lease backup;
    struct doomed *doomed;
    uint32_t doomed_count, doomed_cap;
    struct head **heads;
    uint32_t head_count, head_cap;
    struct segment **segments;
    uint32_t segment_count, segment_cap;
    uint32_t segments_quarantined; /* by this start */
    struct missing missing;        /* in quarantine/ */
    struct missing left_behind;    /* damaged, and could not be moved there */

    struct mutex acks_mu; /* guards acks and encoders */
    struct ack *acks;
    struct encoder *encoders[STORAGE_ENCODERS_MAX];
    uint32_t encoder_count;

    struct mutex catalog_mu; /* around use of the catalog */
    _Atomic uint64_t evictions, evicted_bytes, evict_failures;
    _Atomic bool evict_wanted, seal_wanted;
    _Atomic int space; /* enum space_state */
    _Atomic uint64_t space_available;
    _Atomic bool space_met_end, seal_soon; /* soon: whatever failed before */
    int64_t walk_mono_ns;
    int64_t space_looked_mono_ns; /* the background thread's own */
    _Atomic uint64_t limit;       /* of everything; 0: none */
    int64_t evict_look_mono_ns;   /* the background thread's own */
    int64_t compact_look_mono_ns; /* the background thread's own */
    struct segment_scrub *scrub;  /* the background thread's own, as what follows */
    bool scrub_passing, scrub_found;
    int64_t scrub_next_mono_ns;
    _Atomic uint64_t scrub_bytes, scrub_segments, scrub_findings;
    _Atomic int64_t scrub_pass_ns;
    int64_t missing_look_mono_ns;     /* the background thread's own */
    _Atomic int64_t pressure_mono_ns; /* when heads were sealed for memory's sake; 0: never */
    _Atomic uint64_t compactions, compacted_bytes_in, compacted_bytes_out, compaction_failures;

    /* The sealing thread's own. */
    int64_t seal_again_mono_ns; /* after a failure */

    _Atomic uint64_t head_bytes; /* as of the last look, plus what pushes added */
    _Atomic uint64_t pushes, rows, duplicates, seals, seal_failures;

    pthread_t threads[4];
    uint32_t thread_count;
    _Atomic bool stopping;
    struct mutex seal_mu; /* guards sealing_due; lets the sealing thread sleep */
    struct cond seal_more;
};

/* Completes what is durable; with `failed`, everything else with its code. */
void storage_complete_acks(struct storage *s, const struct err *failed);

/* Adds under s->mu; the list takes the reference. */
void storage_add_head(struct storage *s, struct head *h);
void storage_add_segment(struct storage *s, struct segment *seg);

/* Takes over the reference; under s->mu, when the segment has left the list. */
void storage_doom(struct storage *s, struct segment *seg, uint64_t lsn);
/* The same for one whose rows are in another segment now. */
void storage_doom_replaced(struct storage *s, struct segment *seg);
/* Files of replaced segments go, readers or not: before a merge may be evicted. */
int storage_unlink_replaced(struct storage *s, struct err *err);
/* The oldest LSN that the log must keep for what is doomed; UINT64_MAX: none. Under s->mu. */
uint64_t storage_doomed_lsn(const struct storage *s);
/* On disk, both files in whole blocks. */
uint64_t storage_segment_bytes(const struct segment_meta *m);
void storage_remove_files(struct storage *s, const struct segment_meta *m);

/*
 * When a write met the quota or a full disk: evicts at least `bytes`, if a rule
 * about bytes is set. 1: something went, try again; 0: nothing may go; negative failed.
 */
int storage_make_room(struct storage *s, uint64_t bytes, struct err *err);
/* How things are; what is on its way out does not count. */
void storage_measure(struct storage *s, uint64_t must_free, struct retention_space *out);
void storage_space_of(const struct retention_rules *rules, const struct ledger_usage *usage,
                      const struct fs_space *volume, int64_t now_ns, struct retention_space *out);
/* What the ledger counts, for storage_stats(). */
void storage_fill_disk(struct storage *s, struct storage_stats *out);
/* May eviction make room? */
bool storage_may_evict(const struct storage *s);
/* A write found no room, and eviction did not help. */
void storage_note_no_space(struct storage *s);
/* Replay: remembers an evict record, then takes out what they name. */
void storage_note_evicted(struct storage *s, struct str payload);
void storage_apply_evicted(struct storage *s, struct storage_recovery *recovery);
/* Options that a limit on the whole bounds: the log, the size of a segment. */
int storage_fit_limit(struct storage *s, struct err *err);
uint64_t storage_catalog_share(uint64_t limit);
/* At the end of opening: what a limit that is lower than before asks for. */
void storage_settle_limit(struct storage *s);
/* The ledger's limit, as far as it can be had. */
void storage_enforce_limit(struct storage *s);

/* Is the log, is this segment part of a backup that is being taken? Under s->mu. */
bool storage_backup_holds_log(const struct storage *s);
bool storage_backup_holds(const struct storage *s, const struct segment *seg);
void storage_backup_close(struct storage *s);

/* Reads quarantine/ again. */
int storage_load_missing(struct storage *s, struct err *err);
/* Adds to *out what is not there of `tenants` (and of `service`, if not empty) in `time`; under
 * s->mu. */
void storage_find_missing(const struct storage *s, const struct str *tenants, uint32_t tenant_count,
                          struct str service, struct time_span time, struct storage_missing *out);

/* The same for storage_stats() and, with the lock taken here, for storage_usage(). */
void storage_count_missing(const struct storage *s, struct storage_stats *out);
int storage_list_missing(struct storage *s, struct arena *arena, struct storage_usage *out,
                         struct err *err);

/* Reads all of a segment; what is damaged is logged and noted. How many services are. */
uint32_t storage_find_damage(struct segment *seg);
/* Notes and logs it, the first time. */
void storage_note_damage(struct segment *seg, uint32_t service, const struct err *why);

int storage_wait_durable(struct storage *s, uint64_t lsn, struct err *err);
void storage_catalog_add(struct storage *s, const struct segment_meta *m);
void storage_catalog_remove(struct storage *s, struct segment_id id);

int32_t storage_day_of(int64_t time_ns);
struct time_span storage_day_span(int32_t day);

/* Everything that does not need the log: directories, lock, FORMAT, segments. */
int storage_load_segments(struct storage *s, struct storage_recovery *recovery, struct err *err);

void storage_threads_stop(struct storage *s);

#endif

/*
 * storage_internal - what the parts of the store share; private to storage/.
 *
 *   storage_open.c   directory, lock, format, recovery, close
 *   storage_push.c   a push into heads and WAL, acknowledgements
 *   storage_view.c   what a query pins
 *   storage_seal.c   heads into segments, the log's end
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
#include "storage/segment.h"
#include "storage/segment_cache.h"

#include "base/fs.h"
#include "base/thread.h"

#include <stdatomic.h>

enum {
    STORAGE_FORMAT_MAJOR = 0,
    STORAGE_FORMAT_MINOR = 0,
    STORAGE_ENCODERS_MAX = 16, /* kept for reuse */
};

struct ack {
    struct ack *next;
    uint64_t lsn;
    storage_push_done done;
    void *ctx;
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

    struct mutex mu; /* guards heads, segments, quarantined */
    struct head **heads;
    uint32_t head_count, head_cap;
    struct segment **segments;
    uint32_t segment_count, segment_cap;
    uint32_t segments_quarantined;

    struct mutex acks_mu; /* guards acks and encoders */
    struct ack *acks;
    struct encoder *encoders[STORAGE_ENCODERS_MAX];
    uint32_t encoder_count;

    /* The sealing thread's own. */
    int64_t seal_again_mono_ns; /* after a failure */

    _Atomic uint64_t head_bytes; /* as of the last look, plus what pushes added */
    _Atomic uint64_t pushes, rows, duplicates, seals, seal_failures;

    pthread_t threads[3];
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

int32_t storage_day_of(int64_t time_ns);
struct time_span storage_day_span(int32_t day);

/* Everything that does not need the log: directories, lock, FORMAT, segments. */
int storage_load_segments(struct storage *s, struct storage_recovery *recovery, struct err *err);

void storage_threads_stop(struct storage *s);

#endif

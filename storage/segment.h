/*
 * segment - one immutable pair of files with the rows of one tenant and one UTC day.
 *
 * `.smp` holds rows and samples in chunks, `.agg` everything that makes them
 * findable: per service the dictionary, the stack tree, labels, the chunk
 * directory. `.smp` is written and synced first, then `.agg`, which names it
 * with length and checksum: the pair exists exactly when `.agg` exists under
 * its final name. Bytes: docs/storage-format.md, "Segment".
 *
 * Order inside is canonical: strings, functions, mappings, locations, streams
 * sorted, ids are ranks; stacks depth first by location rank. The same rows
 * give the same data sections, whatever order they came in.
 *
 * A segment says which heads it holds (head ids with their LSN bounds), so that
 * replay after a crash between publishing and recycling counts no row twice.
 */
#ifndef STORAGE_SEGMENT_H
#define STORAGE_SEGMENT_H

#include "base/str.h"
#include "storage/dataset.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct blob_store;
struct buf;
struct err;
struct segment;
struct segment_cache;

/* 128 bits: unique per instance; the name of both files. */
struct segment_id {
    uint64_t hi, lo;
};

/* A head that went into a segment. */
struct segment_source {
    uint64_t head_id; /* unique per instance for ever: the LSN at its birth */
    uint64_t lsn_first, lsn_last;
};

/* Which sums of rows a writer adds (storage/rollup.h). */
enum segment_rollups {
    SEGMENT_ROLLUPS_AUTO, /* those that pay; no vectors at level 0 */
    SEGMENT_ROLLUPS_ALWAYS,
    SEGMENT_ROLLUPS_NEVER,
};

/* What the footer tells; also what the catalog caches. */
struct segment_meta {
    struct segment_id id;
    struct str tenant;
    int32_t day;   /* days since 1970-01-01 UTC */
    uint8_t level; /* 0: sealed from heads; higher: compacted */
    struct time_span time;
    uint64_t rows, samples, agg_bytes, smp_bytes;
    uint32_t services;
    enum segment_rollups rollups; /* for the writer; no file says it */
    int64_t created_ns;
    const struct segment_source *sources;
    uint32_t source_count;
};

/*
 * Writes one segment from `datasets` (all of meta->tenant, meta->day; services
 * ascend, one dataset per service) and makes it durable under its final name:
 * `.smp` temp, sync, rename; `.agg` temp, sync, rename; directory sync after
 * both. The caller sets id, tenant, day, level, created_ns, sources; the rest
 * of *meta is filled in. On failure the temps are gone or will be swept at
 * start. Memory: one service's dictionary plus buffers.
 */
int segment_write(struct blob_store *blobs, struct dataset *const *datasets, uint32_t count,
                  struct segment_meta *meta, struct err *err);

/*
 * Opens by reading and checking header, footer, section table and the sections
 * of the whole file of `.agg`, and header and length of `.smp`. ERR_CORRUPT: set
 * both aside, go on. On success *out holds one reference; neither file is kept
 * open. `cache` (NULL: none) keeps decoded parts and must outlive the segment.
 */
int segment_open(struct blob_store *blobs, struct segment_cache *cache, struct str tenant,
                 int32_t day, struct segment_id id, uint8_t level, struct segment **out,
                 struct err *err);
/*
 * segment_open() for repair: headers, which say nothing that the name does not, may be damaged.
 */
int segment_open_salvage(struct blob_store *blobs, struct str tenant, int32_t day,
                         struct segment_id id, uint8_t level, struct segment **out,
                         struct err *err);
/*
 * What the .agg called `path` says of itself, wherever it lies and whatever its header is worth:
 * footer, table and MTA must be sound. *out keeps its texts and sources in `arena`; id,
 * level and day, which are in the name, stay as they are.
 */
int segment_peek(struct blob_store *blobs, const char *path, struct str tenant, struct arena *arena,
                 struct segment_meta *out, struct err *err);
/* Threads: any. */
struct segment *segment_ref(struct segment *s);
void segment_unref(struct segment *s); /* NULL is fine */
/* A reference of somebody who does not mind when the files go meanwhile. */
struct segment *segment_watch(struct segment *s);
void segment_unwatch(struct segment *s);
/* Does anybody beside the asker hold a reference, and mind? For one that no view can find any more.
 */
bool segment_is_shared(const struct segment *s);
/*
 * It was evicted or replaced: its files may go while somebody reads. Then reading
 * it fails with ERR_BUSY, ask again, rather than with what the disk says.
 */
void segment_doom(struct segment *s);
const struct segment_meta *segment_meta(const struct segment *s);

/* The services inside, ascending: names and time bounds without reading them. */
uint32_t segment_service_count(const struct segment *s);
/* How much of the segment is of service `i`. */
struct segment_share {
    struct str service;
    uint64_t rows, samples;
};
struct segment_share segment_service_share(const struct segment *s, uint32_t i);
/* Of both files, by its part of the samples. */
uint64_t segment_share_bytes(const struct segment *s, uint32_t i);
struct str segment_service_name(const struct segment *s, uint32_t i, struct time_span *time);

/*
 * The dataset of service `i`; holds a reference on the segment. Index and
 * dictionary are decoded when first asked for, and shared through the cache.
 */
int segment_dataset_open(struct segment *s, uint32_t i, struct dataset **out, struct err *err);
void segment_dataset_close(struct dataset *ds); /* NULL is fine */
/* NULL: of a head, not of a segment. */
struct segment *segment_of_dataset(struct dataset *ds, uint32_t *service);

/* Does a failure to read it mean that what is stored is worth nothing? No: only this try is. */
bool segment_is_damage(int rc, const struct err *err);
/*
 * Remembers for as long as it is open that a service could not be read: it is asked all
 * the same, but nothing is made of the segment. True the first time. Threads: any.
 */
bool segment_note_damage(struct segment *s, uint32_t service);
/* It was read in full and is sound. */
void segment_clear_damage(struct segment *s, uint32_t service);
uint32_t segment_damaged_services(const struct segment *s);
bool segment_is_damaged(const struct segment *s, uint32_t service);

/* When all of it was last read and compared with its checksums; 0: not since it was opened. */
int64_t segment_checked_ns(const struct segment *s);
void segment_set_checked(struct segment *s, int64_t now_ns);

/*
 * Reads and checks every byte of both files, also that totals, counts and bounds
 * agree; appends one line per finding. 0 sound, ERR_CORRUPT otherwise.
 */
int segment_verify(struct segment *s, struct buf *report, struct err *err);
/* The same of one service: its sections, every row, its sums. 0 or what is wrong first. */
int segment_check_service(struct segment *s, uint32_t service, struct err *err);
/* Of its rows, labels and dictionary only: what a new segment can be written from. */
int segment_check_rows(struct segment *s, uint32_t service, struct err *err);

#endif

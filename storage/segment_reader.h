/*
 * segment_reader - an open segment: its footer, its services, its sections on demand.
 *
 * Internal to segment_*.c; others use segment.h. A segment in memory is its meta
 * and the list of its services; files are opened for as long as somebody reads
 * them, so ten thousand segments need no descriptors.
 *
 * Every byte that is read is checked against its checksum before it is used.
 * Errors name file, section, offset, what was expected and found.
 *
 * Threads: a segment is immutable and counted; a segment_source_file has one user.
 */
#ifndef STORAGE_SEGMENT_READER_H
#define STORAGE_SEGMENT_READER_H

#include "storage/segment.h"
#include "storage/segment_format.h"

#include "base/arena.h"

#include <stdatomic.h>
#include <stdbool.h>

struct blob_reader;
struct segment_index;
struct segment_pack;
struct symbols;

/*
 * What one service may take while it is read. Heads are bounded lower, so this is for damaged
 * files, which could claim anything; it comes before every allocation from sizes on disk.
 */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define SEGMENT_SERVICE_BYTES_MAX ((size_t)32 << 20)
#else
#define SEGMENT_SERVICE_BYTES_MAX ((size_t)1 << 30)
#endif

struct segment_service {
    struct str name;
    struct time_span time;
    uint64_t rows, samples;
    _Atomic bool damaged;
};

struct segment {
    _Atomic uint32_t refs, watchers; /* a watcher has a reference too */
    _Atomic bool doomed;
    _Atomic uint32_t damaged; /* services */
    _Atomic int64_t checked_ns;
    struct blob_store *blobs;
    struct segment_cache *cache;
    struct segment_meta meta;
    struct segment_footer footer;
    struct segment_service *services;
    struct arena memory; /* texts, services, sources */
};

/* One of the files, open. */
struct segment_reading {
    const struct segment *segment;
    struct blob_reader *blob;
    char path[SEGMENT_PATH_MAX];
};

int segment_reading_open(const struct segment *s, enum segment_file file,
                         struct segment_reading *out, struct err *err);
void segment_reading_close(struct segment_reading *r); /* zeroes are fine */

/* The section table, checked: sorted, in bounds, tiling the file. In `arena`. */
int segment_sections(struct segment_reading *agg, struct arena *arena, struct segment_section **out,
                     struct err *err);

/* The one of a kind and service: ERR_CORRUPT without exactly one, ERR_UNSUPPORTED if it is newer.
 */
int segment_section_find(const struct segment_reading *agg, const struct segment_section *sections,
                         uint32_t kind, uint32_t service, const struct segment_section **out,
                         struct err *err);
/* Stored bytes, checked. */
int segment_section_read(struct segment_reading *agg, const struct segment_section *s,
                         struct arena *arena, struct str *stored, struct err *err);
/* Unpacked too, if it is packed as a whole. */
int segment_section_unpack(struct segment_reading *agg, const struct segment_section *s,
                           struct segment_pack *pack, struct arena *arena, struct str *raw,
                           struct err *err);

/* `size` bytes of .smp with their checksum. */
int segment_block_read(struct segment_reading *smp, uint64_t offset, uint32_t size,
                       uint64_t checksum, struct arena *arena, struct str *out, struct err *err);

/* What a service's sections say, freshly decoded; `arena` keeps the index. */
int segment_index_load(const struct segment *s, uint32_t service, struct arena *arena,
                       struct segment_index *out, struct err *err);
int segment_symbols_load(const struct segment *s, uint32_t service, struct symbols **out,
                         struct err *err);

#endif

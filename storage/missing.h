/*
 * missing - what the store knows that it lacks: segments that lie in quarantine/.
 *
 * A segment set aside is called quarantine/seg_<tenant>_<yyyymmdd>_<level>-<id>.agg and .smp,
 * with .1, .2, ... behind when that was taken: its name alone says whose rows of which day are
 * not answered from, whatever its bytes are worth. What is sound of it tells more: the time of
 * its rows, and its heads, whose rows may have come back from the log. A copy of a log file,
 * <epoch>.wal, says that acknowledged pushes are gone, of whom and when nobody knows. Other files
 * (merges that came out wrong, log files of which every record was used) lack nobody anything.
 *
 * It holds for as long as the files lie there, over restarts too: whoever repairs or restores
 * a segment, or gives it up, takes them away.
 *
 * Threads: none here; the store swaps whole lists under its lock.
 */
#ifndef STORAGE_MISSING_H
#define STORAGE_MISSING_H

#include "storage/dataset.h"
#include "storage/missing_note.h"
#include "storage/segment.h"

#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct blob_store;
struct err;
struct fs;

struct missing_item {
    struct str tenant, file; /* the first of its files */
    struct segment_id id;
    struct time_span time; /* of its rows; of the day when nothing says more */
    uint64_t bytes;        /* of both files; copies of one count once */
    uint64_t agg_bytes, smp_bytes;
    const struct segment_source *sources; /* the heads it held; none: not known */
    uint32_t source_count;
    bool elsewhere; /* the store's word: all of its heads are in the log or in other segments */
    bool noted;     /* a repair saved the rest: if it is elsewhere, `parts` are missing still */
    struct missing_part *parts;
    uint32_t part_count;
};

struct missing {
    struct missing_item *items;
    uint32_t count, cap;
    uint32_t logs; /* damaged log files */
    uint64_t logs_bytes;
    int64_t logs_until_ns; /* when the last of them was found, by the disk's clock */
    uint64_t fingerprint;  /* of names and sizes: equal when nothing changed */
    struct arena memory;
};

void missing_init(struct missing *m);
void missing_release(struct missing *m);

/*
 * Fills *m, fresh from missing_init(), with what lies in quarantine/, which need not exist.
 * A file that cannot be read counts with its whole day. Errors: the folder cannot be listed.
 */
int missing_load(struct missing *m, struct fs *fs, struct blob_store *blobs, struct err *err);
/* Of the folder as it is now, without reading a file. */
int missing_fingerprint(struct fs *fs, uint64_t *out, struct err *err);

/* A segment that could not even be moved there, by its own path. */
void missing_add(struct missing *m, const char *path, uint64_t bytes);

/* The path of the .agg that a file in quarantine/ had; false when it is not of a segment. */
bool missing_path_of(struct str name, char *path, size_t size);

bool missing_has(const struct missing *m, struct segment_id id);

#endif

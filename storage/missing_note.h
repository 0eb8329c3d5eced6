/*
 * missing_note - what of a segment set aside is missing still, after the rest was repaired.
 *
 * Lies beside the segment's files in quarantine/ under their name with `.missing` at its end. It
 * counts only while other segments hold all of the heads: a repair that was cut off half way
 * leaves all of the segment missing. Bytes: docs/storage-format.md, "Missing note".
 *
 * Threads: pure functions and one file; the writer holds LOCK.
 */
#ifndef STORAGE_MISSING_NOTE_H
#define STORAGE_MISSING_NOTE_H

#include "storage/dataset.h"
#include "storage/segment.h"

#include <stdint.h>

struct arena;
struct buf;
struct err;
struct fs;

/* A service that was lost. */
struct missing_part {
    struct str service;
    struct time_span time;
    uint64_t bytes; /* of the segment's files, about */
};

void missing_note_encode(const struct missing_part *parts, uint32_t count, struct buf *out);
/* Texts point into `raw`. ERR_CORRUPT. */
int missing_note_decode(struct str raw, struct arena *arena, struct missing_part **parts,
                        uint32_t *count, struct err *err);

/* Of the segment that `path`, seg/.../<level>-<id>.agg, names. ERR_NOT_FOUND: there is none. */
int missing_note_read(struct fs *fs, const char *path, struct arena *arena,
                      struct missing_part **parts, uint32_t *count, struct err *err);
/* Durable at return; replaces an earlier one. tmp/ and quarantine/ must exist. */
int missing_note_write(struct fs *fs, const char *path, const struct missing_part *parts,
                       uint32_t count, struct err *err);

#endif

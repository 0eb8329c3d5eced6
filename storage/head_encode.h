/*
 * head_encode - one push as one WAL record, and what the heads keep of it.
 *
 * An encoder is a thread's scratch. For each head that the push touches (their
 * mutexes held) head_encode_rows() interns the symbols, brings the samples into
 * columns and appends the head's part of the payload; after wal_append() the
 * rows get their LSN with head_encode_publish(). When the append failed,
 * head_encode_undo() takes the epoch marks back.
 *
 * Payload (docs/storage-format.md, "Push record"): a count of parts; a part is
 * the head's id, its key at first use in this WAL file, the symbols, streams
 * and typesets that this file has not defined yet, and the rows. Ids are the
 * head's; the reader translates them (head_replay.h).
 *
 * Threads: one owner per encoder.
 */
#ifndef STORAGE_HEAD_ENCODE_H
#define STORAGE_HEAD_ENCODE_H

#include "storage/head.h"

#include "base/buf.h"

#include <stdint.h>

struct encoder;
struct err;

struct encoder *encoder_new(void);
void encoder_free(struct encoder *e); /* NULL is fine */

/* Between pushes: gives back what a large one left behind. */
void encoder_trim(struct encoder *e);

/* Starts a payload for WAL file `epoch` with `parts` parts. */
void encoder_begin(struct encoder *e, uint32_t epoch, uint32_t parts);

/*
 * One part: rows[i] for i in `which`. `dedup_keys` runs parallel to `which`: a
 * hash that finds the same row again, 0 = none.
 */
int encoder_add_part(struct encoder *e, struct head *h, const struct push *push,
                     const uint32_t *which, const uint64_t *dedup_keys, uint32_t count,
                     struct err *err);

/* The payload so far; ERR_TOO_LARGE if it did not fit. Valid until the next begin. */
int encoder_payload(struct encoder *e, struct str *out, struct err *err);

/* The rows of all parts become rows of their heads; LSN index counts from 0. */
int encoder_publish(struct encoder *e, uint64_t lsn, int64_t mono_ns, struct err *err);

/* The record was not appended: nothing is defined in this epoch by it. */
void encoder_undo(struct encoder *e);

#endif

/*
 * segment_writer - turns datasets into the two files of a segment, service by service.
 *
 * segment_write() of segment.h is made of these: open, one add per service in
 * ascending order, close. Both files grow side by side under temporary names;
 * `.smp` gets its name first, so that an `.agg` always finds it.
 *
 * Memory: one service's order, columns and sections, and the section table.
 * Threads: one owner.
 */
#ifndef STORAGE_SEGMENT_WRITER_H
#define STORAGE_SEGMENT_WRITER_H

#include "storage/segment.h"

struct blob_store;
struct err;
struct segment_writer;

/* `meta` says id, tenant, day, level, created_ns, sources; borrowed until the end. */
int segment_writer_open(struct blob_store *blobs, const struct segment_meta *meta,
                        struct segment_writer **out, struct err *err);

/* All rows of one service; services ascend. A dataset without rows adds nothing. */
int segment_writer_add(struct segment_writer *w, struct dataset *ds, struct err *err);

/* Makes both durable and fills in the rest of *meta. Frees the writer in any case. */
int segment_writer_commit(struct segment_writer *w, struct segment_meta *meta, struct err *err);
void segment_writer_abort(struct segment_writer *w); /* NULL is fine */

#endif

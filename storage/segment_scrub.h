/*
 * segment_scrub - reads a segment again to see whether the disk still has it, a little at a time.
 *
 * A walk opens the segment anew (header, footer, table, sections of the whole file), then reads
 * every section of .agg and every block of .smp and compares their checksums. What it reads is
 * thrown away: nothing is decoded but the directory that says where blocks are.
 *
 * A walk watches the segment (segment_watch()) and opens its files for the time of a step, so it
 * keeps no bytes on the disk. When the segment is doomed it ends early. Threads: a walk has one
 * user.
 */
#ifndef STORAGE_SEGMENT_SCRUB_H
#define STORAGE_SEGMENT_SCRUB_H

#include <stdint.h>

struct err;
struct segment;
struct segment_scrub;

struct segment_scrub *segment_scrub_new(struct segment *s);
void segment_scrub_free(struct segment_scrub *w); /* NULL is fine */

struct segment *segment_scrub_of(const struct segment_scrub *w);

/*
 * Reads on, at least one part and then about `bytes_max`; *bytes is what it read. 1: there
 * is more. 0: all is read, or the segment is doomed. Negative: a part of *service (of the
 * whole file: SEGMENT_WHOLE_FILE) cannot be read or does not match; the next step goes on behind
 * it.
 */
int segment_scrub_step(struct segment_scrub *w, uint64_t bytes_max, uint64_t *bytes,
                       uint32_t *service, struct err *err);

#endif

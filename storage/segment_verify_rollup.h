/*
 * segment_verify_rollup - are a service's sums the sums of its rows?
 *
 * Internal to segment_verify.c. Threads: one owner.
 */
#ifndef STORAGE_SEGMENT_VERIFY_ROLLUP_H
#define STORAGE_SEGMENT_VERIFY_ROLLUP_H

struct arena;
struct dataset;
struct err;

/* Every vector and every total against the rows, which were checked before. `path` is for messages.
 */
int segment_verify_rollups(struct dataset *ds, const char *path, struct arena *scratch,
                           struct err *err);

#endif

/*
 * segment_make - a segment of random rows on a given disk, for tests, seeds and benches.
 *
 * Threads: one.
 */
#ifndef TESTS_SUPPORT_SEGMENT_MAKE_H
#define TESTS_SUPPORT_SEGMENT_MAKE_H

#include "storage/segment.h"

#include <stdint.h>

struct dataset_fake;
struct profile_gen;

#define SEGMENT_MAKE_DAY 20780
#define SEGMENT_MAKE_NS (INT64_C(86400000000000) * SEGMENT_MAKE_DAY)

/* Service `service` with `rows` random rows; free with dataset_fake_free(). */
struct dataset_fake *segment_make_rows(uint64_t seed, struct str service, uint32_t rows);

/* The meta that the functions here use: id {seed, 1}, tenant "tenant", two sources. */
struct segment_meta segment_make_meta(uint64_t seed);

/* Services "a", "b", ... of one segment, written. */
int segment_make_write(struct blob_store *blobs, uint64_t seed, struct dataset_fake **services,
                       uint32_t count, struct segment_meta *meta, struct err *err);

#endif

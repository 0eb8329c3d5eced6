/*
 * dataset_fake - a dataset from raw rows, as plain as it can be, for tests.
 *
 *     struct dataset_fake *f = dataset_fake_new(STR("t"), STR("svc"));
 *     dataset_fake_add(f, &row, lsn, 0);
 *     struct dataset *ds = dataset_fake_dataset(f);
 *     ...
 *     dataset_fake_free(f);
 *
 * It shares no code with heads or segments beyond the dictionary: what it shows
 * is what they must show. Any failure fails the test. Threads: one.
 */
#ifndef TESTS_SUPPORT_DATASET_FAKE_H
#define TESTS_SUPPORT_DATASET_FAKE_H

#include "storage/dataset.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct dataset_fake;

struct dataset_fake *dataset_fake_new(struct str tenant, struct str service);
void dataset_fake_free(struct dataset_fake *f); /* NULL is fine */

/* Everything is copied. Rows may come in any order. */
void dataset_fake_add(struct dataset_fake *f, const struct push_row *row, uint64_t sequence,
                      uint32_t sequence_index);

/* Of all rows added so far; valid until the next add. Borrowed. */
struct dataset *dataset_fake_dataset(struct dataset_fake *f);

/*
 * What a dataset shows, as text that does not depend on its ids: every row with
 * labels, types, times, totals and each sample by its frames. Two datasets of the
 * same rows give the same text. `time`: rows to show; `types`: columns to ask for.
 */
int dataset_describe(struct dataset *ds, struct time_span time, uint64_t types, bool samples,
                     struct buf *out, struct err *err);

#endif

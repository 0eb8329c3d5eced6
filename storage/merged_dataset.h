/*
 * merged_dataset - the datasets of one service in several segments as one dataset.
 *
 * What compaction gives to the segment writer: the same rows as the inputs, each once,
 * under one dictionary. Equal strings, functions, locations, stacks and streams become
 * one; rows of an entry come in the order of time, sequence and sequence index, whatever
 * input they are from.
 *
 * The inputs do not change (segments, not heads) and must outlive it. Memory: the
 * dictionary of the service, four bytes per stack node of each input, and the samples of
 * one window of one entry (WINDOW_SAMPLES or one instant). Threads: one owner.
 */
#ifndef STORAGE_MERGED_DATASET_H
#define STORAGE_MERGED_DATASET_H

#include "storage/dataset.h"

#include <stdint.h>

struct err;

/* All of one tenant and service; at least one. On success: merged_dataset_close(). */
int merged_dataset_open(struct dataset *const *inputs, uint32_t count, struct dataset **out,
                        struct err *err);
void merged_dataset_close(struct dataset *ds); /* NULL is fine */

#endif

/*
 * head_columns - the samples of one pushed row as columns of a head's dictionary.
 *
 * Interns the locations of the row's profile (once for all rows of a profile that
 * go to one head), finds the node of every stack, sorts by (node, link) and adds up
 * what is equal. No allocation per sample: the scratch grows and is kept.
 *
 * Internal to head_encode.c and head_replay.c. Threads: one owner.
 */
#ifndef STORAGE_HEAD_COLUMNS_H
#define STORAGE_HEAD_COLUMNS_H

#include "storage/model/profile.h"
#include "storage/model/samples.h"

#include <stddef.h>
#include <stdint.h>

struct err;
struct head_columns;
struct symbols;

struct head_columns *head_columns_new(void);
void head_columns_free(struct head_columns *c); /* NULL is fine */

/* Gives back what a large row left behind; at most `keep_bytes` of each arena stay. */
void head_columns_trim(struct head_columns *c, size_t keep_bytes);

/* Forgets which profile and dictionary the last row was of: before either may be another. */
void head_columns_begin(struct head_columns *c);

/* With the head's mutex held. *out is valid until the next call. */
int head_columns_build(struct head_columns *c, struct symbols *symbols, const struct push_row *row,
                       const struct sample_columns **out, struct err *err);

/* Sorts and adds up columns whose stacks are in any order. *out as above. */
void head_columns_sort(struct head_columns *c, const struct sample_columns *in,
                       const struct sample_columns **out);

#endif

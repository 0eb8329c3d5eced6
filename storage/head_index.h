/*
 * head_index - the first n rows of a head, ordered for reading.
 *
 * A dataset_index and, per entry, the ids of its rows by (time, LSN). Built
 * once per n and shared by the queries that see the same rows.
 *
 * Threads: immutable; counted references. Internal to head*.c.
 */
#ifndef STORAGE_HEAD_INDEX_H
#define STORAGE_HEAD_INDEX_H

#include "storage/dataset.h"

#include "base/arena.h"

#include <stdatomic.h>
#include <stdint.h>

struct head;

struct head_index {
    _Atomic uint32_t refs;
    uint32_t row_count;
    struct arena memory;
    struct dataset_index index;
    uint32_t *rows;      /* row ids, entry by entry */
    uint32_t *row_first; /* by entry, and one more */
    struct time_span time;
};

/* With head.mu held. `old`: one of fewer rows saves sorting those again; NULL is fine. */
struct head_index *head_index_build(struct head *h, uint32_t row_count,
                                    const struct head_index *old);
struct head_index *head_index_ref(struct head_index *ix);
void head_index_unref(struct head_index *ix); /* NULL is fine */

#endif

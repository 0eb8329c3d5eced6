/*
 * query_plan - from which sums and which rows a question about one dataset is answered.
 *
 * A dataset's part of the time asked for is split into what vectors cover and what rows must
 * be read for: the whole dataset, whole hours, edges. The writer keeps a vector only where it is a
 * quarter of its rows or less, so the coarsest one that fits is the cheapest; that is all there is
 * to choosing. Span and trace selectors need samples: rows.
 *
 * A family's vector stands for a selection when what it adds beyond the selected entries has
 * no value of the types asked for. A dataset without sums is read row by row.
 *
 * Plans live in the arena they were made in. Threads: one question, one owner.
 */
#ifndef STORAGE_QUERY_PLAN_H
#define STORAGE_QUERY_PLAN_H

#include "storage/query_select.h"
#include "storage/rollup.h"

struct arena;
struct err;

struct plan_vector {
    const struct rollup_vector *vector;
    uint64_t types;
};

/* At most one stretch for entries without vectors and two edges. */
enum {
    PLAN_SCANS_MAX = 3,
};

struct query_plan {
    bool by_flame; /* every vector is of kind ROLLUP_FLAME and there is nothing to scan */
    struct plan_vector *vectors;
    uint32_t vector_count;
    struct dataset_scan scans[PLAN_SCANS_MAX];
    uint32_t scan_count;
};

/* `flame`: function names will do. Also counts into q->explain. */
int query_plan_samples(const struct query *q, const struct selected_dataset *sel, bool flame,
                       struct arena *arena, struct query_plan *out, struct err *err);

/* *usable: totals of ten minutes would do; becomes whether they are there. Counts into q->explain.
 */
int query_plan_totals(const struct query *q, const struct selected_dataset *sel, bool *usable,
                      struct err *err);

#endif

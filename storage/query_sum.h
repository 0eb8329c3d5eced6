/*
 * query_sum - sums the samples of one dataset per stack. Internal to storage/query_*.c.
 *
 * One 128-bit cell per node of the dictionary: adding a sample is one indexed
 * addition, and sums are exact whatever the number of rows.
 */
#ifndef STORAGE_QUERY_SUM_H
#define STORAGE_QUERY_SUM_H

#include "storage/query_plan.h"
#include "storage/query_select.h"

#include <stdbool.h>
#include <stdint.h>

struct symbols;

struct stack_sums {
    value128 *sum;   /* by node id */
    uint8_t *needed; /* by node id: it or something below it has a sum */
    uint32_t node_count;
    bool any_row; /* a row was selected */
    bool any;     /* some sum is not zero */
};

/* As planned, by node. Everything comes from `scratch`. *symbols is set when any_row is. */
int stack_sums_scan(const struct query *q, const struct selected_dataset *sel,
                    const struct query_plan *plan, struct arena *scratch,
                    const struct symbols **symbols, struct stack_sums *out, struct err *err);

/* The same by node of the flame tree, for a plan that is by flame. */
int stack_sums_flame(const struct query *q, const struct selected_dataset *sel,
                     const struct query_plan *plan, struct arena *scratch,
                     const struct flame **flame, struct stack_sums *out, struct err *err);

static inline bool stack_sums_needed(const struct stack_sums *s, uint32_t node)
{
    return s->needed[node] != 0;
}

#endif

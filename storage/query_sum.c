#include "storage/query_sum.h"

#include "storage/model/samples.h"
#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

struct sum_ctx {
    const struct query *q;
    struct stack_sums *sums;
    bool filtered; /* by span or trace */
};

static void add_column(struct sum_ctx *c, const struct sample_columns *columns, uint32_t type)
{
    value128 *sum = c->sums->sum;
    const int64_t *values = columns->values[type];

    for (uint32_t i = 0; i < columns->count; i++) {
        if (c->filtered) {
            uint32_t link = columns->links ? columns->links[i] : 0;

            if (!query_link_matches(c->q, link ? &columns->link_table[link - 1] : NULL))
                continue;
        }
        sum[columns->stacks[i]] += (value128)values[i];
    }
}

static int visit(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                 struct err *err)
{
    struct sum_ctx *c = ctx;

    (void)row;
    c->sums->any_row = true;
    for (uint32_t t = 0; t < columns->type_count; t++)
        if (columns->values[t])
            add_column(c, columns, t);
    return query_check_canceled(c->q, err);
}

static int visit_row(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                     struct err *err)
{
    struct sum_ctx *c = ctx;

    (void)row;
    (void)columns;
    c->sums->any_row = true;
    return query_check_canceled(c->q, err);
}

/* From the leaves up, which works because a parent's id is below its children's. */
static void mark_needed(const struct symbols *symbols, struct stack_sums *s)
{
    for (uint32_t n = s->node_count; n-- > 1;) {
        if (s->sum[n] > 0)
            s->needed[n] = 1;
        if (s->needed[n]) {
            s->needed[symbols_node(symbols, n).parent] = 1;
            s->any = true;
        }
    }
}

static int sums_init(const struct query *q, struct stack_sums *s, struct arena *scratch,
                     struct err *err)
{
    s->sum = arena_calloc(scratch, s->node_count, sizeof(*s->sum));
    s->needed = arena_calloc(scratch, s->node_count, sizeof(*s->needed));
    return s->sum && s->needed ? 0 : query_out_of_memory(q, err);
}

static int add_vectors(const struct query *q, const struct selected_dataset *sel,
                       const struct query_plan *plan, struct arena *scratch,
                       const struct stack_sums *s, struct err *err)
{
    value128 *sums[PROFILE_TYPES_MAX];

    for (uint32_t t = 0; t < PROFILE_TYPES_MAX; t++)
        sums[t] = s->sum;
    for (uint32_t i = 0; i < plan->vector_count; i++) {
        const struct plan_vector *v = &plan->vectors[i];
        int rc = query_check_canceled(q, err);

        if (rc == 0)
            rc = sel->ds->ops->rollups->add(sel->ds, v->vector, v->types, s->node_count, scratch,
                                            sums, NULL, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/*
 * A row without values of the types asked for is a row selected all the same, if its entry has
 * any: what vectors without a sum do not tell.
 */
static int find_row(const struct query *q, const struct selected_dataset *sel,
                    struct arena *scratch, struct sum_ctx *ctx, struct err *err)
{
    struct dataset_scan rows = {sel->entries, sel->types, sel->count, q->time, false};

    return sel->ds->ops->scan(sel->ds, &rows, scratch, visit_row, ctx, err);
}

int stack_sums_scan(const struct query *q, const struct selected_dataset *sel,
                    const struct query_plan *plan, struct arena *scratch,
                    const struct symbols **symbols, struct stack_sums *out, struct err *err)
{
    struct sum_ctx ctx = {q, out, q->span_id_count > 0 || q->trace_id_count > 0};
    int rc;

    memset(out, 0, sizeof(*out));
    rc = sel->ds->ops->symbols(sel->ds, symbols, &out->node_count, err);
    if (rc != 0)
        return rc;
    check(out->node_count > SYMBOLS_ROOT && !plan->by_flame);
    if ((rc = sums_init(q, out, scratch, err)) != 0 ||
        (rc = add_vectors(q, sel, plan, scratch, out, err)) != 0)
        return rc;
    for (uint32_t i = 0; i < plan->scan_count; i++)
        if ((rc = sel->ds->ops->scan(sel->ds, &plan->scans[i], scratch, visit, &ctx, err)) != 0)
            return rc;
    mark_needed(*symbols, out);
    if (out->any || out->sum[SYMBOLS_ROOT] > 0)
        out->any_row = true;
    return out->any_row || plan->vector_count == 0 ? 0 : find_row(q, sel, scratch, &ctx, err);
}

int stack_sums_flame(const struct query *q, const struct selected_dataset *sel,
                     const struct query_plan *plan, struct arena *scratch,
                     const struct flame **flame, struct stack_sums *out, struct err *err)
{
    int rc;

    memset(out, 0, sizeof(*out));
    if ((rc = sel->ds->ops->rollups->flame(sel->ds, flame, err)) != 0)
        return rc;
    out->node_count = (*flame)->node_count;
    if ((rc = sums_init(q, out, scratch, err)) != 0 ||
        (rc = add_vectors(q, sel, plan, scratch, out, err)) != 0)
        return rc;
    for (uint32_t n = out->node_count; n-- > 1;) {
        out->needed[n] |= out->sum[n] > 0;
        if (out->needed[n]) {
            out->needed[(*flame)->parents[n]] = 1;
            out->any = true;
        }
    }
    return 0;
}

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

int stack_sums_scan(const struct query *q, const struct selected_dataset *sel,
                    struct arena *scratch, const struct symbols **symbols, struct stack_sums *out,
                    struct err *err)
{
    struct dataset_scan scan = {sel->entries, sel->types, sel->count, q->time, true};
    struct sum_ctx ctx = {q, out, q->span_id_count > 0 || q->trace_id_count > 0};
    int rc;

    memset(out, 0, sizeof(*out));
    rc = sel->ds->ops->symbols(sel->ds, symbols, &out->node_count, err);
    if (rc != 0)
        return rc;
    check(out->node_count > SYMBOLS_ROOT);
    out->sum = arena_array(scratch, value128, out->node_count);
    out->needed = arena_array(scratch, uint8_t, out->node_count);
    if (!out->sum || !out->needed)
        return query_out_of_memory(q, err);
    memset(out->sum, 0, out->node_count * sizeof(*out->sum));
    memset(out->needed, 0, out->node_count * sizeof(*out->needed));
    rc = sel->ds->ops->scan(sel->ds, &scan, scratch, visit, &ctx, err);
    if (rc == 0)
        mark_needed(*symbols, out);
    return rc;
}

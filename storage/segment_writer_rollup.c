/* Sums while rows go by; what is written of them is segment_writer_rollup_put.c's. */
#include "storage/segment_writer_rollup.h"

#include "storage/segment_writer_rollup_internal.h"

#include "storage/model/samples.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum {
    HOURS_MAX = 48,              /* a segment is a day; one of anything else has no vectors */
    RUN_BYTES_MAX = 64 << 20,    /* of runs, before they are added up */
    DENSE_BYTES_MAX = 512 << 20, /* of the sums of one window */
};

int rollup_out_of_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "no memory to write a segment's sums");
}

struct rollup_writer *rollup_writer_new(void)
{
    struct rollup_writer *r = aligned_alloc(_Alignof(struct rollup_writer), sizeof(*r));

    check(r);
    memset(r, 0, sizeof(*r));
    arena_init(&r->scratch, SIZE_MAX);
    buf_init(&r->agg, SIZE_MAX);
    buf_init(&r->raw, SIZE_MAX);
    return r;
}

void rollup_writer_end(struct rollup_writer *r)
{
    for (size_t i = 0; r->runs && i < (size_t)r->family_count * r->hour_count; i++)
        buf_release(&r->runs[i].bytes);
    r->runs = NULL;
    r->run_bytes = 0;
    dense_free(&r->hour);
    dense_free(&r->all);
    dense_free(&r->flame);
}

void rollup_writer_free(struct rollup_writer *r)
{
    if (!r)
        return;
    rollup_writer_end(r);
    arena_release(&r->scratch);
    buf_release(&r->agg);
    buf_release(&r->raw);
    free(r->vectors);
    free(r->slots);
    free(r->slot_sums);
    free(r->windows);
    free(r->window_sums);
    free(r);
}

void dense_free(struct dense *d)
{
    free(d->bits);
    free(d->cells);
    *d = (struct dense){0};
}

bool dense_init(struct dense *d, uint32_t nodes, uint32_t types)
{
    dense_free(d);
    d->words = (nodes + 63) / 64;
    d->bits = calloc(d->words + 1, sizeof(*d->bits));
    d->cells = calloc((size_t)nodes * types + 1, sizeof(*d->cells));
    for (uint32_t t = 0; d->cells && t < types; t++)
        d->sum[t] = d->cells + (size_t)t * nodes;
    return d->bits && d->cells;
}

bool dense_take(struct dense *d, uint32_t types, struct arena *arena, struct rollup_items *out)
{
    value128 **values = arena_array(arena, value128 *, types);
    uint32_t n = 0;

    out->count = 0;
    out->type_count = types;
    for (uint32_t w = 0; w < d->words; w++)
        out->count += (uint32_t)__builtin_popcountll(d->bits[w]);
    out->ids = arena_array(arena, uint32_t, out->count);
    out->values = values;
    if (!values || !out->ids)
        return false;
    for (uint32_t t = 0; t < types; t++)
        if (!(values[t] = arena_array(arena, value128, out->count)))
            return false;
    for (uint32_t w = 0; w < d->words; w++) {
        for (uint64_t bits = d->bits[w]; bits != 0; bits &= bits - 1) {
            uint32_t id = w * 64 + (uint32_t)__builtin_ctzll(bits);

            for (uint32_t t = 0; t < types; t++) {
                values[t][n] = d->sum[t][id];
                d->sum[t][id] = 0;
            }
            out->ids[n++] = id;
        }
        d->bits[w] = 0;
    }
    return true;
}

void dense_add(struct dense *d, const struct rollup_items *items)
{
    for (uint32_t t = 0; t < items->type_count; t++)
        for (uint32_t i = 0; i < items->count; i++)
            d->sum[t][items->ids[i]] += items->values[t][i];
    for (uint32_t i = 0; i < items->count; i++)
        d->bits[items->ids[i] / 64] |= UINT64_C(1) << items->ids[i] % 64;
}

static struct time_span bounds(const struct dataset_index *index)
{
    struct time_span time = index->entries[0].time;

    for (uint32_t e = 1; e < index->entry_count; e++) {
        const struct time_span *t = &index->entries[e].time;

        time.first_ns = t->first_ns < time.first_ns ? t->first_ns : time.first_ns;
        time.last_ns = t->last_ns > time.last_ns ? t->last_ns : time.last_ns;
    }
    return time;
}

static uint32_t types_max(const struct dataset_index *index)
{
    uint32_t max = 0;

    for (uint32_t i = 0; i < index->typeset_count; i++)
        max = index->typesets[i].count > max ? index->typesets[i].count : max;
    return max;
}

static int begin_vectors(struct rollup_writer *r, uint32_t node_count, struct err *err)
{
    struct time_span time = bounds(r->index);
    uint32_t types = r->types_max;
    uint64_t hours = (uint64_t)(time.last_ns / ROLLUP_HOUR_NS - time.first_ns / ROLLUP_HOUR_NS) + 1;

    r->node_count = node_count;
    r->hour_first = (uint32_t)(time.first_ns / ROLLUP_HOUR_NS);
    r->has_vectors =
        hours <= HOURS_MAX && (uint64_t)node_count * types * sizeof(value128) <= DENSE_BYTES_MAX;
    if (!r->has_vectors)
        return 0;
    r->hour_count = (uint32_t)hours;
    r->family_of = arena_array(r->arena, uint32_t, r->index->entry_count);
    if (!r->family_of)
        return rollup_out_of_memory(err);
    r->family_count = rollup_families(r->index, r->family_of);
    r->families = arena_calloc(r->arena, r->family_count, sizeof(*r->families));
    r->runs = arena_calloc(r->arena, (size_t)r->family_count * hours, sizeof(*r->runs));
    if (!r->families || !r->runs || !dense_init(&r->hour, node_count, types) ||
        !dense_init(&r->all, node_count, types)) {
        r->runs = NULL;
        return rollup_out_of_memory(err);
    }
    for (size_t i = 0; i < (size_t)r->family_count * hours; i++)
        buf_init(&r->runs[i].bytes, SIZE_MAX);
    for (uint32_t e = 0; e < r->index->entry_count; e++)
        if (r->family_of[e] != ROLLUP_NO_FAMILY)
            r->families[r->family_of[e]].typeset = r->index->entries[e].typeset;
    return 0;
}

int rollup_writer_begin(struct rollup_writer *r, const struct segment_meta *meta,
                        const struct dataset_index *index, uint32_t node_count, struct arena *arena,
                        struct err *err)
{
    check(!r->runs);
    buf_reset(&r->agg);
    r->vector_count = 0;
    r->window_count = 0;
    r->value_count = 0;
    r->index = index;
    r->types_max = types_max(index);
    r->arena = arena;
    r->run_bytes_max = RUN_BYTES_MAX;
    r->always = meta->rollups == SEGMENT_ROLLUPS_ALWAYS;
    r->has_vectors = false;
    r->has_totals = rollup_time_ok(bounds(index)) && meta->rollups != SEGMENT_ROLLUPS_NEVER;
    r->column_first = arena_array(arena, uint32_t, (size_t)index->entry_count * r->types_max + 1);
    if (!r->column_first)
        return rollup_out_of_memory(err);
    r->column_count = 0;
    /* A segment of level 0 is soon part of another: not worth the time. */
    if (!r->has_totals || (meta->level == 0 && !r->always))
        return 0;
    return begin_vectors(r, node_count, err);
}

int rollup_writer_entry(struct rollup_writer *r, uint32_t entry, struct err *err)
{
    (void)err;
    r->entry = entry;
    r->type_count = r->index->typesets[r->index->entries[entry].typeset].count;
    r->hour_at = UINT32_MAX;
    r->hour_rows = r->entry_rows = 0;
    r->slot_count = 0;
    return 0;
}

/* Adds up what the runs of an hour say, into r->hour. */
int rollup_run_sum(struct rollup_writer *r, const struct rollup_run *run, uint32_t types,
                   struct err *err)
{
    struct bytes b = bytes_of(buf_str(&run->bytes));

    while (bytes_left(&b) > 0) {
        struct rollup_shape shape = {.type_count = types, .id_max = r->node_count - 1};
        struct str raw;
        bool ok = bytes_varint32(&b, UINT32_MAX, &shape.items) && bytes_take_sized(&b, &raw);
        int rc;

        check(ok);
        rc =
            rollup_vector_add(raw, &shape, UINT64_MAX, &r->scratch, r->hour.sum, r->hour.bits, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int put_run(struct rollup_writer *r, struct rollup_run *run,
                   const struct rollup_items *items, struct err *err)
{
    size_t before = run->bytes.len;

    buf_reset(&r->raw);
    rollup_vector_encode(items, &r->raw);
    buf_put_varint(&run->bytes, items->count);
    buf_put_sized(&run->bytes, buf_str(&r->raw));
    if (r->raw.failed || run->bytes.failed)
        return rollup_out_of_memory(err);
    r->run_bytes += run->bytes.len - before;
    return 0;
}

/* Every hour's runs become one. */
static int squash_runs(struct rollup_writer *r, struct err *err)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < (size_t)r->family_count * r->hour_count; i++) {
        struct rollup_run *run = &r->runs[i];
        uint32_t types = r->index->typesets[r->families[i / r->hour_count].typeset].count;
        struct rollup_items items;
        int rc;

        if (run->bytes.len == 0)
            continue;
        arena_reset(&r->scratch);
        if ((rc = rollup_run_sum(r, run, types, err)) != 0)
            return rc;
        if (!dense_take(&r->hour, types, &r->scratch, &items))
            return rollup_out_of_memory(err);
        buf_release(&run->bytes);
        buf_init(&run->bytes, SIZE_MAX);
        if ((rc = put_run(r, run, &items, err)) != 0)
            return rc;
        bytes += run->bytes.len;
    }
    r->run_bytes = bytes;
    if (bytes > r->run_bytes_max / 2)
        r->run_bytes_max = bytes * 2;
    return 0;
}

/* The entry's hour is over: a run of its family, and a part of its own sum. */
static int end_hour(struct rollup_writer *r, struct err *err)
{
    uint32_t family = r->family_of[r->entry];
    struct rollup_items items;
    struct rollup_run *run;
    int rc = 0;

    if (r->hour_at == UINT32_MAX)
        return 0;
    arena_reset(&r->scratch);
    if (!dense_take(&r->hour, r->type_count, &r->scratch, &items))
        return rollup_out_of_memory(err);
    dense_add(&r->all, &items);
    if (family != ROLLUP_NO_FAMILY) {
        run = &r->runs[(size_t)family * r->hour_count + (r->hour_at - r->hour_first)];
        run->rows += r->hour_rows;
        rc = put_run(r, run, &items, err);
    }
    r->hour_at = UINT32_MAX;
    r->hour_rows = 0;
    return rc != 0 || r->run_bytes <= r->run_bytes_max ? rc : squash_runs(r, err);
}

static void add_to_window(struct rollup_writer *r, const struct dataset_row *row)
{
    uint32_t window = rollup_totals_window(row->time_ns);
    value128 *sums;

    if (r->slot_count == 0 || r->slots[r->slot_count - 1] != window) {
        if (r->slot_count == r->slot_cap || (r->slot_count + 1) * r->type_count > r->slot_sum_cap) {
            r->slot_cap = r->slot_cap ? r->slot_cap * 2 : 256;
            r->slot_sum_cap = r->slot_cap * PROFILE_TYPES_MAX;
            r->slots = realloc(r->slots, r->slot_cap * sizeof(*r->slots));
            r->slot_sums = realloc(r->slot_sums, (size_t)r->slot_sum_cap * sizeof(*r->slot_sums));
            check(r->slots && r->slot_sums);
        }
        memset(r->slot_sums + (size_t)r->slot_count * r->type_count, 0,
               r->type_count * sizeof(*r->slot_sums));
        r->slots[r->slot_count++] = window;
    }
    sums = r->slot_sums + (size_t)(r->slot_count - 1) * r->type_count;
    for (uint32_t t = 0; t < r->type_count; t++)
        sums[t] += row->totals[t];
}

int rollup_writer_row(struct rollup_writer *r, const struct dataset_row *row,
                      const struct sample_columns *columns, struct err *err)
{
    uint32_t hour;
    int rc;

    if (!r->has_totals)
        return 0;
    r->value_count += (uint32_t)__builtin_popcountll(row->present);
    add_to_window(r, row);
    if (!r->has_vectors)
        return 0;
    hour = (uint32_t)(row->time_ns / ROLLUP_HOUR_NS);
    if (hour != r->hour_at && (rc = end_hour(r, err)) != 0)
        return rc;
    r->hour_at = hour;
    r->hour_rows++;
    r->entry_rows++;
    for (uint32_t t = 0; t < r->type_count; t++) {
        const int64_t *values = columns->values[t];
        value128 *sum = r->hour.sum[t];

        for (uint32_t i = 0; i < columns->count; i++)
            sum[columns->stacks[i]] += (value128)values[i];
    }
    for (uint32_t i = 0; i < columns->count; i++)
        r->hour.bits[columns->stacks[i] / 64] |= UINT64_C(1) << columns->stacks[i] % 64;
    return 0;
}

/* The windows of one type of the entry become a column. */
static void end_column(struct rollup_writer *r, uint32_t type)
{
    r->column_first[r->column_count++] = r->window_count;
    for (uint32_t i = 0; i < r->slot_count; i++) {
        value128 sum = r->slot_sums[(size_t)i * r->type_count + type];

        if (sum == 0)
            continue;
        if (r->window_count == r->window_cap) {
            r->window_cap = r->window_cap ? r->window_cap * 2 : 1024;
            r->windows = realloc(r->windows, r->window_cap * sizeof(*r->windows));
            r->window_sums = realloc(r->window_sums, r->window_cap * sizeof(*r->window_sums));
            check(r->windows && r->window_sums);
        }
        r->windows[r->window_count] = r->slots[i];
        r->window_sums[r->window_count++] = sum;
    }
}

int rollup_writer_end_entry(struct rollup_writer *r, uint64_t chunk_bytes, struct err *err)
{
    uint32_t family = r->has_vectors ? r->family_of[r->entry] : ROLLUP_NO_FAMILY;
    struct rollup_vector v = {ROLLUP_STREAM, .owner = r->entry, .rows = r->entry_rows};
    struct rollup_items items;
    int rc;

    if (!r->has_totals)
        return 0;
    for (uint64_t present = r->index->entries[r->entry].present; present; present &= present - 1)
        end_column(r, (uint32_t)__builtin_ctzll(present));
    if (!r->has_vectors)
        return 0;
    if ((rc = end_hour(r, err)) != 0)
        return rc;
    arena_reset(&r->scratch);
    if (!dense_take(&r->all, r->type_count, &r->scratch, &items))
        return rollup_out_of_memory(err);
    if (family != ROLLUP_NO_FAMILY) {
        r->families[family].chunk_bytes += chunk_bytes;
        r->families[family].rows += r->entry_rows;
    }
    return r->entry_rows == 0 ? 0 : rollup_put_vector(r, &v, &items, chunk_bytes, err);
}

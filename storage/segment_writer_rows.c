/*
 * A dataset's rows into .smp, in two passes: the first marks the stacks in use,
 * so that the canonical order is known; the second translates and encodes.
 */
#include "storage/segment_writer_internal.h"

#include "storage/segment_format.h"
#include "storage/segment_pack.h"
#include "storage/segment_rows.h"
#include "storage/segment_writer_rollup.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

struct writing {
    struct segment_writer *w;
    const struct dataset_index *from;
    const struct canonical *canonical;
    uint32_t node_count;
    uint8_t *used;
    uint64_t rows;

    struct segment_index *ix;
    uint32_t type_count;       /* of the entry at hand */
    struct segment_rows block; /* row block at hand */
    uint32_t block_cap;
    struct segment_block *chunks, *row_blocks;
    uint32_t chunk_count, chunk_cap, row_block_count, row_block_cap;
    struct arena scratch;    /* the scan's */
    struct arena translated; /* one row's columns in canonical ids */
};

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "no memory to write a segment");
}

/* Scans the entries of `from` in `entries` with all or no value columns. */
static int scan(struct writing *s, struct dataset *ds, const uint32_t *entries, uint32_t count,
                uint64_t types, dataset_visit visit, struct err *err)
{
    uint64_t *masks = malloc((count + 1) * sizeof(*masks));
    struct dataset_scan all = {entries, masks, count, {INT64_MIN, INT64_MAX}, true};
    int rc;

    check(masks);
    for (uint32_t i = 0; i < count; i++)
        masks[i] = types;
    rc = ds->ops->scan(ds, &all, &s->scratch, visit, s, err);
    free(masks);
    return rc;
}

static int mark_row(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                    struct err *err)
{
    struct writing *s = ctx;

    (void)row;
    (void)err;
    for (uint32_t i = 0; i < columns->count; i++)
        s->used[columns->stacks[i]] = 1;
    s->rows++;
    return 0;
}

static int compare_streams(const void *a, const void *b, void *ctx)
{
    const struct dataset_index *from = ctx;

    return labels_cmp(&from->streams[*(const uint32_t *)a], &from->streams[*(const uint32_t *)b]);
}

static int compare_typesets(const void *a, const void *b, void *ctx)
{
    const struct dataset_index *from = ctx;

    return typeset_cmp(&from->typesets[*(const uint32_t *)a],
                       &from->typesets[*(const uint32_t *)b]);
}

/* The ids in `rank` that are not UINT32_MAX, sorted; their ranks take the marks' place. */
static uint32_t rank_used(uint32_t *rank, uint32_t count, uint32_t *order,
                          int (*compare)(const void *a, const void *b, void *ctx),
                          const struct dataset_index *from)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < count; i++)
        if (rank[i] != UINT32_MAX)
            order[n++] = i;
    if (n > 1)
        qsort_r(order, n, sizeof(*order), compare, (void *)(uintptr_t)from);
    for (uint32_t r = 0; r < n; r++)
        rank[order[r]] = r;
    return n;
}

struct entry_order {
    uint32_t entry, stream, typeset; /* ranks */
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry_order *x = a, *y = b;

    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    return (x->typeset > y->typeset) - (x->typeset < y->typeset);
}

/* Streams, typesets and entries of ix in canonical order; *order has entry_count items. */
static int order_index(struct writing *s, struct entry_order **order, struct err *err)
{
    const struct dataset_index *from = s->from;
    struct dataset_index *to = &s->ix->index;
    struct arena *a = &s->w->memory;
    uint32_t *stream_rank = arena_array(a, uint32_t, from->stream_count);
    uint32_t *typeset_rank = arena_array(a, uint32_t, from->typeset_count);
    uint32_t *ids = arena_array(a, uint32_t, (size_t)from->stream_count + from->typeset_count);
    struct labels *streams = arena_array(a, struct labels, from->stream_count);
    struct typeset *typesets = arena_array(a, struct typeset, from->typeset_count);
    struct dataset_entry *entries = arena_array(a, struct dataset_entry, from->entry_count);

    *order = arena_array(a, struct entry_order, from->entry_count);
    if (!stream_rank || !typeset_rank || !ids || !streams || !typesets || !entries || !*order)
        return out_of_memory(err);
    memset(stream_rank, 0xff, from->stream_count * sizeof(*stream_rank));
    memset(typeset_rank, 0xff, from->typeset_count * sizeof(*typeset_rank));
    for (uint32_t e = 0; e < from->entry_count; e++) {
        stream_rank[from->entries[e].stream] = 0;
        typeset_rank[from->entries[e].typeset] = 0;
    }
    to->stream_count = rank_used(stream_rank, from->stream_count, ids, compare_streams, from);
    for (uint32_t i = 0; i < to->stream_count; i++)
        streams[i] = from->streams[ids[i]];
    to->typeset_count = rank_used(typeset_rank, from->typeset_count, ids, compare_typesets, from);
    for (uint32_t i = 0; i < to->typeset_count; i++)
        typesets[i] = from->typesets[ids[i]];
    for (uint32_t e = 0; e < from->entry_count; e++)
        (*order)[e] = (struct entry_order){e, stream_rank[from->entries[e].stream],
                                           typeset_rank[from->entries[e].typeset]};
    qsort(*order, from->entry_count, sizeof(**order), compare_entries);
    for (uint32_t e = 0; e < from->entry_count; e++) {
        entries[e] = from->entries[(*order)[e].entry];
        entries[e].stream = (*order)[e].stream;
        entries[e].typeset = (*order)[e].typeset;
    }
    to->streams = streams;
    to->typesets = typesets;
    to->entries = entries;
    to->entry_count = from->entry_count;
    return 0;
}

static struct segment_block *add_block(struct segment_block **blocks, uint32_t *count,
                                       uint32_t *cap)
{
    if (*count == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        *blocks = realloc(*blocks, *cap * sizeof(**blocks));
        check(*blocks);
    }
    memset(&(*blocks)[*count], 0, sizeof(**blocks));
    return &(*blocks)[(*count)++];
}

static int end_chunk(struct writing *s, struct err *err)
{
    struct segment_writer *w = s->w;
    struct buf *out = &w->smp.pending;
    size_t at = out->len;
    struct segment_block *b;

    if (segment_chunk_rows(w->chunk) == 0)
        return 0;
    b = add_block(&s->chunks, &s->chunk_count, &s->chunk_cap);
    b->rows = segment_chunk_rows(w->chunk);
    b->samples = segment_chunk_samples(w->chunk);
    segment_chunk_encode(w->chunk, w->pack, out);
    if (out->failed || out->len - at > UINT32_MAX)
        return out_of_memory(err);
    b->stored = (uint32_t)(out->len - at);
    b->checksum = checksum64(out->data + at, b->stored);
    return segment_out_flush_some(&w->smp, err);
}

static int end_row_block(struct writing *s, struct err *err)
{
    struct segment_writer *w = s->w;
    struct buf *out = &w->row_bytes;
    size_t at = out->len;
    struct segment_block *b;

    if (s->block.count == 0)
        return 0;
    b = add_block(&s->row_blocks, &s->row_block_count, &s->row_block_cap);
    b->rows = s->block.count;
    buf_reset(&w->raw);
    segment_rows_encode(&s->block, &w->raw);
    if (!segment_pack_put(w->pack, buf_str(&w->raw), PACK_TABLES, out))
        (void)buf_append_str(out, buf_str(&w->raw));
    if (out->failed || w->raw.failed || w->raw.len > UINT32_MAX)
        return out_of_memory(err);
    b->raw = (uint32_t)w->raw.len;
    b->stored = (uint32_t)(out->len - at);
    b->checksum = checksum64(out->data + at, b->stored);
    s->block.count = 0;
    return 0;
}

static int compare_links(const void *a, const void *b, void *ctx)
{
    const struct profile_link *table = ctx;
    const struct profile_link *x = &table[*(const uint32_t *)a], *y = &table[*(const uint32_t *)b];

    if (x->span_id != y->span_id)
        return x->span_id < y->span_id ? -1 : 1;
    return memcmp(x->trace_id, y->trace_id, sizeof(x->trace_id));
}

/* The row's links, sorted, so that equal stacks are in an order of their own content. */
static int sort_links(struct writing *s, const struct sample_columns *from,
                      struct sample_columns *to, struct err *err)
{
    struct arena *a = &s->translated;
    uint32_t count = from->link_count, *order = arena_array(a, uint32_t, count);
    uint32_t *rank = arena_array(a, uint32_t, count);

    to->links = arena_array(a, uint32_t, from->count);
    to->link_table = arena_array(a, struct profile_link, count);
    if (!order || !rank || !to->links || !to->link_table)
        return out_of_memory(err);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    if (count > 1)
        qsort_r(order, count, sizeof(*order), compare_links, from->link_table);
    for (uint32_t r = 0; r < count; r++) {
        rank[order[r]] = r;
        to->link_table[r] = from->link_table[order[r]];
    }
    for (uint32_t i = 0; i < from->count; i++)
        to->links[i] = from->links[i] ? rank[from->links[i] - 1] + 1 : 0;
    to->link_count = count;
    return 0;
}

/* Canonical ids, sorted again. *out is valid until the next row. */
static int translate(struct writing *s, const struct sample_columns *from,
                     const struct sample_columns **out, struct err *err)
{
    struct sample_columns to = *from;
    int rc;

    arena_reset(&s->translated);
    to.stacks = arena_array(&s->translated, uint32_t, from->count);
    if (!to.stacks)
        return out_of_memory(err);
    for (uint32_t i = 0; i < from->count; i++)
        to.stacks[i] = s->canonical->node_rank[from->stacks[i]];
    if (from->links && (rc = sort_links(s, from, &to, err)) != 0)
        return rc;
    head_columns_sort(s->w->columns, &to, out);
    return 0;
}

static int write_row(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                     struct err *err)
{
    const struct sample_columns *sorted;
    struct dataset_row copy = *row;
    struct writing *s = ctx;
    int rc;

    check(columns->count > 0 && columns->type_count == s->type_count);
    if ((rc = translate(s, columns, &sorted, err)) != 0)
        return rc;
    copy.sample_count = sorted->count;
    segment_chunk_add(s->w->chunk, sorted);
    segment_rows_add(&s->block, &copy);
    if ((rc = rollup_writer_row(s->w->rollups, &copy, sorted, err)) != 0)
        return rc;
    s->ix->rows++;
    s->ix->samples += sorted->count;
    if (s->block.count == s->block_cap && (rc = end_row_block(s, err)) != 0)
        return rc;
    return segment_chunk_is_full(s->w->chunk) ? end_chunk(s, err) : 0;
}

/* Bytes of the chunks from `first` on. */
static uint64_t stored_since(const struct writing *s, uint32_t first)
{
    uint64_t stored = 0;

    for (uint32_t i = first; i < s->chunk_count; i++)
        stored += s->chunks[i].stored;
    return stored;
}

static int write_entries(struct writing *s, struct dataset *ds, const struct entry_order *order,
                         struct err *err)
{
    struct segment_index *ix = s->ix;
    struct arena *a = &s->w->memory;
    uint32_t count = ix->index.entry_count;
    int rc;

    ix->chunk_first = arena_calloc(a, (size_t)count + 1, sizeof(*ix->chunk_first));
    ix->row_block_first = arena_calloc(a, (size_t)count + 1, sizeof(*ix->row_block_first));
    if (!ix->chunk_first || !ix->row_block_first)
        return out_of_memory(err);
    rc = rollup_writer_begin(s->w->rollups, s->w->meta, &ix->index, s->canonical->counts.nodes, a,
                             err);
    if (rc != 0)
        return rc;
    for (uint32_t e = 0; e < count; e++) {
        uint64_t rows = ix->index.entries[e].row_count;
        struct arena_mark mark = arena_mark(a);

        s->block_cap = rows < ROW_BLOCK_ROWS ? (uint32_t)rows : ROW_BLOCK_ROWS;
        s->type_count = ix->index.typesets[ix->index.entries[e].typeset].count;
        if (!segment_rows_init(&s->block, s->block_cap, s->type_count, a))
            return out_of_memory(err);
        segment_chunk_begin(s->w->chunk, s->type_count);
        if ((rc = rollup_writer_entry(s->w->rollups, e, err)) != 0 ||
            (rc = scan(s, ds, &order[e].entry, 1, UINT64_MAX, write_row, err)) != 0 ||
            (rc = end_chunk(s, err)) != 0 || (rc = end_row_block(s, err)) != 0 ||
            (rc = rollup_writer_end_entry(s->w->rollups, stored_since(s, ix->chunk_first[e]),
                                          err)) != 0)
            return rc;
        arena_rewind(a, mark);
        ix->chunk_first[e + 1] = s->chunk_count;
        ix->row_block_first[e + 1] = s->row_block_count;
    }
    return 0;
}

/* The blocks' places are known once all are written: chunks, then row blocks. */
static int keep_blocks(struct writing *s, struct err *err)
{
    struct segment_index *ix = s->ix;
    struct segment_out *smp = &s->w->smp;
    struct arena *a = &s->w->memory;

    ix->chunks = arena_memdup(a, s->chunks, s->chunk_count * sizeof(*s->chunks));
    ix->row_blocks = arena_memdup(a, s->row_blocks, s->row_block_count * sizeof(*s->row_blocks));
    if (!ix->chunks || !ix->row_blocks)
        return out_of_memory(err);
    (void)buf_append_str(&smp->pending, buf_str(&s->w->row_bytes));
    ix->smp_end = segment_out_offset(smp);
    return segment_out_flush_some(smp, err);
}

static int write_rows(struct writing *s, struct dataset *ds, struct canonical *c,
                      const struct symbols *symbols, struct err *err)
{
    struct entry_order *order;
    uint32_t *entries;
    int rc;

    s->used = arena_calloc(&s->w->memory, s->node_count, 1);
    entries = arena_array(&s->w->memory, uint32_t, s->from->entry_count);
    if (!s->used || !entries)
        return out_of_memory(err);
    for (uint32_t e = 0; e < s->from->entry_count; e++)
        entries[e] = e;
    rc = scan(s, ds, entries, s->from->entry_count, 0, mark_row, err);
    if (rc != 0 || s->rows == 0)
        return rc;
    if ((rc = canonical_build(symbols, s->used, s->node_count, &s->w->memory, c, err)) != 0 ||
        (rc = order_index(s, &order, err)) != 0)
        return rc;
    s->canonical = c;
    s->ix->smp_first = segment_out_offset(&s->w->smp);
    buf_reset(&s->w->row_bytes);
    if ((rc = write_entries(s, ds, order, err)) != 0)
        return rc;
    check(s->ix->rows == s->rows);
    return keep_blocks(s, err);
}

int segment_writer_rows(struct segment_writer *w, struct dataset *ds, struct canonical *c,
                        struct segment_index *ix, struct err *err)
{
    struct writing s = {.w = w, .ix = ix};
    const struct symbols *symbols;
    int rc;

    memset(ix, 0, sizeof(*ix));
    if ((rc = ds->ops->index(ds, &s.from, err)) != 0 ||
        (rc = ds->ops->symbols(ds, &symbols, &s.node_count, err)) != 0)
        return rc;
    arena_init(&s.scratch, SIZE_MAX);
    arena_init(&s.translated, SIZE_MAX);
    rc = write_rows(&s, ds, c, symbols, err);
    arena_release(&s.scratch);
    arena_release(&s.translated);
    free(s.chunks);
    free(s.row_blocks);
    return rc;
}

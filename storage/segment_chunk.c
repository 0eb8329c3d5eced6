#include "storage/segment_chunk.h"

#include "storage/segment_format.h"
#include "storage/segment_pack.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    FLAG_LINKS = 1,
};

/* One way to write a column. */
struct candidate {
    struct buf raw, packed;
    bool is_packed;
};

struct segment_chunk_writer {
    uint32_t type_count, row_count, row_cap, count, cap, link_count, link_cap;
    uint32_t *row_samples;
    uint32_t *stacks, *match, *links; /* links: index into link_table plus one */
    int64_t *values[PROFILE_TYPES_MAX];
    uint64_t *scaled[PROFILE_TYPES_MAX]; /* values / scale[t] */
    uint64_t scale[PROFILE_TYPES_MAX];
    struct profile_link *link_table;
    uint64_t estimate;
    bool has_duplicates;
    struct candidate ids[3], values_one[3], best[PROFILE_TYPES_MAX];
    struct buf link_raw;
};

static void *grow(void *items, size_t count, size_t size)
{
    items = realloc(items, count * size);
    check(items);
    return items;
}

static void candidate_init(struct candidate *c)
{
    buf_init(&c->raw, SIZE_MAX);
    buf_init(&c->packed, SIZE_MAX);
}

static void candidate_release(struct candidate *c)
{
    buf_release(&c->raw);
    buf_release(&c->packed);
}

struct segment_chunk_writer *segment_chunk_writer_new(void)
{
    struct segment_chunk_writer *w = calloc(1, sizeof(*w));

    check(w);
    for (int i = 0; i < 3; i++) {
        candidate_init(&w->ids[i]);
        candidate_init(&w->values_one[i]);
    }
    for (int t = 0; t < PROFILE_TYPES_MAX; t++)
        candidate_init(&w->best[t]);
    buf_init(&w->link_raw, SIZE_MAX);
    return w;
}

void segment_chunk_writer_free(struct segment_chunk_writer *w)
{
    if (!w)
        return;
    for (int i = 0; i < 3; i++) {
        candidate_release(&w->ids[i]);
        candidate_release(&w->values_one[i]);
    }
    for (int t = 0; t < PROFILE_TYPES_MAX; t++) {
        candidate_release(&w->best[t]);
        free(w->values[t]);
        free(w->scaled[t]);
    }
    buf_release(&w->link_raw);
    free(w->row_samples);
    free(w->stacks);
    free(w->match);
    free(w->links);
    free(w->link_table);
    free(w);
}

void segment_chunk_begin(struct segment_chunk_writer *w, uint32_t type_count)
{
    check(type_count > 0 && type_count <= PROFILE_TYPES_MAX);
    /* Columns of types that this chunk adds are as long as the others. */
    for (uint32_t t = 0; t < type_count; t++)
        if (!w->values[t] && w->cap > 0) {
            w->values[t] = grow(NULL, w->cap, sizeof(**w->values));
            w->scaled[t] = grow(NULL, w->cap, sizeof(**w->scaled));
        }
    w->type_count = type_count;
    w->row_count = w->count = w->link_count = 0;
    w->estimate = 0;
    w->has_duplicates = false;
}

uint32_t segment_chunk_rows(const struct segment_chunk_writer *w)
{
    return w->row_count;
}

uint32_t segment_chunk_samples(const struct segment_chunk_writer *w)
{
    return w->count;
}

bool segment_chunk_is_full(const struct segment_chunk_writer *w)
{
    return w->estimate >= CHUNK_RAW_BYTES || w->count >= CHUNK_SAMPLES;
}

void segment_chunk_match(const uint32_t *last, uint32_t last_count, const uint32_t *stacks,
                         uint32_t count, uint32_t *match)
{
    uint32_t j = 0;

    for (uint32_t i = 0; i < count; i++) {
        while (j < last_count && last[j] < stacks[i])
            j++;
        match[i] = j < last_count && last[j] == stacks[i] ? j : UINT32_MAX;
    }
}

static void reserve(struct segment_chunk_writer *w, uint32_t more, uint32_t links)
{
    if (w->row_count == w->row_cap) {
        w->row_cap = w->row_cap ? w->row_cap * 2 : 64;
        w->row_samples = grow(w->row_samples, w->row_cap, sizeof(*w->row_samples));
    }
    if (more > w->cap - w->count) {
        uint64_t want = ((uint64_t)w->count + more) * 2;

        check(want <= UINT32_MAX);
        w->cap = (uint32_t)want;
        w->stacks = grow(w->stacks, w->cap, sizeof(*w->stacks));
        w->match = grow(w->match, w->cap, sizeof(*w->match));
        w->links = grow(w->links, w->cap, sizeof(*w->links));
        for (uint32_t t = 0; t < PROFILE_TYPES_MAX; t++)
            if (t < w->type_count || w->values[t]) {
                w->values[t] = grow(w->values[t], w->cap, sizeof(**w->values));
                w->scaled[t] = grow(w->scaled[t], w->cap, sizeof(**w->scaled));
            }
    }
    if (links > w->link_cap - w->link_count) {
        w->link_cap = (w->link_count + links) * 2;
        w->link_table = grow(w->link_table, w->link_cap, sizeof(*w->link_table));
    }
}

/* Rough bytes of the row: what changed since the last one, or all of it. */
static uint64_t estimate_row(const struct segment_chunk_writer *w, const struct sample_columns *row,
                             uint32_t last, uint32_t last_count)
{
    const uint32_t *match = w->match + w->count;
    uint64_t changed = 0, matched = 0, bytes;

    for (uint32_t i = 0; i < row->count; i++)
        matched += match[i] != UINT32_MAX;
    changed = (row->count - matched + last_count - matched) * 2;
    bytes = changed < row->count ? changed : row->count;
    for (uint32_t t = 0; t < row->type_count; t++) {
        changed = 0;
        for (uint32_t i = 0; i < row->count; i++)
            changed += match[i] == UINT32_MAX || w->values[t][last + match[i]] != row->values[t][i];
        bytes += changed < row->count ? changed : row->count;
    }
    return bytes + 8;
}

void segment_chunk_add(struct segment_chunk_writer *w, const struct sample_columns *row)
{
    uint32_t last_count = w->row_count ? w->row_samples[w->row_count - 1] : 0;
    uint32_t last = w->count - last_count, at;

    check(row->type_count == w->type_count && row->count > 0);
    reserve(w, row->count, row->links ? row->link_count : 0);
    at = w->count;
    segment_chunk_match(w->stacks + last, last_count, row->stacks, row->count, w->match + at);
    w->estimate += estimate_row(w, row, last, last_count);
    for (uint32_t i = 0; i < row->count; i++) {
        check(i == 0 || row->stacks[i] >= row->stacks[i - 1]);
        w->has_duplicates = w->has_duplicates || (i > 0 && row->stacks[i] == row->stacks[i - 1]);
        w->stacks[at + i] = row->stacks[i];
        w->links[at + i] = row->links && row->links[i] ? w->link_count + row->links[i] : 0;
        if (w->match[at + i] != UINT32_MAX)
            w->match[at + i] += last;
    }
    for (uint32_t t = 0; t < w->type_count; t++)
        memcpy(w->values[t] + at, row->values[t], row->count * sizeof(int64_t));
    if (row->links && row->link_count > 0) {
        memcpy(w->link_table + w->link_count, row->link_table,
               row->link_count * sizeof(*row->link_table));
        w->link_count += row->link_count;
    }
    w->row_samples[w->row_count++] = row->count;
    w->count += row->count;
}

static void put_gaps(const struct segment_chunk_writer *w, bool flagged, struct buf *out)
{
    uint32_t at = 0;

    for (uint32_t r = 0; r < w->row_count; r++) {
        uint32_t last = 0;

        for (uint32_t end = at + w->row_samples[r]; at < end; at++) {
            uint64_t gap = w->stacks[at] - last;

            buf_put_varint(out, flagged ? gap << 1 | (w->scaled[0][at] != 1) : gap);
            last = w->stacks[at];
        }
    }
}

/* The symmetric difference of two ascending lists without duplicates; counts only if out is NULL.
 */
static uint32_t put_difference(const uint32_t *a, uint32_t a_count, const uint32_t *b,
                               uint32_t b_count, struct buf *out)
{
    uint32_t i = 0, j = 0, last = 0, count = 0;

    while (i < a_count || j < b_count) {
        uint32_t id;

        if (i < a_count && j < b_count && a[i] == b[j]) {
            i++;
            j++;
            continue;
        }
        id = j == b_count || (i < a_count && a[i] < b[j]) ? a[i++] : b[j++];
        if (out)
            buf_put_varint(out, id - last);
        last = id;
        count++;
    }
    return count;
}

static void put_differences(const struct segment_chunk_writer *w, struct buf *out)
{
    uint32_t at = 0, last_count = 0;

    for (uint32_t r = 0; r < w->row_count; r++) {
        const uint32_t *last = w->stacks + at - last_count, *row = w->stacks + at;

        buf_put_varint(out, put_difference(last, last_count, row, w->row_samples[r], NULL));
        (void)put_difference(last, last_count, row, w->row_samples[r], out);
        last_count = w->row_samples[r];
        at += last_count;
    }
}

static void put_plain(const uint64_t *scaled, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count; i++)
        buf_put_varint(out, scaled[i]);
}

static void put_listed(const uint64_t *scaled, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0; i < count; i++)
        if (scaled[i] != 1)
            buf_put_varint(out, scaled[i]);
}

/* Runs of no change, each but the last followed by a change. */
static void put_previous(const struct segment_chunk_writer *w, const uint64_t *scaled,
                         struct buf *out)
{
    uint32_t run = 0;

    for (uint32_t i = 0; i < w->count; i++) {
        uint64_t last = w->match[i] == UINT32_MAX ? 0 : scaled[w->match[i]];

        if (scaled[i] == last) {
            run++;
            continue;
        }
        buf_put_varint(out, run);
        buf_put_zigzag(out, (int64_t)(scaled[i] - last));
        run = 0;
    }
    buf_put_varint(out, run);
}

static size_t stored_size(const struct candidate *c)
{
    return c->is_packed ? c->packed.len : c->raw.len;
}

static void candidate_pack(struct candidate *c, struct segment_pack *pack)
{
    buf_reset(&c->packed);
    c->is_packed = segment_pack_put(pack, buf_str(&c->raw), PACK_SAMPLES, &c->packed);
}

/* Compressing what starts out far larger than another candidate is a waste. */
static bool is_worth(const struct candidate *c, const struct candidate *best)
{
    return c->raw.len < best->raw.len + best->raw.len / 2 + 64;
}

static void scale_columns(struct segment_chunk_writer *w)
{
    for (uint32_t t = 0; t < w->type_count; t++) {
        uint64_t scale = samples_scale(w->values[t], w->count);

        w->scale[t] = scale;
        if (scale <= 1)
            memcpy(w->scaled[t], w->values[t], w->count * sizeof(uint64_t));
        else
            for (uint32_t i = 0; i < w->count; i++)
                w->scaled[t][i] = (uint64_t)w->values[t][i] / scale;
    }
}

static bool all_ones(const struct segment_chunk_writer *w, uint32_t t)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->scaled[t][i] != 1)
            return false;
    return true;
}

static uint32_t copy_of(const struct segment_chunk_writer *w, uint32_t t)
{
    for (uint32_t j = 0; j < t; j++)
        if (w->scale[j] != 0 &&
            memcmp(w->scaled[j], w->scaled[t], w->count * sizeof(uint64_t)) == 0)
            return j;
    return t;
}

static void swap(struct candidate *a, struct candidate *b)
{
    struct candidate c = *a;

    *a = *b;
    *b = c;
}

/* The smallest form of column t, left in best[t]. */
static enum chunk_value_codec choose_values(struct segment_chunk_writer *w, uint32_t t,
                                            struct segment_pack *pack)
{
    struct candidate *plain = &w->values_one[0], *previous = &w->values_one[1];

    buf_reset(&plain->raw);
    buf_reset(&previous->raw);
    put_plain(w->scaled[t], w->count, &plain->raw);
    candidate_pack(plain, pack);
    if (w->row_count > 1) {
        put_previous(w, w->scaled[t], &previous->raw);
        if (is_worth(previous, plain)) {
            candidate_pack(previous, pack);
            if (stored_size(previous) < stored_size(plain)) {
                swap(previous, &w->best[t]);
                return CHUNK_VALUES_PREVIOUS;
            }
        }
    }
    swap(plain, &w->best[t]);
    return CHUNK_VALUES_PLAIN;
}

static enum chunk_id_codec choose_ids(struct segment_chunk_writer *w, struct segment_pack *pack)
{
    struct candidate *gaps = &w->ids[CHUNK_IDS_GAPS], *difference = &w->ids[CHUNK_IDS_DIFFERENCE];

    buf_reset(&gaps->raw);
    put_gaps(w, false, &gaps->raw);
    candidate_pack(gaps, pack);
    if (w->row_count < 2 || w->has_duplicates)
        return CHUNK_IDS_GAPS;
    buf_reset(&difference->raw);
    put_differences(w, &difference->raw);
    if (!is_worth(difference, gaps))
        return CHUNK_IDS_GAPS;
    candidate_pack(difference, pack);
    return stored_size(difference) < stored_size(gaps) ? CHUNK_IDS_DIFFERENCE : CHUNK_IDS_GAPS;
}

/* Ids and first values in one go, where that is smaller than `apart` bytes. */
static bool try_flagged(struct segment_chunk_writer *w, struct segment_pack *pack, size_t apart)
{
    struct candidate *ids = &w->ids[CHUNK_IDS_FLAGGED], *listed = &w->values_one[2];

    buf_reset(&ids->raw);
    buf_reset(&listed->raw);
    put_gaps(w, true, &ids->raw);
    put_listed(w->scaled[0], w->count, &listed->raw);
    if (ids->raw.len + listed->raw.len > apart * 4)
        return false;
    candidate_pack(ids, pack);
    candidate_pack(listed, pack);
    if (stored_size(ids) + stored_size(listed) >= apart)
        return false;
    swap(listed, &w->best[0]);
    return true;
}

static int compare_links(const void *a, const void *b, void *ctx)
{
    const struct profile_link *table = ctx;
    const struct profile_link *x = &table[*(const uint32_t *)a], *y = &table[*(const uint32_t *)b];

    if (x->span_id != y->span_id)
        return x->span_id < y->span_id ? -1 : 1;
    return memcmp(x->trace_id, y->trace_id, sizeof(x->trace_id));
}

/* The dictionary ascends by (span, trace); then per sample an index plus one. */
static void put_links(struct segment_chunk_writer *w, struct buf *out)
{
    uint32_t *order = grow(NULL, w->link_count, sizeof(*order));
    uint32_t *rank = grow(NULL, w->link_count, sizeof(*rank)), distinct = 0;

    for (uint32_t i = 0; i < w->link_count; i++)
        order[i] = i;
    qsort_r(order, w->link_count, sizeof(*order), compare_links, w->link_table);
    for (uint32_t i = 0; i < w->link_count; i++) {
        if (i == 0 || compare_links(&order[i - 1], &order[i], w->link_table) != 0)
            distinct++;
        rank[order[i]] = distinct; /* from 1 */
    }
    buf_put_varint(out, distinct);
    for (uint32_t i = 0; i < w->link_count; i++)
        if (i == 0 || rank[order[i]] != rank[order[i - 1]]) {
            const struct profile_link *l = &w->link_table[order[i]];

            buf_put_le64(out, l->span_id);
            (void)buf_append(out, l->trace_id, sizeof(l->trace_id));
        }
    for (uint32_t i = 0; i < w->count; i++)
        buf_put_varint(out, w->links[i] ? rank[w->links[i] - 1] : 0);
    free(order);
    free(rank);
}

/* Column header: codec and compression, then sizes. */
static void put_head(const struct candidate *c, unsigned int codec, struct buf *out)
{
    (void)buf_append_byte(out, (uint8_t)(codec | (c->is_packed ? SEGMENT_ZSTD << 4 : 0)));
    buf_put_varint(out, c->raw.len);
    if (c->is_packed)
        buf_put_varint(out, c->packed.len);
}

static void put_body(const struct candidate *c, struct buf *out)
{
    out->failed = out->failed || c->raw.failed;
    (void)buf_append_str(out, c->is_packed ? buf_str(&c->packed) : buf_str(&c->raw));
}

struct value_choice {
    enum chunk_value_codec codec;
    uint32_t source; /* of a copy */
};

static struct value_choice choose(struct segment_chunk_writer *w, uint32_t t,
                                  struct segment_pack *pack)
{
    uint32_t source;

    if (w->scale[t] == 0 || all_ones(w, t))
        return (struct value_choice){CHUNK_VALUES_ONES, 0};
    source = copy_of(w, t);
    if (source != t)
        return (struct value_choice){CHUNK_VALUES_COPY, source};
    return (struct value_choice){choose_values(w, t, pack), 0};
}

static bool has_bytes(enum chunk_value_codec codec)
{
    return codec != CHUNK_VALUES_ONES && codec != CHUNK_VALUES_COPY;
}

static void put_value_head(const struct segment_chunk_writer *w, uint32_t t,
                           const struct value_choice *choice, struct buf *out)
{
    if (has_bytes(choice->codec))
        put_head(&w->best[t], choice->codec, out);
    else
        (void)buf_append_byte(out, (uint8_t)choice->codec);
    if (choice->codec == CHUNK_VALUES_COPY)
        buf_put_varint(out, choice->source);
    buf_put_varint(out, w->scale[t]);
}

void segment_chunk_encode(struct segment_chunk_writer *w, struct segment_pack *pack,
                          struct buf *out)
{
    struct value_choice choices[PROFILE_TYPES_MAX];
    struct candidate links = {.raw = w->link_raw};
    enum chunk_id_codec ids;

    check(w->row_count > 0);
    scale_columns(w);
    ids = choose_ids(w, pack);
    for (uint32_t t = 0; t < w->type_count; t++)
        choices[t] = choose(w, t, pack);
    if (has_bytes(choices[0].codec) &&
        try_flagged(w, pack, stored_size(&w->ids[ids]) + stored_size(&w->best[0]))) {
        ids = CHUNK_IDS_FLAGGED;
        choices[0].codec = CHUNK_VALUES_LISTED;
    }
    (void)buf_append_byte(out, w->link_count ? FLAG_LINKS : 0);
    put_head(&w->ids[ids], ids, out);
    for (uint32_t t = 0; t < w->type_count; t++)
        put_value_head(w, t, &choices[t], out);
    buf_init(&links.packed, SIZE_MAX);
    if (w->link_count) {
        buf_reset(&links.raw);
        put_links(w, &links.raw);
        candidate_pack(&links, pack);
        put_head(&links, 0, out);
    }
    put_body(&w->ids[ids], out);
    for (uint32_t t = 0; t < w->type_count; t++)
        if (has_bytes(choices[t].codec))
            put_body(&w->best[t], out);
    if (w->link_count)
        put_body(&links, out);
    w->link_raw = links.raw;
    buf_release(&links.packed);
    segment_chunk_begin(w, w->type_count);
}

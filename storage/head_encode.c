#include "storage/head_encode.h"

#include "storage/head_columns.h"

#include "storage/model/samples.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAYLOAD_BYTES_MAX = 256 << 20,
    KEEP_BYTES = 512 << 10, /* of each part, between pushes */
};

/*
 * Ids of one table that this record defines: old ones that this WAL file has not seen, and
 * all that came into being with this part, [first_new, end).
 */
struct id_list {
    uint32_t *ids; /* the old ones */
    uint32_t count, cap;
    uint32_t first_new, end;
};

struct pending_row {
    struct head *head;
    struct head_row row;
};

struct undo {
    struct head *head;
    enum head_table table;
    uint32_t first, end; /* ids */
};

struct encoder {
    uint32_t epoch;
    struct buf payload, samples;
    struct head_columns *columns;
    struct id_list fresh[HEAD_TABLES]; /* of the part being encoded */
    struct undo *undo;
    uint32_t undo_count, undo_cap;
    struct pending_row *rows;
    uint32_t row_count, row_cap;
    uint64_t *row_keys; /* dedup keys, parallel to rows */
};

struct encoder *encoder_new(void)
{
    struct encoder *e = calloc(1, sizeof(*e));

    check(e);
    buf_init(&e->payload, PAYLOAD_BYTES_MAX);
    buf_init(&e->samples, PAYLOAD_BYTES_MAX);
    e->columns = head_columns_new();
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    for (int t = 0; t < HEAD_TABLES; t++)
        free(e->fresh[t].ids);
    free(e->undo);
    free(e->rows);
    free(e->row_keys);
    head_columns_free(e->columns);
    buf_release(&e->payload);
    buf_release(&e->samples);
    free(e);
}

static void trim_buf(struct buf *b)
{
    buf_reset(b);
    if (b->cap > KEEP_BYTES)
        buf_release(b);
}

void encoder_trim(struct encoder *e)
{
    head_columns_trim(e->columns, KEEP_BYTES);
    trim_buf(&e->payload);
    trim_buf(&e->samples);
    for (int t = 0; t < HEAD_TABLES; t++) {
        struct id_list *l = &e->fresh[t];

        if (l->cap > KEEP_BYTES / sizeof(*l->ids)) {
            free(l->ids);
            l->ids = NULL;
            l->cap = 0;
        }
    }
}

void encoder_begin(struct encoder *e, uint32_t epoch, uint32_t parts)
{
    e->epoch = epoch;
    e->undo_count = 0;
    e->row_count = 0;
    buf_reset(&e->payload);
    head_columns_begin(e->columns);
    buf_put_varint(&e->payload, parts);
}

static void *grown(void *items, uint32_t *cap, uint32_t need, size_t size)
{
    uint32_t want = *cap ? *cap : 64;

    if (need <= *cap)
        return items;
    while (want < need)
        want *= 2;
    items = realloc(items, want * size);
    check(items);
    *cap = want;
    return items;
}

enum {
    WORD_BITS = 64,
};

/* The bits of a table for this epoch, with room for `count` ids; a new file starts with none. */
static struct head_marks *marks_for(const struct encoder *e, struct head *h, enum head_table t,
                                    uint32_t count)
{
    struct head_marks *m = &h->marks[t];

    if (m->epoch != e->epoch) {
        if (m->count > 0)
            memset(m->bits, 0, m->count / WORD_BITS * sizeof(*m->bits));
        m->epoch = e->epoch;
    }
    if (count > m->count) {
        uint32_t words = m->count / WORD_BITS, cap = words;

        m->bits = grown(m->bits, &cap, (count - 1) / WORD_BITS + 1, sizeof(*m->bits));
        memset(m->bits + words, 0, (cap - words) * sizeof(*m->bits));
        m->count = cap * WORD_BITS;
    }
    return m;
}

/* Sets or clears [first, end). */
static void set_marks(struct head_marks *m, uint32_t first, uint32_t end, bool on)
{
    while (first < end) {
        uint32_t bit = first % WORD_BITS;
        uint32_t n = end - first < WORD_BITS - bit ? end - first : WORD_BITS - bit;
        uint64_t bits = (n == WORD_BITS ? UINT64_MAX : ((uint64_t)1 << n) - 1) << bit;

        if (on)
            m->bits[first / WORD_BITS] |= bits;
        else
            m->bits[first / WORD_BITS] &= ~bits;
        first += n;
    }
}

static void add_undo(struct encoder *e, struct head *h, enum head_table t, uint32_t first,
                     uint32_t end)
{
    e->undo = grown(e->undo, &e->undo_cap, e->undo_count + 1, sizeof(*e->undo));
    e->undo[e->undo_count++] = (struct undo){h, t, first, end};
}

/* Marks an old id as defined in this epoch; true when it was not. New ones are marked later. */
static bool mark(struct encoder *e, struct head *h, enum head_table t, uint32_t id)
{
    struct id_list *list = &e->fresh[t];
    uint64_t *word, bit = (uint64_t)1 << (id % WORD_BITS);

    if (id >= list->first_new)
        return false;
    word = &marks_for(e, h, t, list->first_new)->bits[id / WORD_BITS];
    if (*word & bit)
        return false;
    *word |= bit;
    list->ids = grown(list->ids, &list->cap, list->count + 1, sizeof(*list->ids));
    list->ids[list->count++] = id;
    add_undo(e, h, t, id, id + 1);
    return true;
}

void encoder_undo(struct encoder *e)
{
    for (uint32_t i = 0; i < e->undo_count; i++) {
        const struct undo *u = &e->undo[i];

        set_marks(&u->head->marks[u->table], u->first, u->end, false);
        u->head->key_epoch = 0;
    }
    e->undo_count = 0;
    e->row_count = 0;
}

static void mark_string(struct encoder *e, struct head *h, uint32_t id)
{
    if (id != 0)
        (void)mark(e, h, HEAD_STRINGS, id);
}

/* What an entry refers to must be defined too: refs_*() marks that, mark_*() the entry as well. */
static void refs_function(struct encoder *e, struct head *h, uint32_t id)
{
    struct profile_function f = symbols_function(h->symbols, id);

    mark_string(e, h, f.name);
    mark_string(e, h, f.system_name);
    mark_string(e, h, f.filename);
}

static void refs_mapping(struct encoder *e, struct head *h, uint32_t id)
{
    struct profile_mapping m = symbols_mapping(h->symbols, id);

    mark_string(e, h, m.filename);
    mark_string(e, h, m.build_id);
}

static void refs_location(struct encoder *e, struct head *h, uint32_t id)
{
    struct symbol_location loc = symbols_location(h->symbols, id);

    if (loc.mapping != PROFILE_NONE && mark(e, h, HEAD_MAPPINGS, loc.mapping))
        refs_mapping(e, h, loc.mapping);
    for (uint32_t i = 0; i < loc.line_count; i++)
        if (mark(e, h, HEAD_FUNCTIONS, loc.lines[i].function))
            refs_function(e, h, loc.lines[i].function);
}

/* A node and what is above it; stops where this file knows the rest. */
static void mark_node(struct encoder *e, struct head *h, uint32_t id)
{
    while (id != SYMBOLS_ROOT && mark(e, h, HEAD_NODES, id)) {
        struct symbol_node n = symbols_node(h->symbols, id);

        if (mark(e, h, HEAD_LOCATIONS, n.location))
            refs_location(e, h, n.location);
        id = n.parent;
    }
}

static void refs_node(struct encoder *e, struct head *h, uint32_t id)
{
    struct symbol_node n = symbols_node(h->symbols, id);

    if (n.parent < e->fresh[HEAD_NODES].first_new)
        mark_node(e, h, n.parent);
    if (mark(e, h, HEAD_LOCATIONS, n.location))
        refs_location(e, h, n.location);
}

static void refs_stream(struct encoder *e, struct head *h, uint32_t id)
{
    const struct head_stream *s = stable_array_at(&h->streams, id);

    for (uint32_t i = 0; i < s->count * 2; i++)
        mark_string(e, h, s->ids[i]);
}

static void refs_typeset(struct encoder *e, struct head *h, uint32_t id)
{
    const struct head_typeset *t = stable_array_at(&h->typesets, id);

    for (uint32_t i = 0; i < t->set.count * 2 + 2; i++)
        mark_string(e, h, t->ids[i]);
}

static void list_counts(const struct head *h, uint32_t counts[HEAD_TABLES])
{
    struct symbols_counts n = symbols_counts(h->symbols);

    counts[HEAD_STRINGS] = n.strings;
    counts[HEAD_FUNCTIONS] = n.functions;
    counts[HEAD_MAPPINGS] = n.mappings;
    counts[HEAD_LOCATIONS] = n.locations;
    counts[HEAD_NODES] = n.nodes;
    counts[HEAD_STREAMS] = h->streams.count;
    counts[HEAD_TYPESETS] = h->typesets.count;
}

/* What comes into being from here on is defined by this part. */
static void begin_part(struct encoder *e, const struct head *h)
{
    uint32_t counts[HEAD_TABLES];

    list_counts(h, counts);
    for (int t = 0; t < HEAD_TABLES; t++) {
        e->fresh[t].count = 0;
        e->fresh[t].first_new = counts[t];
    }
}

/* Marks what came into being with this part, and the old entries that it refers to. */
static void mark_new(struct encoder *e, struct head *h)
{
    static void (*const refs[HEAD_TABLES])(struct encoder *, struct head *, uint32_t) = {
        [HEAD_FUNCTIONS] = refs_function, [HEAD_MAPPINGS] = refs_mapping,
        [HEAD_LOCATIONS] = refs_location, [HEAD_NODES] = refs_node,
        [HEAD_STREAMS] = refs_stream,     [HEAD_TYPESETS] = refs_typeset,
    };
    uint32_t counts[HEAD_TABLES];

    list_counts(h, counts);
    for (int t = 0; t < HEAD_TABLES; t++) {
        struct id_list *list = &e->fresh[t];

        list->end = counts[t];
        if (list->first_new == list->end)
            continue;
        set_marks(marks_for(e, h, (enum head_table)t, list->end), list->first_new, list->end, true);
        add_undo(e, h, (enum head_table)t, list->first_new, list->end);
        for (uint32_t id = list->first_new; refs[t] && id < list->end; id++)
            refs[t](e, h, id);
    }
}

static int id_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Count, then the ids as gaps, each followed by what `put` writes. */
typedef void (*put_fn)(const struct head *h, uint32_t id, struct buf *out);

static void put_list(const struct head *h, struct id_list *list, put_fn put, struct buf *out)
{
    uint32_t last = 0;

    if (list->count)
        qsort(list->ids, list->count, sizeof(*list->ids), id_cmp);
    buf_put_varint(out, list->count + (list->end - list->first_new));
    for (uint32_t i = 0; i < list->count; i++) {
        buf_put_varint(out, list->ids[i] - last);
        last = list->ids[i];
        put(h, last, out);
    }
    for (uint32_t id = list->first_new; id < list->end; id++) {
        buf_put_varint(out, id - last);
        last = id;
        put(h, id, out);
    }
}

static void put_string(const struct head *h, uint32_t id, struct buf *out)
{
    buf_put_sized(out, symbols_string(h->symbols, id));
}

static void put_function(const struct head *h, uint32_t id, struct buf *out)
{
    struct profile_function f = symbols_function(h->symbols, id);

    buf_put_varint(out, f.name);
    buf_put_varint(out, f.system_name);
    buf_put_varint(out, f.filename);
    buf_put_zigzag(out, f.start_line);
}

static void put_mapping(const struct head *h, uint32_t id, struct buf *out)
{
    struct profile_mapping m = symbols_mapping(h->symbols, id);

    buf_put_varint(out, m.memory_start);
    buf_put_varint(out, m.memory_limit);
    buf_put_varint(out, m.file_offset);
    buf_put_varint(out, m.filename);
    buf_put_varint(out, m.build_id);
    (void)buf_append_byte(out, (uint8_t)(m.has_functions | m.has_filenames << 1 |
                                         m.has_line_numbers << 2 | m.has_inline_frames << 3));
}

static void put_location(const struct head *h, uint32_t id, struct buf *out)
{
    struct symbol_location l = symbols_location(h->symbols, id);

    buf_put_varint(out, l.mapping == PROFILE_NONE ? 0 : (uint64_t)l.mapping + 1);
    buf_put_varint(out, l.address);
    buf_put_varint(out, (uint64_t)l.line_count << 1 | l.is_folded);
    for (uint32_t i = 0; i < l.line_count; i++) {
        buf_put_varint(out, l.lines[i].function);
        buf_put_zigzag(out, l.lines[i].line);
    }
}

static void put_node(const struct head *h, uint32_t id, struct buf *out)
{
    struct symbol_node n = symbols_node(h->symbols, id);

    buf_put_varint(out, id - n.parent); /* near: stacks are added from the root down */
    buf_put_varint(out, n.location);
}

static void put_stream(const struct head *h, uint32_t id, struct buf *out)
{
    const struct head_stream *s = stable_array_at(&h->streams, id);

    buf_put_varint(out, s->count);
    for (uint32_t i = 0; i < s->count * 2; i++)
        buf_put_varint(out, s->ids[i]);
}

static void put_typeset(const struct head *h, uint32_t id, struct buf *out)
{
    const struct head_typeset *t = stable_array_at(&h->typesets, id);

    buf_put_varint(out, t->set.count);
    for (uint32_t i = 0; i < t->set.count * 2 + 2; i++)
        buf_put_varint(out, t->ids[i]);
}

static void put_definitions(struct encoder *e, const struct head *h)
{
    static const put_fn puts[HEAD_TABLES] = {
        [HEAD_STRINGS] = put_string,   [HEAD_FUNCTIONS] = put_function,
        [HEAD_MAPPINGS] = put_mapping, [HEAD_LOCATIONS] = put_location,
        [HEAD_NODES] = put_node,       [HEAD_STREAMS] = put_stream,
        [HEAD_TYPESETS] = put_typeset,
    };

    for (int t = 0; t < HEAD_TABLES; t++)
        put_list(h, &e->fresh[t], puts[t], &e->payload);
}

static void put_row(struct encoder *e, const struct pending_row *p, uint64_t key)
{
    buf_put_varint(&e->payload, p->row.stream);
    buf_put_varint(&e->payload, p->row.typeset);
    buf_put_zigzag(&e->payload, p->row.time_ns);
    buf_put_zigzag(&e->payload, p->row.duration_ns);
    buf_put_zigzag(&e->payload, p->row.period);
    buf_put_le64(&e->payload, key);
    buf_put_varint(&e->payload, p->row.sample_count);
    buf_put_sized(&e->payload, p->row.samples);
}

/* Columns of one row, its totals, and everything it needs defined. */
static int encode_row(struct encoder *e, struct head *h, const struct push_row *row,
                      struct pending_row *out, struct err *err)
{
    const struct profile *p = row->profile;
    const struct sample_columns *columns;
    value128 totals[PROFILE_TYPES_MAX];
    struct head_row r = {.time_ns = p->time_ns,
                         .duration_ns = p->duration_ns,
                         .period = p->period,
                         .totals = totals};
    int rc;

    if ((rc = head_intern_stream(h, &row->labels, &r.stream, err)) != 0 ||
        (rc = head_intern_typeset(h, &p->typeset, &r.typeset, err)) != 0 ||
        (rc = head_columns_build(e->columns, h->symbols, row, &columns, err)) != 0)
        return rc == ERR_TOO_LARGE && h->rows.count > 0 ? head_is_full(h, err) : rc;
    r.sample_count = columns->count;
    for (uint32_t t = 0; t < columns->type_count; t++) {
        totals[t] = samples_total(columns->values[t], columns->count);
        r.present |= (uint64_t)(totals[t] > 0) << t;
    }
    if (mark(e, h, HEAD_STREAMS, r.stream))
        refs_stream(e, h, r.stream);
    if (mark(e, h, HEAD_TYPESETS, r.typeset))
        refs_typeset(e, h, r.typeset);
    for (uint32_t i = 0; i < columns->count; i++)
        if (i == 0 || columns->stacks[i] != columns->stacks[i - 1])
            mark_node(e, h, columns->stacks[i]);
    buf_reset(&e->samples);
    samples_encode(columns, &e->samples);
    if (e->samples.failed)
        return err_set(err, ERR_TOO_LARGE, "a row of %u samples is larger than %d bytes",
                       columns->count, PAYLOAD_BYTES_MAX);
    r.samples = buf_str(&e->samples);
    out->head = h;
    return head_prepare_row(h, &r, &out->row, err);
}

int encoder_add_part(struct encoder *e, struct head *h, const struct push *push,
                     const uint32_t *which, const uint64_t *dedup_keys, uint32_t count,
                     struct err *err)
{
    uint32_t first = e->row_count, keys_cap = e->row_cap;
    int rc;

    e->rows = grown(e->rows, &e->row_cap, first + count, sizeof(*e->rows));
    if (e->row_cap != keys_cap) {
        e->row_keys = realloc(e->row_keys, e->row_cap * sizeof(*e->row_keys));
        check(e->row_keys);
    }
    begin_part(e, h);
    for (uint32_t i = 0; i < count; i++) {
        rc = encode_row(e, h, &push->rows[which[i]], &e->rows[first + i], err);
        if (rc != 0)
            return rc;
        e->row_keys[first + i] = dedup_keys[i];
        e->row_count++;
    }
    buf_put_le64(&e->payload, h->id);
    (void)buf_append_byte(&e->payload, h->key_epoch != e->epoch);
    if (h->key_epoch != e->epoch) {
        buf_put_sized(&e->payload, h->key.tenant);
        buf_put_sized(&e->payload, h->key.service);
        buf_put_zigzag(&e->payload, h->key.day);
        h->key_epoch = e->epoch;
    }
    mark_new(e, h);
    put_definitions(e, h);
    buf_put_varint(&e->payload, count);
    for (uint32_t i = first; i < e->row_count; i++)
        put_row(e, &e->rows[i], e->row_keys[i]);
    return 0;
}

int encoder_payload(struct encoder *e, struct str *out, struct err *err)
{
    if (e->payload.failed)
        return err_set(err, ERR_TOO_LARGE, "a push is larger than %d bytes once encoded",
                       PAYLOAD_BYTES_MAX);
    *out = buf_str(&e->payload);
    return 0;
}

int encoder_publish(struct encoder *e, uint64_t lsn, int64_t mono_ns, struct err *err)
{
    for (uint32_t i = 0; i < e->row_count; i++) {
        struct pending_row *p = &e->rows[i];
        int rc;

        p->row.lsn = lsn;
        p->row.lsn_index = i;
        if ((rc = head_publish_row(p->head, &p->row, mono_ns, err)) != 0)
            return rc;
    }
    return 0;
}

#include "storage/head_replay.h"

#include "storage/head_columns.h"

#include "storage/model/samples.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    LABELS_MAX = 1024, /* of a stream; far above any limit at the door */
    ROW_BYTES_MAX = 256 << 20,
    IDS_MAX = 1 << 26, /* of one table; above what fits into a head */
    PAGE_IDS = 1024,
};

/*
 * From the record's id to ours + 1; 0 = not defined in this file. In pages, because a file
 * late in a head's life defines few of many ids.
 */
struct id_map {
    uint32_t **pages;
    uint32_t page_count;
    uint32_t end; /* above every id put */
};

/* What one head has been told in the file being read. */
struct reader {
    struct reader *next;
    uint64_t id;
    uint32_t epoch;
    bool known;        /* the key has been seen in this file */
    struct head *head; /* NULL: sealed already */
    struct id_map maps[HEAD_TABLES];
};

/* A row that waits for the rest of its record: a push is whole or absent. */
struct replayed_row {
    struct head *head;
    struct head_row row;
};

struct head_replay {
    struct head_replay_hooks hooks;
    struct replayed_row *pending;
    uint32_t pending_count, pending_cap;
    struct reader *readers;
    struct head_replay_counts counts;
    struct head_columns *columns;
    struct arena scratch;
    struct buf samples;
};

struct head_replay *head_replay_new(const struct head_replay_hooks *hooks)
{
    struct head_replay *r = calloc(1, sizeof(*r));

    check(r);
    r->hooks = *hooks;
    r->columns = head_columns_new();
    arena_init(&r->scratch, SIZE_MAX);
    buf_init(&r->samples, ROW_BYTES_MAX);
    return r;
}

static void clear_maps(struct reader *rd)
{
    for (int t = 0; t < HEAD_TABLES; t++) {
        for (uint32_t i = 0; i < rd->maps[t].page_count; i++)
            free(rd->maps[t].pages[i]);
        free(rd->maps[t].pages);
        rd->maps[t] = (struct id_map){0};
    }
}

void head_replay_free(struct head_replay *r)
{
    if (!r)
        return;
    while (r->readers) {
        struct reader *rd = r->readers;

        r->readers = rd->next;
        clear_maps(rd);
        free(rd);
    }
    free(r->pending);
    head_columns_free(r->columns);
    arena_release(&r->scratch);
    buf_release(&r->samples);
    free(r);
}

struct head_replay_counts head_replay_counts(const struct head_replay *r)
{
    return r->counts;
}

static struct reader *get_reader(struct head_replay *r, uint64_t id, uint32_t epoch)
{
    struct reader *rd;

    for (rd = r->readers; rd && rd->id != id; rd = rd->next)
        ;
    if (!rd) {
        rd = calloc(1, sizeof(*rd));
        check(rd);
        rd->id = id;
        rd->next = r->readers;
        r->readers = rd;
    }
    if (rd->epoch != epoch) {
        clear_maps(rd);
        rd->known = false;
        rd->epoch = epoch;
    }
    return rd;
}

static bool map_put(struct id_map *m, uint32_t from, uint32_t to)
{
    uint32_t page = from / PAGE_IDS;

    if (from >= IDS_MAX)
        return false;
    if (page >= m->page_count) {
        uint32_t count = (page + 1) * 2;

        m->pages = realloc(m->pages, count * sizeof(uint32_t *));
        check(m->pages);
        memset(m->pages + m->page_count, 0, (count - m->page_count) * sizeof(uint32_t *));
        m->page_count = count;
    }
    if (!m->pages[page])
        m->pages[page] = calloc(PAGE_IDS, sizeof(**m->pages));
    check(m->pages[page]);
    m->pages[page][from % PAGE_IDS] = to + 1;
    if (from >= m->end)
        m->end = from + 1;
    return true;
}

static bool map_get(const struct reader *rd, enum head_table t, uint64_t from, uint32_t *to)
{
    const struct id_map *m = &rd->maps[t];
    const uint32_t *page = from < m->end ? m->pages[from / PAGE_IDS] : NULL;

    if (!page || page[from % PAGE_IDS] == 0) {
        /* The empty string and the root are never defined: everybody has them. */
        *to = 0;
        return from == 0 && (t == HEAD_STRINGS || t == HEAD_NODES);
    }
    *to = page[from % PAGE_IDS] - 1;
    return true;
}

static bool take_id(struct bytes *in, const struct reader *rd, enum head_table t, uint32_t *out)
{
    uint64_t from;

    return bytes_varint(in, &from) && map_get(rd, t, from, out);
}

static bool read_string(struct bytes *in, struct reader *rd, uint32_t *id)
{
    struct str text;

    return bytes_take_sized(in, &text) &&
           symbols_intern_string(rd->head->symbols, text, id, NULL) == 0;
}

static bool read_function(struct bytes *in, struct reader *rd, uint32_t *id)
{
    struct profile_function f;

    return take_id(in, rd, HEAD_STRINGS, &f.name) &&
           take_id(in, rd, HEAD_STRINGS, &f.system_name) &&
           take_id(in, rd, HEAD_STRINGS, &f.filename) && bytes_zigzag(in, &f.start_line) &&
           symbols_intern_function(rd->head->symbols, f, id, NULL) == 0;
}

static bool read_mapping(struct bytes *in, struct reader *rd, uint32_t *id)
{
    struct profile_mapping m;
    uint8_t flags;

    if (!bytes_varint(in, &m.memory_start) || !bytes_varint(in, &m.memory_limit) ||
        !bytes_varint(in, &m.file_offset) || !take_id(in, rd, HEAD_STRINGS, &m.filename) ||
        !take_id(in, rd, HEAD_STRINGS, &m.build_id) || !bytes_u8(in, &flags))
        return false;
    m.has_functions = flags & 1;
    m.has_filenames = flags >> 1 & 1;
    m.has_line_numbers = flags >> 2 & 1;
    m.has_inline_frames = flags >> 3 & 1;
    return symbols_intern_mapping(rd->head->symbols, m, id, NULL) == 0;
}

static bool read_location(struct head_replay *r, struct bytes *in, struct reader *rd, uint32_t *id)
{
    struct symbol_location l = {.mapping = PROFILE_NONE};
    struct profile_line *lines;
    uint64_t mapping, shape;

    if (!bytes_varint(in, &mapping) ||
        (mapping != 0 && !map_get(rd, HEAD_MAPPINGS, mapping - 1, &l.mapping)) ||
        !bytes_varint(in, &l.address) || !bytes_varint(in, &shape) || shape >> 1 > bytes_left(in))
        return false;
    l.is_folded = shape & 1;
    l.line_count = (uint32_t)(shape >> 1);
    lines = arena_array(&r->scratch, struct profile_line, (size_t)l.line_count + 1);
    if (!lines)
        return false;
    for (uint32_t i = 0; i < l.line_count; i++)
        if (!take_id(in, rd, HEAD_FUNCTIONS, &lines[i].function) ||
            !bytes_zigzag(in, &lines[i].line))
            return false;
    l.lines = lines;
    return symbols_intern_location(rd->head->symbols, &l, id, NULL) == 0;
}

static bool read_node(struct bytes *in, struct reader *rd, uint32_t from, uint32_t *id)
{
    uint32_t parent, location;
    uint64_t up;

    return bytes_varint(in, &up) && up <= from && map_get(rd, HEAD_NODES, from - up, &parent) &&
           take_id(in, rd, HEAD_LOCATIONS, &location) &&
           symbols_intern_node(rd->head->symbols, parent, location, id, NULL) == 0;
}

static bool read_stream(struct head_replay *r, struct bytes *in, struct reader *rd, uint32_t *id)
{
    struct labels labels;

    if (!bytes_varint32(in, LABELS_MAX, &labels.count))
        return false;
    labels.pairs = arena_array(&r->scratch, struct label, (size_t)labels.count + 1);
    if (!labels.pairs)
        return false;
    for (uint32_t i = 0; i < labels.count; i++) {
        uint32_t name, value;

        if (!take_id(in, rd, HEAD_STRINGS, &name) || !take_id(in, rd, HEAD_STRINGS, &value))
            return false;
        labels.pairs[i] = (struct label){symbols_string(rd->head->symbols, name),
                                         symbols_string(rd->head->symbols, value)};
    }
    return head_intern_stream(rd->head, &labels, id, NULL) == 0;
}

static bool read_typeset(struct bytes *in, struct reader *rd, uint32_t *id)
{
    struct profile_value_type types[PROFILE_TYPES_MAX];
    struct typeset set = {.types = types};
    uint32_t text[PROFILE_TYPES_MAX * 2 + 2];

    if (!bytes_varint32(in, PROFILE_TYPES_MAX, &set.count) || set.count == 0)
        return false;
    for (uint32_t i = 0; i < set.count * 2 + 2; i++)
        if (!take_id(in, rd, HEAD_STRINGS, &text[i]))
            return false;
    set.period_type = symbols_string(rd->head->symbols, text[0]);
    set.period_unit = symbols_string(rd->head->symbols, text[1]);
    for (uint32_t i = 0; i < set.count; i++) {
        types[i].type = symbols_string(rd->head->symbols, text[2 + i * 2]);
        types[i].unit = symbols_string(rd->head->symbols, text[3 + i * 2]);
    }
    return head_intern_typeset(rd->head, &set, id, NULL) == 0;
}

static bool read_one(struct head_replay *r, enum head_table t, struct bytes *in, struct reader *rd,
                     uint32_t from, uint32_t *id)
{
    switch (t) {
    case HEAD_STRINGS:
        return read_string(in, rd, id);
    case HEAD_FUNCTIONS:
        return read_function(in, rd, id);
    case HEAD_MAPPINGS:
        return read_mapping(in, rd, id);
    case HEAD_LOCATIONS:
        return read_location(r, in, rd, id);
    case HEAD_NODES:
        return read_node(in, rd, from, id);
    case HEAD_STREAMS:
        return read_stream(r, in, rd, id);
    case HEAD_TYPESETS:
        return read_typeset(in, rd, id);
    case HEAD_TABLES:
        break;
    }
    check_unreachable();
}

static bool read_definitions(struct head_replay *r, struct bytes *in, struct reader *rd)
{
    for (int t = 0; t < HEAD_TABLES; t++) {
        uint64_t count, id = 0;

        if (!bytes_varint(in, &count) || count > bytes_left(in))
            return false;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t gap;
            uint32_t ours;

            if (!bytes_varint(in, &gap) || (id += gap) >= UINT32_MAX ||
                !read_one(r, (enum head_table)t, in, rd, (uint32_t)id, &ours) ||
                !map_put(&rd->maps[t], (uint32_t)id, ours))
                return false;
        }
    }
    return true;
}

/* The samples with our node ids, in order again, as bytes of the scratch buffer. */
static bool translate_samples(struct head_replay *r, struct reader *rd, struct str bytes,
                              struct head_row *row, value128 *totals)
{
    const struct head_typeset *ts = stable_array_at(&rd->head->typesets, row->typeset);
    uint32_t nodes = rd->maps[HEAD_NODES].end > 0 ? rd->maps[HEAD_NODES].end : 1;
    const struct sample_columns *sorted;
    struct sample_columns columns;

    if (samples_decode(bytes, row->sample_count, ts->set.count, nodes, UINT64_MAX, &r->scratch,
                       &columns, NULL) != 0)
        return false;
    for (uint32_t i = 0; i < columns.count; i++)
        if (!map_get(rd, HEAD_NODES, columns.stacks[i], &columns.stacks[i]))
            return false;
    head_columns_sort(r->columns, &columns, &sorted);
    if (sorted->link_count > sorted->count) /* we write the links that samples have */
        return false;
    row->sample_count = sorted->count;
    row->present = 0;
    for (uint32_t t = 0; t < sorted->type_count; t++) {
        totals[t] = samples_total(sorted->values[t], sorted->count);
        row->present |= (uint64_t)(totals[t] > 0) << t;
    }
    buf_reset(&r->samples);
    samples_encode(sorted, &r->samples);
    row->samples = buf_str(&r->samples);
    row->totals = totals;
    return !r->samples.failed;
}

static void keep_row(struct head_replay *r, struct head *head, const struct head_row *row)
{
    if (r->pending_count == r->pending_cap) {
        r->pending_cap = r->pending_cap ? r->pending_cap * 2 : 16;
        r->pending = realloc(r->pending, r->pending_cap * sizeof(*r->pending));
        check(r->pending);
    }
    r->pending[r->pending_count++] = (struct replayed_row){head, *row};
}

static bool read_row(struct head_replay *r, struct bytes *in, struct reader *rd, uint64_t lsn,
                     uint32_t lsn_index)
{
    struct head_row row = {.lsn = lsn, .lsn_index = lsn_index}, kept;
    value128 totals[PROFILE_TYPES_MAX];
    uint64_t stream, typeset, key;
    struct str samples;

    if (!bytes_varint(in, &stream) || !bytes_varint(in, &typeset) ||
        !bytes_zigzag(in, &row.time_ns) || !bytes_zigzag(in, &row.duration_ns) ||
        !bytes_zigzag(in, &row.period) || !bytes_le64(in, &key) ||
        !bytes_varint32(in, UINT32_MAX - 1, &row.sample_count) || !bytes_take_sized(in, &samples))
        return false;
    if (key != 0)
        r->hooks.dedup(r->hooks.ctx, key, row.time_ns);
    if (!rd->head) {
        r->counts.rows_sealed++;
        return true;
    }
    if (!map_get(rd, HEAD_STREAMS, stream, &row.stream) ||
        !map_get(rd, HEAD_TYPESETS, typeset, &row.typeset) ||
        !translate_samples(r, rd, samples, &row, totals) ||
        head_prepare_row(rd->head, &row, &kept, NULL) != 0)
        return false;
    keep_row(r, rd->head, &kept);
    return true;
}

/* Steps over the definitions of a head whose rows are in a segment. */
static bool skip_definitions(struct bytes *in)
{
    for (int t = 0; t < HEAD_TABLES; t++) {
        uint64_t count, skip, n;
        struct str text;
        uint8_t flags;

        if (!bytes_varint(in, &count) || count > bytes_left(in))
            return false;
        for (uint64_t i = 0; i < count; i++) {
            bool ok = bytes_varint(in, &skip);

            n = 0;
            if (t == HEAD_STRINGS)
                ok = ok && bytes_take_sized(in, &text);
            else if (t == HEAD_FUNCTIONS)
                n = 4;
            else if (t == HEAD_MAPPINGS)
                n = 5;
            else if (t == HEAD_NODES)
                n = 2;
            else if (t == HEAD_LOCATIONS)
                ok = ok && bytes_varint(in, &skip) && bytes_varint(in, &skip) &&
                     bytes_varint(in, &n) && (n = (n >> 1) * 2) <= bytes_left(in);
            else
                ok = ok && bytes_varint(in, &n) && n <= bytes_left(in);
            if (t == HEAD_STREAMS || t == HEAD_TYPESETS)
                n = n * 2 + (t == HEAD_TYPESETS ? 2 : 0);
            for (; ok && n > 0; n--)
                ok = bytes_varint(in, &skip);
            if (ok && t == HEAD_MAPPINGS)
                ok = bytes_u8(in, &flags);
            if (!ok)
                return false;
        }
    }
    return true;
}

static bool read_part(struct head_replay *r, struct bytes *in, uint64_t lsn, uint32_t epoch,
                      uint32_t *lsn_index)
{
    struct head_key key;
    struct reader *rd;
    uint8_t has_key;
    uint64_t id, rows;
    int64_t day;

    if (!bytes_le64(in, &id) || !bytes_u8(in, &has_key))
        return false;
    rd = get_reader(r, id, epoch);
    if (has_key) {
        if (!bytes_take_sized(in, &key.tenant) || !bytes_take_sized(in, &key.service) ||
            !bytes_zigzag(in, &day) || day < INT32_MIN || day > INT32_MAX)
            return false;
        key.day = (int32_t)day;
        rd->head = r->hooks.find(r->hooks.ctx, id, &key);
        rd->known = true;
    }
    if (!rd->known && r->hooks.is_sealed(r->hooks.ctx, id)) {
        rd->head = NULL;
        rd->known = true;
    }
    if (!rd->known || !(rd->head ? read_definitions(r, in, rd) : skip_definitions(in)) ||
        !bytes_varint(in, &rows) || rows > bytes_left(in))
        return false;
    for (; rows > 0; rows--)
        if (!read_row(r, in, rd, lsn, (*lsn_index)++))
            return false;
    return true;
}

static void publish_rows(struct head_replay *r)
{
    for (uint32_t i = 0; i < r->pending_count; i++) {
        const struct replayed_row *p = &r->pending[i];

        mutex_lock(&p->head->mu);
        if (head_publish_row(p->head, &p->row, r->hooks.mono_ns, NULL) == 0)
            r->counts.rows++;
        mutex_unlock(&p->head->mu);
    }
}

void head_replay_record(struct head_replay *r, uint64_t lsn, uint32_t epoch, struct str payload)
{
    struct bytes in = bytes_of(payload);
    uint32_t lsn_index = 0;
    uint64_t parts;
    bool ok = bytes_varint(&in, &parts) && parts <= payload.len;

    arena_reset(&r->scratch);
    r->pending_count = 0;
    for (; ok && parts > 0; parts--)
        ok = read_part(r, &in, lsn, epoch, &lsn_index);
    if (ok && bytes_left(&in) == 0) {
        publish_rows(r);
        return;
    }
    r->counts.records_damaged++;
    log_error("log record cannot be used: what it refers to was in a damaged one",
              LOG_U64("lsn", lsn), LOG_U64("epoch", epoch));
}

/* A dataset as text without ids, lines sorted: equal texts mean equal content. */
#include "tests/support/dataset_fake.h"

#include "storage/model/samples.h"
#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"

#include <inttypes.h>
#include <stdlib.h>

struct describe {
    const struct dataset_index *index;
    const struct symbols *symbols;
    uint32_t node_count;
    struct buf *lines; /* one per row */
    uint32_t count;
};

static void put_str(struct buf *b, const struct symbols *s, uint32_t id)
{
    (void)buf_append_str(b, symbols_string(s, id));
    (void)buf_append_byte(b, '|');
}

static void put_location(struct buf *b, const struct symbols *s, uint32_t id)
{
    struct symbol_location l = symbols_location(s, id);

    (void)buf_printf(b, "@%" PRIx64 "%s", l.address, l.is_folded ? "f" : "");
    if (l.mapping != PROFILE_NONE) {
        struct profile_mapping m = symbols_mapping(s, l.mapping);

        put_str(b, s, m.filename);
        put_str(b, s, m.build_id);
        (void)buf_printf(b, "%" PRIx64 "-%" PRIx64 "+%" PRIx64 "%d%d%d%d", m.memory_start,
                         m.memory_limit, m.file_offset, m.has_functions, m.has_filenames,
                         m.has_line_numbers, m.has_inline_frames);
    }
    for (uint32_t i = 0; i < l.line_count; i++) {
        struct profile_function f = symbols_function(s, l.lines[i].function);

        put_str(b, s, f.name);
        put_str(b, s, f.system_name);
        put_str(b, s, f.filename);
        (void)buf_printf(b, "%" PRId64 ":%" PRId64, f.start_line, l.lines[i].line);
    }
}

static void put_sample(struct describe *d, const struct sample_columns *c, uint32_t i,
                       struct buf *b)
{
    for (uint32_t n = c->stacks[i]; n != SYMBOLS_ROOT;) {
        struct symbol_node node;

        check(n < d->node_count);
        node = symbols_node(d->symbols, n);
        put_location(b, d->symbols, node.location);
        check(node.parent < n);
        n = node.parent;
    }
    for (uint32_t t = 0; t < c->type_count; t++)
        if (c->values[t])
            (void)buf_printf(b, " %u=%" PRId64, t, c->values[t][i]);
    if (c->links && c->links[i]) {
        const struct profile_link *l = &c->link_table[c->links[i] - 1];

        (void)buf_printf(b, " span %" PRIx64 " trace ", l->span_id);
        for (size_t k = 0; k < sizeof(l->trace_id); k++)
            (void)buf_printf(b, "%02x", l->trace_id[k]);
    }
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(buf_str(a), buf_str(b));
}

/* Joins `count` texts in bytewise order and frees them. */
static void join(struct buf *texts, uint32_t count, struct buf *out)
{
    if (count > 0)
        qsort(texts, count, sizeof(*texts), by_bytes);
    for (uint32_t i = 0; i < count; i++) {
        (void)buf_append_str(out, buf_str(&texts[i]));
        (void)buf_append_byte(out, '\n');
        buf_release(&texts[i]);
    }
    free(texts);
}

static void put_row(struct describe *d, const struct dataset_row *row, struct buf *b)
{
    const struct typeset *ts = &d->index->typesets[row->typeset];

    labels_format(&d->index->streams[row->stream], b);
    (void)buf_append_byte(b, ' ');
    (void)buf_append_str(b, ts->period_type);
    (void)buf_append_byte(b, '/');
    (void)buf_append_str(b, ts->period_unit);
    (void)buf_printf(b, " at %" PRId64 " for %" PRId64 " period %" PRId64 " present %" PRIx64,
                     row->time_ns, row->duration_ns, row->period, row->present);
    (void)buf_printf(b, " seq %" PRIu64 ".%u samples %u", row->sequence, row->sequence_index,
                     row->sample_count);
    for (uint32_t t = 0; t < ts->count; t++) {
        (void)buf_append_byte(b, ' ');
        (void)buf_append_str(b, ts->types[t].type);
        (void)buf_append_byte(b, '/');
        (void)buf_append_str(b, ts->types[t].unit);
        (void)buf_printf(b, "=%016" PRIx64 "%016" PRIx64, (uint64_t)(row->totals[t] >> 64),
                         (uint64_t)row->totals[t]);
    }
}

static int visit(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                 struct err *err)
{
    struct describe *d = ctx;
    struct buf *line, *texts;

    (void)err;
    d->lines = realloc(d->lines, (d->count + 1) * sizeof(*d->lines));
    check(d->lines);
    line = &d->lines[d->count++];
    buf_init(line, SIZE_MAX);
    put_row(d, row, line);
    if (!columns)
        return 0;
    check(columns->count == row->sample_count);
    texts = calloc(columns->count + 1, sizeof(*texts));
    check(texts);
    for (uint32_t i = 0; i < columns->count; i++) {
        check(i == 0 || columns->stacks[i] >= columns->stacks[i - 1]);
        buf_init(&texts[i], SIZE_MAX);
        put_sample(d, columns, i, &texts[i]);
    }
    (void)buf_append_byte(line, '\n');
    join(texts, columns->count, line);
    return 0;
}

int dataset_describe(struct dataset *ds, struct time_span time, uint64_t types, bool samples,
                     struct buf *out, struct err *err)
{
    struct describe d = {0};
    struct dataset_scan s = {.time = time, .samples = samples};
    struct arena scratch;
    uint32_t *entries;
    uint64_t *masks;
    int rc;

    if ((rc = ds->ops->index(ds, &d.index, err)) != 0 ||
        (rc = ds->ops->symbols(ds, &d.symbols, &d.node_count, err)) != 0)
        return rc;
    arena_init(&scratch, SIZE_MAX);
    entries = arena_array(&scratch, uint32_t, d.index->entry_count);
    masks = arena_array(&scratch, uint64_t, d.index->entry_count);
    for (uint32_t i = 0; i < d.index->entry_count; i++) {
        entries[i] = i;
        masks[i] = types;
    }
    s.entries = entries;
    s.types = masks;
    s.entry_count = d.index->entry_count;
    rc = ds->ops->scan(ds, &s, &scratch, visit, &d, err);
    arena_release(&scratch);
    join(d.lines, d.count, out);
    return rc;
}

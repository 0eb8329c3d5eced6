/* The index and the dictionary are made at once or when asked for; rows are merged per entry. */
#include "storage/merged_dataset.h"

#include "storage/head_columns.h"
#include "storage/segment_index.h"

#include "storage/model/samples.h"
#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_SAMPLES = 1 << 17, /* held at once while rows of several inputs are put in order */
};

struct input {
    struct dataset *ds;
    const struct dataset_index *index;
    uint32_t *nodes; /* its node -> ours; NULL: not asked for yet */
    uint32_t node_count;
};

/* An entry of an input. */
struct origin {
    uint32_t input, entry;
};

struct merged_dataset {
    struct dataset base;
    struct arena memory;
    struct input *inputs;
    uint32_t input_count;
    struct dataset_index index;
    struct origin *origins;  /* by entry of ours, then by input */
    uint32_t *origins_first; /* entry_count + 1 */
    struct symbols *symbols;
    struct head_columns *columns;
};

static struct merged_dataset *of(struct dataset *ds)
{
    return (struct merged_dataset *)ds;
}

static int out_of_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "no memory to merge segments");
}

/* ---- index ---- */

/* An origin with what it is sorted by. */
struct keyed_origin {
    const struct labels *labels;
    const struct typeset *typeset;
    struct origin at;
};

static int keyed_cmp(const void *a, const void *b)
{
    const struct keyed_origin *x = a, *y = b;
    int d = labels_cmp(x->labels, y->labels);

    if (d == 0)
        d = typeset_cmp(x->typeset, y->typeset);
    if (d == 0)
        d = (x->at.input > y->at.input) - (x->at.input < y->at.input);
    return d;
}

static int typeset_pointer_cmp(const void *a, const void *b)
{
    return typeset_cmp(*(const struct typeset *const *)a, *(const struct typeset *const *)b);
}

static int list_origins(struct merged_dataset *m, struct keyed_origin **out, uint32_t *count,
                        struct err *err)
{
    struct keyed_origin *all;
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->input_count; i++)
        n += m->inputs[i].index->entry_count;
    all = arena_array(&m->memory, struct keyed_origin, n);
    if (!all)
        return out_of_memory(err);
    *count = 0;
    for (uint32_t i = 0; i < m->input_count; i++) {
        const struct dataset_index *ix = m->inputs[i].index;

        for (uint32_t e = 0; e < ix->entry_count; e++)
            all[(*count)++] = (struct keyed_origin){
                &ix->streams[ix->entries[e].stream], &ix->typesets[ix->entries[e].typeset], {i, e}};
    }
    if (n > 1)
        qsort(all, n, sizeof(*all), keyed_cmp);
    *out = all;
    return 0;
}

/* Distinct typesets, ascending. Few: found again by looking. */
static int merge_typesets(struct merged_dataset *m, struct err *err)
{
    const struct typeset **all;
    struct typeset *kept;
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->input_count; i++)
        n += m->inputs[i].index->typeset_count;
    all = arena_array(&m->memory, const struct typeset *, n);
    kept = arena_array(&m->memory, struct typeset, n);
    if (!all || !kept)
        return out_of_memory(err);
    n = 0;
    for (uint32_t i = 0; i < m->input_count; i++)
        for (uint32_t t = 0; t < m->inputs[i].index->typeset_count; t++)
            all[n++] = &m->inputs[i].index->typesets[t];
    qsort(all, n, sizeof(struct typeset *), typeset_pointer_cmp);
    for (uint32_t i = 0; i < n; i++)
        if (i == 0 || typeset_cmp(all[i - 1], all[i]) != 0)
            kept[m->index.typeset_count++] = *all[i];
    m->index.typesets = kept;
    return 0;
}

static uint32_t typeset_index(const struct merged_dataset *m, const struct typeset *t)
{
    uint32_t i = 0;

    while (typeset_cmp(&m->index.typesets[i], t) != 0)
        check(++i < m->index.typeset_count);
    return i;
}

static void widen(struct dataset_entry *e, const struct dataset_entry *from)
{
    if (e->row_count == 0 || from->time.first_ns < e->time.first_ns)
        e->time.first_ns = from->time.first_ns;
    if (e->row_count == 0 || from->time.last_ns > e->time.last_ns)
        e->time.last_ns = from->time.last_ns;
    e->present |= from->present;
    e->row_count += from->row_count;
}

static int merge_entries(struct merged_dataset *m, struct err *err)
{
    struct keyed_origin *all = NULL;
    struct dataset_entry *entries;
    struct labels *streams;
    uint32_t n = 0;
    int rc = list_origins(m, &all, &n, err);

    if (rc != 0 || (rc = merge_typesets(m, err)) != 0)
        return rc;
    entries = arena_calloc(&m->memory, n, sizeof(*entries));
    streams = arena_array(&m->memory, struct labels, n);
    m->origins = arena_array(&m->memory, struct origin, n);
    m->origins_first = arena_array(&m->memory, uint32_t, (size_t)n + 1);
    if (!entries || !streams || !m->origins || !m->origins_first)
        return out_of_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        const struct dataset_index *ix = m->inputs[all[i].at.input].index;
        bool new_stream = i == 0 || !labels_eq(all[i - 1].labels, all[i].labels);

        if (new_stream)
            streams[m->index.stream_count++] = *all[i].labels;
        if (new_stream || typeset_cmp(all[i - 1].typeset, all[i].typeset) != 0) {
            m->origins_first[m->index.entry_count] = i;
            entries[m->index.entry_count].stream = m->index.stream_count - 1;
            entries[m->index.entry_count++].typeset = typeset_index(m, all[i].typeset);
        }
        m->origins[i] = all[i].at;
        widen(&entries[m->index.entry_count - 1], &ix->entries[all[i].at.entry]);
    }
    m->origins_first[m->index.entry_count] = n;
    m->index.entries = entries;
    m->index.streams = streams;
    return 0;
}

static int merged_index(struct dataset *ds, const struct dataset_index **out, struct err *err)
{
    (void)err;
    *out = &of(ds)->index;
    return 0;
}

/* ---- dictionary ---- */

/* Ids of an input's tables -> ours, while it is read. */
struct translation {
    const struct symbols *from;
    struct symbols *to;
    struct symbols_counts counts;
    uint32_t *strings, *functions, *mappings, *locations, *nodes;
};

static int take_names(struct translation *t, struct err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < t->counts.strings; i++)
        rc = symbols_intern_string(t->to, symbols_string(t->from, i), &t->strings[i], err);
    for (uint32_t i = 0; rc == 0 && i < t->counts.functions; i++) {
        struct profile_function f = symbols_function(t->from, i);

        f.name = t->strings[f.name];
        f.system_name = t->strings[f.system_name];
        f.filename = t->strings[f.filename];
        rc = symbols_intern_function(t->to, f, &t->functions[i], err);
    }
    for (uint32_t i = 0; rc == 0 && i < t->counts.mappings; i++) {
        struct profile_mapping map = symbols_mapping(t->from, i);

        map.filename = t->strings[map.filename];
        map.build_id = t->strings[map.build_id];
        rc = symbols_intern_mapping(t->to, map, &t->mappings[i], err);
    }
    return rc;
}

static int take_location(struct translation *t, uint32_t id, struct arena *scratch, struct err *err)
{
    struct symbol_location l = symbols_location(t->from, id);
    struct profile_line *lines = arena_array(scratch, struct profile_line, l.line_count + 1);

    if (!lines)
        return out_of_memory(err);
    for (uint32_t i = 0; i < l.line_count; i++)
        lines[i] = (struct profile_line){t->functions[l.lines[i].function], l.lines[i].line};
    l.lines = lines;
    if (l.mapping != PROFILE_NONE)
        l.mapping = t->mappings[l.mapping];
    return symbols_intern_location(t->to, &l, &t->locations[id], err);
}

static int take_stacks(struct translation *t, struct arena *scratch, struct err *err)
{
    struct arena_mark mark = arena_mark(scratch);
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < t->counts.locations; i++) {
        rc = take_location(t, i, scratch, err);
        arena_rewind(scratch, mark);
    }
    t->nodes[SYMBOLS_ROOT] = SYMBOLS_ROOT;
    for (uint32_t i = 1; rc == 0 && i < t->counts.nodes; i++) {
        struct symbol_node n = symbols_node(t->from, i);

        rc = symbols_intern_node(t->to, t->nodes[n.parent], t->locations[n.location], &t->nodes[i],
                                 err);
    }
    return rc;
}

static int take_symbols(struct merged_dataset *m, struct input *in, struct arena *scratch,
                        struct err *err)
{
    struct translation t = {.to = m->symbols};
    int rc = in->ds->ops->symbols(in->ds, &t.from, &in->node_count, err);

    if (rc != 0)
        return rc;
    t.counts = symbols_counts(t.from);
    arena_reset(scratch);
    t.strings = arena_array(scratch, uint32_t, t.counts.strings);
    t.functions = arena_array(scratch, uint32_t, t.counts.functions);
    t.mappings = arena_array(scratch, uint32_t, t.counts.mappings);
    t.locations = arena_array(scratch, uint32_t, t.counts.locations);
    t.nodes = arena_array(&m->memory, uint32_t, t.counts.nodes);
    if (!t.strings || !t.functions || !t.mappings || !t.locations || !t.nodes)
        return out_of_memory(err);
    if ((rc = take_names(&t, err)) == 0 && (rc = take_stacks(&t, scratch, err)) == 0)
        in->nodes = t.nodes;
    return rc;
}

static int load_symbols(struct merged_dataset *m, struct err *err)
{
    struct arena scratch;
    int rc = 0;

    if (m->symbols)
        return 0;
    m->symbols = symbols_new(SIZE_MAX);
    arena_init(&scratch, SIZE_MAX);
    for (uint32_t i = 0; rc == 0 && i < m->input_count; i++)
        rc = take_symbols(m, &m->inputs[i], &scratch, err);
    arena_release(&scratch);
    if (rc != 0) {
        symbols_free(m->symbols);
        m->symbols = NULL;
    }
    return rc;
}

static int merged_symbols(struct dataset *ds, const struct symbols **out, uint32_t *node_count,
                          struct err *err)
{
    struct merged_dataset *m = of(ds);
    int rc = load_symbols(m, err);

    if (rc != 0)
        return rc;
    *out = m->symbols;
    *node_count = symbols_counts(m->symbols).nodes;
    return 0;
}

/* ---- rows ---- */

/* A row that waits for its turn; it and what it points to are in the window's arena. */
struct waiting {
    struct dataset_row row;
    struct sample_columns columns;
};

struct merging {
    struct merged_dataset *m;
    const struct dataset_scan *scan; /* the caller's */
    uint32_t entry;                  /* of ours */
    uint64_t types;
    struct arena *scratch; /* of the inputs' scans */
    dataset_visit visit;
    void *ctx;
    struct arena window;
    struct waiting *rows;
    uint32_t row_count, row_cap;
    const struct input *input; /* being read */
};

static int time_cmp(const struct dataset_row *x, const struct dataset_row *y)
{
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? -1 : 1;
    return (x->sequence_index > y->sequence_index) - (x->sequence_index < y->sequence_index);
}

static int waiting_cmp(const void *a, const void *b)
{
    return time_cmp(&((const struct waiting *)a)->row, &((const struct waiting *)b)->row);
}

static uint32_t type_count_of(const struct merging *g)
{
    return g->m->index.typesets[g->m->index.entries[g->entry].typeset].count;
}

/* By stack again. Sorting moves all columns: those not asked for are zeroes meanwhile. */
static int sort_columns(struct merging *g, struct sample_columns *c, struct arena *arena,
                        struct err *err)
{
    const struct sample_columns *sorted;
    int64_t *zeroes = arena_calloc(arena, c->count, sizeof(*zeroes));
    uint64_t missing = 0;

    if (!zeroes)
        return out_of_memory(err);
    for (uint32_t t = 0; t < c->type_count; t++)
        if (!c->values[t]) {
            c->values[t] = zeroes;
            missing |= UINT64_C(1) << t;
        }
    head_columns_sort(g->m->columns, c, &sorted);
    *c = *sorted;
    for (uint32_t t = 0; t < c->type_count; t++)
        if (missing >> t & 1)
            c->values[t] = NULL;
    return 0;
}

/* Our ids instead of the input's; in order again. *out lives until the next call. */
static int translate(struct merging *g, const struct sample_columns *from, struct arena *arena,
                     const struct sample_columns **out, struct err *err)
{
    struct sample_columns *to = arena_memdup(arena, from, sizeof(*from));
    bool ascends = true;

    if (!to || !(to->stacks = arena_array(arena, uint32_t, from->count)))
        return out_of_memory(err);
    for (uint32_t i = 0; i < from->count; i++) {
        if (from->stacks[i] >= g->input->node_count)
            return err_set(err, ERR_CORRUPT, "a sample names stack %u of %u", from->stacks[i],
                           g->input->node_count);
        to->stacks[i] = g->input->nodes[from->stacks[i]];
        ascends = ascends && (i == 0 || to->stacks[i - 1] <= to->stacks[i]);
    }
    *out = to;
    return ascends ? 0 : sort_columns(g, to, arena, err);
}

static bool keep_columns(struct arena *a, const struct sample_columns *from,
                         struct sample_columns *to)
{
    bool ok = true;

    *to = *from;
    to->stacks = arena_memdup(a, from->stacks, from->count * sizeof(*from->stacks));
    ok = to->stacks != NULL;
    for (uint32_t t = 0; t < from->type_count; t++)
        if (from->values[t]) {
            to->values[t] = arena_memdup(a, from->values[t], from->count * sizeof(int64_t));
            ok = ok && to->values[t];
        }
    if (from->links) {
        to->links = arena_memdup(a, from->links, from->count * sizeof(*from->links));
        to->link_table =
            arena_memdup(a, from->link_table, from->link_count * sizeof(*from->link_table));
        ok = ok && to->links && to->link_table;
    }
    return ok;
}

static struct dataset_row ours(const struct merging *g, const struct dataset_row *row)
{
    struct dataset_row r = *row;

    r.stream = g->m->index.entries[g->entry].stream;
    r.typeset = g->m->index.entries[g->entry].typeset;
    return r;
}

/* The only input with rows here: they are in order already. */
static int pass_on(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                   struct err *err)
{
    struct merging *g = ctx;
    struct dataset_row r = ours(g, row);
    int rc = 0;

    arena_reset(&g->window);
    if (columns)
        rc = translate(g, columns, &g->window, &columns, err);
    return rc == 0 ? g->visit(g->ctx, &r, columns, err) : rc;
}

static int keep(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                struct err *err)
{
    struct merging *g = ctx;
    uint32_t types = type_count_of(g);
    struct waiting *w;
    int rc;

    if (g->row_count == g->row_cap) {
        g->row_cap = g->row_cap ? g->row_cap * 2 : 256;
        g->rows = realloc(g->rows, g->row_cap * sizeof(*g->rows));
        check(g->rows);
    }
    w = &g->rows[g->row_count++];
    memset(w, 0, sizeof(*w));
    w->row = ours(g, row);
    w->row.totals = arena_memdup(&g->window, row->totals, types * sizeof(*row->totals));
    if (!w->row.totals)
        return out_of_memory(err);
    if (!columns)
        return 0;
    if ((rc = translate(g, columns, &g->window, &columns, err)) != 0)
        return rc;
    return keep_columns(&g->window, columns, &w->columns) ? 0 : out_of_memory(err);
}

static int scan_inputs(struct merging *g, struct time_span time, bool samples, dataset_visit visit,
                       struct err *err)
{
    const struct merged_dataset *m = g->m;
    struct arena_mark mark = arena_mark(g->scratch);
    int rc = 0;

    for (uint32_t i = m->origins_first[g->entry]; rc == 0 && i < m->origins_first[g->entry + 1];
         i++) {
        const struct origin *o = &m->origins[i];
        struct dataset_scan scan = {
            .entries = &o->entry,
            .types = &g->types,
            .entry_count = 1,
            .time = time,
            .samples = samples,
        };

        g->input = &m->inputs[o->input];
        rc = g->input->ds->ops->scan(g->input->ds, &scan, g->scratch, visit, g, err);
        arena_rewind(g->scratch, mark);
    }
    return rc;
}

/* All rows of a window, in order. */
static int merge_window(struct merging *g, struct time_span time, struct err *err)
{
    int rc;

    arena_reset(&g->window);
    g->row_count = 0;
    if ((rc = scan_inputs(g, time, g->scan->samples, keep, err)) != 0)
        return rc;
    if (g->row_count > 1)
        qsort(g->rows, g->row_count, sizeof(*g->rows), waiting_cmp);
    for (uint32_t i = 0; rc == 0 && i < g->row_count; i++)
        rc = g->visit(g->ctx, &g->rows[i].row, g->scan->samples ? &g->rows[i].columns : NULL, err);
    return rc;
}

/* When a row was and how much it holds: for cutting the range into windows. */
struct moment {
    int64_t time_ns;
    uint32_t samples;
};

struct moments {
    struct moment *items;
    uint32_t count, cap;
};

struct measuring {
    struct merging g; /* first: scans of inputs get it as their context */
    struct moments moments;
};

static int note_moment(void *ctx, const struct dataset_row *row,
                       const struct sample_columns *columns, struct err *err)
{
    struct moments *m = &((struct measuring *)ctx)->moments;

    (void)columns;
    (void)err;
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 256;
        m->items = realloc(m->items, m->cap * sizeof(*m->items));
        check(m->items);
    }
    m->items[m->count++] = (struct moment){row->time_ns, row->sample_count};
    return 0;
}

static int moment_cmp(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;

    return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

static int merge_windows(struct merging *g, const struct moments *m, struct err *err)
{
    int rc = 0;

    for (uint32_t i = 0, end; rc == 0 && i < m->count; i = end) {
        uint64_t samples = 0;

        for (end = i; end < m->count; end++) {
            bool same = end > i && m->items[end].time_ns == m->items[end - 1].time_ns;

            if (!same && end > i && samples + m->items[end].samples > WINDOW_SAMPLES)
                break;
            samples += m->items[end].samples;
        }
        rc = merge_window(g, (struct time_span){m->items[i].time_ns, m->items[end - 1].time_ns},
                          err);
    }
    return rc;
}

static int scan_entry(struct merging *g, struct err *err)
{
    uint32_t origins = g->m->origins_first[g->entry + 1] - g->m->origins_first[g->entry];
    struct measuring measuring;
    int rc;

    if (origins == 1)
        return scan_inputs(g, g->scan->time, g->scan->samples, pass_on, err);
    measuring = (struct measuring){.g = *g};
    rc = scan_inputs(&measuring.g, g->scan->time, false, note_moment, err);
    if (rc == 0 && measuring.moments.count > 1)
        qsort(measuring.moments.items, measuring.moments.count, sizeof(struct moment), moment_cmp);
    if (rc == 0)
        rc = merge_windows(g, &measuring.moments, err);
    free(measuring.moments.items);
    return rc;
}

static int merged_scan(struct dataset *ds, const struct dataset_scan *scan, struct arena *scratch,
                       dataset_visit visit, void *ctx, struct err *err)
{
    struct merging g = {.m = of(ds), .scan = scan, .scratch = scratch, .visit = visit, .ctx = ctx};
    int rc = scan->samples ? load_symbols(g.m, err) : 0;

    arena_init(&g.window, SIZE_MAX);
    for (uint32_t i = 0; rc == 0 && i < scan->entry_count; i++) {
        g.entry = scan->entries[i];
        g.types = scan->types[i];
        rc = scan_entry(&g, err);
    }
    arena_release(&g.window);
    free(g.rows);
    return rc;
}

/* ---- open and close ---- */

static const struct dataset_ops merged_ops = {
    .index = merged_index,
    .symbols = merged_symbols,
    .scan = merged_scan,
};

static int load_indexes(struct merged_dataset *m, struct dataset *const *inputs, struct err *err)
{
    int rc = 0;

    m->inputs = arena_calloc(&m->memory, m->input_count, sizeof(*m->inputs));
    if (!m->inputs)
        return out_of_memory(err);
    for (uint32_t i = 0; rc == 0 && i < m->input_count; i++) {
        struct time_span *time = &m->base.time, one = inputs[i]->time;

        check(str_eq(inputs[i]->service, m->base.service));
        m->inputs[i].ds = inputs[i];
        time->first_ns = one.first_ns < time->first_ns ? one.first_ns : time->first_ns;
        time->last_ns = one.last_ns > time->last_ns ? one.last_ns : time->last_ns;
        rc = inputs[i]->ops->index(inputs[i], &m->inputs[i].index, err);
    }
    return rc == 0 ? merge_entries(m, err) : rc;
}

int merged_dataset_open(struct dataset *const *inputs, uint32_t count, struct dataset **out,
                        struct err *err)
{
    struct merged_dataset *m = calloc(1, sizeof(*m));
    int rc;

    check(m && count > 0);
    m->base = (struct dataset){&merged_ops, inputs[0]->tenant, inputs[0]->service, inputs[0]->time};
    m->input_count = count;
    m->columns = head_columns_new();
    arena_init(&m->memory, SIZE_MAX);
    if ((rc = load_indexes(m, inputs, err)) != 0) {
        merged_dataset_close(&m->base);
        return rc;
    }
    *out = &m->base;
    return 0;
}

void merged_dataset_close(struct dataset *ds)
{
    struct merged_dataset *m;

    if (!ds)
        return;
    m = of(ds);
    symbols_free(m->symbols);
    head_columns_free(m->columns);
    arena_release(&m->memory);
    free(m);
}

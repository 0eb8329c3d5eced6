#include "tests/support/dataset_fake.h"

#include "storage/model/samples.h"
#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

struct fake_row {
    struct dataset_row row;
    value128 *totals;
    struct sample_columns columns;
};

struct dataset_fake {
    struct dataset ds;
    struct arena memory;
    struct symbols *symbols;
    struct fake_row *rows;
    uint32_t row_count, row_cap;
    struct labels *streams;
    struct typeset *typesets;
    struct dataset_entry *entries;
    struct dataset_index index;
};

struct fake_sample {
    uint32_t node, position;
    struct profile_link link;
};

static void *grow(void *items, uint32_t count, size_t size)
{
    /* At powers of two only. */
    if (count == 0 || (count & (count - 1)) == 0) {
        items = realloc(items, (count ? (size_t)count * 2 : 1) * size);
        check(items);
    }
    return items;
}

static struct str copy_str(struct dataset_fake *f, struct str s)
{
    char *p = arena_strndup(&f->memory, s.p, s.len);

    check(p);
    return (struct str){p, s.len};
}

static uint32_t add_stream(struct dataset_fake *f, const struct labels *labels)
{
    for (uint32_t i = 0; i < f->index.stream_count; i++)
        if (labels_eq(&f->streams[i], labels))
            return i;
    f->streams = grow(f->streams, f->index.stream_count, sizeof(*f->streams));
    check(labels_copy(labels, &f->memory, &f->streams[f->index.stream_count]));
    return f->index.stream_count++;
}

static bool typeset_eq(const struct typeset *a, const struct typeset *b)
{
    if (a->count != b->count || !str_eq(a->period_type, b->period_type) ||
        !str_eq(a->period_unit, b->period_unit))
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!str_eq(a->types[i].type, b->types[i].type) ||
            !str_eq(a->types[i].unit, b->types[i].unit))
            return false;
    return true;
}

static uint32_t add_typeset(struct dataset_fake *f, const struct typeset *set)
{
    struct typeset *to;

    for (uint32_t i = 0; i < f->index.typeset_count; i++)
        if (typeset_eq(&f->typesets[i], set))
            return i;
    f->typesets = grow(f->typesets, f->index.typeset_count, sizeof(*f->typesets));
    to = &f->typesets[f->index.typeset_count];
    *to = (struct typeset){copy_str(f, set->period_type), copy_str(f, set->period_unit),
                           arena_array(&f->memory, struct profile_value_type, set->count),
                           set->count};
    for (uint32_t i = 0; i < set->count; i++)
        to->types[i] = (struct profile_value_type){copy_str(f, set->types[i].type),
                                                   copy_str(f, set->types[i].unit)};
    return f->index.typeset_count++;
}

static uint32_t string_id(struct dataset_fake *f, const struct profile *p, uint32_t i)
{
    uint32_t id = 0;

    check(symbols_intern_string(f->symbols, p->strings[i], &id, NULL) == 0);
    return id;
}

static uint32_t location_id(struct dataset_fake *f, const struct profile *p, uint32_t i)
{
    const struct profile_location *from = &p->locations[i];
    struct profile_line *lines = calloc(from->line_count + 1, sizeof(*lines));
    struct symbol_location to = {from->mapping, from->line_count, from->address, lines,
                                 from->is_folded};
    uint32_t id = 0;

    check(lines);
    if (from->mapping != PROFILE_NONE) {
        struct profile_mapping m = p->mappings[from->mapping];

        m.filename = string_id(f, p, m.filename);
        m.build_id = string_id(f, p, m.build_id);
        check(symbols_intern_mapping(f->symbols, m, &to.mapping, NULL) == 0);
    }
    for (uint32_t k = 0; k < from->line_count; k++) {
        struct profile_function fn;

        lines[k] = p->lines[from->line_first + k];
        fn = p->functions[lines[k].function];
        fn.name = string_id(f, p, fn.name);
        fn.system_name = string_id(f, p, fn.system_name);
        fn.filename = string_id(f, p, fn.filename);
        check(symbols_intern_function(f->symbols, fn, &lines[k].function, NULL) == 0);
    }
    check(symbols_intern_location(f->symbols, &to, &id, NULL) == 0);
    free(lines);
    return id;
}

static uint32_t node_id(struct dataset_fake *f, const struct profile *p,
                        const struct profile_sample *s)
{
    uint32_t node = SYMBOLS_ROOT;

    for (uint32_t i = s->stack_count; i-- > 0;) {
        uint32_t location = location_id(f, p, p->stacks[s->stack_first + i]);

        check(symbols_intern_node(f->symbols, node, location, &node, NULL) == 0);
    }
    return node;
}

static int compare_links(const struct profile_link *a, const struct profile_link *b)
{
    if (a->span_id != b->span_id)
        return a->span_id < b->span_id ? -1 : 1;
    return memcmp(a->trace_id, b->trace_id, sizeof(a->trace_id));
}

static int compare_samples(const void *a, const void *b)
{
    const struct fake_sample *x = a, *y = b;

    if (x->node != y->node)
        return x->node < y->node ? -1 : 1;
    return compare_links(&x->link, &y->link);
}

static void add_columns(struct dataset_fake *f, const struct push_row *row, struct fake_row *out)
{
    static const struct profile_link no_link;
    const struct profile *p = row->profile;
    struct fake_sample *samples = calloc(row->sample_count, sizeof(*samples));
    struct sample_columns *c = &out->columns;
    uint32_t n = 0;

    check(samples && row->sample_count > 0);
    for (uint32_t i = 0; i < row->sample_count; i++) {
        const struct profile_sample *s = &p->samples[row->sample_first + i];

        samples[i] = (struct fake_sample){node_id(f, p, s), s->value_first, s->link};
    }
    qsort(samples, row->sample_count, sizeof(*samples), compare_samples);
    c->type_count = p->typeset.count;
    c->stacks = arena_array(&f->memory, uint32_t, row->sample_count);
    c->links = arena_array(&f->memory, uint32_t, row->sample_count);
    c->link_table = arena_array(&f->memory, struct profile_link, row->sample_count);
    for (uint32_t t = 0; t < c->type_count; t++)
        c->values[t] = arena_calloc(&f->memory, row->sample_count, sizeof(int64_t));
    for (uint32_t i = 0; i < row->sample_count; i++) {
        bool linked = compare_links(&samples[i].link, &no_link) != 0;

        if (i == 0 || compare_samples(&samples[i], &samples[i - 1]) != 0) {
            c->stacks[n] = samples[i].node;
            c->links[n] = linked ? c->link_count + 1 : 0;
            if (linked)
                c->link_table[c->link_count++] = samples[i].link;
            n++;
        }
        for (uint32_t t = 0; t < c->type_count; t++)
            if (__builtin_add_overflow(c->values[t][n - 1], p->values[samples[i].position + t],
                                       &c->values[t][n - 1]))
                c->values[t][n - 1] = INT64_MAX;
    }
    c->count = n;
    if (c->link_count == 0)
        c->links = NULL;
    free(samples);
}

struct dataset_fake *dataset_fake_new(struct str tenant, struct str service)
{
    struct dataset_fake *f = calloc(1, sizeof(*f));

    check(f);
    arena_init(&f->memory, SIZE_MAX);
    f->symbols = symbols_new(SIZE_MAX);
    f->ds.tenant = copy_str(f, tenant);
    f->ds.service = copy_str(f, service);
    return f;
}

void dataset_fake_free(struct dataset_fake *f)
{
    if (!f)
        return;
    symbols_free(f->symbols);
    arena_release(&f->memory);
    free(f->rows);
    free(f->streams);
    free(f->typesets);
    free(f->entries);
    free(f);
}

void dataset_fake_add(struct dataset_fake *f, const struct push_row *row, uint64_t sequence,
                      uint32_t sequence_index)
{
    const struct profile *p = row->profile;
    struct fake_row *r;

    f->rows = grow(f->rows, f->row_count, sizeof(*f->rows));
    r = &f->rows[f->row_count++];
    memset(r, 0, sizeof(*r));
    add_columns(f, row, r);
    r->totals = arena_calloc(&f->memory, p->typeset.count, sizeof(value128));
    r->row = (struct dataset_row){
        .stream = add_stream(f, &row->labels),
        .typeset = add_typeset(f, &p->typeset),
        .time_ns = p->time_ns,
        .duration_ns = p->duration_ns,
        .period = p->period,
        .totals = r->totals,
        .sample_count = r->columns.count,
        .sequence = sequence,
        .sequence_index = sequence_index,
    };
    for (uint32_t t = 0; t < p->typeset.count; t++) {
        for (uint32_t i = 0; i < r->columns.count; i++)
            r->totals[t] += (value128)r->columns.values[t][i];
        if (r->totals[t] > 0)
            r->row.present |= UINT64_C(1) << t;
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct dataset_row *x = &((const struct fake_row *)a)->row;
    const struct dataset_row *y = &((const struct fake_row *)b)->row;

    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    if (x->typeset != y->typeset)
        return x->typeset < y->typeset ? -1 : 1;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? -1 : 1;
    return x->sequence_index < y->sequence_index ? -1 : x->sequence_index > y->sequence_index;
}

static bool in_entry(const struct dataset_entry *e, const struct dataset_row *r)
{
    return e->stream == r->stream && e->typeset == r->typeset;
}

static int get_index(struct dataset *ds, const struct dataset_index **out, struct err *err)
{
    (void)err;
    *out = &((struct dataset_fake *)(void *)ds)->index;
    return 0;
}

static int get_symbols(struct dataset *ds, const struct symbols **out, uint32_t *node_count,
                       struct err *err)
{
    (void)err;
    *out = ((struct dataset_fake *)(void *)ds)->symbols;
    *node_count = symbols_counts(*out).nodes;
    return 0;
}

static int scan(struct dataset *ds, const struct dataset_scan *s, struct arena *scratch,
                dataset_visit visit, void *ctx, struct err *err)
{
    struct dataset_fake *f = (struct dataset_fake *)(void *)ds;

    (void)scratch;
    for (uint32_t i = 0; i < s->entry_count; i++)
        for (uint32_t r = 0; r < f->row_count; r++) {
            struct fake_row *row = &f->rows[r];
            struct sample_columns columns = row->columns;
            int rc;

            if (!in_entry(&f->entries[s->entries[i]], &row->row) ||
                row->row.time_ns < s->time.first_ns || row->row.time_ns > s->time.last_ns)
                continue;
            for (uint32_t t = 0; t < columns.type_count; t++)
                if (!(s->types[i] >> t & 1))
                    columns.values[t] = NULL;
            rc = visit(ctx, &row->row, s->samples ? &columns : NULL, err);
            if (rc != 0)
                return rc;
        }
    return 0;
}

static const struct dataset_ops fake_ops = {
    .index = get_index, .symbols = get_symbols, .scan = scan};

struct dataset *dataset_fake_dataset(struct dataset_fake *f)
{
    struct dataset_entry *e = NULL;

    check(f->row_count > 0);
    qsort(f->rows, f->row_count, sizeof(*f->rows), compare_rows);
    free(f->entries);
    f->entries = calloc(f->row_count, sizeof(*f->entries));
    check(f->entries);
    f->index.entry_count = 0;
    f->ds.time = (struct time_span){INT64_MAX, INT64_MIN};
    for (uint32_t i = 0; i < f->row_count; i++) {
        const struct dataset_row *r = &f->rows[i].row;

        if (!e || !in_entry(e, r)) {
            e = &f->entries[f->index.entry_count++];
            *e = (struct dataset_entry){r->stream, r->typeset, 0, {r->time_ns, r->time_ns}, 0};
        }
        e->time.last_ns = r->time_ns;
        e->present |= r->present;
        e->row_count++;
        if (r->time_ns < f->ds.time.first_ns)
            f->ds.time.first_ns = r->time_ns;
        if (r->time_ns > f->ds.time.last_ns)
            f->ds.time.last_ns = r->time_ns;
    }
    f->index.streams = f->streams;
    f->index.typesets = f->typesets;
    f->index.entries = f->entries;
    f->ds.ops = &fake_ops;
    return &f->ds;
}

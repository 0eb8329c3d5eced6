/* A service of a segment as a dataset: index and dictionary through the cache, rows by pread. */
#include "storage/segment_dataset.h"

#include "storage/segment_chunk.h"
#include "storage/segment_pack.h"
#include "storage/segment_rows.h"

#include "storage/model/symbols.h"

#include "base/check.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdlib.h>

static struct segment_dataset *of(struct dataset *ds)
{
    return (struct segment_dataset *)(void *)ds;
}

static void free_index(struct segment_cached *item)
{
    struct cached_index *c = (struct cached_index *)(void *)item;

    arena_release(&c->memory);
    free(c);
}

static void free_symbols(struct segment_cached *item)
{
    struct cached_symbols *c = (struct cached_symbols *)(void *)item;

    symbols_free(c->symbols);
    free(c);
}

int segment_dataset_need_index(struct segment_dataset *d, struct err *err)
{
    struct segment_cache_key key = {d->segment->meta.id, d->service, SEGMENT_PART_INDEX};
    struct cached_index *c;
    int rc;

    if (d->index)
        return 0;
    d->index = (struct cached_index *)(void *)segment_cache_get(d->segment->cache, &key);
    if (d->index)
        return 0;
    if ((rc = segment_cache_room(d->segment->cache, err)) != 0)
        return rc;
    c = calloc(1, sizeof(*c));
    check(c);
    arena_init(&c->memory, SEGMENT_SERVICE_BYTES_MAX);
    rc = segment_index_load(d->segment, d->service, &c->memory, &c->ix, err);
    if (rc != 0) {
        free_index(&c->cached);
        return rc;
    }
    c->cached.bytes = arena_used(&c->memory) + sizeof(*c);
    c->cached.free = free_index;
    d->index =
        (struct cached_index *)(void *)segment_cache_add(d->segment->cache, &key, &c->cached);
    return 0;
}

static int need_symbols(struct segment_dataset *d, struct err *err)
{
    struct segment_cache_key key = {d->segment->meta.id, d->service, SEGMENT_PART_SYMBOLS};
    struct cached_symbols *c;
    int rc;

    if (d->symbols)
        return 0;
    d->symbols = (struct cached_symbols *)(void *)segment_cache_get(d->segment->cache, &key);
    if (d->symbols)
        return 0;
    if ((rc = segment_cache_room(d->segment->cache, err)) != 0)
        return rc;
    c = calloc(1, sizeof(*c));
    check(c);
    rc = segment_symbols_load(d->segment, d->service, &c->symbols, err);
    if (rc != 0) {
        free(c);
        return rc;
    }
    c->cached.bytes = symbols_bytes(c->symbols) + sizeof(*c);
    c->cached.free = free_symbols;
    d->symbols =
        (struct cached_symbols *)(void *)segment_cache_add(d->segment->cache, &key, &c->cached);
    return 0;
}

static int get_index(struct dataset *ds, const struct dataset_index **out, struct err *err)
{
    int rc = segment_dataset_need_index(of(ds), err);

    if (rc == 0)
        *out = &of(ds)->index->ix.index;
    return rc;
}

static int get_symbols(struct dataset *ds, const struct symbols **out, uint32_t *node_count,
                       struct err *err)
{
    int rc = need_symbols(of(ds), err);

    if (rc != 0)
        return rc;
    *out = of(ds)->symbols->symbols;
    *node_count = symbols_counts(*out).nodes;
    return 0;
}

/* ---- scan ---- */

struct scanning {
    struct segment_dataset *d;
    struct segment_reading smp;
    struct segment_pack *pack;
    struct arena *scratch;
    const struct dataset_scan *scan;
    dataset_visit visit;
    void *ctx;

    /* The entry at hand. */
    const struct dataset_entry *entry;
    struct segment_rows rows;
    uint64_t types;
};

static int out_of_memory(const struct scanning *s, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "'%s': a scan needs more than %zu bytes of memory",
                   s->smp.path, arena_limit(s->scratch));
}

static int blame(const struct scanning *s, uint64_t offset, int rc, struct err *err)
{
    return rc == ERR_CORRUPT ? err_prefix(err, "'%s': at offset %" PRIu64, s->smp.path, offset)
                             : rc;
}

static int read_row_block(struct scanning *s, const struct segment_block *b, struct err *err)
{
    struct arena_mark mark = arena_mark(s->scratch);
    struct str stored, raw;
    void *bytes;
    int rc;

    if (b->raw > segment_rows_raw_max(b->rows, s->rows.type_count))
        return err_set(err, ERR_CORRUPT, "'%s': row block at offset %" PRIu64 " says %u bytes",
                       s->smp.path, b->offset, b->raw);
    rc = segment_block_read(&s->smp, b->offset, b->stored, b->checksum, s->scratch, &stored, err);
    if (rc != 0)
        return rc;
    raw = stored;
    if (b->raw != b->stored) {
        bytes = arena_alloc(s->scratch, b->raw);
        if (!bytes)
            return out_of_memory(s, err);
        if (!segment_pack_get(s->pack, stored, bytes, b->raw))
            return err_set(err, ERR_CORRUPT,
                           "'%s': row block at offset %" PRIu64 " does not unpack to %u bytes",
                           s->smp.path, b->offset, b->raw);
        raw = (struct str){bytes, b->raw};
    }
    rc = blame(s, b->offset, segment_rows_decode(raw, b->rows, &s->rows, err), err);
    arena_rewind(s->scratch, mark);
    return rc;
}

static int read_rows(struct scanning *s, uint32_t e, struct err *err)
{
    const struct segment_index *ix = &s->d->index->ix;
    uint32_t count = (uint32_t)s->entry->row_count;
    int rc = 0;

    if (!segment_rows_init(&s->rows, count, ix->index.typesets[s->entry->typeset].count,
                           s->scratch))
        return out_of_memory(s, err);
    for (uint32_t i = ix->row_block_first[e]; rc == 0 && i < ix->row_block_first[e + 1]; i++)
        rc = read_row_block(s, &ix->row_blocks[i], err);
    if (rc == 0 && (s->rows.times[0] != s->entry->time.first_ns ||
                    s->rows.times[count - 1] != s->entry->time.last_ns))
        rc = err_set(err, ERR_CORRUPT,
                     "'%s': rows of entry %u are from %" PRId64 " to %" PRId64 ", expected %" PRId64
                     " to %" PRId64,
                     s->smp.path, e, s->rows.times[0], s->rows.times[count - 1],
                     s->entry->time.first_ns, s->entry->time.last_ns);
    return rc;
}

static bool in_range(const struct scanning *s, uint32_t row)
{
    return s->rows.times[row] >= s->scan->time.first_ns &&
           s->rows.times[row] <= s->scan->time.last_ns;
}

static int show(struct scanning *s, uint32_t row, const struct sample_columns *columns,
                struct err *err)
{
    struct dataset_row out;

    segment_rows_get(&s->rows, row, s->entry->stream, s->entry->typeset, &out);
    return s->visit(s->ctx, &out, columns, err);
}

/* The rows of a decoded chunk: each is a stretch of its columns. */
static int show_chunk(struct scanning *s, const struct sample_columns *all, uint32_t first,
                      uint32_t count, struct err *err)
{
    struct sample_columns row = *all;
    uint32_t at = 0;

    for (uint32_t r = first; r < first + count; r++) {
        int rc = 0;

        row.count = s->rows.samples[r];
        row.stacks = all->stacks + at;
        row.links = all->links ? all->links + at : NULL;
        for (uint32_t t = 0; t < all->type_count; t++)
            row.values[t] = all->values[t] ? all->values[t] + at : NULL;
        if (in_range(s, r) && (rc = show(s, r, &row, err)) != 0)
            return rc;
        at += row.count;
    }
    return 0;
}

static int scan_chunk(struct scanning *s, const struct segment_block *b, uint32_t first,
                      struct err *err)
{
    struct segment_chunk_shape shape = {
        .row_samples = s->rows.samples + first,
        .row_count = b->rows,
        .sample_count = b->samples,
        .type_count = s->rows.type_count,
        .node_count = symbols_counts(s->d->symbols->symbols).nodes,
    };
    struct sample_columns columns;
    struct str stored;
    uint64_t samples = 0;
    int rc;

    for (uint32_t r = first; r < first + b->rows; r++)
        samples += s->rows.samples[r];
    if (samples != b->samples)
        return err_set(err, ERR_CORRUPT,
                       "'%s': the rows of the chunk at offset %" PRIu64 " have %" PRIu64
                       " samples, the chunk %u",
                       s->smp.path, b->offset, samples, b->samples);
    rc = segment_block_read(&s->smp, b->offset, b->stored, b->checksum, s->scratch, &stored, err);
    if (rc != 0)
        return rc;
    rc = segment_chunk_decode(stored, &shape, s->types, s->pack, s->scratch, &columns, err);
    if (rc != 0)
        return blame(s, b->offset, rc, err);
    return show_chunk(s, &columns, first, b->rows, err);
}

static int scan_samples(struct scanning *s, uint32_t e, struct err *err)
{
    const struct segment_index *ix = &s->d->index->ix;
    uint32_t row = 0;

    for (uint32_t i = ix->chunk_first[e]; i < ix->chunk_first[e + 1]; i++) {
        const struct segment_block *b = &ix->chunks[i];
        struct arena_mark mark = arena_mark(s->scratch);
        int rc;

        if (s->rows.times[row] > s->scan->time.last_ns)
            return 0;
        if (s->rows.times[row + b->rows - 1] >= s->scan->time.first_ns &&
            (rc = scan_chunk(s, b, row, err)) != 0)
            return rc;
        arena_rewind(s->scratch, mark);
        row += b->rows;
    }
    return 0;
}

static int scan_entry(struct scanning *s, uint32_t e, uint64_t types, struct err *err)
{
    struct arena_mark mark = arena_mark(s->scratch);
    int rc;

    s->entry = &s->d->index->ix.index.entries[e];
    s->types = types;
    if (s->entry->time.last_ns < s->scan->time.first_ns ||
        s->entry->time.first_ns > s->scan->time.last_ns)
        return 0;
    if ((rc = read_rows(s, e, err)) != 0)
        return rc;
    if (s->scan->samples)
        rc = scan_samples(s, e, err);
    for (uint32_t r = 0; !s->scan->samples && rc == 0 && r < s->rows.count; r++)
        if (in_range(s, r))
            rc = show(s, r, NULL, err);
    arena_rewind(s->scratch, mark);
    return rc;
}

static int scan(struct dataset *ds, const struct dataset_scan *scan_, struct arena *scratch,
                dataset_visit visit, void *ctx, struct err *err)
{
    struct scanning s = {
        .d = of(ds), .scratch = scratch, .scan = scan_, .visit = visit, .ctx = ctx};
    int rc;

    if ((rc = segment_dataset_need_index(s.d, err)) != 0 ||
        (scan_->samples && (rc = need_symbols(s.d, err)) != 0))
        return rc;
    if ((rc = segment_reading_open(s.d->segment, SEGMENT_FILE_SMP, &s.smp, err)) != 0)
        return rc;
    s.pack = segment_pack_new();
    for (uint32_t i = 0; rc == 0 && i < scan_->entry_count; i++) {
        check(scan_->entries[i] < s.d->index->ix.index.entry_count);
        rc = scan_entry(&s, scan_->entries[i], scan_->types[i], err);
    }
    segment_pack_free(s.pack);
    segment_reading_close(&s.smp);
    return rc;
}

static const struct dataset_ops segment_ops = {
    .index = get_index,
    .symbols = get_symbols,
    .scan = scan,
    .rollups = &segment_rollup_ops,
};

int segment_dataset_open(struct segment *s, uint32_t i, struct dataset **out, struct err *err)
{
    struct segment_dataset *d = calloc(1, sizeof(*d));

    (void)err;
    check(d && i < s->footer.services);
    d->ds =
        (struct dataset){&segment_ops, s->meta.tenant, s->services[i].name, s->services[i].time};
    d->segment = segment_ref(s);
    d->service = i;
    *out = &d->ds;
    return 0;
}

struct segment *segment_of_dataset(struct dataset *ds, uint32_t *service)
{
    if (ds->ops != &segment_ops)
        return NULL;
    *service = of(ds)->service;
    return of(ds)->segment;
}

void segment_dataset_close(struct dataset *ds)
{
    struct segment_dataset *d;

    if (!ds)
        return;
    d = of(ds);
    segment_cache_unref(d->index ? &d->index->cached : NULL);
    segment_cache_unref(d->symbols ? &d->symbols->cached : NULL);
    segment_cache_unref(d->rollups ? &d->rollups->cached : NULL);
    segment_cache_unref(d->flame ? &d->flame->cached : NULL);
    segment_unref(d->segment);
    free(d);
}

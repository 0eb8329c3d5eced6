/* The files: header, sections as they come, table, footer. Rows are segment_writer_rows.c's. */
#include "storage/segment_writer.h"

#include "storage/blob_store.h"
#include "storage/segment_format.h"
#include "storage/segment_index.h"
#include "storage/segment_pack.h"
#include "storage/segment_symbols.h"
#include "storage/segment_writer_internal.h"
#include "storage/segment_writer_rollup.h"
#include "storage/segment_writer_rollup_internal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    FLUSH_BYTES = 1 << 20, /* what is gathered before it is written */
};

static int flush(struct segment_out *o, struct err *err)
{
    int rc;

    if (o->pending.failed)
        return err_set(err, ERR_NOMEM, "no memory to write a segment");
    if (o->pending.len == 0)
        return 0;
    checksum_add(&o->checksum, o->pending.data, o->pending.len);
    rc = o->blobs->ops->append(o->blob, o->pending.data, o->pending.len, err);
    o->flushed += o->pending.len;
    buf_reset(&o->pending);
    return rc;
}

int segment_out_flush_some(struct segment_out *o, struct err *err)
{
    return o->pending.len >= FLUSH_BYTES || o->pending.failed ? flush(o, err) : 0;
}

uint64_t segment_out_offset(const struct segment_out *o)
{
    return o->flushed + o->pending.len;
}

static int out_open(struct segment_writer *w, enum segment_file file, struct segment_out *o,
                    struct err *err)
{
    struct segment_header h = {w->meta->level, w->meta->id, w->meta->day,
                               checksum64(w->meta->tenant.p, w->meta->tenant.len)};
    uint8_t header[SEGMENT_HEADER_BYTES];
    char path[SEGMENT_PATH_MAX];

    o->blobs = w->blobs;
    buf_init(&o->pending, SIZE_MAX);
    checksum_begin(&o->checksum);
    segment_header_put(&h, file, header);
    (void)buf_append(&o->pending, header, sizeof(header));
    segment_path(w->meta->tenant, w->meta->day, w->meta->id, w->meta->level, file, path);
    return w->blobs->ops->create(w->blobs, path, &o->blob, err);
}

static void out_close(struct segment_out *o)
{
    if (o->blob)
        o->blobs->ops->abort(o->blob);
    o->blob = NULL;
    buf_release(&o->pending);
}

static int out_commit(struct segment_out *o, struct err *err)
{
    struct blob_writer *blob = o->blob;
    int rc = flush(o, err);

    if (rc != 0)
        return rc;
    o->blob = NULL; /* gone in any case */
    return o->blobs->ops->commit(blob, err);
}

int segment_writer_open(struct blob_store *blobs, const struct segment_meta *meta,
                        struct segment_writer **out, struct err *err)
{
    struct segment_writer *w = aligned_alloc(_Alignof(struct segment_writer), sizeof(*w));
    int rc;

    check(w);
    memset(w, 0, sizeof(*w));
    w->blobs = blobs;
    w->meta = meta;
    w->pack = segment_pack_new();
    w->chunk = segment_chunk_writer_new();
    w->columns = head_columns_new();
    w->rollups = rollup_writer_new();
    w->rollups->pack = w->pack;
    arena_init(&w->memory, SIZE_MAX);
    buf_init(&w->table, SIZE_MAX);
    buf_init(&w->services, SIZE_MAX);
    buf_init(&w->raw, SIZE_MAX);
    buf_init(&w->row_bytes, SIZE_MAX);
    if ((rc = out_open(w, SEGMENT_FILE_SMP, &w->smp, err)) != 0 ||
        (rc = out_open(w, SEGMENT_FILE_AGG, &w->agg, err)) != 0) {
        segment_writer_abort(w);
        return rc;
    }
    *out = w;
    return 0;
}

void segment_writer_abort(struct segment_writer *w)
{
    if (!w)
        return;
    out_close(&w->smp);
    out_close(&w->agg);
    segment_pack_free(w->pack);
    segment_chunk_writer_free(w->chunk);
    head_columns_free(w->columns);
    rollup_writer_free(w->rollups);
    arena_release(&w->memory);
    buf_release(&w->table);
    buf_release(&w->services);
    buf_release(&w->raw);
    buf_release(&w->row_bytes);
    free(w);
}

/* What was appended to .agg since `s->offset` becomes a section. */
static int end_section(struct segment_writer *w, struct segment_section *s, struct err *err)
{
    uint8_t entry[SEGMENT_ENTRY_BYTES];
    size_t at = (size_t)(s->offset - w->agg.flushed);

    s->stored = segment_out_offset(&w->agg) - s->offset;
    (void)buf_append_zeroes(&w->agg.pending, (size_t)(-s->stored % SEGMENT_ALIGN));
    if (w->agg.pending.failed)
        return err_set(err, ERR_NOMEM, "no memory to write a segment");
    s->checksum = checksum64(w->agg.pending.data + at, w->agg.pending.len - at);
    segment_section_put(s, entry);
    (void)buf_append(&w->table, entry, sizeof(entry));
    w->section_count++;
    return segment_out_flush_some(&w->agg, err);
}

int segment_writer_blocks(struct segment_writer *w, uint32_t kind, const struct buf *blocks,
                          struct err *err)
{
    struct segment_section s = {.kind = kind,
                                .service = w->service_count,
                                .offset = segment_out_offset(&w->agg),
                                .raw = blocks->len};

    if (blocks->failed)
        return err_set(err, ERR_NOMEM, "no memory to write a segment");
    (void)buf_append_str(&w->agg.pending, buf_str(blocks));
    return end_section(w, &s, err);
}

/* A section of raw bytes, compressed where that helps. */
static int put_section(struct segment_writer *w, uint32_t kind, uint32_t service,
                       const struct buf *raw, struct err *err)
{
    struct segment_section s = {.kind = kind,
                                .service = service,
                                .offset = segment_out_offset(&w->agg),
                                .raw = raw->len,
                                .compression = SEGMENT_ZSTD};

    if (raw->failed)
        return err_set(err, ERR_NOMEM, "no memory to write a segment");
    if (!segment_pack_put(w->pack, buf_str(raw), PACK_TABLES, &w->agg.pending)) {
        s.compression = SEGMENT_PLAIN;
        (void)buf_append_str(&w->agg.pending, buf_str(raw));
    }
    return end_section(w, &s, err);
}

int segment_writer_section(struct segment_writer *w, uint32_t kind, const struct buf *raw,
                           struct err *err)
{
    return put_section(w, kind, w->service_count, raw, err);
}

static int put_strings(struct segment_writer *w, const struct canonical *c, struct err *err)
{
    struct segment_section s = {.kind = SECTION_STR,
                                .service = w->service_count,
                                .offset = segment_out_offset(&w->agg),
                                .compression = SEGMENT_ZSTD_BLOCKS};

    /* A sealed segment lives until it is compacted: 20 % more bytes, a quarter of the time. */
    s.raw = segment_strings_encode(c, w->pack, w->meta->level == 0 ? PACK_TABLES : PACK_STRINGS,
                                   &w->agg.pending);
    return end_section(w, &s, err);
}

static int put_dictionary(struct segment_writer *w, const struct canonical *c, struct err *err)
{
    static const struct {
        uint32_t kind;
        void (*encode)(const struct canonical *c, struct buf *out);
    } parts[] = {
        {SECTION_FUN, segment_functions_encode},
        {SECTION_MAP, segment_mappings_encode},
        {SECTION_LOC, segment_locations_encode},
        {SECTION_STK, segment_stacks_encode},
    };
    int rc = put_strings(w, c, err);

    for (size_t i = 0; rc == 0 && i < sizeof(parts) / sizeof(parts[0]); i++) {
        buf_reset(&w->raw);
        parts[i].encode(c, &w->raw);
        rc = put_section(w, parts[i].kind, w->service_count, &w->raw, err);
    }
    return rc;
}

static int put_index(struct segment_writer *w, const struct segment_index *ix, struct err *err)
{
    int rc;

    buf_reset(&w->raw);
    segment_labels_encode(&ix->index, &w->raw);
    if ((rc = put_section(w, SECTION_LBL, w->service_count, &w->raw, err)) != 0)
        return rc;
    buf_reset(&w->raw);
    segment_directory_encode(ix, &w->raw);
    return put_section(w, SECTION_DIR, w->service_count, &w->raw, err);
}

/* The service's line in DSD, and the sums of the file. */
static void note_service(struct segment_writer *w, struct str name, const struct segment_index *ix)
{
    struct time_span time = ix->index.entries[0].time;

    for (uint32_t e = 1; e < ix->index.entry_count; e++) {
        const struct time_span *t = &ix->index.entries[e].time;

        time.first_ns = t->first_ns < time.first_ns ? t->first_ns : time.first_ns;
        time.last_ns = t->last_ns > time.last_ns ? t->last_ns : time.last_ns;
    }
    buf_put_sized(&w->services, name);
    buf_put_zigzag(&w->services, time.first_ns);
    buf_put_varint(&w->services, (uint64_t)time.last_ns - (uint64_t)time.first_ns);
    buf_put_varint(&w->services, ix->rows);
    buf_put_varint(&w->services, ix->samples);
    if (w->service_count == 0 || time.first_ns < w->time.first_ns)
        w->time.first_ns = time.first_ns;
    if (w->service_count == 0 || time.last_ns > w->time.last_ns)
        w->time.last_ns = time.last_ns;
    w->rows += ix->rows;
    w->samples += ix->samples;
}

int segment_writer_add(struct segment_writer *w, struct dataset *ds, struct err *err)
{
    struct segment_index ix;
    struct canonical c;
    int rc;

    check(str_eq(ds->tenant, w->meta->tenant));
    check(w->service_count == 0 || str_cmp(w->last_service, ds->service) < 0);
    arena_reset(&w->memory);
    if ((rc = segment_writer_rows(w, ds, &c, &ix, err)) != 0 || ix.rows == 0)
        return rc;
    if (w->service_count == SEGMENT_SERVICES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a segment holds %d services at most",
                       SEGMENT_SERVICES_MAX);
    if ((rc = put_dictionary(w, &c, err)) != 0 || (rc = put_index(w, &ix, err)) != 0 ||
        (rc = segment_writer_rollups(w, &c, err)) != 0)
        return rc;
    note_service(w, ds->service, &ix);
    w->last_service = ds->service;
    w->service_count++;
    return 0;
}

static int put_file_sections(struct segment_writer *w, struct err *err)
{
    const struct segment_meta *m = w->meta;
    int rc = put_section(w, SECTION_DSD, SEGMENT_WHOLE_FILE, &w->services, err);

    if (rc != 0)
        return rc;
    buf_reset(&w->raw);
    buf_put_sized(&w->raw, m->tenant);
    for (uint32_t i = 0; i < m->source_count; i++) {
        buf_put_varint(&w->raw, m->sources[i].head_id);
        buf_put_varint(&w->raw, m->sources[i].lsn_first);
        buf_put_varint(&w->raw, m->sources[i].lsn_last);
    }
    return put_section(w, SECTION_MTA, SEGMENT_WHOLE_FILE, &w->raw, err);
}

/* Table and footer end the file. */
static void put_footer(struct segment_writer *w, struct segment_footer *f)
{
    uint8_t footer[SEGMENT_FOOTER_BYTES];

    f->table_offset = segment_out_offset(&w->agg);
    f->table_count = w->section_count;
    f->table_checksum = checksum64(w->table.data, w->table.len);
    f->agg_bytes = f->table_offset + w->table.len + SEGMENT_FOOTER_BYTES;
    (void)buf_append_str(&w->agg.pending, buf_str(&w->table));
    segment_footer_put(f, footer);
    (void)buf_append(&w->agg.pending, footer, sizeof(footer));
}

static int commit_agg(struct segment_writer *w, struct segment_footer *f, struct err *err)
{
    int rc = put_file_sections(w, err);

    if (rc != 0)
        return rc;
    put_footer(w, f);
    return out_commit(&w->agg, err);
}

static int commit(struct segment_writer *w, struct segment_footer *f, struct err *err)
{
    char path[SEGMENT_PATH_MAX];
    int rc;

    f->smp_bytes = segment_out_offset(&w->smp);
    if ((rc = out_commit(&w->smp, err)) != 0)
        return rc;
    f->smp_checksum = checksum_end(&w->smp.checksum);
    rc = commit_agg(w, f, err);
    if (rc != 0) {
        /* Without its .agg it is nothing; a start would sweep it. */
        segment_path(w->meta->tenant, w->meta->day, w->meta->id, w->meta->level, SEGMENT_FILE_SMP,
                     path);
        (void)w->blobs->ops->remove(w->blobs, path, NULL);
    }
    return rc;
}

int segment_writer_commit(struct segment_writer *w, struct segment_meta *meta, struct err *err)
{
    struct segment_footer f = {
        .services = w->service_count,
        .sources = w->meta->source_count,
        .rows = w->rows,
        .samples = w->samples,
        .time = w->time,
        .created_ns = w->meta->created_ns,
    };
    int rc;

    if (w->service_count == 0)
        rc = err_set(err, ERR_INVALID, "a segment needs at least one row");
    else
        rc = commit(w, &f, err);
    if (rc == 0) {
        meta->time = f.time;
        meta->rows = f.rows;
        meta->samples = f.samples;
        meta->services = f.services;
        meta->agg_bytes = f.agg_bytes;
        meta->smp_bytes = f.smp_bytes;
    }
    segment_writer_abort(w);
    return rc;
}

int segment_write(struct blob_store *blobs, struct dataset *const *datasets, uint32_t count,
                  struct segment_meta *meta, struct err *err)
{
    struct segment_writer *w;
    int rc = segment_writer_open(blobs, meta, &w, err);

    for (uint32_t i = 0; rc == 0 && i < count; i++)
        if ((rc = segment_writer_add(w, datasets[i], err)) != 0)
            segment_writer_abort(w);
    return rc == 0 ? segment_writer_commit(w, meta, err) : rc;
}

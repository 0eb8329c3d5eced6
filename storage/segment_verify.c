/* Every byte of a segment read and compared with every other that says something about it. */
#include "storage/segment_reader.h"

#include "storage/blob_store.h"
#include "storage/segment_index.h"
#include "storage/segment_verify_rollup.h"

#include "storage/model/samples.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    READ_BYTES = 1 << 20,
};

struct verifying {
    struct segment *segment;
    struct buf *report;
    uint32_t findings;
    const char *path; /* of .smp, for messages */

    /* The entry at hand, and the service so far. */
    const struct dataset_entry *entry;
    uint32_t type_count;
    uint64_t present, rows, samples;
};

/* The disk's own failures end the check; damage is noted and the check goes on. */
static int note(struct verifying *v, int rc, const struct err *found)
{
    if (rc != ERR_CORRUPT && rc != ERR_UNSUPPORTED && rc != ERR_NOT_FOUND && rc != ERR_TOO_LARGE)
        return rc;
    v->findings++;
    (void)buf_append_cstr(v->report, found->msg);
    (void)buf_append_byte(v->report, '\n');
    return 0;
}

static int check_sections(struct verifying *v, struct err *err)
{
    struct segment_section *sections;
    struct segment_reading agg;
    struct arena arena;
    struct str stored;
    int rc;

    arena_init(&arena, SEGMENT_SERVICE_BYTES_MAX);
    rc = segment_reading_open(v->segment, SEGMENT_FILE_AGG, &agg, err);
    if (rc == 0)
        rc = segment_sections(&agg, &arena, &sections, err);
    for (uint32_t i = 0; rc == 0 && i < v->segment->footer.table_count; i++) {
        struct arena_mark mark = arena_mark(&arena);

        rc = segment_section_read(&agg, &sections[i], &arena, &stored, err);
        if (rc != 0)
            rc = note(v, rc, err);
        arena_rewind(&arena, mark);
    }
    segment_reading_close(&agg);
    arena_release(&arena);
    return rc;
}

static int check_smp_bytes(struct verifying *v, struct err *err)
{
    const struct segment_footer *f = &v->segment->footer;
    uint8_t *bytes = malloc(READ_BYTES);
    struct segment_reading smp;
    struct checksum sum;
    int rc;

    checksum_begin(&sum);
    rc = bytes ? segment_reading_open(v->segment, SEGMENT_FILE_SMP, &smp, err)
               : err_set(err, ERR_NOMEM, "no memory to read a segment");
    for (uint64_t at = 0; rc == 0 && at < f->smp_bytes;) {
        uint64_t left = f->smp_bytes - at;
        size_t size = left < READ_BYTES ? (size_t)left : READ_BYTES;

        rc = v->segment->blobs->ops->read(smp.blob, at, bytes, size, err);
        if (rc == 0)
            checksum_add(&sum, bytes, size);
        at += size;
    }
    if (rc == 0 && checksum_end(&sum) != f->smp_checksum)
        rc = err_set(err, ERR_CORRUPT,
                     "'%s': checksum of the whole file is %016" PRIx64 ", expected %016" PRIx64,
                     smp.path, checksum_end(&sum), f->smp_checksum);
    if (bytes)
        segment_reading_close(&smp);
    free(bytes);
    return rc;
}

static int check_row(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                     struct err *err)
{
    struct verifying *v = ctx;
    uint64_t present = 0;

    for (uint32_t t = 0; t < v->type_count; t++) {
        if (samples_total(columns->values[t], columns->count) != row->totals[t])
            return err_set(err, ERR_CORRUPT,
                           "'%s': row at %" PRId64 ": the total of type %u is not the sum of its "
                           "samples",
                           v->path, row->time_ns, t);
        present |= (uint64_t)(row->totals[t] > 0) << t;
    }
    if (present != row->present)
        return err_set(err, ERR_CORRUPT,
                       "'%s': row at %" PRId64 ": types %#" PRIx64 " have values, the row says "
                       "%#" PRIx64,
                       v->path, row->time_ns, present, row->present);
    v->present |= present;
    v->rows++;
    v->samples += columns->count;
    return 0;
}

static int check_entry(struct verifying *v, struct dataset *ds, const struct dataset_index *index,
                       uint32_t e, struct arena *scratch, struct err *err)
{
    const uint64_t all = UINT64_MAX;
    struct dataset_scan scan = {&e, &all, 1, {INT64_MIN, INT64_MAX}, true};
    int rc;

    v->entry = &index->entries[e];
    v->type_count = index->typesets[v->entry->typeset].count;
    v->present = 0;
    rc = ds->ops->scan(ds, &scan, scratch, check_row, v, err);
    if (rc == 0 && v->present != v->entry->present)
        rc = err_set(err, ERR_CORRUPT,
                     "'%s': entry %u: types %#" PRIx64 " have values, the entry says %#" PRIx64,
                     v->path, e, v->present, v->entry->present);
    return rc;
}

/* *at: where the service before this one ended in .smp. */
static int check_service(struct verifying *v, uint32_t service, bool sums, uint64_t *at,
                         struct err *err)
{
    const struct segment_service *s = &v->segment->services[service];
    const struct dataset_index *index;
    struct segment_index ix;
    struct dataset *ds;
    struct arena arena;
    int rc;

    arena_init(&arena, SEGMENT_SERVICE_BYTES_MAX);
    rc = segment_index_load(v->segment, service, &arena, &ix, err);
    if (rc == 0 && *at != UINT64_MAX && ix.smp_first != *at)
        rc = err_set(err, ERR_CORRUPT,
                     "'%s': service %u begins at offset %" PRIu64 ", expected %" PRIu64, v->path,
                     service, ix.smp_first, *at);
    if (rc == 0)
        *at = ix.smp_end;
    if (rc == 0 && (rc = segment_dataset_open(v->segment, service, &ds, err)) == 0) {
        v->rows = v->samples = 0;
        rc = ds->ops->index(ds, &index, err);
        for (uint32_t e = 0; rc == 0 && e < index->entry_count; e++)
            rc = check_entry(v, ds, index, e, &arena, err);
        if (rc == 0 && (v->rows != s->rows || v->samples != s->samples))
            rc = err_set(err, ERR_CORRUPT,
                         "'%s': service %u has %" PRIu64 " rows and %" PRIu64
                         " samples, expected %" PRIu64 " and %" PRIu64,
                         v->path, service, v->rows, v->samples, s->rows, s->samples);
        if (rc == 0 && sums)
            rc = segment_verify_rollups(ds, v->path, &arena, err);
        segment_dataset_close(ds);
    }
    arena_release(&arena);
    return rc;
}

static int check_services(struct verifying *v, struct err *err)
{
    const struct segment_footer *f = &v->segment->footer;
    uint64_t at = SEGMENT_HEADER_BYTES, rows = 0, samples = 0;
    int rc;

    for (uint32_t i = 0; i < f->services; i++) {
        if ((rc = check_service(v, i, true, &at, err)) != 0 && (rc = note(v, rc, err)) != 0)
            return rc;
        rows += v->segment->services[i].rows;
        samples += v->segment->services[i].samples;
    }
    if (v->findings == 0 && (at != f->smp_bytes || rows != f->rows || samples != f->samples))
        return err_set(err, ERR_CORRUPT,
                       "'%s': services end at offset %" PRIu64 " with %" PRIu64 " rows and %" PRIu64
                       " samples, expected %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                       v->path, at, rows, samples, f->smp_bytes, f->rows, f->samples);
    return 0;
}

static int check_own_sections(struct segment *s, uint32_t service, struct err *err)
{
    struct segment_section *sections;
    struct segment_reading agg;
    struct arena arena;
    struct str stored;
    int rc;

    arena_init(&arena, SEGMENT_SERVICE_BYTES_MAX);
    rc = segment_reading_open(s, SEGMENT_FILE_AGG, &agg, err);
    if (rc == 0)
        rc = segment_sections(&agg, &arena, &sections, err);
    for (uint32_t i = 0; rc == 0 && i < s->footer.table_count; i++) {
        struct arena_mark mark = arena_mark(&arena);

        if (sections[i].service == service)
            rc = segment_section_read(&agg, &sections[i], &arena, &stored, err);
        arena_rewind(&arena, mark);
    }
    segment_reading_close(&agg);
    arena_release(&arena);
    return rc;
}

static int check_alone(struct segment *s, uint32_t service, bool sums, struct err *err)
{
    struct verifying v = {.segment = s};
    char path[SEGMENT_PATH_MAX];
    uint64_t at = UINT64_MAX; /* where it begins does not matter */

    segment_path(s->meta.tenant, s->meta.day, s->meta.id, s->meta.level, SEGMENT_FILE_SMP, path);
    v.path = path;
    return check_service(&v, service, sums, &at, err);
}

int segment_check_service(struct segment *s, uint32_t service, struct err *err)
{
    int rc = check_own_sections(s, service, err);

    return rc != 0 ? rc : check_alone(s, service, true, err);
}

int segment_check_rows(struct segment *s, uint32_t service, struct err *err)
{
    return check_alone(s, service, false, err);
}

int segment_verify(struct segment *s, struct buf *report, struct err *err)
{
    struct verifying v = {.segment = s, .report = report};
    char path[SEGMENT_PATH_MAX];
    int rc;

    segment_path(s->meta.tenant, s->meta.day, s->meta.id, s->meta.level, SEGMENT_FILE_SMP, path);
    v.path = path;
    if ((rc = check_sections(&v, err)) != 0 && (rc = note(&v, rc, err)) != 0)
        return rc;
    if ((rc = check_smp_bytes(&v, err)) != 0 && (rc = note(&v, rc, err)) != 0)
        return rc;
    if ((rc = check_services(&v, err)) != 0 && (rc = note(&v, rc, err)) != 0)
        return rc;
    if (v.findings > 0)
        return err_set(err, ERR_CORRUPT, "'%s': %u findings", path, v.findings);
    return 0;
}

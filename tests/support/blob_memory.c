#include "tests/support/blob_memory.h"

#include "tests/support/dataset_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/segment_make.h"

#include "storage/segment_format.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = 12,
    REPORT_BYTES_MAX = 1 << 20,
};

struct blob_reader {
    struct str bytes;
};

static int memory_open(struct blob_store *b, const char *name, struct blob_reader **out,
                       struct err *err)
{
    const struct blob_memory *m = (const struct blob_memory *)(const void *)b;
    struct blob_reader *r = malloc(sizeof(*r));

    (void)err;
    check(r);
    r->bytes = str_ends(str_from(name), STR(".agg")) ? m->agg : m->smp;
    *out = r;
    return 0;
}

static uint64_t memory_size(const struct blob_reader *r)
{
    return r->bytes.len;
}

static int memory_read(struct blob_reader *r, uint64_t offset, void *into, size_t size,
                       struct err *err)
{
    if (offset > r->bytes.len || size > r->bytes.len - offset)
        return err_set(err, ERR_CORRUPT, "short data");
    if (size > 0)
        memcpy(into, r->bytes.p + offset, size);
    return 0;
}

static void memory_close(struct blob_reader *r)
{
    free(r);
}

static const struct blob_store_ops memory_ops = {
    .open = memory_open, .size = memory_size, .read = memory_read, .close = memory_close};

void blob_memory_init(struct blob_memory *b, struct str agg, struct str smp)
{
    *b = (struct blob_memory){{&memory_ops}, agg, smp};
}

static int read_rows(struct segment *seg, struct err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < segment_service_count(seg); i++) {
        struct dataset *ds;
        struct buf text;

        check(segment_dataset_open(seg, i, &ds, err) == 0);
        buf_init(&text, REPORT_BYTES_MAX);
        rc = dataset_describe(ds, (struct time_span){INT64_MIN, INT64_MAX}, UINT64_MAX, true, &text,
                              err);
        buf_release(&text);
        segment_dataset_close(ds);
    }
    return rc;
}

int blob_memory_read_segment(struct str agg, struct str smp)
{
    struct segment_meta meta = segment_make_meta(1);
    struct blob_memory b;
    struct segment *seg;
    struct buf report;
    struct err err;
    int rc;

    blob_memory_init(&b, agg, smp);
    rc = segment_open(&b.store, NULL, meta.tenant, meta.day, meta.id, meta.level, &seg, &err);
    if (rc != 0)
        return rc;
    buf_init(&report, REPORT_BYTES_MAX);
    rc = segment_verify(seg, &report, &err);
    if (rc == 0)
        rc = read_rows(seg, &err);
    buf_release(&report);
    segment_unref(seg);
    return rc;
}

static void append_object(struct blob_store *blobs, const struct segment_meta *m,
                          enum segment_file file, struct buf *out)
{
    char path[SEGMENT_PATH_MAX];
    struct blob_reader *r;
    uint64_t size;

    segment_path(m->tenant, m->day, m->id, m->level, file, path);
    check(blobs->ops->open(blobs, path, &r, NULL) == 0);
    size = blobs->ops->size(r);
    check(buf_reserve(out, size) == 0);
    check(blobs->ops->read(r, 0, out->data + out->len, size, NULL) == 0);
    out->len += size;
    blobs->ops->close(r);
}

static void write_seed(const char *dir, uint64_t seed)
{
    static const char *const names[] = {"a", "b"};
    uint32_t rows = 1 + (uint32_t)seed * 3, services = 1 + seed % 2;
    struct dataset_fake *fakes[2];
    struct fs *fs = fs_fault_new();
    struct blob_store *blobs;
    struct segment_meta meta;
    struct buf out;
    char path[4096];
    FILE *f;

    buf_init(&out, SIZE_MAX);
    check(blob_store_dir_open(fs, &blobs, NULL) == 0);
    for (uint32_t i = 0; i < services; i++)
        fakes[i] = segment_make_rows(seed + 10 * i, str_from(names[i]), rows);
    check(segment_make_write(blobs, 1, fakes, services, &meta, NULL) == 0);
    buf_put_le32(&out, (uint32_t)meta.agg_bytes);
    append_object(blobs, &meta, SEGMENT_FILE_AGG, &out);
    append_object(blobs, &meta, SEGMENT_FILE_SMP, &out);
    (void)snprintf(path, sizeof(path), "%s/segment-%llu", dir, (unsigned long long)seed);
    f = fopen(path, "wb");
    check(f && fwrite(out.data, 1, out.len, f) == out.len && fclose(f) == 0);
    for (uint32_t i = 0; i < services; i++)
        dataset_fake_free(fakes[i]);
    blobs->ops->free(blobs);
    fs_free(fs);
    buf_release(&out);
}

void blob_memory_write_seeds(const char *dir)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        write_seed(dir, seed);
}

/* Offline work on a data directory: check every segment, make the catalog again. */
#include "storage/storage.h"

#include "storage/blob_store.h"
#include "storage/catalog.h"
#include "storage/segment.h"
#include "storage/segment_format.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct verify {
    struct blob_store *blobs;
    struct catalog *catalog; /* NULL: check instead of listing */
    struct buf *report;
    uint64_t segments, damaged, rows, samples, bytes;
};

static void say(struct verify *v, const char *name, const struct err *found)
{
    v->damaged++;
    (void)buf_printf(v->report, "%s: %s\n", name, found->msg);
}

/* A .smp without its .agg is what an interrupted write leaves: swept at start, no damage. */
static int check_orphan(struct verify *v, const char *name, struct err *err)
{
    char agg[FS_PATH_MAX];
    struct blob_reader *r;
    int rc;

    (void)snprintf(agg, sizeof(agg), "%.*s.agg", (int)(strlen(name) - 4), name);
    rc = v->blobs->ops->open(v->blobs, agg, &r, err);
    if (rc == 0) {
        v->blobs->ops->close(r);
        return 0;
    }
    if (rc != ERR_NOT_FOUND)
        return rc;
    (void)buf_printf(v->report, "%s: no .agg beside it, removed at the next start\n", name);
    return 0;
}

static int take_segment(struct verify *v, const char *name, struct segment *seg, struct err *err)
{
    const struct segment_meta *m = segment_meta(seg);
    int rc;

    if (v->catalog)
        rc = v->catalog->ops->add(v->catalog, m, err);
    else
        rc = segment_verify(seg, v->report, err);
    v->segments++;
    v->rows += m->rows;
    v->samples += m->samples;
    v->bytes += m->agg_bytes + m->smp_bytes;
    if (rc == ERR_CORRUPT && !v->catalog) {
        say(v, name, err);
        return 0;
    }
    return rc;
}

static int each_object(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct verify *v = ctx;
    struct segment_name n;
    struct segment *seg;
    int rc;

    (void)size;
    if (str_ends(str_from(name), STR(".smp")))
        return check_orphan(v, name, err);
    if (!segment_path_parse(name, &n)) {
        (void)buf_printf(v->report, "%s: not a segment's name, left alone\n", name);
        return 0;
    }
    rc = segment_open(v->blobs, NULL, n.tenant, n.day, n.id, n.level, &seg, err);
    if (rc == 0) {
        rc = take_segment(v, name, seg, err);
        segment_unref(seg);
        return rc;
    }
    if (rc != ERR_CORRUPT && rc != ERR_NOT_FOUND && rc != ERR_UNSUPPORTED)
        return rc;
    say(v, name, err);
    return 0;
}

static void summary(const struct verify *v)
{
    (void)buf_printf(v->report,
                     "%" PRIu64 " segments, %" PRIu64 " rows, %" PRIu64 " samples, %" PRIu64
                     " bytes, %" PRIu64 " damaged\n",
                     v->segments, v->rows, v->samples, v->bytes, v->damaged);
}

int storage_verify(struct fs *fs, struct buf *report, struct err *err)
{
    struct verify v = {.report = report};
    int rc = blob_store_dir_open(fs, &v.blobs, err);

    if (rc != 0)
        return rc;
    rc = v.blobs->ops->list(v.blobs, "seg", each_object, &v, err);
    v.blobs->ops->free(v.blobs);
    if (rc != 0)
        return rc;
    summary(&v);
    if (v.damaged > 0)
        return err_set(err, ERR_CORRUPT, "%" PRIu64 " of %" PRIu64 " segments are damaged",
                       v.damaged, v.segments);
    return 0;
}

static int rebuild(struct verify *v, struct err *err)
{
    int rc = v->catalog->ops->clear(v->catalog, err);

    return rc != 0 ? rc : v->blobs->ops->list(v->blobs, "seg", each_object, v, err);
}

int storage_rebuild_catalog(struct fs *fs, const char *catalog_path, struct buf *report,
                            struct err *err)
{
    struct verify v = {.report = report};
    struct fs_file *lock;
    bool fresh;
    int rc = fs_open(fs, "LOCK", FS_WRITE | FS_CREATE, &lock, err);

    if (rc != 0)
        return rc;
    if ((rc = fs_lock(lock, err)) == 0 && (rc = blob_store_dir_open(fs, &v.blobs, err)) == 0) {
        if ((rc = catalog_sqlite_open(catalog_path, &v.catalog, &fresh, err)) == 0) {
            rc = rebuild(&v, err);
            v.catalog->ops->close(v.catalog);
        }
        v.blobs->ops->free(v.blobs);
    }
    fs_close(lock);
    if (rc == 0)
        summary(&v);
    return rc;
}

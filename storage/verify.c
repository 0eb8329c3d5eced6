/*
 * Work on a data directory: check everything in it, make the catalog again.
 *
 * Checking takes no lock and changes nothing, so a server may run meanwhile: what it removes while
 * it is read, or writes while it is read, is no damage. So a finding is looked at again before it
 * counts.
 */
#include "storage/storage.h"

#include "storage/blob_store.h"
#include "storage/catalog.h"
#include "storage/format_file.h"
#include "storage/missing.h"
#include "storage/segment.h"
#include "storage/segment_format.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    LOG_TRIES = 3, /* a server writes while it is read */
    LOG_REPORT_MAX = 64 << 10,
};

struct verify {
    struct fs *fs;
    struct blob_store *blobs;
    struct catalog *catalog; /* NULL: check instead of listing */
    struct buf *report;
    uint64_t segments, damaged, rows, samples, bytes;
    uint32_t others; /* damaged files that are not segments */
};

static bool is_there(struct verify *v, const char *name)
{
    struct blob_reader *r;

    int rc = v->blobs->ops->open(v->blobs, name, &r, NULL);

    if (rc == 0)
        v->blobs->ops->close(r);
    return rc != ERR_NOT_FOUND;
}

static void say(struct verify *v, const char *name, const struct err *found)
{
    v->damaged++;
    (void)buf_printf(v->report, "%s: %s\n", name, found->msg);
}

/* A .smp without its .agg is what an interrupted write leaves, or one that goes on: no damage. */
static void check_orphan(struct verify *v, const char *name)
{
    char agg[FS_PATH_MAX];

    (void)snprintf(agg, sizeof(agg), "%.*s.agg", (int)(strlen(name) - 4), name);
    if (!is_there(v, agg) && is_there(v, name))
        (void)buf_printf(v->report,
                         "%s: no .agg beside it: being written, or removed at the next start\n",
                         name);
}

/* Every byte; what it says counts if the segment is still there afterwards. */
static int verify_segment(struct verify *v, const char *name, struct segment *seg, struct err *err)
{
    struct buf findings;
    int rc;

    buf_init(&findings, v->report->max);
    rc = segment_verify(seg, &findings, err);
    if (rc != 0 && !is_there(v, name)) {
        rc = 0;
    } else if (rc != 0 && segment_is_damage(rc, err)) {
        (void)buf_append_str(v->report, buf_str(&findings));
        say(v, name, err);
        rc = 0;
    }
    buf_release(&findings);
    return rc;
}

static int take_segment(struct verify *v, const char *name, struct segment *seg, struct err *err)
{
    const struct segment_meta *m = segment_meta(seg);

    v->segments++;
    v->rows += m->rows;
    v->samples += m->samples;
    v->bytes += m->agg_bytes + m->smp_bytes;
    return v->catalog ? v->catalog->ops->add(v->catalog, m, err)
                      : verify_segment(v, name, seg, err);
}

static int each_object(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct verify *v = ctx;
    struct segment_name n;
    struct segment *seg;
    int rc;

    (void)size;
    if (str_ends(str_from(name), STR(".smp"))) {
        check_orphan(v, name);
        return 0;
    }
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
    if (!segment_is_damage(rc, err))
        return rc;
    if (is_there(v, name))
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

/* ---- what is no segment ---- */

static void say_other(struct verify *v, const char *what, const char *why)
{
    v->others++;
    (void)buf_printf(v->report, "%s: %s\n", what, why);
}

struct checking_log {
    struct fs *fs;
    struct buf findings;
    uint32_t count;
};

static int pass_record(void *ctx, const struct wal_replay_record *record, struct err *err)
{
    (void)ctx;
    (void)record;
    (void)err;
    return 0;
}

/* A file that is gone was released, and maybe overwritten while it was read. */
static void note_log_damage(void *ctx, uint32_t epoch, const char *why)
{
    struct checking_log *c = ctx;
    char path[WAL_PATH_MAX];
    struct fs_stat st;

    wal_path(epoch, path);
    if (fs_stat(c->fs, path, &st, NULL) == ERR_NOT_FOUND)
        return;
    c->count++;
    (void)buf_printf(&c->findings, "%s: %s\n", path, why);
}

static int check_log(struct verify *v, const struct format_file *format, struct err *err)
{
    struct checking_log c = {.fs = v->fs};
    struct wal_replay_report found;
    int rc = 0;

    buf_init(&c.findings, LOG_REPORT_MAX);
    for (int try = 0; rc == 0 && try < LOG_TRIES && (try == 0 || c.count > 0); try++) {
        c.count = 0;
        buf_reset(&c.findings);
        rc = wal_check(v->fs, format->instance, pass_record, note_log_damage, &c, &found, err);
    }
    v->others += c.count;
    (void)buf_append_str(v->report, buf_str(&c.findings));
    buf_release(&c.findings);
    if (rc == 0)
        (void)buf_printf(v->report,
                         "%" PRIu32 " log files, %" PRIu64 " records, %" PRIu32 " damaged\n",
                         found.files, found.records, c.count);
    return rc;
}

static void check_catalog(struct verify *v, const char *path)
{
    struct err why;
    int rc = path ? catalog_sqlite_check(path, &why) : 0;

    if (rc == ERR_BUSY)
        (void)buf_printf(v->report, "catalog: not checked: %s\n", why.msg);
    else if (rc != 0)
        say_other(v, "catalog (derived; made again at the next start)", why.msg);
}

static int check_others(struct verify *v, const char *catalog_path, struct err *err)
{
    struct format_file format;
    struct fs_stat st;
    struct err why;
    int rc = format_file_read(v->fs, &format, &why);

    if (rc == 0)
        rc = check_log(v, &format, err);
    else if (rc == ERR_UNSUPPORTED || fs_stat(v->fs, "wal", &st, NULL) == 0) {
        say_other(v, "FORMAT", why.msg);
        rc = 0;
    } else if (rc == ERR_NOT_FOUND) {
        rc = 0; /* no server has ever written here */
    } else {
        rc = err_set(err, rc, "%s", why.msg);
    }
    if (rc == 0)
        check_catalog(v, catalog_path);
    return rc;
}

/* What answers lack already is no finding of today. */
static void say_missing(struct verify *v)
{
    struct missing m;

    missing_init(&m);
    if (missing_load(&m, v->fs, v->blobs, NULL) == 0)
        for (uint32_t i = 0; i < m.count; i++)
            (void)buf_printf(
                v->report, "%" STR_FMT ": set aside, %" PRIu64 " bytes of tenant %" STR_FMT "\n",
                STR_ARG(m.items[i].file), m.items[i].bytes, STR_ARG(m.items[i].tenant));
    missing_release(&m);
}

int storage_verify(struct fs *fs, const char *catalog_path, struct buf *report, struct err *err)
{
    struct verify v = {.fs = fs, .report = report};
    int rc = blob_store_dir_open(fs, &v.blobs, err);

    if (rc != 0)
        return rc;
    rc = v.blobs->ops->list(v.blobs, "seg", each_object, &v, err);
    if (rc == 0)
        rc = check_others(&v, catalog_path, err);
    if (rc == 0)
        say_missing(&v);
    v.blobs->ops->free(v.blobs);
    if (rc != 0)
        return rc;
    summary(&v);
    if (v.damaged + v.others > 0)
        return err_set(err, ERR_CORRUPT,
                       "%" PRIu64 " of %" PRIu64 " segments are damaged, and %" PRIu32
                       " other files",
                       v.damaged, v.segments, v.others);
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
    struct verify v = {.fs = fs, .report = report};
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

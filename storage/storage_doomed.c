/*
 * Segments that were evicted or replaced: no view finds them any more, but one
 * that was taken before may still read them. Their files go with the last
 * reader, or, when a reader takes too long, without asking it: it is answered
 * that it must ask again.
 */
#include "storage/storage_internal.h"

#include "storage/segment_format.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* How long a question may keep the bytes of what is gone. */
#define GRACE_NS (30 * NS_PER_S)

enum {
    BLOCK = 4096,
};

uint64_t storage_segment_bytes(const struct segment_meta *m)
{
    return (m->agg_bytes + BLOCK - 1) / BLOCK * BLOCK + (m->smp_bytes + BLOCK - 1) / BLOCK * BLOCK;
}

void storage_doom(struct storage *s, struct segment *seg, uint64_t lsn)
{
    segment_doom(seg);
    if (s->doomed_count == s->doomed_cap) {
        s->doomed_cap = s->doomed_cap ? s->doomed_cap * 2 : 16;
        s->doomed = realloc(s->doomed, s->doomed_cap * sizeof(*s->doomed));
        check(s->doomed);
    }
    s->doomed[s->doomed_count++] =
        (struct doomed){.segment = seg, .lsn = lsn, .since_mono_ns = clock_mono_ns(s->o.clock)};
}

void storage_doom_replaced(struct storage *s, struct segment *seg)
{
    storage_doom(s, seg, 0);
    s->doomed[s->doomed_count - 1].replaced = true;
}

uint64_t storage_doomed_lsn(const struct storage *s)
{
    uint64_t lsn = UINT64_MAX;

    for (uint32_t i = 0; i < s->doomed_count; i++)
        if (s->doomed[i].lsn > 0 && !s->doomed[i].unlinked && s->doomed[i].lsn < lsn)
            lsn = s->doomed[i].lsn;
    return lsn;
}

/* .agg first: without it the pair is nothing, and the next start sweeps what is left. */
static int remove_files(struct storage *s, const struct segment_meta *m, struct err *err)
{
    static const enum segment_file files[] = {SEGMENT_FILE_AGG, SEGMENT_FILE_SMP};
    char path[SEGMENT_PATH_MAX];
    bool missing = false;
    int rc;

    for (int i = 0; i < 2; i++) {
        segment_path(m->tenant, m->day, m->id, m->level, files[i], path);
        rc = s->blobs->ops->remove(s->blobs, path, err);
        if (rc != 0 && rc != ERR_NOT_FOUND)
            return rc;
        missing = missing || rc == ERR_NOT_FOUND;
    }
    *strrchr(path, '/') = '\0';
    /* An earlier try may have failed between the name and its sync. */
    if (missing && (rc = fs_sync_dir(s->o.fs, path, err)) != 0 && rc != ERR_NOT_FOUND)
        return rc;
    (void)fs_rmdir(s->o.fs, path, NULL); /* of the day, when that was its last */
    return 0;
}

void storage_remove_files(struct storage *s, const struct segment_meta *m)
{
    struct err err;

    if (remove_files(s, m, &err) != 0)
        log_warn("cannot remove the files of a segment", LOG_ERR(&err));
}

void storage_catalog_add(struct storage *s, const struct segment_meta *m)
{
    struct err err;

    /* A cache: start-up finds the segment without it. */
    mutex_lock(&s->catalog_mu);
    if (s->catalog && s->catalog->ops->add(s->catalog, m, &err) != 0)
        log_warn("catalog not updated, it will be rebuilt at start", LOG_ERR(&err));
    mutex_unlock(&s->catalog_mu);
}

void storage_catalog_remove(struct storage *s, struct segment_id id)
{
    struct err err;

    mutex_lock(&s->catalog_mu);
    if (s->catalog && s->catalog->ops->remove(s->catalog, id, &err) != 0)
        log_warn("catalog not updated, it will be rebuilt at start", LOG_ERR(&err));
    mutex_unlock(&s->catalog_mu);
}

/* The next from `*at` on whose files can go now, or that is replaced. With a reference. */
static struct segment *next_removable(struct storage *s, bool replaced, uint32_t *at)
{
    int64_t now = clock_mono_ns(s->o.clock);
    struct segment *seg = NULL;

    mutex_lock(&s->mu);
    for (; !seg && *at < s->doomed_count; (*at)++) {
        const struct doomed *d = &s->doomed[*at];

        if (!d->unlinked && (replaced || d->lsn != 0 || !storage_backup_holds(s, d->segment)) &&
            (replaced ? d->replaced
                      : !segment_is_shared(d->segment) || now - d->since_mono_ns >= GRACE_NS))
            seg = segment_ref(d->segment);
    }
    mutex_unlock(&s->mu);
    return seg;
}

static void mark_unlinked(struct storage *s, const struct segment *seg)
{
    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->doomed_count; i++)
        if (s->doomed[i].segment == seg)
            s->doomed[i].unlinked = true;
    mutex_unlock(&s->mu);
}

/* Forgets what is unlinked and has no reader. */
static void sweep(struct storage *s)
{
    uint32_t kept = 0;

    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->doomed_count; i++) {
        struct doomed *d = &s->doomed[i];

        if (d->unlinked && !segment_is_shared(d->segment))
            segment_unref(d->segment);
        else
            s->doomed[kept++] = *d;
    }
    s->doomed_count = kept;
    mutex_unlock(&s->mu);
}

static int unlink_doomed(struct storage *s, bool replaced, struct err *err)
{
    struct segment *seg;
    uint32_t at = 0;
    int did = 0;

    while ((seg = next_removable(s, replaced, &at)) != NULL) {
        const struct segment_meta *m = segment_meta(seg);
        int rc = remove_files(s, m, err);

        if (rc == 0) {
            mark_unlinked(s, seg);
            storage_catalog_remove(s, m->id);
            segment_cache_forget(s->cache, m->id);
            did = 1;
        }
        segment_unref(seg);
        if (rc != 0)
            return rc;
    }
    sweep(s);
    return did;
}

int storage_step_unlink(struct storage *s, struct err *err)
{
    return unlink_doomed(s, false, err);
}

int storage_unlink_replaced(struct storage *s, struct err *err)
{
    int rc = unlink_doomed(s, true, err);

    return rc < 0 ? rc : 0;
}

/*
 * The segments at start. The files decide: what has a sound `.agg` under its
 * final name is live, unless a newer segment was made from it. The catalog is
 * compared with that and made again when it differs.
 */
#include "storage/storage_internal.h"

#include "storage/segment_format.h"

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loading {
    struct storage *s;
    struct storage_recovery *recovery;
    char synced[FS_PATH_MAX]; /* the directory whose names were made durable last */
};

void storage_add_segment(struct storage *s, struct segment *seg)
{
    if (s->segment_count == s->segment_cap) {
        s->segment_cap = s->segment_cap ? s->segment_cap * 2 : 64;
        s->segments = realloc(s->segments, s->segment_cap * sizeof(*s->segments));
        check(s->segments);
    }
    s->segments[s->segment_count++] = seg;
}

/* Both files out of the way; the answer to questions goes on without them, loudly. */
static void set_aside(struct storage *s, const char *name, uint64_t size, const struct err *why)
{
    char smp[FS_PATH_MAX];
    struct err err;
    int rc;

    log_error("damaged segment set aside", LOG_CSTR("name", name), LOG_ERR(why));
    s->segments_quarantined++;
    /* First: an .agg without it is set aside by the next start, a .smp alone is swept. */
    (void)snprintf(smp, sizeof(smp), "%.*s.smp", (int)(strlen(name) - 4), name);
    rc = s->blobs->ops->quarantine(s->blobs, smp, "", &err);
    if (rc == 0 || rc == ERR_NOT_FOUND)
        rc = s->blobs->ops->quarantine(s->blobs, name, "", &err);
    if (rc != 0) {
        log_error("cannot set it aside", LOG_CSTR("name", name), LOG_ERR(&err));
        missing_add(&s->left_behind, name, size);
    }
}

/*
 * Whoever wrote the segment may have died between giving it its name and syncing the
 * directory. The log is let go because the segment is there, so it must stay there.
 */
static int make_name_durable(struct loading *l, const char *name, struct err *err)
{
    const char *slash = strrchr(name, '/');
    char dir[FS_PATH_MAX];
    int rc;

    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - name), name);
    if (strcmp(dir, l->synced) == 0)
        return 0;
    if ((rc = fs_make_dirs(l->s->o.fs, dir, err)) != 0 ||
        (rc = fs_sync_dir(l->s->o.fs, dir, err)) != 0)
        return rc;
    memcpy(l->synced, dir, sizeof(dir));
    return 0;
}

static int load_one(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct loading *l = ctx;
    struct segment_name n;
    struct segment *seg;
    struct err why;
    int rc;

    if (!str_ends(str_from(name), STR(".agg")))
        return 0;
    if (!segment_path_parse(name, &n)) {
        log_warn("not a segment, left alone", LOG_CSTR("name", name));
        return 0;
    }
    rc = segment_open(l->s->blobs, l->s->cache, n.tenant, n.day, n.id, n.level, &seg, &why);
    if (rc == 0) {
        storage_add_segment(l->s, seg);
        return make_name_durable(l, name, err);
    }
    if (rc == ERR_CORRUPT || rc == ERR_NOT_FOUND || rc == ERR_UNSUPPORTED) {
        set_aside(l->s, name, size, &why);
        return 0;
    }
    return err_set(err, rc, "%s", why.msg);
}

/* The segment with most sources that holds a head. */
static struct segment *holder_of(struct storage *s, const struct u64map *holders, uint64_t head)
{
    const struct u64map_slot *slot = u64map_get(holders, head);

    return slot ? s->segments[slot->value] : NULL;
}

static bool is_larger(const struct segment *a, const struct segment *b)
{
    const struct segment_meta *x = segment_meta(a), *y = segment_meta(b);

    if (x->source_count != y->source_count)
        return x->source_count > y->source_count;
    return x->created_ns > y->created_ns;
}

static void find_holders(struct storage *s, struct u64map *holders)
{
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        for (uint32_t k = 0; k < m->source_count; k++) {
            bool added;
            struct u64map_slot *slot = u64map_put(holders, m->sources[k].head_id, &added);

            check(slot);
            if (added || is_larger(s->segments[i], s->segments[slot->value]))
                slot->value = i;
        }
    }
}

static bool is_repeated(struct storage *s, const struct u64map *holders, struct segment *seg)
{
    const struct segment_meta *m = segment_meta(seg);

    for (uint32_t k = 0; k < m->source_count; k++)
        if (holder_of(s, holders, m->sources[k].head_id) == seg)
            return false;
    return m->source_count > 0;
}

/*
 * A seal whose last sync failed may have left its segment; the heads stayed, and were
 * sealed again with at least as many others. What another segment holds counts once.
 */
static void drop_repeated(struct storage *s)
{
    struct u64map holders;
    uint32_t kept = 0, count = s->segment_count;
    struct segment **all = s->segments;
    bool *repeated = calloc(count + 1, sizeof(*repeated));

    check(repeated);
    u64map_init(&holders, NULL, SIZE_MAX);
    find_holders(s, &holders);
    for (uint32_t i = 0; i < count; i++)
        repeated[i] = is_repeated(s, &holders, all[i]);
    for (uint32_t i = 0; i < count; i++) {
        if (!repeated[i]) {
            all[kept++] = all[i];
            continue;
        }
        log_warn("segment removed, another holds all of its heads");
        storage_remove_files(s, segment_meta(all[i]));
        segment_unref(all[i]);
    }
    s->segment_count = kept;
    free(repeated);
    u64map_release(&holders);
}

/* A pair exists when its .agg does: a .smp alone is what a crash left of a write. */
static int sweep_orphan(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct loading *l = ctx;
    struct storage *s = l->s;
    char agg[FS_PATH_MAX];
    struct blob_reader *r;
    struct err why;

    (void)size;
    (void)err;
    if (!str_ends(str_from(name), STR(".smp")))
        return 0;
    (void)snprintf(agg, sizeof(agg), "%.*s.agg", (int)(strlen(name) - 4), name);
    if (s->blobs->ops->open(s->blobs, agg, &r, &why) == 0) {
        s->blobs->ops->close(r);
        return 0;
    }
    if (why.code == ERR_NOT_FOUND && s->blobs->ops->remove(s->blobs, name, &why) == 0)
        l->recovery->temps_removed++;
    return 0;
}

struct comparing {
    const struct storage *s;
    uint32_t rows;
    bool differs;
};

static bool has_segment(const struct storage *s, struct segment_id id)
{
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        if (m->id.hi == id.hi && m->id.lo == id.lo)
            return true;
    }
    return false;
}

static int compare(void *ctx, const struct segment_meta *meta, enum catalog_state state,
                   struct err *err)
{
    struct comparing *c = ctx;

    (void)err;
    c->rows++;
    if (state != CATALOG_LIVE || !has_segment(c->s, meta->id))
        c->differs = true;
    return 0;
}

/* With a limit on the whole the catalog has a share of it. */
static int limit_catalog(struct storage *s, struct err *err)
{
    struct ledger_usage usage;
    uint64_t bound;
    int rc;

    ledger_usage(s->ledger, &usage);
    if (usage.limit == 0)
        return 0;
    rc = catalog_sqlite_limit(s->catalog, storage_catalog_share(usage.limit), &bound, err);
    if (rc == 0)
        ledger_set_catalog(s->ledger, bound);
    return rc;
}

/* A cache that cannot be had is no reason not to start. */
static void settle_catalog(struct storage *s, struct storage_recovery *recovery)
{
    struct comparing c = {.s = s};
    bool fresh = false;
    struct err err;
    int rc;

    if (!s->o.catalog_path)
        return;
    rc = catalog_sqlite_open(s->o.catalog_path, &s->catalog, &fresh, &err);
    if (rc == 0)
        rc = limit_catalog(s, &err);
    if (rc == 0)
        rc = s->catalog->ops->load(s->catalog, compare, &c, &err);
    if (rc == 0 && (c.differs || c.rows != s->segment_count)) {
        recovery->catalog_rebuilt = !fresh || s->segment_count > 0;
        rc = s->catalog->ops->clear(s->catalog, &err);
        for (uint32_t i = 0; rc == 0 && i < s->segment_count; i++)
            rc = s->catalog->ops->add(s->catalog, segment_meta(s->segments[i]), &err);
    }
    if (rc != 0)
        log_warn("catalog cannot be used; nothing depends on it", LOG_ERR(&err));
}

int storage_load_segments(struct storage *s, struct storage_recovery *recovery, struct err *err)
{
    struct loading l = {.s = s, .recovery = recovery};
    int rc = blob_store_dir_open(s->o.fs, &s->blobs, err);

    if (rc == 0)
        rc = s->blobs->ops->list(s->blobs, "seg", load_one, &l, err);
    if (rc == 0)
        drop_repeated(s);
    if (rc == 0)
        rc = s->blobs->ops->list(s->blobs, "seg", sweep_orphan, &l, err);
    if (rc == 0)
        settle_catalog(s, recovery);
    return rc;
}

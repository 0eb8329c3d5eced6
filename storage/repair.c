/*
 * Repair: the sound services of a damaged segment, written into a new one.
 *
 *   all that can be read -> new segment, under temporary names -> damaged files to quarantine/
 *     -> a note of what is lost beside them -> the new segment's name
 *
 * A cut in between leaves the whole segment in quarantine/, known as missing, and the next repair
 * finds it there. The new segment lists the same heads, so that the log counts none of them again.
 * A segment that a start has set aside can come back only if none of its heads did:
 * not in another segment, and not out of the log.
 */
#include "storage/storage.h"

#include "storage/blob_store.h"
#include "storage/format_file.h"
#include "storage/missing.h"
#include "storage/missing_note.h"
#include "storage/segment.h"
#include "storage/segment_format.h"
#include "storage/segment_writer.h"
#include "storage/wal.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads segments where they are, or where they lie in quarantine/. */
struct salvage_store {
    struct blob_store b;
    struct blob_store *base;
};

struct repair {
    struct fs *fs;
    struct blob_store *blobs;
    struct salvage_store salvage;
    struct buf *report;
    int64_t now_ns;
    bool apply;
    uint64_t log_first_lsn;    /* of what the log holds; UINT64_MAX: nothing */
    struct segment **segments; /* that open */
    uint32_t count, cap;
    char **broken; /* paths of those that do not, then of those in quarantine */
    uint32_t broken_count, broken_cap, set_aside_from;
    uint64_t found, repaired;
};

static int salvage_open(struct blob_store *b, const char *name, struct blob_reader **out,
                        struct err *err)
{
    struct salvage_store *s = (struct salvage_store *)(void *)b;
    int rc = s->base->ops->open(s->base, name, out, err);
    char there[FS_PATH_MAX];

    if (rc != ERR_NOT_FOUND)
        return rc;
    (void)snprintf(there, sizeof(there), "quarantine/%.*s", FS_PATH_MAX - 16, name);
    for (char *c = strchr(there, '/') + 1; *c; c++)
        if (*c == '/')
            *c = '_';
    return s->base->ops->open(s->base, there, out, err);
}

/* ---- what there is ---- */

static void keep_segment(struct repair *r, struct segment *seg)
{
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 64;
        r->segments = realloc(r->segments, r->cap * sizeof(struct segment *));
        check(r->segments);
    }
    r->segments[r->count++] = seg;
}

static void keep_broken(struct repair *r, const char *path)
{
    if (r->broken_count == r->broken_cap) {
        r->broken_cap = r->broken_cap ? r->broken_cap * 2 : 16;
        r->broken = realloc(r->broken, r->broken_cap * sizeof(char *));
        check(r->broken);
    }
    r->broken[r->broken_count] = strdup(path);
    check(r->broken[r->broken_count]);
    r->broken_count++;
}

static int each_object(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct repair *r = ctx;
    struct segment_name n;
    struct segment *seg;
    int rc;

    (void)size;
    if (!segment_path_parse(name, &n))
        return 0;
    rc = segment_open(r->blobs, NULL, n.tenant, n.day, n.id, n.level, &seg, err);
    if (rc == 0)
        keep_segment(r, seg);
    else if (segment_is_damage(rc, err))
        keep_broken(r, name);
    else
        return rc;
    return 0;
}

static int find_set_aside(struct repair *r, struct err *err)
{
    struct missing m;
    int rc;

    missing_init(&m);
    rc = missing_load(&m, r->fs, r->blobs, err);
    r->set_aside_from = r->broken_count;
    for (uint32_t i = 0; rc == 0 && i < m.count; i++) {
        const char *name = strrchr(m.items[i].file.p, '/') + 1;
        char path[FS_PATH_MAX];

        if (missing_path_of(str_from(name), path, sizeof(path)))
            keep_broken(r, path);
    }
    missing_release(&m);
    return rc;
}

static int note_record(void *ctx, const struct wal_replay_record *record, struct err *err)
{
    struct repair *r = ctx;

    (void)err;
    if (record->lsn < r->log_first_lsn)
        r->log_first_lsn = record->lsn;
    return 0;
}

static void ignore_damage(void *ctx, uint32_t epoch, const char *why)
{
    (void)ctx;
    (void)epoch;
    (void)why;
}

static int look_around(struct repair *r, struct err *err)
{
    struct wal_replay_report found;
    struct format_file format;
    int rc;

    r->log_first_lsn = UINT64_MAX;
    if ((rc = format_file_read(r->fs, &format, err)) != 0 ||
        (rc = wal_check(r->fs, format.instance, note_record, ignore_damage, r, &found, err)) != 0 ||
        (rc = r->blobs->ops->list(r->blobs, "seg", each_object, r, err)) != 0)
        return rc;
    return find_set_aside(r, err);
}

/* ---- one segment ---- */

/* What becomes of its services. */
struct verdict {
    struct segment *seg;
    char path[SEGMENT_PATH_MAX]; /* its .agg's own */
    bool in_place;               /* not yet in quarantine */
    bool damaged;
    bool *sound; /* by service */
    uint32_t sound_count;
    struct missing_part *lost;
    uint32_t lost_count;
    uint64_t rows; /* of the sound ones */
};

static void say(struct repair *r, const char *path, const char *text)
{
    (void)buf_printf(r->report, "%s: %s\n", path, text);
}

static void judge(struct repair *r, struct verdict *v)
{
    uint32_t count = segment_service_count(v->seg);

    v->sound = calloc((size_t)count + 1, sizeof(*v->sound));
    v->lost = calloc((size_t)count + 1, sizeof(*v->lost));
    check(v->sound && v->lost);
    for (uint32_t i = 0; i < count; i++) {
        struct segment_share share = segment_service_share(v->seg, i);
        struct time_span time;
        struct err why;

        if (segment_check_service(v->seg, i, NULL) != 0)
            v->damaged = true;
        if (segment_check_rows(v->seg, i, &why) == 0) {
            v->sound[i] = true;
            v->sound_count++;
            v->rows += share.rows;
            continue;
        }
        (void)segment_service_name(v->seg, i, &time);
        v->lost[v->lost_count++] =
            (struct missing_part){share.service, time, segment_share_bytes(v->seg, i)};
        (void)buf_printf(r->report, "%s: service %" STR_FMT ": %" PRIu64 " profiles lost: %s\n",
                         v->path, STR_ARG(share.service), share.rows, why.msg);
    }
}

static void release_verdict(struct verdict *v)
{
    free(v->sound);
    free(v->lost);
}

static int add_sound(const struct verdict *v, struct segment_writer *w, struct err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < segment_service_count(v->seg); i++) {
        struct dataset *ds;

        if (!v->sound[i] || (rc = segment_dataset_open(v->seg, i, &ds, err)) != 0)
            continue;
        rc = segment_writer_add(w, ds, err);
        segment_dataset_close(ds);
    }
    return rc;
}

/* .smp first: an .agg that lost it is set aside by the next start, a .smp alone is swept. */
static int set_aside(struct repair *r, const struct verdict *v, struct err *err)
{
    char smp[SEGMENT_PATH_MAX];
    int rc;

    if (!v->in_place)
        return 0;
    (void)snprintf(smp, sizeof(smp), "%.*s.smp", (int)(strlen(v->path) - 4), v->path);
    rc = r->blobs->ops->quarantine(r->blobs, smp, "", err);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    return r->blobs->ops->quarantine(r->blobs, v->path, "", err);
}

/* Everything in it is read back; what is not as it should be is set aside. */
static int check_new(struct repair *r, const struct verdict *v, const struct segment_meta *m,
                     struct err *err)
{
    static const enum segment_file files[] = {SEGMENT_FILE_AGG, SEGMENT_FILE_SMP};
    char path[SEGMENT_PATH_MAX];
    struct segment *seg;
    int rc = segment_open(r->blobs, NULL, m->tenant, m->day, m->id, m->level, &seg, err);

    if (rc == 0) {
        rc = segment_verify(seg, r->report, err);
        if (rc == 0 && segment_meta(seg)->rows != v->rows)
            rc = err_set(err, ERR_CORRUPT, "%" PRIu64 " profiles went in and %" PRIu64 " came out",
                         v->rows, segment_meta(seg)->rows);
        segment_unref(seg);
    }
    for (int i = 0; rc != 0 && i < 2; i++) {
        segment_path(m->tenant, m->day, m->id, m->level, files[i], path);
        (void)r->blobs->ops->quarantine(r->blobs, path, "merge_", NULL);
    }
    return rc;
}

static int write_new(struct repair *r, const struct verdict *v, struct err *err)
{
    struct segment_meta m = *segment_meta(v->seg);
    struct segment_writer *w;
    int rc;

    random_bytes(&m.id, sizeof(m.id));
    m.created_ns = r->now_ns;
    m.rollups = SEGMENT_ROLLUPS_AUTO;
    if ((rc = segment_writer_open(r->blobs, &m, &w, err)) != 0)
        return rc;
    if ((rc = add_sound(v, w, err)) != 0 || (rc = set_aside(r, v, err)) != 0 ||
        (rc = missing_note_write(r->fs, v->path, v->lost, v->lost_count, err)) != 0) {
        segment_writer_abort(w);
        return rc;
    }
    if ((rc = segment_writer_commit(w, &m, err)) != 0)
        return rc;
    return check_new(r, v, &m, err);
}

static int treat(struct repair *r, struct verdict *v, struct err *err)
{
    int rc;

    r->found++;
    (void)buf_printf(r->report,
                     "%s: %" PRIu32 " of %" PRIu32 " services sound, %" PRIu64 " profiles: %s\n",
                     v->path, v->sound_count, segment_service_count(v->seg), v->rows,
                     v->sound_count == 0 ? "set aside whole"
                     : r->apply          ? "written anew"
                                         : "would be written anew");
    if (!r->apply)
        return 0;
    rc = v->sound_count > 0 ? write_new(r, v, err) : set_aside(r, v, err);
    r->repaired += rc == 0 && v->sound_count > 0;
    return rc;
}

static int repair_open(struct repair *r, struct segment *seg, struct err *err)
{
    const struct segment_meta *m = segment_meta(seg);
    struct verdict v = {.seg = seg, .in_place = true};
    int rc;

    segment_path(m->tenant, m->day, m->id, m->level, SEGMENT_FILE_AGG, v.path);
    judge(r, &v);
    rc = v.damaged || v.lost_count > 0 ? treat(r, &v, err) : 0;
    release_verdict(&v);
    return rc;
}

/* Is a head of it somewhere else? Then its profiles, or some, would count twice. */
static const char *obstacle(const struct repair *r, const struct segment_meta *m, bool in_place)
{
    for (uint32_t k = 0; k < m->source_count; k++) {
        if (!in_place && m->sources[k].lsn_last >= r->log_first_lsn)
            return "the log may hold its profiles: start and stop the server, then try again";
        for (uint32_t i = 0; i < r->count; i++) {
            const struct segment_meta *other = segment_meta(r->segments[i]);

            for (uint32_t n = 0; n < other->source_count; n++)
                if (other->sources[n].head_id == m->sources[k].head_id)
                    return "other segments hold its profiles already: left alone";
        }
    }
    return m->source_count == 0 ? "it does not say which heads it holds: left alone" : NULL;
}

static bool is_noted(struct repair *r, const char *path)
{
    struct missing_part *parts;
    struct arena arena;
    uint32_t count;
    int rc;

    arena_init(&arena, SIZE_MAX);
    rc = missing_note_read(r->fs, path, &arena, &parts, &count, NULL);
    arena_release(&arena);
    return rc == 0;
}

static int repair_broken(struct repair *r, const char *path, bool in_place, struct err *err)
{
    struct verdict v = {.in_place = in_place};
    const char *why_not;
    struct segment_name n;
    struct err why;
    int rc;

    if (!segment_path_parse(path, &n))
        return 0;
    (void)snprintf(v.path, sizeof(v.path), "%s", path);
    rc = segment_open_salvage(&r->salvage.b, n.tenant, n.day, n.id, n.level, &v.seg, &why);
    if (rc != 0) {
        r->found++;
        (void)buf_printf(r->report, "%s: cannot be repaired: %s\n", path, why.msg);
        return r->apply ? set_aside(r, &v, err) : 0;
    }
    why_not = obstacle(r, segment_meta(v.seg), in_place);
    if (why_not) {
        if (!is_noted(r, path)) /* else it is what an earlier repair left */
            say(r, path, why_not);
    } else {
        judge(r, &v);
        rc = treat(r, &v, err);
        release_verdict(&v);
    }
    segment_unref(v.seg);
    return rc;
}

static int repair_all(struct repair *r, struct err *err)
{
    int rc = look_around(r, err);

    for (uint32_t i = 0; rc == 0 && i < r->count; i++)
        rc = repair_open(r, r->segments[i], err);
    for (uint32_t i = 0; rc == 0 && i < r->broken_count; i++)
        rc = repair_broken(r, r->broken[i], i < r->set_aside_from, err);
    for (uint32_t i = 0; i < r->count; i++)
        segment_unref(r->segments[i]);
    for (uint32_t i = 0; i < r->broken_count; i++)
        free(r->broken[i]);
    free(r->segments);
    free(r->broken);
    return rc;
}

static int run(struct repair *r, struct err *err)
{
    struct blob_store_ops ops;
    int rc;

    if ((r->apply && ((rc = fs_make_dirs(r->fs, "tmp", err)) != 0 ||
                      (rc = fs_make_dirs(r->fs, "quarantine", err)) != 0)) ||
        (rc = blob_store_dir_open(r->fs, &r->blobs, err)) != 0)
        return rc;
    ops = (struct blob_store_ops){.open = salvage_open,
                                  .size = r->blobs->ops->size,
                                  .read = r->blobs->ops->read,
                                  .close = r->blobs->ops->close};
    r->salvage = (struct salvage_store){{&ops}, r->blobs};
    rc = repair_all(r, err);
    r->blobs->ops->free(r->blobs);
    return rc;
}

int storage_repair(struct fs *fs, int64_t now_ns, bool apply, struct buf *report, struct err *err)
{
    struct repair r = {.fs = fs, .now_ns = now_ns, .apply = apply, .report = report};
    struct fs_file *lock;
    int rc = fs_open(fs, "LOCK", FS_WRITE | FS_CREATE, &lock, err);

    if (rc != 0)
        return rc;
    if ((rc = fs_lock(lock, err)) == 0)
        rc = run(&r, err);
    fs_close(lock);
    if (rc != 0)
        return rc;
    (void)buf_printf(report, "%" PRIu64 " segments to repair, %" PRIu64 " repaired\n", r.found,
                     r.repaired);
    if (!apply && r.found > 0)
        return err_set(err, ERR_CORRUPT,
                       "%" PRIu64 " segments are damaged; nothing was changed: --apply does it",
                       r.found);
    return 0;
}

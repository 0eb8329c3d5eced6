/*
 * Reading the log at start. Two passes: the headers say which files count and
 * up to which LSN each does, then the records are read file by file.
 *
 * Within the last file, a record that does not validate is the torn end of a
 * power cut, unless a later record knows its LSN to have been durable. Before
 * every other file with a header, all LSNs up to its "previous last LSN" must
 * have been there. A file that lost its header but not its records is read as
 * the continuation of the one before.
 */
#include "storage/wal_internal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_DIGITS = 10,
    FILES_MAX = 4096,       /* more than wal.bytes_max can hold of the smallest size */
    LSN_LEAP_MAX = 1 << 24, /* records of one file: a larger step is no record of ours */
};

struct found {
    uint32_t epoch; /* from the name */
    bool counts;    /* has a header, or records of this epoch */
    bool headless;  /* records only */
    bool garbage;   /* neither: a header that was being written, or all is lost */
    uint64_t first_lsn, previous_last_lsn;
};

struct replay {
    struct wal *w;
    wal_replay_fn fn;
    void *ctx;
    struct wal_replay_report *report;
    struct found *found;
    uint32_t count;
    uint64_t last_lsn; /* applied */
    bool others;       /* records that are not pushes were seen */
    bool early;        /* the pass for these: nothing is counted, said or changed */
    bool dry;          /* a check: nothing is changed, damage goes to the report alone */
    wal_damage_fn damage;
};

static bool parse_name(const char *name, uint32_t *epoch)
{
    uint64_t v;

    if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".wal") != 0 ||
        !str_parse_u64((struct str){name, NAME_DIGITS}, UINT32_MAX - 1, &v))
        return false;
    *epoch = (uint32_t)v;
    return true;
}

static int note_name(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct replay *r = ctx;
    char path[WAL_PATH_MAX + 256];
    uint32_t epoch;

    (void)err;
    if (r->dry && !parse_name(name, &epoch))
        return 0;
    if (strncmp(name, "spare-", 6) == 0 && !st->is_dir) {
        (void)snprintf(path, sizeof(path), "wal/%s", name);
        (void)fs_unlink(r->w->o.fs, path, NULL);
        return 0;
    }
    if (!parse_name(name, &epoch) || st->is_dir) {
        log_warn("not a log file, left alone", LOG_CSTR("name", name));
        return 0;
    }
    if (r->count < FILES_MAX)
        r->found[r->count++] = (struct found){.epoch = epoch};
    return 0;
}

static int by_epoch(const void *a, const void *b)
{
    uint32_t x = ((const struct found *)a)->epoch, y = ((const struct found *)b)->epoch;

    return x < y ? -1 : x > y;
}

/* The whole file in memory: files are at most file_bytes_max, or one large record. */
static int read_file(struct replay *r, uint32_t epoch, struct str *out, struct err *err)
{
    char path[WAL_PATH_MAX];
    struct fs_file *f;
    uint64_t size;
    size_t got = 0;
    char *data = NULL;
    int rc;

    wal_path(epoch, path);
    *out = STR("");
    if ((rc = fs_open(r->w->o.fs, path, FS_READ, &f, err)) != 0)
        return rc;
    rc = fs_file_size(f, &size, err);
    if (rc == 0) {
        data = malloc(size + 1);
        if (!data)
            rc = err_set(err, ERR_NOMEM, "no memory to read '%s' (%llu bytes)", path,
                         (unsigned long long)size);
        else
            rc = fs_pread(f, data, size, 0, &got, err);
    }
    fs_close(f);
    if (rc != 0) {
        free(data);
        return rc;
    }
    *out = (struct str){data, got};
    return 0;
}

static void free_data(struct str data)
{
    if (data.len > 0 || data.p != STR("").p)
        free((void *)(uintptr_t)data.p);
}

/* Where the next record of this epoch with an LSN from `least` on starts; false: nowhere. */
static bool find_record(struct str data, uint64_t offset, uint32_t epoch, uint64_t least,
                        uint64_t *at, struct wal_record *out)
{
    for (; offset + WAL_RECORD_BYTES <= data.len; offset += WAL_ALIGN) {
        uint64_t lsn = get_le64(data.p + offset + 16);

        /* Cheap tests first: a recycled file is full of older records. */
        if (lsn < least || lsn - least > LSN_LEAP_MAX || get_le32(data.p + offset + 12) != 0)
            continue;
        if (!wal_record_get(data, offset, epoch, out))
            continue;
        *at = offset;
        return true;
    }
    return false;
}

static bool is_zero(struct str data)
{
    for (size_t i = 0; i < data.len; i++)
        if (data.p[i] != 0)
            return false;
    return true;
}

/*
 * Keeps a copy of what is damaged, for whoever wants to look at it; called <epoch>.wal when records
 * may be lost with it (storage/missing.h), <epoch>.header.wal when all were used.
 */
static void keep_copy(struct replay *r, uint32_t epoch, struct str data, bool lost, const char *why)
{
    char path[WAL_PATH_MAX];
    struct fs_file *f;
    struct err err;
    int rc;

    if (r->early)
        return;
    r->report->files_quarantined++;
    if (r->dry) {
        r->damage(r->ctx, epoch, why);
        return;
    }
    (void)snprintf(path, sizeof(path),
                   lost ? "quarantine/%010u.wal" : "quarantine/%010u.header.wal", epoch);
    rc = fs_make_dirs(r->w->o.fs, "quarantine", &err);
    if (rc == 0)
        rc = fs_open(r->w->o.fs, path, FS_WRITE | FS_CREATE, &f, &err);
    if (rc == 0) {
        rc = fs_pwrite(f, data.p, data.len, 0, &err);
        if (rc == 0)
            rc = fs_datasync(f, &err);
        fs_close(f);
    }
    if (rc == 0)
        rc = fs_sync_dir(r->w->o.fs, "quarantine", &err);
    log_error("damaged log file", LOG_U64("epoch", epoch), LOG_CSTR("why", why),
              LOG_CSTR("copy", rc == 0 ? path : "none"));
}

static void quarantine(struct replay *r, uint32_t epoch, struct str data, const char *why)
{
    keep_copy(r, epoch, data, true, why);
}

/* Decides whether a file counts; its content stays unread otherwise. */
static void classify(struct replay *r, struct found *f, struct str data)
{
    struct wal_header h;
    struct wal_record first;

    if (data.len < WAL_HEADER_BYTES)
        return; /* never got its header, so nothing in it was acknowledged */
    if (wal_header_get((const uint8_t *)data.p, &h)) {
        if (h.epoch != f->epoch)
            return; /* recycled, not yet written to */
        if (h.version > WAL_VERSION ||
            memcmp(h.instance, r->w->o.instance, sizeof(h.instance)) != 0) {
            quarantine(r, f->epoch, data, "of another instance or version");
            return;
        }
        f->counts = true;
        f->first_lsn = h.first_lsn;
        f->previous_last_lsn = h.previous_last_lsn;
        return;
    }
    for (uint64_t o = WAL_HEADER_BYTES; o + WAL_RECORD_BYTES <= data.len; o += WAL_ALIGN) {
        if (get_le32(data.p + o + 12) != 0 || !wal_record_get(data, o, f->epoch, &first))
            continue;
        f->counts = true;
        f->headless = true;
        return;
    }
    f->garbage = !is_zero(str_slice(data, 0, WAL_HEADER_BYTES));
}

static int apply(struct replay *r, const struct wal_record *record, struct err *err)
{
    struct wal_replay_record out = {
        .type = (enum wal_type)record->type,
        .lsn = record->lsn,
        .epoch = record->encode_epoch,
        .payload = record->payload,
    };

    if (record->lsn <= r->last_lsn)
        return 0;
    r->last_lsn = record->lsn;
    if (r->early && record->type == WAL_PUSH)
        return 0;
    r->report->records++;
    r->report->bytes += record->payload.len;
    return r->fn(r->ctx, &out, err);
}

/* Did something behind `offset` know that `lsn` was durable? */
static bool was_durable(struct str data, uint64_t offset, uint32_t epoch, uint64_t lsn)
{
    struct wal_record later;
    uint64_t at;

    while (find_record(data, offset, epoch, lsn, &at, &later)) {
        if (later.durable_lsn >= lsn)
            return true;
        offset = at + wal_record_size(later.payload.len);
    }
    return false;
}

/* Counts what the torn end held: whole records that nobody was told about. */
static void count_torn(struct replay *r, struct str data, uint64_t offset, uint32_t epoch,
                       uint64_t lsn)
{
    struct wal_record later;
    uint64_t at;

    while (find_record(data, offset, epoch, lsn, &at, &later)) {
        r->report->torn_bytes += wal_record_size(later.payload.len);
        offset = at + wal_record_size(later.payload.len);
    }
}

/*
 * At `offset` there is no record `expected`. True: one further on is to be used,
 * because what is missing was durable; *offset is moved to it.
 */
static bool skip_damage(struct replay *r, const struct found *f, struct str data, uint64_t limit,
                        uint64_t expected, uint64_t *offset, struct wal_record *out)
{
    if (limit == UINT64_MAX && !was_durable(data, *offset, f->epoch, expected)) {
        count_torn(r, data, *offset, f->epoch, expected);
        return false;
    }
    return find_record(data, *offset, f->epoch, expected, offset, out) && out->lsn <= limit;
}

/* Records up to `limit` (after the last header: UINT64_MAX). */
static int replay_file(struct replay *r, const struct found *f, struct str data, uint64_t limit,
                       uint64_t *file_last, uint64_t *used, struct err *err)
{
    uint64_t offset = WAL_HEADER_BYTES, expected = f->first_lsn;
    bool damaged = false;
    struct wal_record record;
    int rc;

    while (expected <= limit) {
        if (!wal_record_get(data, offset, f->epoch, &record) || record.lsn != expected) {
            if (!skip_damage(r, f, data, limit, expected, &offset, &record))
                break;
            if (!damaged)
                quarantine(r, f->epoch, data, "records damaged");
            damaged = true;
        } else if (f->headless && !damaged &&
                   (limit != UINT64_MAX || was_durable(data, offset, f->epoch, expected))) {
            keep_copy(r, f->epoch, data, false, "header damaged, records used");
            damaged = true;
        }
        if ((rc = apply(r, &record, err)) != 0)
            return rc;
        *file_last = record.lsn;
        expected = record.lsn + 1;
        offset += wal_record_size(record.payload.len);
    }
    *used = offset;
    return 0;
}

/* Everything up to where this file took over must have been there. */
static void check_complete(struct replay *r, uint32_t i)
{
    uint32_t before = i;
    struct str data;

    if (r->found[i].headless || r->last_lsn >= r->found[i].previous_last_lsn)
        return;
    while (before > 0 && !r->found[before - 1].counts)
        before--;
    if (before == 0)
        return; /* what came earlier has been released */
    before--;
    if (read_file(r, r->found[before].epoch, &data, NULL) == 0) {
        quarantine(r, r->found[before].epoch, data, "records missing at its end");
        free_data(data);
    }
}

static void keep_file(struct wal *w, uint32_t epoch, uint64_t size, uint64_t last_lsn)
{
    struct wal_file *f = calloc(1, sizeof(*f));

    check(f);
    *f = (struct wal_file){.epoch = epoch, .opened = true, .size = size, .last_lsn = last_lsn};
    if (w->last_file)
        w->last_file->next = f;
    else
        w->files = f;
    w->last_file = f;
    w->total_bytes += size;
}

/* The LSN up to which file `i` counts: where the next one that counts took over. */
static uint64_t limit_of(const struct replay *r, uint32_t i)
{
    for (uint32_t next = i + 1; next < r->count; next++)
        if (r->found[next].counts && !r->found[next].headless)
            return r->found[next].previous_last_lsn;
    return UINT64_MAX;
}

/* A torn group can be whole but for its file's header: it counts now, so it gets one. */
static void put_header(const struct wal *w, const struct found *f, struct str used)
{
    struct wal_header h = {.version = WAL_VERSION,
                           .epoch = f->epoch,
                           .first_lsn = f->first_lsn,
                           .previous_last_lsn = f->first_lsn - 1};

    if (used.len < WAL_HEADER_BYTES)
        return;
    memcpy(h.instance, w->o.instance, sizeof(h.instance));
    wal_header_put(&h, (uint8_t *)(uintptr_t)used.p);
}

/*
 * After a kill the last records may be in the page cache alone, and after a
 * failed sync they may never leave it. From now on they count, so they are
 * written again, to a new file that takes the name when it is durable. A disk
 * without room for that must not keep the store from starting: then a sync has
 * to do.
 */
static int write_again(struct wal *w, const struct found *from, struct str used, struct err *err)
{
    static const char copy[] = "wal/spare-copy";
    char path[WAL_PATH_MAX];
    struct fs_file *f;
    struct err no_room;
    int rc;

    wal_path(from->epoch, path);
    if (from->headless)
        put_header(w, from, used);
    if ((rc = fs_open(w->o.fs, copy, FS_WRITE | FS_CREATE, &f, &no_room)) == 0) {
        if ((rc = fs_pwrite(f, used.p, used.len, 0, &no_room)) == 0)
            rc = fs_datasync(f, &no_room);
        fs_close(f);
    }
    if (rc == 0 && (rc = fs_rename(w->o.fs, copy, path, &no_room)) == 0)
        rc = fs_sync_dir(w->o.fs, "wal", &no_room);
    if (rc == 0)
        return 0;
    log_warn("the end of the log could not be written again", LOG_ERR(&no_room));
    if ((rc = fs_open(w->o.fs, path, FS_WRITE, &f, err)) != 0)
        return rc;
    rc = fs_datasync(f, err);
    fs_close(f);
    return rc;
}

/*
 * A file that does not count goes. If LSNs are missing it may be where they
 * were: then a copy is kept.
 */
static void drop_file(struct replay *r, const struct found *f, const char *path)
{
    struct str data;

    if (f->garbage && r->report->files_quarantined > 0 &&
        read_file(r, f->epoch, &data, NULL) == 0) {
        quarantine(r, f->epoch, data, "no header and no record");
        free_data(data);
    }
    (void)fs_unlink(r->w->o.fs, path, NULL);
}

static int second_pass(struct replay *r, struct err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
        struct found *f = &r->found[i];
        uint64_t file_last = 0, used = 0;
        char path[WAL_PATH_MAX];
        struct str data;

        wal_path(f->epoch, path);
        if (!f->counts) {
            drop_file(r, f, path);
            continue;
        }
        check_complete(r, i);
        if (f->headless)
            f->first_lsn = r->last_lsn + 1;
        if ((rc = read_file(r, f->epoch, &data, err)) != 0)
            return rc;
        r->report->files++;
        rc = replay_file(r, f, data, limit_of(r, i), &file_last, &used, err);
        if (rc == 0)
            keep_file(r->w, f->epoch, data.len, file_last);
        if (rc == 0 && limit_of(r, i) == UINT64_MAX)
            rc = write_again(r->w, f, str_slice(data, 0, used), err);
        free_data(data);
    }
    return rc;
}

/* Is there a record that is no push? Where the file is damaged, it may not be seen. */
static bool has_others(struct str data)
{
    uint64_t offset = WAL_HEADER_BYTES;

    while (offset + WAL_RECORD_BYTES <= data.len && data.p[offset + 4] == WAL_PUSH)
        offset += wal_record_size(get_le32(data.p + offset));
    return offset + WAL_RECORD_BYTES <= data.len && data.p[offset + 4] != 0;
}

/*
 * What is not a push may say that earlier pushes do not matter any more: whoever
 * replays them wants to know first. The same records as in the second pass.
 */
static int early_pass(const struct replay *r, struct err *err)
{
    struct wal_replay_report none = {0};
    struct replay e = *r;
    int rc = 0;

    e.early = true;
    e.fn = r->w->o.early;
    e.report = &none;
    for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
        struct found f = r->found[i];
        uint64_t file_last = 0, used = 0;
        struct str data;

        if (!f.counts)
            continue;
        if (f.headless)
            f.first_lsn = e.last_lsn + 1;
        if ((rc = read_file(&e, f.epoch, &data, err)) != 0)
            return rc;
        rc = replay_file(&e, &f, data, limit_of(r, i), &file_last, &used, err);
        free_data(data);
    }
    return rc;
}

static int first_pass(struct replay *r, struct err *err)
{
    int rc = fs_list(r->w->o.fs, "wal", note_name, r, err);

    qsort(r->found, r->count, sizeof(*r->found), by_epoch);
    for (uint32_t i = 0; rc == 0 && i < r->count; i++) {
        struct str data;

        if ((rc = read_file(r, r->found[i].epoch, &data, err)) != 0) {
            if (r->dry && rc == ERR_NOT_FOUND) { /* released meanwhile */
                rc = 0;
                continue;
            }
            break;
        }
        classify(r, &r->found[i], data);
        r->others = r->others || (r->found[i].counts && has_others(data));
        free_data(data);
    }
    return rc;
}

/* The lowest LSN that a file may still hold; 0 when the first file does not say. */
static uint64_t first_lsn_of(const struct replay *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->found[i].counts)
            return r->found[i].headless ? 0 : r->found[i].first_lsn;
    return r->last_lsn + 1;
}

int wal_replay_files(struct wal *w, wal_replay_fn fn, void *ctx, struct wal_replay_report *report,
                     uint64_t *last_lsn, struct err *err)
{
    struct replay r = {.w = w, .fn = fn, .ctx = ctx, .report = report};
    int rc;

    r.found = calloc(FILES_MAX, sizeof(*r.found));
    check(r.found);
    rc = first_pass(&r, err);
    if (rc == 0 && r.others && w->o.early)
        rc = early_pass(&r, err);
    if (rc == 0)
        rc = second_pass(&r, err);
    if (r.count > 0)
        w->epoch = r.found[r.count - 1].epoch;
    if (r.last_lsn < w->o.lsn_min)
        r.last_lsn = w->o.lsn_min;
    w->first_lsn = first_lsn_of(&r);
    free(r.found);
    report->last_lsn = r.last_lsn;
    w->next_lsn = r.last_lsn + 1;
    *last_lsn = r.last_lsn;
    return rc;
}

/* ---- looking without touching ---- */

static int check_file(struct replay *r, uint32_t i, struct err *err)
{
    struct found *f = &r->found[i];
    uint64_t file_last = 0, used = 0;
    struct str data;
    int rc;

    check_complete(r, i);
    if (f->headless)
        f->first_lsn = r->last_lsn + 1;
    rc = read_file(r, f->epoch, &data, err);
    if (rc != 0)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    r->report->files++;
    rc = replay_file(r, f, data, limit_of(r, i), &file_last, &used, err);
    free_data(data);
    return rc;
}

int wal_check(struct fs *fs, const uint8_t instance[16], wal_replay_fn each, wal_damage_fn damage,
              void *ctx, struct wal_replay_report *report, struct err *err)
{
    struct wal w = {.o.fs = fs};
    struct replay r = {
        .w = &w, .fn = each, .ctx = ctx, .report = report, .dry = true, .damage = damage};
    int rc;

    memset(report, 0, sizeof(*report));
    memcpy(w.o.instance, instance, sizeof(w.o.instance));
    r.found = calloc(FILES_MAX, sizeof(*r.found));
    check(r.found);
    rc = first_pass(&r, err);
    if (rc == ERR_NOT_FOUND)
        rc = 0; /* no log */
    for (uint32_t i = 0; rc == 0 && i < r.count; i++)
        if (r.found[i].counts)
            rc = check_file(&r, i, err);
    report->last_lsn = r.last_lsn;
    free(r.found);
    return rc;
}

#include "storage/wal.h"

#include "storage/wal_internal.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A file filled faster than this: the next one is larger. */
#define ROTATE_FAST_NS (10 * NS_PER_S)

static uint32_t spares_wanted(const struct wal *w)
{
    return w->file_bytes > WAL_SPARE_LARGE ? 1 : WAL_SPARES;
}

uint32_t wal_epoch(const struct wal *wal)
{
    struct wal *w = (struct wal *)(uintptr_t)wal;
    uint32_t epoch;

    mutex_lock(&w->mu);
    epoch = w->epoch;
    mutex_unlock(&w->mu);
    return epoch;
}

uint64_t wal_durable_lsn(const struct wal *wal)
{
    return atomic_load_explicit(&wal->durable_lsn, memory_order_acquire);
}

uint64_t wal_last_lsn(const struct wal *wal)
{
    struct wal *w = (struct wal *)(uintptr_t)wal;
    uint64_t lsn;

    mutex_lock(&w->mu);
    lsn = w->next_lsn - 1;
    mutex_unlock(&w->mu);
    return lsn;
}

uint64_t wal_first_lsn(const struct wal *wal)
{
    struct wal *w = (struct wal *)(uintptr_t)wal;
    uint64_t lsn;

    mutex_lock(&w->mu);
    lsn = w->first_lsn;
    mutex_unlock(&w->mu);
    return lsn;
}

bool wal_assign_spare(struct wal *w, uint32_t epoch, uint64_t bytes)
{
    for (uint32_t i = 0; i < w->spare_count; i++) {
        struct wal_file *f;

        if (w->spares[i].size < bytes)
            continue;
        f = calloc(1, sizeof(*f));
        check(f);
        f->epoch = epoch;
        f->spare_number = w->spares[i].number;
        f->size = w->spares[i].size;
        w->spares[i] = w->spares[--w->spare_count];
        if (w->last_file)
            w->last_file->next = f;
        else
            w->files = f;
        w->last_file = f;
        return true;
    }
    return false;
}

/* Spares do not count: there is always one more, for the groups of a file that cannot be synced. */
static bool is_full(const struct wal *w, uint64_t more)
{
    uint64_t used = 0;

    for (const struct wal_file *f = w->files; f; f = f->next)
        used += f->size;
    return used > 0 && used + more > w->o.bytes_max;
}

/* The next file for appends; ERR_BUSY or ERR_NO_SPACE when there is none yet. */
static int rotate(struct wal *w, enum wal_type type, uint64_t record_bytes, struct err *err)
{
    uint64_t bytes = WAL_HEADER_BYTES + record_bytes + w->room_kept;
    int64_t now = clock_mono_ns(w->o.clock);

    if (bytes > w->o.bytes_max / 2)
        return err_set(err, ERR_TOO_LARGE,
                       "%llu bytes of log for one push: at most half of wal.max_bytes (%llu)",
                       (unsigned long long)bytes, (unsigned long long)w->o.bytes_max);
    if (type == WAL_PUSH && is_full(w, bytes > w->file_bytes ? bytes : w->file_bytes))
        return err_set(err, ERR_BUSY,
                       "the log is full (wal.bytes_max %llu): sealing is behind, retry later",
                       (unsigned long long)w->o.bytes_max);
    if (!wal_assign_spare(w, w->epoch + 1, bytes)) {
        w->want_bytes = bytes;
        w->woken = true;
        cond_signal(&w->more);
        return w->no_space
                   ? err_set(err, ERR_NO_SPACE, "no space for another log file of %llu bytes",
                             (unsigned long long)bytes)
                   : err_set(err, ERR_BUSY, "no log file is ready yet, retry later");
    }
    if (w->rotated_mono_ns != 0 && now - w->rotated_mono_ns < ROTATE_FAST_NS &&
        w->file_bytes * 2 <= w->o.file_bytes_max)
        w->file_bytes *= 2;
    w->rotated_mono_ns = now;
    w->epoch++;
    w->file_room = w->last_file->size - WAL_HEADER_BYTES;
    w->woken = true; /* spares want making, and the group of the old file is complete */
    cond_signal(&w->more);
    return 0;
}

static struct wal_group *open_group(struct wal *w)
{
    struct wal_group *g = w->last_group;

    if (g && g->epoch == w->epoch)
        return g;
    g = w->idle;
    w->idle = NULL;
    if (!g)
        g = calloc(1, sizeof(*g));
    check(g);
    g->next = NULL;
    g->size = 0;
    g->epoch = w->epoch;
    g->first_lsn = w->next_lsn;
    g->opened_mono_ns = clock_mono_ns(w->o.clock);
    if (w->last_group)
        w->last_group->next = g;
    else
        w->groups = g;
    w->last_group = g;
    return g;
}

static int group_reserve(struct wal_group *g, uint64_t size, struct err *err)
{
    uint64_t cap = g->cap ? g->cap : 64 << 10;
    uint8_t *data;

    if (size <= g->cap - g->size)
        return 0;
    while (cap < g->size + size)
        cap *= 2;
    data = realloc(g->data, cap);
    if (!data)
        return err_set(err, ERR_BUSY, "no memory for a log group of %llu bytes",
                       (unsigned long long)cap);
    g->data = data;
    g->cap = cap;
    return 0;
}

static int append_locked(struct wal *w, uint32_t epoch, enum wal_type type, struct str payload,
                         uint64_t *lsn, struct err *err)
{
    uint64_t size = wal_record_size(payload.len);
    struct wal_group *g;
    int rc;

    if (atomic_load(&w->read_only))
        return err_set(err, ERR_IO,
                       "the log is read-only: writing or syncing it failed; restart after the "
                       "disk has been checked");
    if (w->pending_bytes > 0 && w->pending_bytes + size > w->o.group_bytes_max)
        return err_set(err, ERR_BUSY, "%llu bytes wait for the log's disk, retry later",
                       (unsigned long long)w->pending_bytes);
    if (epoch == w->epoch && size + (type == WAL_PUSH ? w->room_kept : 0) > w->file_room &&
        (rc = rotate(w, type, size, err)) != 0)
        return rc;
    if (epoch != w->epoch)
        return err_set(err, ERR_STALE, "log file %u is complete", epoch);
    g = open_group(w);
    if ((rc = group_reserve(g, size, err)) != 0)
        return rc;
    *lsn = w->next_lsn++;
    wal_record_put(
        &(struct wal_record){
            .type = (uint8_t)type, .encode_epoch = epoch, .lsn = *lsn, .payload = payload},
        g->data + g->size);
    g->last_lsn = *lsn;
    g->size += size;
    w->pending_bytes += size;
    w->file_room -= size;
    w->stats.records++;
    if (g->size == size || g->size >= WAL_GROUP_BYTES)
        cond_signal(&w->more);
    return 0;
}

int wal_append(struct wal *wal, uint32_t epoch, enum wal_type type, struct str payload,
               uint64_t *lsn, struct err *err)
{
    int rc;

    if (payload.len > UINT32_MAX - WAL_RECORD_BYTES)
        return err_set(err, ERR_TOO_LARGE, "a log record of %zu bytes", payload.len);
    mutex_lock(&wal->mu);
    rc = append_locked(wal, epoch, type, payload, lsn, err);
    mutex_unlock(&wal->mu);
    return rc;
}

static bool is_due(const struct wal *w, bool hurry)
{
    const struct wal_group *g = w->groups;

    return g && (hurry || g->next || g->size >= WAL_GROUP_BYTES ||
                 clock_mono_ns(w->o.clock) - g->opened_mono_ns >= w->o.window_ns);
}

/* Takes the first group off the queue; the open one is closed by that. */
static struct wal_group *take_group(struct wal *w, bool hurry)
{
    struct wal_group *g = NULL;

    mutex_lock(&w->mu);
    if (is_due(w, hurry)) {
        g = w->groups;
        w->groups = g->next;
        if (!w->groups)
            w->last_group = NULL;
        g->next = NULL;
    }
    mutex_unlock(&w->mu);
    return g;
}

/* Back to where it came from: it is the oldest. */
static void put_first(struct wal *w, struct wal_group *g)
{
    mutex_lock(&w->mu);
    g->next = w->groups;
    w->groups = g;
    if (!w->last_group)
        w->last_group = g;
    mutex_unlock(&w->mu);
}

static void set_blocked(struct wal *w, bool blocked)
{
    mutex_lock(&w->mu);
    w->blocked = blocked;
    mutex_unlock(&w->mu);
}

static void give_back(struct wal *w, struct wal_group *g)
{
    mutex_lock(&w->mu);
    w->pending_bytes -= g->size;
    w->stats.groups++;
    if (!w->idle && g->cap <= 4 * WAL_GROUP_BYTES) {
        w->idle = g;
        g = NULL;
    }
    mutex_unlock(&w->mu);
    if (g) {
        free(g->data);
        free(g);
    }
}

int wal_commit_group(struct wal *wal, bool hurry, struct err *err)
{
    struct wal_group *g;
    int rc;

    if (atomic_load(&wal->read_only))
        return err_set(err, ERR_IO, "the log is read-only after a failed sync");
    g = take_group(wal, hurry);
    if (!g) {
        if (wal->o.sync == WAL_SYNC_INTERVAL && wal->unsynced_size > 0 &&
            (hurry || clock_mono_ns(wal->o.clock) - wal->synced_mono_ns >= wal->o.interval_ns))
            return wal_sync_now(wal, err);
        return 0;
    }
    rc = wal_commit_one(wal, g, err);
    set_blocked(wal, rc == ERR_NO_SPACE && !atomic_load(&wal->read_only));
    if (rc == ERR_NO_SPACE && !atomic_load(&wal->read_only)) {
        put_first(wal, g);
        return rc;
    }
    give_back(wal, g);
    return rc == 0 ? 1 : rc;
}

void wal_wait(struct wal *wal)
{
    mutex_lock(&wal->mu);
    if (!wal->woken && !is_due(wal, false)) {
        int64_t wait = wal->o.interval_ns;

        if (wal->groups)
            wait = wal->groups->opened_mono_ns + wal->o.window_ns - clock_mono_ns(wal->o.clock);
        (void)cond_wait_for(&wal->more, &wal->mu, wait);
    }
    wal->woken = false;
    mutex_unlock(&wal->mu);
}

void wal_wake(struct wal *wal)
{
    mutex_lock(&wal->mu);
    wal->woken = true;
    cond_signal(&wal->more);
    mutex_unlock(&wal->mu);
}

static int write_zeroes(struct fs_file *f, uint64_t size, struct err *err)
{
    uint8_t *zero = calloc(1, WAL_ZERO_CHUNK);
    int rc = 0;

    check(zero);
    for (uint64_t at = 0; rc == 0 && at < size; at += WAL_ZERO_CHUNK)
        rc = fs_pwrite(f, zero, size - at < WAL_ZERO_CHUNK ? size - at : WAL_ZERO_CHUNK, at, err);
    free(zero);
    return rc == 0 ? fs_datasync(f, err) : rc;
}

static int make_spare(struct wal *w, uint32_t number, uint64_t size, struct err *err)
{
    char path[WAL_PATH_MAX];
    struct fs_file *f;
    int rc;

    wal_spare_path(number, path);
    if ((rc = fs_open(w->o.fs, path, FS_WRITE | FS_CREATE, &f, err)) != 0)
        return rc;
    rc = write_zeroes(f, size, err);
    fs_close(f);
    if (rc != 0)
        (void)fs_unlink(w->o.fs, path, NULL);
    return rc;
}

int wal_prepare_spare(struct wal *wal, struct err *err)
{
    uint64_t size;
    uint32_t number;
    int rc;

    mutex_lock(&wal->mu);
    size = wal->want_bytes > wal->file_bytes ? wal->want_bytes : wal->file_bytes;
    if ((wal->spare_count >= spares_wanted(wal) && wal->want_bytes == 0) ||
        wal->spare_count == WAL_SPARES_MAX || atomic_load(&wal->read_only) ||
        (wal->spare_count > 0 && wal->total_bytes + size > wal->o.bytes_max)) {
        mutex_unlock(&wal->mu);
        return 0;
    }
    number = wal->spare_number++;
    wal->want_bytes = 0;
    mutex_unlock(&wal->mu);

    rc = make_spare(wal, number, size, err);
    mutex_lock(&wal->mu);
    wal->no_space = rc == ERR_NO_SPACE;
    if (rc == 0) {
        wal->spares[wal->spare_count++] = (struct wal_spare){number, size};
        wal->total_bytes += size;
    }
    mutex_unlock(&wal->mu);
    return rc == 0 ? 1 : rc;
}

/* The first file, if all its records are below the floor; it stays in the list until it is gone. */
static struct wal_file *find_released(const struct wal *w, uint64_t floor)
{
    struct wal_file *f = w->files;

    /* The next one must be durable: it says where this one ended. */
    if (!f || !f->next || !f->opened || f->next->last_lsn == 0 || f->last_lsn >= floor)
        return NULL;
    return f;
}

/*
 * Takes a file's name away, durably: files go one at a time, so that after a
 * power cut none is missing between two others. A name that is gone already is
 * what an earlier try left.
 */
static int remove_name(struct wal *w, const struct wal_file *f, const char *spare, struct err *err)
{
    char path[WAL_PATH_MAX];
    int rc;

    wal_path(f->epoch, path);
    rc = spare ? fs_rename(w->o.fs, path, spare, err) : fs_unlink(w->o.fs, path, err);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    return fs_sync_dir(w->o.fs, "wal", err);
}

int wal_release(struct wal *wal, uint64_t floor, struct err *err)
{
    for (;;) {
        char spare[WAL_PATH_MAX];
        struct wal_file *f;
        uint32_t number;
        bool keep;
        int rc;

        mutex_lock(&wal->mu);
        f = find_released(wal, floor);
        keep =
            f && !f->leaving && wal->spare_count < spares_wanted(wal) && f->size == wal->file_bytes;
        number = wal->spare_number;
        if (f)
            f->leaving = true;
        if (keep)
            wal->spare_number++;
        mutex_unlock(&wal->mu);
        if (!f)
            return 0;
        wal_spare_path(number, spare);
        if ((rc = remove_name(wal, f, keep ? spare : NULL, err)) != 0)
            return rc;
        mutex_lock(&wal->mu);
        wal->files = f->next;
        if (f->last_lsn >= wal->first_lsn)
            wal->first_lsn = f->last_lsn + 1;
        if (keep)
            wal->spares[wal->spare_count++] = (struct wal_spare){number, f->size};
        else
            wal->total_bytes -= f->size;
        mutex_unlock(&wal->mu);
        free(f);
    }
}

void wal_list(struct wal *wal, struct buf *text)
{
    mutex_lock(&wal->mu);
    for (const struct wal_file *f = wal->files; f; f = f->next) {
        char path[WAL_PATH_MAX];

        wal_path(f->epoch, path);
        if (f->opened && !f->leaving)
            (void)buf_printf(text, "file %" PRIu64 " %s\n", f->size, path);
    }
    mutex_unlock(&wal->mu);
}

void wal_stats(const struct wal *wal, struct wal_stats *out)
{
    struct wal *w = (struct wal *)(uintptr_t)wal;

    mutex_lock(&w->mu);
    *out = w->stats;
    out->bytes_total = w->total_bytes;
    out->bytes_pending = w->pending_bytes;
    out->spares = w->spare_count;
    out->no_space = w->no_space;
    out->blocked = w->blocked;
    out->files = 0;
    for (const struct wal_file *f = w->files; f; f = f->next)
        out->files++;
    mutex_unlock(&w->mu);
    out->read_only = atomic_load(&w->read_only);
}

static void wal_free(struct wal *w)
{
    for (struct wal_file *f = w->files, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    for (struct wal_group *g = w->groups, *next; g; g = next) {
        next = g->next;
        free(g->data);
        free(g);
    }
    if (w->idle)
        free(w->idle->data);
    free(w->idle);
    free(w->unsynced);
    fs_close(w->file);
    cond_destroy(&w->more);
    mutex_destroy(&w->mu);
    free(w);
}

int wal_open(const struct wal_options *options, wal_replay_fn replay, void *ctx,
             struct wal_replay_report *report, struct wal **out, struct err *err)
{
    struct wal *w = calloc(1, sizeof(*w));
    uint64_t last_lsn = 0;
    int rc;

    check(w);
    w->o = *options;
    mutex_init(&w->mu, MUTEX_RANK_WAL, "wal");
    cond_init(&w->more);
    w->file_bytes = options->file_bytes_min;
    w->room_kept = options->file_bytes_min / WAL_ROOM_PART;
    if (w->room_kept > WAL_ROOM_KEPT)
        w->room_kept = WAL_ROOM_KEPT;
    memset(report, 0, sizeof(*report));
    rc = fs_make_dirs(options->fs, "wal", err);
    if (rc == 0)
        rc = wal_replay_files(w, replay, ctx, report, &last_lsn, err);
    if (rc != 0) {
        wal_free(w);
        return rc;
    }
    atomic_store(&w->durable_lsn, last_lsn);
    atomic_store(&w->synced_lsn, last_lsn);
    /* A disk without room may still answer questions: appends will say ERR_NO_SPACE. */
    rc = wal_prepare_spare(w, err);
    if (rc < 0 && rc != ERR_NO_SPACE) {
        wal_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

int wal_close(struct wal *wal, struct err *err)
{
    int rc = 0;

    if (!wal)
        return 0;
    if (!atomic_load(&wal->read_only))
        do
            rc = wal_commit_group(wal, true, err);
        while (rc > 0);
    wal_free(wal);
    return rc;
}

/* The committing side of the WAL: files in use, writing, syncing, and failing at that. */
#include "storage/wal_internal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static struct wal_file *find_file(struct wal *w, uint32_t epoch)
{
    for (struct wal_file *f = w->files; f; f = f->next)
        if (f->epoch == epoch)
            return f;
    check_unreachable();
}

static int write_header(struct wal *w, uint32_t epoch, uint64_t first_lsn, uint64_t previous,
                        struct err *err)
{
    struct wal_header h = {.version = WAL_VERSION,
                           .epoch = epoch,
                           .first_lsn = first_lsn,
                           .previous_last_lsn = previous};
    uint8_t raw[WAL_HEADER_BYTES];

    memcpy(h.instance, w->o.instance, sizeof(h.instance));
    wal_header_put(&h, raw);
    return fs_pwrite(w->file, raw, sizeof(raw), 0, err);
}

/*
 * Gives the spare of `epoch` its name, and only when that name is durable
 * writes to it: content under an older name would be taken for that one's.
 */
static int open_file(struct wal *w, uint32_t epoch, uint64_t first_lsn, struct err *err)
{
    uint64_t previous = atomic_load(&w->synced_lsn);
    char path[WAL_PATH_MAX], spare[WAL_PATH_MAX];
    struct wal_file *f;
    uint32_t number;
    int rc;

    mutex_lock(&w->mu);
    f = find_file(w, epoch);
    number = f->spare_number;
    w->file_size = f->size;
    mutex_unlock(&w->mu);
    wal_path(epoch, path);
    wal_spare_path(number, spare);
    fs_close(w->file);
    w->file = NULL;
    if (!f->named && (rc = fs_rename(w->o.fs, spare, path, err)) != 0)
        return rc;
    mutex_lock(&w->mu);
    f->named = true;
    mutex_unlock(&w->mu);
    if ((rc = fs_sync_dir(w->o.fs, "wal", err)) != 0 ||
        (rc = fs_open(w->o.fs, path, FS_WRITE, &w->file, err)) != 0 ||
        (rc = write_header(w, epoch, first_lsn, previous, err)) != 0)
        return rc;
    w->file_epoch = epoch;
    w->offset = WAL_HEADER_BYTES;
    mutex_lock(&w->mu);
    f->opened = true;
    mutex_unlock(&w->mu);
    return 0;
}

static void seal_records(uint8_t *data, uint64_t size, uint32_t epoch, uint64_t durable_lsn)
{
    for (uint64_t at = 0; at < size;) {
        wal_record_seal(data + at, epoch, durable_lsn);
        at += wal_record_size(get_le32(data + at));
    }
}

static int write_records(struct wal *w, uint8_t *data, uint64_t size, struct err *err)
{
    int rc;

    check(size <= w->file_size - w->offset);
    seal_records(data, size, w->file_epoch, atomic_load(&w->synced_lsn));
    if ((rc = fs_pwrite(w->file, data, size, w->offset, err)) == 0)
        w->offset += size;
    return rc;
}

static void keep_unsynced(struct wal *w, const struct wal_group *g)
{
    if (w->unsynced_cap - w->unsynced_size < g->size) {
        w->unsynced_cap = (w->unsynced_size + g->size) * 2;
        w->unsynced = realloc(w->unsynced, w->unsynced_cap);
        check(w->unsynced);
    }
    memcpy(w->unsynced + w->unsynced_size, g->data, g->size);
    w->unsynced_size += g->size;
}

static int sync_file(struct wal *w, uint64_t lsn, struct err *err)
{
    int rc = fs_datasync(w->file, err);

    if (rc != 0)
        return rc;
    w->synced_mono_ns = clock_mono_ns(w->o.clock);
    w->unsynced_size = 0;
    atomic_store_explicit(&w->synced_lsn, lsn, memory_order_release);
    return 0;
}

/*
 * Writes the group, and syncs it when its acknowledgement waits for that. *again: no
 * room, and nothing that a later try could not do over.
 */
static int write_group(struct wal *w, struct wal_group *g, bool *again, struct err *err)
{
    bool interval = w->o.sync == WAL_SYNC_INTERVAL;
    int64_t now = clock_mono_ns(w->o.clock);
    int rc;

    *again = false;
    /* What the old file holds unsynced must be safe before the next one begins. */
    if (g->epoch != w->file_epoch && w->unsynced_size > 0 &&
        (rc = sync_file(w, g->first_lsn - 1, err)) != 0)
        return rc;
    if (g->epoch != w->file_epoch)
        rc = open_file(w, g->epoch, g->first_lsn, err);
    else
        rc = 0;
    if (rc == 0)
        rc = write_records(w, g->data, g->size, err);
    if (rc != 0) {
        *again = rc == ERR_NO_SPACE && !interval;
        return rc;
    }
    if (interval) {
        keep_unsynced(w, g);
        if (now - w->synced_mono_ns < w->o.interval_ns)
            return 0;
    }
    return sync_file(w, g->last_lsn, err);
}

/* Sends everything that waits to `epoch`, and takes back the spares it was meant for. */
static void redirect(struct wal *w, uint32_t epoch)
{
    struct wal_file **at = &w->files;

    while (*at) {
        struct wal_file *f = *at;

        if (f->opened || f->epoch == epoch) {
            w->last_file = f;
            at = &f->next;
            continue;
        }
        *at = f->next;
        /* What failed under its final name is swept at the next start. */
        if (!f->named && w->spare_count < WAL_SPARES_MAX)
            w->spares[w->spare_count++] = (struct wal_spare){f->spare_number, f->size};
        free(f);
    }
    for (struct wal_group *g = w->groups; g; g = g->next)
        g->epoch = epoch;
}

/* A new epoch on a spare with room for all that is not durable. */
static int move_to_spare(struct wal *w, uint64_t unsynced_bytes, uint32_t *epoch, struct err *err)
{
    uint64_t bytes = WAL_HEADER_BYTES + unsynced_bytes;
    int rc = 0;

    mutex_lock(&w->mu);
    for (const struct wal_group *g = w->groups; g; g = g->next)
        bytes += g->size;
    *epoch = w->epoch + 1;
    if (!wal_assign_spare(w, *epoch, bytes)) {
        rc = err_set(err, ERR_IO, "no spare log file of %llu bytes to write again",
                     (unsigned long long)bytes);
    } else {
        w->epoch = *epoch;
        w->file_room = w->last_file->size - bytes;
        redirect(w, *epoch);
    }
    w->stats.sync_failures++;
    mutex_unlock(&w->mu);
    return rc;
}

/*
 * Linux marks pages clean after a failed sync: the file cannot be trusted again.
 * Everything unsynced goes to a spare under the same LSNs; the header there
 * says where the old file stops to count.
 */
static int write_elsewhere(struct wal *w, struct wal_group *g, struct err *err)
{
    uint64_t first_lsn = atomic_load(&w->synced_lsn) + 1;
    uint64_t again = w->o.sync == WAL_SYNC_INTERVAL ? w->unsynced_size : 0;
    uint32_t epoch;
    int rc = move_to_spare(w, again + g->size, &epoch, err);

    if (rc != 0 || (rc = open_file(w, epoch, first_lsn, err)) != 0)
        return rc;
    g->epoch = epoch;
    if (again > 0 && (rc = write_records(w, w->unsynced, again, err)) != 0)
        return rc;
    if ((rc = write_records(w, g->data, g->size, err)) != 0)
        return rc;
    return sync_file(w, g->last_lsn, err);
}

static void note_committed(struct wal *w, const struct wal_group *g)
{
    mutex_lock(&w->mu);
    find_file(w, g->epoch)->last_lsn = g->last_lsn;
    w->stats.syncs++;
    mutex_unlock(&w->mu);
    atomic_store_explicit(&w->durable_lsn, g->last_lsn, memory_order_release);
}

int wal_commit_one(struct wal *w, struct wal_group *g, struct err *err)
{
    /* Whether the group is kept twice after a failure must not depend on where it failed. */
    uint64_t kept = w->unsynced_size;
    struct err first;
    bool again;
    int rc = write_group(w, g, &again, &first);

    if (rc != 0 && again)
        return err_set(err, ERR_NO_SPACE, "the log waits for room: %.400s", first.msg);
    if (rc != 0) {
        log_error("log file failed, writing to another", LOG_ERR(&first),
                  LOG_U64("epoch", g->epoch));
        w->unsynced_size = kept;
        rc = write_elsewhere(w, g, err);
    }
    if (rc != 0) {
        atomic_store(&w->read_only, true);
        return err_prefix(err, "log is read-only until restart; first failure: %.160s", first.msg);
    }
    note_committed(w, g);
    return 0;
}

int wal_sync_now(struct wal *w, struct err *err)
{
    struct wal_group none = {.epoch = w->file_epoch, .last_lsn = atomic_load(&w->durable_lsn)};
    struct err first;
    int rc = sync_file(w, none.last_lsn, &first);

    if (rc == 0)
        return 1;
    none.first_lsn = none.last_lsn + 1;
    rc = write_elsewhere(w, &none, err);
    if (rc == 0)
        return 1;
    atomic_store(&w->read_only, true);
    return err_prefix(err, "log is read-only until restart; first failure: %.160s", first.msg);
}

/*
 * What makes up the store at one LSN, held for as long as somebody copies it.
 *
 * Every row up to that LSN is in a segment of the list or in a file of the log, as for a start
 * after a power cut: heads that are sealed meanwhile are in the log still. The list is text, for
 * the tool that copies (server/backup/): `lsn N`, `id HEX`, `missing N`, then `file BYTES PATH`.
 */
#include "storage/storage_internal.h"

#include "storage/segment_format.h"
#include "storage/wal_format.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdlib.h>

/* Since the last word of who copies; the log may not grow for longer than that. */
#define LEASE_NS (600 * NS_PER_S)
#define LOG_HOLD_NS (120 * NS_PER_S)

bool storage_backup_holds_log(const struct storage *s)
{
    const struct backup_lease *l = &s->backup;

    return l->id != 0 && clock_mono_ns(s->o.clock) < l->log_until_mono_ns;
}

bool storage_backup_holds(const struct storage *s, const struct segment *seg)
{
    for (uint32_t i = 0; i < s->backup.count; i++)
        if (s->backup.segments[i] == seg)
            return true;
    return false;
}

/* Under s->mu. */
static void let_go(struct storage *s)
{
    for (uint32_t i = 0; i < s->backup.count; i++)
        segment_unref(s->backup.segments[i]);
    free(s->backup.segments);
    s->backup = (struct backup_lease){0};
}

static bool has_expired(const struct storage *s)
{
    return s->backup.id != 0 && clock_mono_ns(s->o.clock) >= s->backup.until_mono_ns;
}

static void hold(struct storage *s)
{
    struct backup_lease *l = &s->backup;
    int64_t now = clock_mono_ns(s->o.clock);

    do
        random_bytes(&l->id, sizeof(l->id));
    while (l->id == 0);
    l->until_mono_ns = now + LEASE_NS;
    l->log_until_mono_ns = now + LOG_HOLD_NS;
    l->segments = malloc((s->segment_count + 1) * sizeof(struct segment *));
    check(l->segments);
    for (uint32_t i = 0; i < s->segment_count; i++)
        l->segments[l->count++] = segment_ref(s->segments[i]);
}

static void put_segment(const struct segment_meta *m, struct buf *text)
{
    char path[SEGMENT_PATH_MAX];

    segment_path(m->tenant, m->day, m->id, m->level, SEGMENT_FILE_AGG, path);
    (void)buf_printf(text, "file %" PRIu64 " %s\n", m->agg_bytes, path);
    segment_path(m->tenant, m->day, m->id, m->level, SEGMENT_FILE_SMP, path);
    (void)buf_printf(text, "file %" PRIu64 " %s\n", m->smp_bytes, path);
}

static void put_list(struct storage *s, struct buf *text)
{
    struct storage_stats lost = {0};

    storage_count_missing(s, &lost);
    (void)buf_printf(text, "lsn %" PRIu64 "\nid %016" PRIx64 "\nmissing %u\n",
                     wal_durable_lsn(s->wal), s->backup.id,
                     lost.segments_quarantined + lost.logs_quarantined);
    wal_list(s->wal, text);
    for (uint32_t i = 0; i < s->backup.count; i++)
        put_segment(segment_meta(s->backup.segments[i]), text);
}

int storage_backup_begin(struct storage *s, struct buf *text, struct err *err)
{
    int rc = 0;

    mutex_lock(&s->release_mu); /* no file of the log is on its way out */
    mutex_lock(&s->mu);
    if (has_expired(s))
        let_go(s);
    if (s->backup.id != 0) {
        rc = err_set(err, ERR_BUSY, "a backup is being taken; it ends by itself within %d s",
                     (int)(LEASE_NS / NS_PER_S));
    } else {
        hold(s);
        put_list(s, text);
        if (text->failed) {
            let_go(s);
            rc = err_set(err, ERR_TOO_LARGE, "the list of %u segments needs more than %zu bytes",
                         s->segment_count, text->max);
        }
    }
    mutex_unlock(&s->mu);
    mutex_unlock(&s->release_mu);
    return rc;
}

static int find_lease(struct storage *s, uint64_t id, struct err *err)
{
    if (has_expired(s))
        let_go(s);
    if (id == 0 || s->backup.id != id)
        return err_set(err, ERR_NOT_FOUND,
                       "backup %016" PRIx64 " is not being taken (any more): begin again", id);
    return 0;
}

int storage_backup_renew(struct storage *s, uint64_t id, bool log_copied, struct err *err)
{
    int rc;

    mutex_lock(&s->mu);
    rc = find_lease(s, id, err);
    if (rc == 0 && log_copied && !storage_backup_holds_log(s) && s->backup.log_until_mono_ns != 0)
        rc = err_set(err, ERR_STALE, "copying the log took longer than %d s: begin again",
                     (int)(LOG_HOLD_NS / NS_PER_S));
    if (rc == 0) {
        s->backup.until_mono_ns = clock_mono_ns(s->o.clock) + LEASE_NS;
        if (log_copied)
            s->backup.log_until_mono_ns = 0;
    }
    mutex_unlock(&s->mu);
    return rc;
}

int storage_backup_end(struct storage *s, uint64_t id, struct err *err)
{
    int rc;

    mutex_lock(&s->mu);
    if ((rc = find_lease(s, id, err)) == 0)
        let_go(s);
    mutex_unlock(&s->mu);
    return rc;
}

int storage_step_backup(struct storage *s, struct err *err)
{
    (void)err;
    mutex_lock(&s->mu);
    if (has_expired(s))
        let_go(s);
    mutex_unlock(&s->mu);
    return 0;
}

void storage_backup_close(struct storage *s)
{
    let_go(s);
}

bool storage_is_instance(const struct storage *s, struct str hex)
{
    static const char digits[] = "0123456789abcdef";
    unsigned int differs = hex.len != 2 * sizeof(s->instance);

    for (size_t i = 0; i < 2 * sizeof(s->instance); i++) {
        unsigned int nibble = s->instance[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15;

        differs |= (unsigned int)(i < hex.len ? hex.p[i] : 0) ^ (unsigned int)digits[nibble];
    }
    return differs == 0;
}

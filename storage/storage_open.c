/* Opening and closing: directory, lock, format, segments, replay; the other way round at the end.
 */
#include "storage/storage_internal.h"

#include "storage/format_file.h"
#include "storage/head_replay.h"
#include "storage/segment_scrub.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void storage_options_init(struct storage_options *o)
{
    *o = (struct storage_options){
        .clock = clock_system(),
        .wal_sync = WAL_SYNC_GROUP,
        .wal_window_ns = 20 * NS_PER_MS,
        .wal_interval_ns = NS_PER_S,
        .wal_file_bytes_min = 4ULL << 20,
        .wal_file_bytes_max = 64ULL << 20,
        .wal_bytes_max = 1ULL << 30,
        .head_bytes_max = 256ULL << 20,
        .head_seal_bytes = 64ULL << 20,
        .head_seal_age_ns = 7200 * NS_PER_S,
        .heads_per_tenant_max = 64,
        .cache_bytes_max = 64ULL << 20,
        .dedup = STORAGE_DEDUP_ID,
        .dedup_bytes_max = 32ULL << 20,
        .segment_bytes_max = 1ULL << 30,
        .compaction_age_ns = 2 * 3600 * NS_PER_S,
        .scrub_bytes_per_s = 20ULL << 20,
        .scrub_interval_ns = 30 * NS_PER_DAY,
    };
}

static int take_lock(struct storage *s, struct err *err)
{
    int rc = fs_open(s->o.fs, "LOCK", FS_WRITE | FS_CREATE, &s->lock, err);

    return rc == 0 ? fs_lock(s->lock, err) : rc;
}

static int read_format(struct storage *s, struct err *err)
{
    struct format_file f = {.major = FORMAT_FILE_MAJOR, .minor = FORMAT_FILE_MINOR};
    int rc = format_file_read(s->o.fs, &f, err);

    if (rc == ERR_NOT_FOUND) {
        random_bytes(f.instance, sizeof(f.instance));
        rc = format_file_write(s->o.fs, &f, err);
    }
    memcpy(s->instance, f.instance, sizeof(s->instance));
    return rc;
}

static int sweep_temp(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct storage *s = ctx;
    char path[FS_PATH_MAX];

    (void)err;
    if (!st->is_dir && strlen(name) < sizeof(path) - 8) {
        (void)snprintf(path, sizeof(path), "tmp/%s", name);
        (void)fs_unlink(s->o.fs, path, NULL);
    }
    return 0;
}

struct recovering {
    struct storage *s;
    struct head_replay *replay;
};

/* In a segment, or in one that was evicted. */
static bool is_sealed(const struct storage *s, uint64_t head_id)
{
    if (s->evicted_heads && u64map_get(s->evicted_heads, head_id))
        return true;
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        for (uint32_t k = 0; k < m->source_count; k++)
            if (m->sources[k].head_id == head_id)
                return true;
    }
    return false;
}

static struct head *find_head(void *ctx, uint64_t id, const struct head_key *key)
{
    struct storage *s = ((struct recovering *)ctx)->s;

    for (uint32_t i = 0; i < s->head_count; i++)
        if (s->heads[i]->id == id)
            return s->heads[i];
    if (is_sealed(s, id))
        return NULL;
    storage_add_head(s, head_new(key, id, s->o.head_bytes_max));
    return s->heads[s->head_count - 1];
}

static bool head_is_sealed(void *ctx, uint64_t id)
{
    return is_sealed(((struct recovering *)ctx)->s, id);
}

static void note_dedup(void *ctx, uint64_t key, int64_t time_ns)
{
    struct storage *s = ((struct recovering *)ctx)->s;
    int64_t now = clock_mono_ns(s->o.clock);
    uint64_t lsn;

    (void)time_ns;
    if (!dedup_find(s->dedup, key, now, &lsn))
        dedup_add(s->dedup, key, now, 0); /* durable long ago */
}

static int replay_early(void *ctx, const struct wal_replay_record *record, struct err *err)
{
    struct recovering *r = ctx;

    (void)err;
    if (record->type == WAL_EVICT)
        storage_note_evicted(r->s, record->payload);
    return 0;
}

static int replay_record(void *ctx, const struct wal_replay_record *record, struct err *err)
{
    struct recovering *r = ctx;

    (void)err;
    if (record->type == WAL_PUSH)
        head_replay_record(r->replay, record->lsn, record->epoch, record->payload);
    else
        (void)replay_early(ctx, record, err); /* damage before it may have hidden it then */
    return 0;
}

static uint64_t segments_last_lsn(const struct storage *s)
{
    uint64_t last = 0;

    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        for (uint32_t k = 0; k < m->source_count; k++)
            if (m->sources[k].lsn_last > last)
                last = m->sources[k].lsn_last;
    }
    return last;
}

static int open_wal(struct storage *s, struct storage_recovery *recovery, struct err *err)
{
    struct recovering r = {.s = s};
    struct head_replay_hooks hooks = {&r, find_head, head_is_sealed, note_dedup,
                                      clock_mono_ns(s->o.clock)};
    struct wal_options o = {
        .fs = s->o.fs,
        .clock = s->o.clock,
        .sync = s->o.wal_sync,
        .window_ns = s->o.wal_window_ns,
        .interval_ns = s->o.wal_interval_ns,
        .file_bytes_min = s->o.wal_file_bytes_min,
        .file_bytes_max = s->o.wal_file_bytes_max,
        .lsn_min = segments_last_lsn(s),
        .bytes_max = s->o.wal_bytes_max,
        .group_bytes_max = s->o.wal_bytes_max / 4,
        .early = replay_early,
    };
    struct head_replay_counts counts;
    int rc;

    memcpy(o.instance, s->instance, sizeof(o.instance));
    r.replay = head_replay_new(&hooks);
    rc = wal_open(&o, replay_record, &r, &recovery->wal, &s->wal, err);
    counts = head_replay_counts(r.replay);
    recovery->rows_replayed = counts.rows;
    recovery->rows_already_sealed = counts.rows_sealed;
    head_replay_free(r.replay);
    storage_apply_evicted(s, recovery);
    return rc;
}

static void storage_free(struct storage *s)
{
    storage_backup_close(s);
    segment_scrub_free(s->scrub);
    for (uint32_t i = 0; i < s->head_count; i++)
        head_unref(s->heads[i]);
    for (uint32_t i = 0; i < s->segment_count; i++)
        segment_unref(s->segments[i]);
    for (uint32_t i = 0; i < s->doomed_count; i++)
        segment_unref(s->doomed[i].segment);
    missing_release(&s->missing);
    missing_release(&s->left_behind);
    free(s->doomed);
    free(s->heads);
    free(s->segments);
    for (uint32_t i = 0; i < s->encoder_count; i++)
        encoder_free(s->encoders[i]);
    dedup_free(s->dedup);
    if (s->catalog)
        s->catalog->ops->close(s->catalog);
    segment_cache_free(s->cache);
    if (s->blobs)
        s->blobs->ops->free(s->blobs);
    fs_close(s->lock);
    fs_free(s->ledger);
    cond_destroy(&s->seal_more);
    mutex_destroy(&s->seal_mu);
    mutex_destroy(&s->catalog_mu);
    mutex_destroy(&s->acks_mu);
    mutex_destroy(&s->publish_mu);
    mutex_destroy(&s->release_mu);
    mutex_destroy(&s->mu);
    free(s);
}

static struct storage *storage_new(const struct storage_options *o)
{
    struct storage *s = calloc(1, sizeof(*s));

    check(s && o->fs && o->clock);
    s->o = *o;
    s->ledger = ledger_new(o->fs);
    s->o.fs = s->ledger;
    mutex_init(&s->mu, MUTEX_RANK_STORAGE, "storage");
    mutex_init(&s->release_mu, MUTEX_RANK_RELEASE, "release");
    mutex_init(&s->acks_mu, MUTEX_RANK_ACKS, "acks");
    mutex_init(&s->publish_mu, MUTEX_RANK_PUBLISH, "publish");
    mutex_init(&s->catalog_mu, MUTEX_RANK_CATALOG, "catalog");
    mutex_init(&s->seal_mu, MUTEX_RANK_QUEUE, "sealing");
    cond_init(&s->seal_more);
    missing_init(&s->missing);
    missing_init(&s->left_behind);
    s->dedup = dedup_new(o->dedup_bytes_max);
    s->cache = segment_cache_new(o->cache_bytes_max);
    return s;
}

int storage_open(const struct storage_options *o, struct storage **out,
                 struct storage_recovery *recovery, struct err *err)
{
    int64_t began = clock_mono_ns(o->clock);
    struct storage *s = storage_new(o);
    int rc;

    memset(recovery, 0, sizeof(*recovery));
    if ((rc = take_lock(s, err)) == 0 && (rc = ledger_walk(s->ledger, err)) == 0 &&
        (rc = storage_fit_limit(s, err)) == 0 && (rc = fs_make_dirs(s->o.fs, "tmp", err)) == 0 &&
        (rc = read_format(s, err)) == 0 &&
        (rc = fs_list(s->o.fs, "tmp", sweep_temp, s, err)) == 0 &&
        (rc = storage_load_segments(s, recovery, err)) == 0)
        rc = open_wal(s, recovery, err);
    if (rc == 0)
        rc = storage_load_missing(s, err);
    if (rc != 0) {
        storage_free(s);
        return rc;
    }
    storage_settle_limit(s);
    recovery->segments = s->segment_count;
    recovery->segments_quarantined = s->segments_quarantined;
    recovery->duration_ns = clock_mono_ns(o->clock) - began;
    *out = s;
    return 0;
}

int storage_close(struct storage *s, int64_t deadline_mono_ns, struct err *err)
{
    struct err failed;
    int rc, sealed;

    if (!s)
        return 0;
    storage_threads_stop(s);
    do
        rc = storage_step_commit(s, true, err);
    while (rc > 0);
    if (rc < 0)
        storage_complete_acks(s, err);
    do
        sealed = rc == 0 && clock_mono_ns(s->o.clock) < deadline_mono_ns
                     ? storage_step_seal(s, true, &failed)
                     : 0;
    while (sealed > 0);
    if (rc == 0)
        rc = wal_close(s->wal, err);
    else
        (void)wal_close(s->wal, &failed);
    s->wal = NULL;
    storage_free(s);
    return rc;
}

int storage_probe(struct storage *s, struct err *err)
{
    static const char text[] = "flamekeep probe\n";
    char back[sizeof(text)];
    struct wal_stats stats;
    struct fs_file *f;
    size_t got = 0;
    int rc;

    wal_stats(s->wal, &stats);
    if (stats.read_only)
        return err_set(err, ERR_IO, "the log is read-only after a failed sync");
    /* A full disk refuses pushes by itself; questions must still find their way here. */
    if ((rc = fs_open(s->o.fs, "tmp/probe", FS_WRITE | FS_CREATE, &f, err)) != 0)
        return rc == ERR_NO_SPACE ? 0 : rc;
    if ((rc = fs_pwrite(f, text, sizeof(text), 0, err)) == 0 && (rc = fs_datasync(f, err)) == 0)
        rc = fs_pread(f, back, sizeof(back), 0, &got, err);
    fs_close(f);
    if (rc == 0 && (got != sizeof(text) || memcmp(back, text, sizeof(text)) != 0))
        rc = err_set(err, ERR_IO, "'tmp/probe': what was written does not read back");
    (void)fs_unlink(s->o.fs, "tmp/probe", NULL);
    return rc == ERR_NO_SPACE ? 0 : rc;
}

void storage_stats(struct storage *s, struct storage_stats *out)
{
    struct dedup_stats retries;
    memset(out, 0, sizeof(*out));
    wal_stats(s->wal, &out->wal);
    storage_fill_disk(s, out);
    mutex_lock(&s->mu);
    out->heads = s->head_count;
    out->segments = s->segment_count;
    storage_count_missing(s, out);
    for (uint32_t i = 0; i < s->head_count; i++) {
        mutex_lock(&s->heads[i]->mu);
        out->head_rows += s->heads[i]->rows.count;
        mutex_unlock(&s->heads[i]->mu);
        out->head_bytes += head_bytes(s->heads[i]);
    }
    for (uint32_t i = 0; i < s->segment_count; i++) {
        const struct segment_meta *m = segment_meta(s->segments[i]);

        out->segment_bytes += m->agg_bytes + m->smp_bytes;
        out->segment_rows += m->rows;
        out->segment_samples += m->samples;
    }
    out->doomed = s->doomed_count;
    mutex_unlock(&s->mu);
    out->pushes = atomic_load(&s->pushes);
    out->rows = atomic_load(&s->rows);
    out->duplicates = atomic_load(&s->duplicates);
    dedup_stats(s->dedup, &retries);
    out->retry_keys = retries.keys;
    out->retry_bytes = retries.bytes;
    out->retries_forgotten = retries.turned_early;
    out->seals = atomic_load(&s->seals);
    out->seal_failures = atomic_load(&s->seal_failures);
    out->space = storage_space_state(s);
    out->evictions = atomic_load(&s->evictions);
    out->compactions = atomic_load(&s->compactions);
    out->compacted_bytes_in = atomic_load(&s->compacted_bytes_in);
    out->compacted_bytes_out = atomic_load(&s->compacted_bytes_out);
    out->compaction_failures = atomic_load(&s->compaction_failures);
    out->evicted_bytes = atomic_load(&s->evicted_bytes);
    out->scrub_bytes = atomic_load(&s->scrub_bytes);
    out->scrub_segments = atomic_load(&s->scrub_segments);
    out->scrub_findings = atomic_load(&s->scrub_findings);
    out->scrub_pass_ns = atomic_load(&s->scrub_pass_ns);
    out->evict_failures = atomic_load(&s->evict_failures);
}

/*
 * The store's eye on its space: what met the end, and whether there is room again.
 * Pushes ask storage_admit() before their body is read.
 */
#include "storage/storage_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <string.h>

#define LOOK_NS (5 * NS_PER_S) /* others fill and empty the volume */
#define LOOK_FULL_NS NS_PER_S
#define WALK_NS (3600 * NS_PER_S) /* what others left in the data directory */

enum {
    LOG_FILES = 2, /* of the reserve */
};

enum space_state storage_space_state(const struct storage *s)
{
    return (enum space_state)atomic_load(&s->space);
}

static const char *advice(const struct storage *s)
{
    return storage_may_evict(s)
               ? "nothing more can be deleted to make room; enlarge the volume, or "
                 "the limit"
               : "make room on the volume, or set retention.max_bytes";
}

int storage_admit(const struct storage *s, struct err *err)
{
    enum space_state state = storage_space_state(s);

    if (state < SPACE_FULL)
        return 0;
    return err_set(err, ERR_NO_SPACE,
                   "the disk is full (%llu bytes available): pushes are refused until there is "
                   "room; %s",
                   (unsigned long long)atomic_load(&s->space_available), advice(s));
}

/* Says it once per change. */
static void set_state(struct storage *s, enum space_state next)
{
    enum space_state before = (enum space_state)atomic_exchange(&s->space, (int)next);

    if (before == next)
        return;
    LOG_AT(next >= SPACE_FULL ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "space changed",
           LOG_CSTR("from", space_state_name(before)), LOG_CSTR("to", space_state_name(next)),
           LOG_U64("available", atomic_load(&s->space_available)),
           LOG_CSTR("do", next >= SPACE_FULL ? advice(s) : "nothing"));
}

void storage_note_no_space(struct storage *s)
{
    atomic_store(&s->space_met_end, true);
    if (storage_space_state(s) < SPACE_FULL)
        set_state(s, SPACE_FULL);
}

static uint64_t available(struct storage *s)
{
    struct fs_space volume = {.available = UINT64_MAX};
    struct ledger_usage usage;
    uint64_t left = UINT64_MAX;

    (void)fs_space(s->o.fs, &volume, NULL);
    ledger_usage(s->ledger, &usage);
    if (usage.limit > 0)
        left = usage.used < usage.limit ? usage.limit - usage.used : 0;
    return left < volume.available ? left : volume.available;
}

/* Enough for a log file and a segment from what is in memory; small stores need little. */
static uint64_t reserve(const struct storage *s)
{
    uint64_t segment = atomic_load(&s->head_bytes);

    if (segment > s->o.segment_bytes_max)
        segment = s->o.segment_bytes_max;
    return LOG_FILES * s->o.wal_file_bytes_min + segment;
}

/* While it is full: can a file be made? What the volume says may not be for us. */
static bool can_write(struct storage *s)
{
    static const char block[4096];
    struct fs_file *f;
    int rc;

    if (fs_open(s->o.fs, "tmp/space", FS_WRITE | FS_CREATE, &f, NULL) != 0)
        return false;
    rc = fs_pwrite(f, block, sizeof(block), 0, NULL);
    if (rc == 0)
        rc = fs_datasync(f, NULL);
    fs_close(f);
    (void)fs_unlink(s->o.fs, "tmp/space", NULL);
    return rc == 0;
}

/* What a log without a spare or with a waiting group asks for. */
static bool log_has_room(struct storage *s, const struct wal_stats *log)
{
    return !log->no_space || wal_prepare_spare(s->wal, NULL) >= 0;
}

/* A volume that was enlarged has a larger part; a limit that was passed comes into force. */
static void follow_volume(struct storage *s)
{
    struct fs_space volume;

    if (s->o.retention.max_percent > 0 && fs_space(s->o.fs, &volume, NULL) == 0)
        s->limit = retention_limit(&s->o.retention, volume.total);
    storage_enforce_limit(s);
}

int storage_step_space(struct storage *s, struct err *err)
{
    int64_t now = clock_mono_ns(s->o.clock);
    enum space_state state = storage_space_state(s);
    struct space_look look = {.reserve = reserve(s)};
    struct wal_stats log;

    /* What met the end just now is looked at soon, whenever the last look was. */
    if (s->space_looked_mono_ns != 0 &&
        now - s->space_looked_mono_ns < (state >= SPACE_FULL ? LOOK_FULL_NS : LOOK_NS))
        return 0;
    s->space_looked_mono_ns = now;
    follow_volume(s);
    if (s->walk_mono_ns == 0 || now >= s->walk_mono_ns) {
        if (s->walk_mono_ns != 0)
            (void)ledger_walk(s->ledger, err);
        s->walk_mono_ns = now + WALK_NS;
    }
    look.available = available(s);
    atomic_store(&s->space_available, look.available);
    look.met_end = atomic_exchange(&s->space_met_end, false);
    if (state >= SPACE_FULL || look.met_end) {
        if (look.available < look.reserve && storage_make_room(s, look.reserve, err) > 0)
            look.available = available(s);
        wal_stats(s->wal, &log);
        look.met_end = !log_has_room(s, &log) || !can_write(s);
    }
    wal_stats(s->wal, &log);
    look.log_blocked = log.blocked;
    look.log_read_only = log.read_only;
    set_state(s, space_next(state, &look));
    if (state >= SPACE_FULL && storage_space_state(s) < SPACE_FULL)
        atomic_store(&s->seal_soon, true);
    return state != storage_space_state(s);
}

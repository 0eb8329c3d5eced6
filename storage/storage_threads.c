/* The steps of the log, and the threads that loop over all steps. */
#include "storage/storage_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

/* Sealing looks around this often; pushes that fill a head do not wake it. */
#define SEAL_LOOK_NS NS_PER_S

int storage_step_commit(struct storage *s, bool hurry, struct err *err)
{
    int rc = wal_commit_group(s->wal, hurry, err);
    struct wal_stats stats;

    if (rc == ERR_NO_SPACE) {
        storage_note_no_space(s);
        wal_stats(s->wal, &stats);
        /* The log waits for room, and whoever pushed waits for the log. */
        if (stats.blocked)
            return rc;
    }
    if (rc != 0)
        storage_complete_acks(s, rc < 0 ? err : NULL);
    return rc;
}

int storage_step_spare(struct storage *s, struct err *err)
{
    int rc = wal_prepare_spare(s->wal, err);

    if (rc == ERR_NO_SPACE && storage_make_room(s, s->o.wal_file_bytes_max, NULL) > 0)
        rc = wal_prepare_spare(s->wal, err);
    if (rc == ERR_NO_SPACE)
        storage_note_no_space(s);
    return rc;
}

static void wait_for_work(struct storage *s)
{
    mutex_lock(&s->seal_mu);
    if (!atomic_load(&s->stopping))
        (void)cond_wait_for(&s->seal_more, &s->seal_mu, SEAL_LOOK_NS / 20);
    mutex_unlock(&s->seal_mu);
}

static void *commit_loop(void *arg)
{
    static struct log_limit limit;
    struct storage *s = arg;

    while (!atomic_load(&s->stopping)) {
        uint64_t held_back;
        struct err err;
        int rc;

        wal_wait(s->wal);
        rc = storage_step_commit(s, false, &err);
        if (rc < 0 && log_limit_pass(&limit, clock_mono_ns(s->o.clock), 10 * NS_PER_S, &held_back))
            log_error("pushes cannot be made durable", LOG_ERR(&err),
                      LOG_U64("repeats", held_back));
        if (rc < 0)
            wait_for_work(s);
    }
    return NULL;
}

/* Spares have their own thread: sealing may take seconds, pushes do not wait that long. */
static void *spare_loop(void *arg)
{
    static struct log_limit limit;
    struct storage *s = arg;

    while (!atomic_load(&s->stopping)) {
        uint64_t held_back;
        struct err err;
        int rc = storage_step_spare(s, &err);

        if (rc < 0 && log_limit_pass(&limit, clock_mono_ns(s->o.clock), 10 * NS_PER_S, &held_back))
            log_error("no new log file", LOG_ERR(&err), LOG_U64("repeats", held_back));
        if (rc <= 0)
            wait_for_work(s);
    }
    return NULL;
}

static void *seal_loop(void *arg)
{
    struct storage *s = arg;
    int64_t next = clock_mono_ns(s->o.clock) + SEAL_LOOK_NS;

    while (!atomic_load(&s->stopping)) {
        struct err err;
        int rc = 0;

        if (clock_mono_ns(s->o.clock) >= next || atomic_exchange(&s->seal_wanted, false) ||
            atomic_load(&s->head_bytes) >= s->o.head_bytes_max) {
            rc = storage_step_seal(s, false, &err);
            if (rc >= 0)
                (void)storage_step_release(s, &err);
            if (rc <= 0)
                next = clock_mono_ns(s->o.clock) + SEAL_LOOK_NS;
        }
        if (rc <= 0)
            wait_for_work(s);
    }
    return NULL;
}

/* What can wait: in this order, each in small steps. */
static void *background_loop(void *arg)
{
    static const struct {
        int (*run)(struct storage *s, struct err *err);
        bool patient; /* reads and writes much that nobody waits for */
    } steps[] = {{storage_step_space, false},  {storage_step_evict, false},
                 {storage_step_unlink, false}, {storage_step_missing, false},
                 {storage_step_backup, false}, {storage_step_scrub, true},
                 {storage_step_compact, true}};
    static struct log_limit limit;
    struct storage *s = arg;

    while (!atomic_load(&s->stopping)) {
        bool did = false;

        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
            uint64_t held_back;
            struct err err;
            int rc;

            thread_disk_patience(steps[i].patient);
            rc = steps[i].run(s, &err);

            did = did || rc > 0;
            if (rc < 0 && !atomic_load(&s->stopping) &&
                log_limit_pass(&limit, clock_mono_ns(s->o.clock), 10 * NS_PER_S, &held_back))
                log_error("background work failed, it will be tried again", LOG_ERR(&err),
                          LOG_U64("repeats", held_back));
        }
        if (!did)
            wait_for_work(s);
    }
    return NULL;
}

int storage_start(struct storage *s, struct err *err)
{
    static const struct {
        const char *name;
        void *(*run)(void *);
    } loops[] = {{"fk-commit", commit_loop},
                 {"fk-spare", spare_loop},
                 {"fk-seal", seal_loop},
                 {"fk-background", background_loop}};

    for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
        int rc = thread_start(&s->threads[s->thread_count], loops[i].name, loops[i].run, s, err);

        if (rc != 0)
            return rc;
        s->thread_count++;
    }
    return 0;
}

void storage_threads_stop(struct storage *s)
{
    mutex_lock(&s->seal_mu);
    atomic_store(&s->stopping, true);
    cond_broadcast(&s->seal_more);
    mutex_unlock(&s->seal_mu);
    wal_wake(s->wal);
    while (s->thread_count > 0)
        thread_join(s->threads[--s->thread_count]);
}

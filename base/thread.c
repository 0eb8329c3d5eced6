#include "base/thread.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef NDEBUG
#define ORDER_CHECKED 0
#else
#define ORDER_CHECKED 1
#endif

enum {
    HELD_MAX = 64, /* a push over many heads holds one mutex each */
    NAME_MAX_BYTES = 15,
};

static _Thread_local const struct mutex *held[HELD_MAX];
static _Thread_local unsigned int held_count;

static void order_broken(const struct mutex *m, const struct mutex *top)
{
    (void)fprintf(stderr, "flamekeep: lock order: '%s' (rank %d) taken while holding '%s' (%d)\n",
                  m->name, m->rank, top->name, top->rank);
    check_unreachable();
}

static void note_lock(const struct mutex *m, bool same_rank)
{
    if (!ORDER_CHECKED)
        return;
    for (unsigned int i = 0; i < held_count; i++)
        if (held[i]->rank > m->rank || (held[i]->rank == m->rank && !same_rank))
            order_broken(m, held[i]);
    if (held_count < HELD_MAX)
        held[held_count++] = m;
}

static void note_unlock(const struct mutex *m)
{
    if (!ORDER_CHECKED)
        return;
    for (unsigned int i = held_count; i-- > 0;) {
        if (held[i] != m)
            continue;
        held[i] = held[--held_count];
        return;
    }
}

void mutex_init(struct mutex *m, enum mutex_rank rank, const char *name)
{
    check(pthread_mutex_init(&m->m, NULL) == 0);
    m->rank = rank;
    m->name = name;
}

void mutex_destroy(struct mutex *m)
{
    check(pthread_mutex_destroy(&m->m) == 0);
}

void mutex_lock(struct mutex *m)
{
    note_lock(m, false);
    check(pthread_mutex_lock(&m->m) == 0);
}

void mutex_lock_same_rank(struct mutex *m)
{
    note_lock(m, true);
    check(pthread_mutex_lock(&m->m) == 0);
}

void mutex_unlock(struct mutex *m)
{
    note_unlock(m);
    check(pthread_mutex_unlock(&m->m) == 0);
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;

    check(pthread_condattr_init(&attr) == 0);
    check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    check(pthread_cond_init(&c->c, &attr) == 0);
    check(pthread_condattr_destroy(&attr) == 0);
}

void cond_destroy(struct cond *c)
{
    check(pthread_cond_destroy(&c->c) == 0);
}

void cond_signal(struct cond *c)
{
    check(pthread_cond_signal(&c->c) == 0);
}

void cond_broadcast(struct cond *c)
{
    check(pthread_cond_broadcast(&c->c) == 0);
}

void cond_wait(struct cond *c, struct mutex *m)
{
    check(pthread_cond_wait(&c->c, &m->m) == 0);
}

bool cond_wait_for(struct cond *c, struct mutex *m, int64_t timeout_ns)
{
    int64_t until = clock_mono_ns(clock_system()) + (timeout_ns > 0 ? timeout_ns : 0);
    struct timespec t = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    int rc = pthread_cond_timedwait(&c->c, &m->m, &t);

    check(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

unsigned int cpu_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n > 0 ? (unsigned int)n : 1;
}

int thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg, struct err *err)
{
    char short_name[NAME_MAX_BYTES + 1];
    sigset_t all, before;
    int rc;

    (void)sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    rc = pthread_create(out, NULL, run, arg);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (rc != 0) {
        errno = rc;
        return err_io(err, "start thread", name);
    }
    (void)snprintf(short_name, sizeof(short_name), "%s", name);
    (void)pthread_setname_np(*out, short_name);
    return 0;
}

void thread_disk_patience(bool last)
{
    enum { WHO_PROCESS = 1, BEST_EFFORT = 2, CLASS_SHIFT = 13, LOWEST = 7 };

    (void)syscall(SYS_ioprio_set, WHO_PROCESS, 0, last ? BEST_EFFORT << CLASS_SHIFT | LOWEST : 0);
}

void thread_join(pthread_t t)
{
    check(pthread_join(t, NULL) == 0);
}

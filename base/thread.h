/*
 * thread - mutexes that know their place, a bounded queue, a worker pool.
 *
 * Every mutex has a rank; a thread may take only mutexes of a higher rank than
 * all it holds (docs/architecture.md, "Locks"). Debug and sanitizer builds
 * check that at every lock and abort with both names.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* The lock order, lowest first. Mutexes of one rank never nest, except where said. */
enum mutex_rank {
    MUTEX_RANK_HTTP = 10,
    MUTEX_RANK_API = 20,
    MUTEX_RANK_PUBLISH = 25,
    MUTEX_RANK_RELEASE = 27,
    MUTEX_RANK_STORAGE = 30,
    MUTEX_RANK_HEAD = 40, /* several heads: by ascending head id */
    MUTEX_RANK_ACKS = 45,
    MUTEX_RANK_WAL = 50,
    MUTEX_RANK_CACHE = 55,
    MUTEX_RANK_CATALOG = 60,
    MUTEX_RANK_FS = 70,
    MUTEX_RANK_LEDGER = 75,
    MUTEX_RANK_QUEUE = 80,
    MUTEX_RANK_BUDGET = 85,
    MUTEX_RANK_LOG = 90, /* a leaf: nothing is taken below it */
};

struct mutex {
    pthread_mutex_t m;
    enum mutex_rank rank;
    const char *name;
};

void mutex_init(struct mutex *m, enum mutex_rank rank, const char *name);
void mutex_destroy(struct mutex *m);
void mutex_lock(struct mutex *m);
/* A second mutex of the rank that is held already: the caller orders them. */
void mutex_lock_same_rank(struct mutex *m);
void mutex_unlock(struct mutex *m);

/* Waits on monotonic time. */
struct cond {
    pthread_cond_t c;
};

void cond_init(struct cond *c);
void cond_destroy(struct cond *c);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);
/* False when `timeout_ns` passed first. Wakes up for no reason at times, as conditions do. */
bool cond_wait_for(struct cond *c, struct mutex *m, int64_t timeout_ns);

/* Processors that are online; at least 1. */
unsigned int cpu_count(void);

/*
 * The calling thread's place in the queue to the disk: last of all that share it fairly, or
 * the usual one (ioprio_set(2), best effort 7). Where that is not allowed nothing changes.
 */
void thread_disk_patience(bool last);

/* `name` is what top shows; at most 15 bytes are used. All signals are blocked in it. */
int thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg,
                 struct err *err);
void thread_join(pthread_t t);

/* First in, first out, bounded, for any number of threads on both sides. */
struct queue;
struct queue *queue_new(size_t capacity);
void queue_free(struct queue *q); /* NULL is fine; must be empty or drained by the owner */
/* False when it is full or closed. Never waits. */
bool queue_try_push(struct queue *q, void *item);
/* Waits; NULL when the queue is closed and empty. */
void *queue_pop(struct queue *q);
/* No more pushes; waiting pops return as it empties. */
void queue_close(struct queue *q);
size_t queue_length(struct queue *q);

/* Threads that run jobs off one bounded queue. */
struct pool;
typedef void (*pool_job)(void *arg);
int pool_start(const char *name, unsigned int threads, size_t queue_max, struct pool **out,
               struct err *err);
/* False when the queue is full or the pool stops: answer 503. Never waits. */
bool pool_try_submit(struct pool *p, pool_job job, void *arg);
size_t pool_queue_length(struct pool *p);
/* Runs what is queued, then ends the threads. NULL is fine. */
void pool_stop(struct pool *p);

#endif

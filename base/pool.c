/* The queue and the worker pool of thread.h. */
#include "base/thread.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

struct queue {
    struct mutex mu; /* guards the rest */
    struct cond not_empty;
    size_t capacity, head, length;
    bool closed;
    void *items[];
};

struct job {
    pool_job run;
    void *arg;
};

struct pool {
    struct queue *queue; /* of struct job * */
    unsigned int threads;
    pthread_t ids[];
};

struct queue *queue_new(size_t capacity)
{
    struct queue *q = calloc(1, sizeof(*q) + capacity * sizeof(q->items[0]));

    check(q && capacity > 0);
    mutex_init(&q->mu, MUTEX_RANK_QUEUE, "queue");
    cond_init(&q->not_empty);
    q->capacity = capacity;
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    check(q->length == 0);
    cond_destroy(&q->not_empty);
    mutex_destroy(&q->mu);
    free(q);
}

bool queue_try_push(struct queue *q, void *item)
{
    bool room;

    check(item);
    mutex_lock(&q->mu);
    room = !q->closed && q->length < q->capacity;
    if (room) {
        q->items[(q->head + q->length++) % q->capacity] = item;
        cond_signal(&q->not_empty);
    }
    mutex_unlock(&q->mu);
    return room;
}

void *queue_pop(struct queue *q)
{
    void *item = NULL;

    mutex_lock(&q->mu);
    while (q->length == 0 && !q->closed)
        cond_wait(&q->not_empty, &q->mu);
    if (q->length > 0) {
        item = q->items[q->head];
        q->head = (q->head + 1) % q->capacity;
        q->length--;
    }
    mutex_unlock(&q->mu);
    return item;
}

void queue_close(struct queue *q)
{
    mutex_lock(&q->mu);
    q->closed = true;
    cond_broadcast(&q->not_empty);
    mutex_unlock(&q->mu);
}

size_t queue_length(struct queue *q)
{
    size_t length;

    mutex_lock(&q->mu);
    length = q->length;
    mutex_unlock(&q->mu);
    return length;
}

static void *work(void *arg)
{
    struct pool *p = arg;
    struct job *job;

    while ((job = queue_pop(p->queue)) != NULL) {
        struct job j = *job;

        free(job);
        j.run(j.arg);
    }
    return NULL;
}

int pool_start(const char *name, unsigned int threads, size_t queue_max, struct pool **out,
               struct err *err)
{
    struct pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->ids[0]));

    check(p && threads > 0);
    p->queue = queue_new(queue_max);
    for (; p->threads < threads; p->threads++) {
        int rc = thread_start(&p->ids[p->threads], name, work, p, err);

        if (rc != 0) {
            pool_stop(p);
            return rc;
        }
    }
    *out = p;
    return 0;
}

bool pool_try_submit(struct pool *p, pool_job run, void *arg)
{
    struct job *job = malloc(sizeof(*job));

    if (!job)
        return false;
    *job = (struct job){run, arg};
    if (queue_try_push(p->queue, job))
        return true;
    free(job);
    return false;
}

size_t pool_queue_length(struct pool *p)
{
    return queue_length(p->queue);
}

void pool_stop(struct pool *p)
{
    if (!p)
        return;
    queue_close(p->queue);
    for (unsigned int i = 0; i < p->threads; i++)
        thread_join(p->ids[i]);
    queue_free(p->queue);
    free(p);
}

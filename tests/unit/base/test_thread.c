/* Locks have an order, queues a limit, pools an end. */
#include "base/thread.h"

#include "base/clock.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* True when `child`, in a process of its own, ends by abort(). */
static bool aborts(void (*child)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        child();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void lock_two(enum mutex_rank first, enum mutex_rank second)
{
    struct mutex a, b;

    mutex_init(&a, first, "a");
    mutex_init(&b, second, "b");
    mutex_lock(&a);
    mutex_lock(&b);
    mutex_unlock(&a); /* any order of giving back is fine */
    mutex_unlock(&b);
    mutex_destroy(&a);
    mutex_destroy(&b);
}

static void in_order(void)
{
    lock_two(MUTEX_RANK_STORAGE, MUTEX_RANK_WAL);
    lock_two(MUTEX_RANK_HTTP, MUTEX_RANK_LOG);
}

static void out_of_order(void)
{
    lock_two(MUTEX_RANK_WAL, MUTEX_RANK_STORAGE);
}

static void same_rank(void)
{
    lock_two(MUTEX_RANK_HEAD, MUTEX_RANK_HEAD);
}

static void same_rank_on_purpose(void)
{
    struct mutex a, b;

    mutex_init(&a, MUTEX_RANK_HEAD, "a");
    mutex_init(&b, MUTEX_RANK_HEAD, "b");
    mutex_lock(&a);
    mutex_lock_same_rank(&b);
    mutex_unlock(&b);
    mutex_unlock(&a);
}

static void test_a_lock_taken_out_of_order_stops_the_process(void **state)
{
    (void)state;
    assert_false(aborts(in_order));
    assert_false(aborts(same_rank_on_purpose));
#ifndef NDEBUG
    assert_true(aborts(out_of_order));
    assert_true(aborts(same_rank));
#endif
}

static void test_waiting_ends_in_time(void **state)
{
    int64_t before = clock_mono_ns(clock_system());
    struct mutex m;
    struct cond c;

    (void)state;
    mutex_init(&m, MUTEX_RANK_QUEUE, "m");
    cond_init(&c);
    mutex_lock(&m);
    while (cond_wait_for(&c, &m, 20 * NS_PER_MS))
        continue;
    assert_false(cond_wait_for(&c, &m, -1));
    mutex_unlock(&m);
    assert_true(clock_mono_ns(clock_system()) - before >= 20 * NS_PER_MS);
    cond_destroy(&c);
    mutex_destroy(&m);
}

static void test_a_queue_is_first_in_first_out_and_bounded(void **state)
{
    struct queue *q = queue_new(3);
    int items[4];

    (void)state;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++)
            assert_true(queue_try_push(q, &items[i]));
        assert_false(queue_try_push(q, &items[3]));
        assert_int_equal(queue_length(q), 3);
        for (int i = 0; i < 3; i++)
            assert_ptr_equal(queue_pop(q), &items[i]);
    }
    assert_true(queue_try_push(q, &items[0]));
    queue_close(q);
    assert_false(queue_try_push(q, &items[1]));
    assert_ptr_equal(queue_pop(q), &items[0]); /* what is in comes out */
    assert_null(queue_pop(q));
    queue_free(q);
    queue_free(NULL);
}

enum {
    PER_THREAD = 5000,
};

struct traffic {
    struct queue *q;
    _Atomic uint64_t sum;
};

static void *produce(void *arg)
{
    struct traffic *t = arg;

    for (uintptr_t i = 1; i <= PER_THREAD;)
        if (queue_try_push(t->q, (void *)i)) /* NOLINT: a number as an item */
            i++;
    return NULL;
}

static void *consume(void *arg)
{
    struct traffic *t = arg;
    void *item;

    while ((item = queue_pop(t->q)) != NULL)
        (void)atomic_fetch_add(&t->sum, (uintptr_t)item);
    return NULL;
}

static void test_every_item_comes_out_once_between_many_threads(void **state)
{
    struct traffic t = {.q = queue_new(16)};
    pthread_t in[2], out[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(thread_start(&in[i], "produce", produce, &t, NULL), 0);
        assert_int_equal(thread_start(&out[i], "consume", consume, &t, NULL), 0);
    }
    for (int i = 0; i < 2; i++)
        thread_join(in[i]);
    queue_close(t.q);
    for (int i = 0; i < 2; i++)
        thread_join(out[i]);
    assert_true(atomic_load(&t.sum) == (uint64_t)PER_THREAD * (PER_THREAD + 1));
    queue_free(t.q);
}

struct gate {
    struct mutex mu;
    struct cond opened;
    bool open;
    _Atomic int started, done;
};

static void wait_at_gate(void *arg)
{
    struct gate *g = arg;

    (void)atomic_fetch_add(&g->started, 1);
    mutex_lock(&g->mu);
    while (!g->open)
        cond_wait(&g->opened, &g->mu);
    mutex_unlock(&g->mu);
    (void)atomic_fetch_add(&g->done, 1);
}

static void test_a_full_pool_says_no_and_a_stopped_one_has_done_it_all(void **state)
{
    struct gate g = {.open = false};
    struct pool *p = NULL;
    int accepted = 0;

    (void)state;
    mutex_init(&g.mu, MUTEX_RANK_STORAGE, "gate");
    cond_init(&g.opened);
    assert_int_equal(pool_start("a name longer than fifteen", 2, 4, &p, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_true(pool_try_submit(p, wait_at_gate, &g));
    while (atomic_load(&g.started) < 2)
        (void)sched_yield();
    while (pool_try_submit(p, wait_at_gate, &g))
        accepted++;
    assert_int_equal(accepted, 4);
    assert_int_equal(pool_queue_length(p), 4);
    mutex_lock(&g.mu);
    g.open = true;
    cond_broadcast(&g.opened);
    mutex_unlock(&g.mu);
    pool_stop(p);
    assert_int_equal(atomic_load(&g.done), 6);
    pool_stop(NULL);
    cond_destroy(&g.opened);
    mutex_destroy(&g.mu);
}

static void *say_mask(void *arg)
{
    sigset_t blocked;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    *(bool *)arg = sigismember(&blocked, SIGTERM) == 1;
    return NULL;
}

static void test_signals_are_for_the_main_thread(void **state)
{
    bool blocked = false;
    sigset_t mine;
    pthread_t t;

    (void)state;
    assert_int_equal(thread_start(&t, "mask", say_mask, &blocked, NULL), 0);
    thread_join(t);
    assert_true(blocked);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mine), 0);
    assert_int_equal(sigismember(&mine, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lock_taken_out_of_order_stops_the_process),
        cmocka_unit_test(test_waiting_ends_in_time),
        cmocka_unit_test(test_a_queue_is_first_in_first_out_and_bounded),
        cmocka_unit_test(test_every_item_comes_out_once_between_many_threads),
        cmocka_unit_test(test_a_full_pool_says_no_and_a_stopped_one_has_done_it_all),
        cmocka_unit_test(test_signals_are_for_the_main_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* segment_cache: one copy of what is in use, bounded, from any number of threads. */
#include "storage/segment_cache.h"

#include "base/check.h"
#include "base/err.h"
#include "base/thread.h"

#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    THREADS = 4,
    ROUNDS = 4000,
    KEYS = 40,
    ITEM_BYTES = 100,
};

struct item {
    struct segment_cached cached;
    uint64_t id;
};

static _Atomic int alive;

static void free_item(struct segment_cached *cached)
{
    struct item *i = (struct item *)(void *)cached;

    i->id = UINT64_MAX;
    atomic_fetch_sub(&alive, 1);
    free(i);
}

static struct segment_cache_key key_of(uint64_t id)
{
    return (struct segment_cache_key){{id, 0}, (uint32_t)id % 3, SEGMENT_PART_SYMBOLS};
}

static struct item *take(struct segment_cache *c, uint64_t id)
{
    struct segment_cache_key key = key_of(id);
    struct segment_cached *found = segment_cache_get(c, &key);
    struct item *i;

    if (found)
        return (struct item *)(void *)found;
    i = calloc(1, sizeof(*i));
    check(i);
    atomic_fetch_add(&alive, 1);
    i->id = id;
    i->cached.bytes = ITEM_BYTES;
    i->cached.free = free_item;
    return (struct item *)(void *)segment_cache_add(c, &key, &i->cached);
}

static void test_what_is_in_use_stays_and_the_oldest_goes(void **state)
{
    struct segment_cache *c = segment_cache_new(3 * ITEM_BYTES);
    struct item *held = take(c, 1), *again;

    (void)state;
    for (uint64_t id = 2; id < 20; id++)
        segment_cache_unref(&take(c, id)->cached);
    assert_int_equal(segment_cache_bytes(c), 3 * ITEM_BYTES);
    assert_int_equal(atomic_load(&alive), 3);
    again = take(c, 1);
    assert_ptr_equal(again, held);
    assert_non_null(
        segment_cache_get(c, &(struct segment_cache_key){{19, 0}, 19 % 3, SEGMENT_PART_SYMBOLS}));
    segment_cache_unref(&take(c, 19)->cached);
    segment_cache_unref(&take(c, 19)->cached);
    assert_null(
        segment_cache_get(c, &(struct segment_cache_key){{5, 0}, 5 % 3, SEGMENT_PART_SYMBOLS}));
    segment_cache_unref(&held->cached);
    segment_cache_unref(&again->cached);
    segment_cache_unref(&take(c, 19)->cached);
    again = take(c, 19);
    segment_cache_unref(&again->cached);
    segment_cache_unref(&again->cached); /* the one of segment_cache_get() above */
    segment_cache_free(c);
    assert_int_equal(atomic_load(&alive), 0);
}

static void test_without_a_cache_an_item_lives_as_long_as_its_reference(void **state)
{
    struct item *i = take(NULL, 3);

    (void)state;
    assert_int_equal(atomic_load(&alive), 1);
    segment_cache_unref(&i->cached);
    assert_int_equal(atomic_load(&alive), 0);
    segment_cache_unref(NULL);
}

struct worker {
    pthread_t thread;
    struct segment_cache *cache;
    uint64_t seed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct rng rng = rng_of(w->seed);

    for (int r = 0; r < ROUNDS; r++) {
        uint64_t a = rng_below(&rng, KEYS), b = rng_below(&rng, KEYS);
        struct item *x = take(w->cache, a), *y = take(w->cache, b);

        check(x->id == a && y->id == b && (a != b || x == y));
        segment_cache_unref(&x->cached);
        if (rng_one_in(&rng, 50))
            segment_cache_forget(w->cache, (struct segment_id){b, 0});
        check(y->id == b);
        segment_cache_unref(&y->cached);
    }
    return NULL;
}

static void test_threads_share_and_evict_without_a_torn_item(void **state)
{
    struct segment_cache *c = segment_cache_new(KEYS / 3 * ITEM_BYTES);
    struct worker workers[THREADS];
    struct err err;

    (void)state;
    for (uint64_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.cache = c, .seed = i};
        assert_int_equal(thread_start(&workers[i].thread, "cache", work, &workers[i], &err), 0);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(workers[i].thread);
    assert_true(segment_cache_bytes(c) <= KEYS / 3 * ITEM_BYTES);
    segment_cache_free(c);
    assert_int_equal(atomic_load(&alive), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_in_use_stays_and_the_oldest_goes),
        cmocka_unit_test(test_without_a_cache_an_item_lives_as_long_as_its_reference),
        cmocka_unit_test(test_threads_share_and_evict_without_a_torn_item),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

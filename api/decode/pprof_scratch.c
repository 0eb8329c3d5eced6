#include "api/decode/pprof_scratch.h"

#include "api/decode/packed.h"
#include "api/decode/pprof.h"
#include "base/err.h"

#include <stdlib.h>

enum {
    CAPACITY_MIN = 64,
};

size_t pprof_scratch_used(const struct pprof_decoder *d)
{
    size_t bytes = 0;

#define X(type, array, count) bytes += (size_t)d->p.count * sizeof(type);
    PPROF_ARRAYS(X)
#undef X
    return bytes;
}

size_t pprof_decoder_bytes(const struct pprof_decoder *d)
{
    size_t bytes = sizeof(*d) + d->tail_capacity;

#define X(type, array, count) bytes += (size_t)d->capacity.array * sizeof(type);
    PPROF_ARRAYS(X)
#undef X
    return bytes;
}

void pprof_scratch_reset(struct pprof_decoder *d)
{
    struct pprof empty = {0};

#define X(type, array, count) empty.array = d->p.array;
    PPROF_ARRAYS(X)
#undef X
    d->p = empty;
    d->fail_at = NULL;
    d->fail_reason = NULL;
    d->fail_code = 0;
}

static void release_arrays(struct pprof_decoder *d)
{
#define X(type, array, count) free(d->p.array);
    PPROF_ARRAYS(X)
#undef X
    free(d->tail);
    d->tail = NULL;
    d->tail_capacity = 0;
    d->p = (struct pprof){0};
    d->capacity = (struct pprof_capacities){0};
}

struct pprof_decoder *pprof_decoder_new(void)
{
    packed_init();
    return calloc(1, sizeof(struct pprof_decoder));
}

void pprof_decoder_free(struct pprof_decoder *d)
{
    if (d == NULL)
        return;
    release_arrays(d);
    free(d);
}

void pprof_decoder_trim(struct pprof_decoder *d, size_t keep_bytes)
{
    if (pprof_decoder_bytes(d) > keep_bytes)
        release_arrays(d);
}

void *pprof_scratch_grow(struct pprof_decoder *d, void *array, uint32_t count, size_t more,
                         size_t size, uint32_t *capacity)
{
    size_t need = (size_t)count + more; /* below twice the body's length, which is below 4 GiB */
    size_t wanted = (size_t)*capacity * 2;
    /* Room that is asked for to be written over does not count: the final check is exact. */
    size_t bytes_max = d->bytes_max + PACKED_SPILL * sizeof(uint64_t);
    void *grown;

    if (more > bytes_max / size || pprof_scratch_used(d) + more * size > bytes_max) {
        d->fail_code = ERR_TOO_LARGE;
        return NULL;
    }
    if (wanted < need)
        wanted = need;
    if (wanted < CAPACITY_MIN)
        wanted = CAPACITY_MIN;
    if (wanted > UINT32_MAX)
        wanted = UINT32_MAX;
    grown = realloc(array, wanted * size);
    if (grown == NULL) {
        d->fail_code = ERR_NOMEM;
        return NULL;
    }
    *capacity = (uint32_t)wanted;
    return grown;
}

#define X(type, array, count)                                                                      \
    __attribute__((noinline, cold)) bool pprof_scratch_reserve_##array(struct pprof_decoder *d,    \
                                                                       size_t n)                   \
    {                                                                                              \
        type *grown =                                                                              \
            pprof_scratch_grow(d, d->p.array, d->p.count, n, sizeof(type), &d->capacity.array);    \
                                                                                                   \
        if (grown == NULL)                                                                         \
            return false;                                                                          \
        d->p.array = grown;                                                                        \
        return true;                                                                               \
    }
PPROF_ARRAYS(X)
#undef X

/*
 * pprof_scratch - the reusable arrays behind pprof_decode(), inner to api/decode.
 *
 * Invariant: every array of `p` holds at least its count and at most its capacity;
 * capacities only grow until a trim. `used` never passes `bytes_max` by more than
 * what fits in arrays that were there before.
 *
 * Threads: one user.
 */
#ifndef API_DECODE_PPROF_SCRATCH_H
#define API_DECODE_PPROF_SCRATCH_H

#include "storage/model/pprof.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every array of struct pprof: element type, array, its count. */
#define PPROF_ARRAYS(X)                                                                            \
    X(struct pprof_value_type, sample_types, sample_type_count)                                    \
    X(struct pprof_sample, samples, sample_count)                                                  \
    X(uint64_t, location_ids, location_id_count)                                                   \
    X(int64_t, values, value_count)                                                                \
    X(struct pprof_label, labels, label_count)                                                     \
    X(struct pprof_mapping, mappings, mapping_count)                                               \
    X(struct pprof_location, locations, location_count)                                            \
    X(struct pprof_line, lines, line_count)                                                        \
    X(struct pprof_function, functions, function_count)                                            \
    X(struct str, strings, string_count)                                                           \
    X(int64_t, comments, comment_count)

struct pprof_capacities {
#define X(type, array, count) uint32_t array;
    PPROF_ARRAYS(X)
#undef X
};

struct pprof_decoder {
    struct pprof p;
    struct pprof_capacities capacity;
    size_t bytes_max; /* of the present body */

    uint8_t *tail; /* a copy of the body's last message, with slack behind it */
    size_t tail_capacity;

    const uint8_t *fail_at;  /* into the body; with ERR_INVALID */
    const char *fail_reason; /* what was expected there */
    int fail_code;           /* 0: nothing failed */
};

/* Bytes of the filled part of the arrays. */
size_t pprof_scratch_used(const struct pprof_decoder *d);

/* Forgets the last body, keeps the arrays. */
void pprof_scratch_reset(struct pprof_decoder *d);

/*
 * Makes room for `more` elements beyond `count` in `array` of `size` bytes each.
 * Returns the array, moved perhaps, or NULL with the failure noted in `d`.
 */
void *pprof_scratch_grow(struct pprof_decoder *d, void *array, uint32_t count, size_t more,
                         size_t size, uint32_t *capacity);

/* True when `more` elements fit behind those of `array`, after growing if need be. */
#define PPROF_RESERVE(d, array, count, more)                                                       \
    (__builtin_expect((d)->capacity.array - (d)->p.count >= (more), 1) ||                          \
     pprof_scratch_reserve_##array((d), (more)))

#define X(type, array, count) bool pprof_scratch_reserve_##array(struct pprof_decoder *d, size_t n);
PPROF_ARRAYS(X)
#undef X

#endif

/*
 * buf - growable bytes that must be given a maximum.
 *
 * Every append may fail (ERR_TOO_LARGE at the maximum, ERR_NOMEM) and sets
 * `failed`, which stays: an encoder appends without looking and asks once at
 * the end. A failed append adds nothing.
 *
 * Ownership: data is malloc'd and belongs to the buf. Threads: one owner.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len, cap, max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);
/* Empty again, memory kept, `failed` cleared. */
void buf_reset(struct buf *b);

/* Room for `size` more bytes behind len. */
int buf_reserve(struct buf *b, size_t size);
int buf_append(struct buf *b, const void *data, size_t size);
int buf_append_str(struct buf *b, struct str s);
int buf_append_cstr(struct buf *b, const char *text);
int buf_append_zeroes(struct buf *b, size_t size);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline int buf_append_byte(struct buf *b, uint8_t byte)
{
    if (b->len == b->cap) {
        int rc = buf_reserve(b, 1);

        if (rc != 0)
            return rc;
    }
    b->data[b->len++] = byte;
    return 0;
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){(const char *)b->data, b->len};
}

#endif

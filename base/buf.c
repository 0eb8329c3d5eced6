#include "base/buf.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUF_INITIAL = 256,
};

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

int buf_reserve(struct buf *b, size_t size)
{
    size_t need, cap;
    uint8_t *data;

    if (size <= b->cap - b->len)
        return 0;
    if (size > b->max - b->len) {
        b->failed = true;
        return ERR_TOO_LARGE;
    }
    need = b->len + size;
    cap = b->cap ? b->cap : BUF_INITIAL;
    while (cap < need)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    if (cap > b->max)
        cap = b->max;
    if (cap == SIZE_MAX) {
        b->failed = true;
        return ERR_NOMEM;
    }
    data = realloc(b->data, cap + 1); /* buf_printf() needs a byte for its NUL */
    if (!data) {
        b->failed = true;
        return ERR_NOMEM;
    }
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t size)
{
    int rc;

    if (size == 0)
        return 0;
    if ((rc = buf_reserve(b, size)) != 0)
        return rc;
    memcpy(b->data + b->len, data, size);
    b->len += size;
    return 0;
}

int buf_append_str(struct buf *b, struct str s)
{
    return buf_append(b, s.p, s.len);
}

int buf_append_cstr(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

int buf_append_zeroes(struct buf *b, size_t size)
{
    int rc;

    if (size == 0)
        return 0;
    if ((rc = buf_reserve(b, size)) != 0)
        return rc;
    memset(b->data + b->len, 0, size);
    b->len += size;
    return 0;
}

int buf_printf(struct buf *b, const char *format, ...)
{
    char *end = b->data ? (char *)b->data + b->len : NULL;
    size_t room = b->data ? b->cap - b->len + 1 : 0;
    va_list args, again;
    int len, rc = 0;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(end, room, format, args);
    va_end(args);
    if (len < 0) {
        b->failed = true;
        rc = ERR_INVALID;
    } else if ((size_t)len >= room && (rc = buf_reserve(b, (size_t)len)) == 0 && len > 0) {
        (void)vsnprintf((char *)b->data + b->len, (size_t)len + 1, format, again);
    }
    va_end(again);
    if (rc == 0)
        b->len += (size_t)len;
    return rc;
}

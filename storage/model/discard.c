/* discard - see discard.h. */
#include "storage/model/discard.h"

#include "base/arena.h"
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const labels[] = {
#define DISCARD(name, label) label,
#include "storage/model/discard.def"
#undef DISCARD
};

const char *discard_label(enum discard_reason reason)
{
    return (unsigned int)reason < DISCARD_REASON_COUNT ? labels[reason] : "unknown";
}

static void keep_text(struct discard *d, struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_memdup(arena, text, length);

    /* A full arena is a reason of its own; its refusal has a short text. */
    d->text = copy != NULL ? (struct str){copy, length} : STR("profile needs too much memory");
}

int discard_set(struct discard *d, int rc, enum discard_reason reason, struct arena *arena,
                const char *format, ...)
{
    char text[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (length < 0)
        length = 0;
    if ((size_t)length >= sizeof(text))
        length = sizeof(text) - 1;
    d->reason = reason;
    keep_text(d, arena, text, (size_t)length);
    return rc;
}

int discard_set_buf(struct discard *d, int rc, enum discard_reason reason, struct arena *arena,
                    const struct buf *text)
{
    d->reason = reason;
    keep_text(d, arena, (const char *)text->data, text->len);
    return rc;
}

/*
 * discard - why a profile was refused: what the client reads, what the operator counts.
 *
 * Texts may be longer than a struct err holds (they show whole label sets), so they
 * are kept here. Threads: plain values.
 */
#ifndef STORAGE_MODEL_DISCARD_H
#define STORAGE_MODEL_DISCARD_H

#include "base/str.h"

#include <stdint.h>

struct arena;
struct buf;

enum discard_reason {
#define DISCARD(name, label) DISCARD_##name,
#include "storage/model/discard.def"
#undef DISCARD
    DISCARD_REASON_COUNT,
};

enum {
    DISCARD_TEXT_MAX = 1024 * 1024, /* longer texts are cut; the reference's longest real one
                                       is a string of 65,535 bytes in hex */
};

struct discard {
    enum discard_reason reason;
    uint64_t actual, limit; /* 0, 0: not a matter of numbers */
    struct str text;        /* in the arena of whoever refused */
};

/* "invalid_labels", ...: the label of the metric. */
const char *discard_label(enum discard_reason reason);

/* Fills *d, copying the formatted text to `arena`; always returns `rc`, for tail calls. */
int discard_set(struct discard *d, int rc, enum discard_reason reason, struct arena *arena,
                const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same with a text that is in a buffer, for texts with arbitrary bytes. */
int discard_set_buf(struct discard *d, int rc, enum discard_reason reason, struct arena *arena,
                    const struct buf *text);

#endif

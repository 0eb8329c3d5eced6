/*
 * folded - lines of stacks into a pprof.
 *
 *     groups   main;work;sleep 12       stack, space, count
 *     lines    main;work;sleep          one line, one count
 *
 * Equal stacks are summed in a call tree; every node with a count of its own
 * becomes one sample of a profile with one sample type, one mapping, and one
 * function and location per distinct frame name. Values are scaled by the kind.
 *
 * A line longer than FOLDED_LINE_MAX is refused in lines; in groups it ends the
 * reading without an error, as clients of the reference know it: `unread_bytes`
 * tells, and the caller reports it.
 *
 * Memory is the arena's (its limit bounds a hostile body; ERR_TOO_LARGE), at
 * most about 100 bytes per frame. Linear time. Frames point into the body.
 *
 * Source: ../shared/spec/ingest-api.md, sections 2.7 and 4.4. Pure functions.
 */
#ifndef API_DECODE_FOLDED_H
#define API_DECODE_FOLDED_H

#include "base/str.h"
#include "storage/model/pprof.h"

#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct text_kind;

enum folded_form {
    FOLDED_GROUPS,
    FOLDED_LINES,
};

enum {
    FOLDED_LINE_MAX = 64 * 1024 - 1, /* bytes before the newline; the reference's line buffer */
};

struct folded {
    struct pprof pprof;
    size_t unread_bytes; /* > 0: reading stopped at a line that is too long */
};

/*
 * ERR_INVALID: a count that is not a decimal integer, a line that is too long; the
 * texts are the reference's ("strconv.Atoi: parsing "x": invalid syntax").
 * Negative and zero sums make no sample. *out is left alone on failure.
 */
int folded_decode(struct str body, enum folded_form form, const struct text_kind *kind,
                  int64_t time_ns, struct arena *arena, struct folded *out, struct err *err);

#endif

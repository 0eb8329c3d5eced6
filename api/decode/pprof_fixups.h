/*
 * pprof_fixups - what /ingest repairs in a pprof before it is validated.
 *
 * Old clients send times in the wrong unit, script profilers keep the file name
 * beside the function, the .NET client sends zero function ids and dashes in type
 * names. The push service repairs nothing of this.
 *
 * Source: ../shared/spec/ingest-api.md, section 2.8. Pure functions; new arrays
 * and strings are in the arena, `p` may point to them afterwards. Linear time.
 */
#ifndef API_DECODE_PPROF_FIXUPS_H
#define API_DECODE_PPROF_FIXUPS_H

#include "base/str.h"
#include "storage/model/pprof.h"

#include <stdint.h>

struct arena;
struct err;
struct sample_type_config;

struct pprof_fixups {
    struct str spy_name; /* "unknown" when the client does not say */
    int64_t from_ns;     /* replaces a time in 1970 */
    const struct sample_type_config *config;
};

/*
 * Repairs in place. A reference out of range is left for validation to refuse.
 * ERR_TOO_LARGE when the arena is full; `p` is then half repaired and useless.
 */
int pprof_fixups_apply(struct pprof *p, const struct pprof_fixups *fixups, struct arena *arena,
                       struct err *err);

/* The label __name__ of all series of `p`: a constant, or points into p or the config. May be
 * empty. */
struct str pprof_metric_name(const struct pprof *p, const struct sample_type_config *config);

#endif

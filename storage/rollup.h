/*
 * rollup - sums of rows that a segment keeps beside the rows, so that long ranges need not read
 * them.
 *
 * A *family* is the entries of a service that share a name label and a typeset: what one
 * profile type selects without label matchers. A *vector* is, per stack and type, the sum of
 * the rows of an entry or a family in a window: an hour of UTC, or the whole dataset. Vectors
 * by node id (ROLLUP_STREAM, _HOUR, _ALL) go with the dictionary; ROLLUP_FLAME is by node of
 * the flame tree, which is the stacks by function name alone and needs no dictionary.
 * *Totals* are sums per entry, type and window of ten minutes.
 *
 * Everything is additive: a late row sits in another segment, which has sums of its own.
 * No window is ever final, and none is needed for an answer to be right.
 *
 * Pure functions and plain structs; what a dataset hands out lives as long as its view.
 */
#ifndef STORAGE_ROLLUP_H
#define STORAGE_ROLLUP_H

#include "storage/dataset.h"

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ROLLUP_FAMILIES_MAX = 256, /* of a service; entries beyond have no family */
    ROLLUP_TOTALS_MS = 600000, /* of a window of totals */
};
#define ROLLUP_NO_FAMILY UINT32_MAX
#define ROLLUP_HOUR_NS (3600 * NS_PER_S)

enum rollup_kind {
    ROLLUP_STREAM, /* an entry, all of its rows */
    ROLLUP_HOUR,   /* a family, an hour */
    ROLLUP_ALL,    /* a family, all of its rows */
    ROLLUP_FLAME,  /* the same by node of the flame tree */
    ROLLUP_KINDS,
};

struct rollup_vector {
    enum rollup_kind kind;
    uint32_t owner; /* ROLLUP_STREAM: an entry; otherwise a family */
    uint32_t hour;  /* ROLLUP_HOUR: since 1970 */
    uint32_t items;
    uint64_t rows;
    uint64_t offset, checksum; /* in AGG; over the stored bytes */
    uint32_t stored, raw;      /* equal: not compressed */
};

/*
 * What a dataset has. Vectors ascend by rollup_vector_cmp(). Of a family either every hour
 * with rows has its vector, or none has.
 */
struct rollups {
    uint32_t family_count, entry_count;
    const uint32_t *family_of; /* by entry */
    const struct rollup_vector *vectors;
    uint32_t vector_count;
    bool has_totals;
};

/* Node 0 is the root; parents come before children, names ascend bytewise. */
struct flame {
    uint32_t node_count, name_count;
    const uint32_t *parents, *names; /* by node; those of node 0 mean nothing */
    const struct str *texts;         /* by name */
};

/* Columns are the present types of the entries, in order; zero sums are left out. */
struct totals {
    uint32_t column_count;
    const uint32_t *entry_first; /* by entry: its first column; one more than entries */
    const uint32_t *first;       /* by column: its first window; one more than columns */
    const uint32_t *windows;     /* ascend inside a column */
    const value128 *sums;        /* by window, never 0 */
};

/*
 * What a dataset that has sums can do. Errors are ERR_CORRUPT and those of reading: the rows
 * may be sound where the sums are not, but an answer from either is all or nothing.
 */
struct rollup_ops {
    /* *out NULL: this one has none. */
    int (*find)(struct dataset *ds, const struct rollups **out, struct err *err);
    /*
     * Adds column t of a vector, for the bits of `types`, to sums[t][id]; columns may share an
     * array. Ids at or above `id_count` are ERR_CORRUPT. `touched` (NULL: do not tell) gets a
     * bit per id.
     */
    int (*add)(struct dataset *ds, const struct rollup_vector *v, uint64_t types, uint32_t id_count,
               struct arena *scratch, value128 *const *sums, uint64_t *touched, struct err *err);
    /* Only where there is a vector of kind ROLLUP_FLAME. */
    int (*flame)(struct dataset *ds, const struct flame **out, struct err *err);
    /* Only where has_totals says so; *out lives in `arena`. */
    int (*totals)(struct dataset *ds, struct arena *arena, struct totals *out, struct err *err);
};

/* The family of each entry: numbered by first use. Linear in entries times families. */
uint32_t rollup_families(const struct dataset_index *index, uint32_t *family_of);

/* Streams by entry, then families: per family hours, all, flame. */
int rollup_vector_cmp(const struct rollup_vector *a, const struct rollup_vector *b);

/* The vector, or NULL: it is not there. */
const struct rollup_vector *rollup_find(const struct rollups *r, enum rollup_kind kind,
                                        uint32_t owner, uint32_t hour);

/*
 * Totals follow the buckets of series, which work in whole milliseconds and include
 * their right edge: window w has the rows with (w - 1) * 10 min < time <= w * 10 min.
 */
static inline uint32_t rollup_totals_window(int64_t time_ns)
{
    int64_t ms = time_ns / NS_PER_MS;

    return ms > 0 ? (uint32_t)((ms - 1) / ROLLUP_TOTALS_MS + 1) : 0;
}

/* The nanoseconds whose rows are in window w > 0. */
static inline struct time_span rollup_totals_span(uint32_t w)
{
    int64_t last_ms = (int64_t)w * ROLLUP_TOTALS_MS;

    return (struct time_span){(last_ms - ROLLUP_TOTALS_MS + 1) * NS_PER_MS,
                              (last_ms + 1) * NS_PER_MS - 1};
}

static inline struct time_span rollup_hour_span(uint32_t hour)
{
    int64_t first = hour * ROLLUP_HOUR_NS;

    return (struct time_span){first, first + ROLLUP_HOUR_NS - 1};
}

/* Rows before 1970 or after 2200 are in no window: such a service has no rollups. */
static inline bool rollup_time_ok(struct time_span time)
{
    return time.first_ns >= NS_PER_DAY && time.last_ns < 84000 * NS_PER_DAY;
}

#endif

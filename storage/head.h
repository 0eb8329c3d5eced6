/*
 * head - the recent rows of one (tenant, service, UTC day), in memory.
 *
 * Rows arrive in LSN order and never change. A head is open until it is frozen
 * for sealing; frozen, it only serves queries. Its id is random and unique for
 * ever: WAL records and segments name it.
 *
 * A row is encoded once (head_encode.h): the same bytes go into the WAL and
 * stay here. Symbols carry the epoch of the WAL file in which they were last
 * logged, so that every WAL file defines what it uses.
 *
 * Threads: head.mu guards everything that changes; a dataset (a picture of the
 * first n rows) is read without it, because rows and symbols do not move. Heads
 * are counted references: storage, views and sealing hold them.
 */
#ifndef STORAGE_HEAD_H
#define STORAGE_HEAD_H

#include "storage/dataset.h"
#include "storage/model/labels.h"
#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/stable_array.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct head_index;

struct head_key {
    struct str tenant, service;
    int32_t day; /* since 1970-01-01 UTC */
};

/* Labels of a stream as string ids of the head's dictionary. */
struct head_stream {
    struct label *pairs; /* texts, borrowed from the dictionary */
    uint32_t *ids;       /* name, value, name, value ... */
    uint32_t count;
    uint64_t hash;
};

struct head_typeset {
    struct typeset set; /* texts, borrowed from the dictionary */
    uint32_t *ids;      /* period type, period unit, then type, unit per type */
};

struct head_row {
    uint32_t stream, typeset;
    int64_t time_ns, duration_ns, period;
    uint64_t present, lsn;
    uint32_t lsn_index, sample_count;
    value128 *totals;
    struct str samples; /* storage/model/samples.h, byte form */
};

/* What a WAL file defines. */
enum head_table {
    HEAD_STRINGS,
    HEAD_FUNCTIONS,
    HEAD_MAPPINGS,
    HEAD_LOCATIONS,
    HEAD_NODES,
    HEAD_STREAMS,
    HEAD_TYPESETS,
    HEAD_TABLES,
};

/* Which ids the WAL file `epoch` defines: one bit each, for ids below `count`. */
struct head_marks {
    uint64_t *bits;
    uint32_t count; /* a multiple of 64 */
    uint32_t epoch;
};

struct head {
    _Atomic uint32_t refs;
    uint64_t id;
    struct head_key key; /* constant; texts in `memory` */

    struct mutex mu; /* guards the rest */
    bool frozen;     /* changes with the store's mutex held too: either is enough to read it */
    struct symbols *symbols;
    struct arena memory; /* rows, streams, typesets */
    struct stable_array rows, streams, typesets;
    struct head_marks marks[HEAD_TABLES];
    uint32_t key_epoch; /* WAL file that says what `id` means */
    uint32_t *stream_slots, stream_mask;
    uint64_t first_lsn, last_lsn; /* 0: no row */
    int64_t first_mono_ns;        /* when the first row came */
    struct head_index *index;     /* of the rows last asked for; may be NULL */
};

/* Holds one reference. The key's texts are copied. `bytes_max` bounds its memory. */
struct head *head_new(const struct head_key *key, uint64_t id, size_t bytes_max);
struct head *head_ref(struct head *h);
void head_unref(struct head *h); /* NULL is fine */

size_t head_bytes(struct head *h); /* takes the mutex */
size_t head_bytes_locked(const struct head *h);

/* ERR_BUSY: it holds as much as it may and will be sealed; the client retries. */
int head_is_full(const struct head *h, struct err *err);

/* With the mutex held: ids of equal entries, or new ones. */
int head_intern_stream(struct head *h, const struct labels *labels, uint32_t *id, struct err *err);
int head_intern_typeset(struct head *h, const struct typeset *set, uint32_t *id, struct err *err);

/*
 * With the mutex held: memory for a row, not visible yet; what it points to is
 * copied. Then, when its record has an LSN, head_publish_row() for each row in order.
 */
int head_prepare_row(struct head *h, const struct head_row *row, struct head_row *out,
                     struct err *err);
int head_publish_row(struct head *h, const struct head_row *row, int64_t mono_ns, struct err *err);

/*
 * A dataset of the rows with an LSN up to `durable_lsn`, or NULL when there are
 * none. Holds a reference on the head; head_dataset_close().
 */
struct dataset *head_dataset_open(struct head *h, uint64_t durable_lsn);
void head_dataset_close(struct dataset *ds); /* NULL is fine */

#endif

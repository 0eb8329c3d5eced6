/*
 * head_replay - WAL push records back into heads.
 *
 * Ids in a record are those of the head that wrote it; they are translated to
 * the ids of the head that is rebuilt here, file by file: each WAL file defines
 * what it uses. A record that refers to something undefined (its definition was
 * in a damaged record) is skipped and counted: what is left stays exact.
 *
 * Threads: used by recovery alone, before anything else runs.
 */
#ifndef STORAGE_HEAD_REPLAY_H
#define STORAGE_HEAD_REPLAY_H

#include "storage/head.h"

#include <stdint.h>

struct err;
struct head_replay;

struct head_replay_hooks {
    void *ctx;
    /* The head with that id, made if new; NULL: its rows are in a segment already. Borrowed. */
    struct head *(*find)(void *ctx, uint64_t id, const struct head_key *key);
    /* Is that head in a segment? Its key may have been in a file that is gone. */
    bool (*is_sealed)(void *ctx, uint64_t id);
    /* A row's duplicate key, also of rows in segments. */
    void (*dedup)(void *ctx, uint64_t key, int64_t time_ns);
    int64_t mono_ns;
};

struct head_replay_counts {
    uint64_t rows, rows_sealed, records_damaged;
};

struct head_replay *head_replay_new(const struct head_replay_hooks *hooks);
void head_replay_free(struct head_replay *r); /* NULL is fine */

/* Never fails for what the record says; `epoch` is the record's. */
void head_replay_record(struct head_replay *r, uint64_t lsn, uint32_t epoch, struct str payload);

struct head_replay_counts head_replay_counts(const struct head_replay *r);

#endif

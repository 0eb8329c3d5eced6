/*
 * ledger_internal - what the two halves of the ledger share: ledger.c counts, ledger_fs.c is
 * the disk that asks it first. Private to them.
 */
#ifndef STORAGE_LEDGER_INTERNAL_H
#define STORAGE_LEDGER_INTERNAL_H

#include "storage/ledger.h"

#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* What takes space: a file under any number of names, or none while it is open. */
struct mass {
    uint32_t links, opens;
    bool is_dir;
    enum ledger_kind kind;
    uint64_t extent; /* of a file: bytes up to where it was written */
    uint64_t taken;  /* bytes counted for it */
};

struct name {
    struct name *next;
    struct mass *mass;
    uint64_t hash;
    char path[];
};

struct ledger {
    struct fs fs;
    struct fs *inner;
    uint64_t seed, block;
    /* Held while names change, below and here. No rank: a simulated disk may run whole stores
     * inside. */
    pthread_mutex_t names_mu;

    struct mutex mu; /* guards the rest */
    struct name **buckets;
    size_t count, mask;
    struct mass *root;
    uint64_t catalog_share, catalog_actual;
    struct ledger_usage usage; /* by_kind without the catalog */
};

struct ledger_file {
    struct fs_file file;
    struct fs_file *inner;
    struct mass *mass;
    char path[]; /* for messages */
};

struct ledger *ledger_of(struct fs *fs);
struct ledger_file *ledger_file_of(struct fs_file *f);
/* Around any change of names. */
void ledger_lock_names(struct ledger *l);
void ledger_unlock_names(struct ledger *l);

enum ledger_kind ledger_kind_of(const char *path);
/* The most that a file of this length can take on disk. */
uint64_t ledger_cost(const struct ledger *l, uint64_t extent);
/* Reserves for a file that is to reach to `extent`: ERR_NO_SPACE, and nothing has changed. */
int ledger_grow(struct ledger_file *f, uint64_t extent, struct err *err);
/* Enters what was found at a path; takes more for what takes more than was thought. */
void ledger_learn(struct ledger *l, const char *path, const struct fs_stat *st);
/* After a name came or went: directories take what they take, at once. */
void ledger_look_at_directory(struct ledger *l, const char *path);

/* What follows is under `mu`. */
/* Counts `bytes` more: ERR_NO_SPACE beyond the limit, with `path` in the message. */
int ledger_reserve(struct ledger *l, struct mass *m, uint64_t bytes, const char *path,
                   struct err *err);
void ledger_set_taken(struct ledger *l, struct mass *m, uint64_t bytes);
void ledger_set_kind(struct ledger *l, struct mass *m, enum ledger_kind kind);
void ledger_rehash(struct ledger *l);
/* NULL: not known. */
struct mass *ledger_find(struct ledger *l, const char *path);
void ledger_put(struct ledger *l, const char *path, struct mass *m);
void ledger_remove_name(struct ledger *l, const char *path);
struct mass *ledger_new_mass(bool is_dir, enum ledger_kind kind);
/* Frees what has no name and is not open. */
void ledger_drop_if_unused(struct ledger *l, struct mass *m);

#endif

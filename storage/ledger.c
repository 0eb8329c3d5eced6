#include "storage/ledger.h"

#include "storage/ledger_internal.h"

#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS_FIRST = 256,
    EXTENT_FREE = 64 << 10,      /* files up to this need no block to find their blocks */
    EXTENT_PER_BLOCK = 64 << 20, /* larger ones need one per this many bytes at most */
    WALK_DEPTH_MAX = 32,
};

struct ledger *ledger_of(struct fs *fs)
{
    return (struct ledger *)(void *)fs;
}

struct ledger_file *ledger_file_of(struct fs_file *f)
{
    return (struct ledger_file *)(void *)f;
}

void ledger_lock_names(struct ledger *l)
{
    check(pthread_mutex_lock(&l->names_mu) == 0);
}

void ledger_unlock_names(struct ledger *l)
{
    check(pthread_mutex_unlock(&l->names_mu) == 0);
}

const char *ledger_kind_name(enum ledger_kind kind)
{
    static const char *const names[LEDGER_KINDS] = {
        "segments", "log", "temporary", "quarantine", "directories", "catalog", "other",
    };

    return names[kind];
}

enum ledger_kind ledger_kind_of(const char *path)
{
    static const char *const first[] = {"seg/", "wal/", "tmp/", "quarantine/"};

    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        if (strncmp(path, first[i], strlen(first[i])) == 0)
            return (enum ledger_kind)i;
    return LEDGER_OTHER;
}

/* SQLite's: the file, and what stands beside it. What was set aside is a file like any other. */
static bool is_catalog(const char *path)
{
    static const char *const names[] = {"catalog.sqlite", "catalog.sqlite-wal",
                                        "catalog.sqlite-shm", "catalog.sqlite-journal"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    return false;
}

/* ---- the sums; under mu ---- */

static uint64_t catalog_bytes(const struct ledger *l)
{
    return l->catalog_share > l->catalog_actual ? l->catalog_share : l->catalog_actual;
}

static uint64_t used(const struct ledger *l)
{
    return l->usage.used + catalog_bytes(l);
}

static void note_peak(struct ledger *l)
{
    if (used(l) > l->usage.peak)
        l->usage.peak = used(l);
}

static void take(struct ledger *l, struct mass *m, uint64_t bytes)
{
    m->taken += bytes;
    l->usage.by_kind[m->kind] += bytes;
    l->usage.used += bytes;
    note_peak(l);
}

static void give(struct ledger *l, struct mass *m, uint64_t bytes)
{
    check(bytes <= m->taken);
    m->taken -= bytes;
    l->usage.by_kind[m->kind] -= bytes;
    l->usage.used -= bytes;
}

void ledger_set_taken(struct ledger *l, struct mass *m, uint64_t bytes)
{
    if (bytes > m->taken)
        take(l, m, bytes - m->taken);
    else
        give(l, m, m->taken - bytes);
}

void ledger_set_kind(struct ledger *l, struct mass *m, enum ledger_kind kind)
{
    uint64_t bytes = m->taken;

    give(l, m, bytes);
    m->kind = kind;
    take(l, m, bytes);
}

int ledger_reserve(struct ledger *l, struct mass *m, uint64_t bytes, const char *path,
                   struct err *err)
{
    if (l->usage.limit > 0 && used(l) + bytes > l->usage.limit) {
        l->usage.refusals++;
        return err_set(err, ERR_NO_SPACE,
                       "'%s': %llu more bytes would pass retention.max_bytes (%llu, %llu used)",
                       path, (unsigned long long)bytes, (unsigned long long)l->usage.limit,
                       (unsigned long long)used(l));
    }
    take(l, m, bytes);
    return 0;
}

/* The most blocks that a file of this length can take. */
uint64_t ledger_cost(const struct ledger *l, uint64_t extent)
{
    uint64_t blocks = (extent + l->block - 1) / l->block;

    if (extent > EXTENT_FREE)
        blocks += 1 + extent / EXTENT_PER_BLOCK;
    return blocks * l->block;
}

/* Reserves for a file that is to reach to `extent`. */
int ledger_grow(struct ledger_file *f, uint64_t extent, struct err *err)
{
    struct ledger *l = ledger_of(f->file.fs);
    struct mass *m = f->mass;
    uint64_t want = ledger_cost(l, extent);
    int rc = 0;

    mutex_lock(&l->mu);
    if (want > m->taken)
        rc = ledger_reserve(l, m, want - m->taken, f->path, err);
    if (rc == 0 && extent > m->extent)
        m->extent = extent;
    mutex_unlock(&l->mu);
    return rc;
}

/* ---- the table of names; under mu ---- */

void ledger_rehash(struct ledger *l)
{
    size_t size = l->buckets ? (l->mask + 1) * 2 : BUCKETS_FIRST;
    struct name **buckets = calloc(size, sizeof(struct name *));

    check(buckets);
    for (size_t i = 0; l->buckets && i <= l->mask; i++) {
        for (struct name *n = l->buckets[i], *next; n; n = next) {
            next = n->next;
            n->next = buckets[n->hash & (size - 1)];
            buckets[n->hash & (size - 1)] = n;
        }
    }
    free(l->buckets);
    l->buckets = buckets;
    l->mask = size - 1;
}

/* Where the pointer to a name is, or would be. */
static struct name **slot_of(struct ledger *l, const char *path, uint64_t *hash)
{
    struct name **at;

    *hash = hash64(l->seed, path, strlen(path));
    at = &l->buckets[*hash & l->mask];
    while (*at && ((*at)->hash != *hash || strcmp((*at)->path, path) != 0))
        at = &(*at)->next;
    return at;
}

struct mass *ledger_find(struct ledger *l, const char *path)
{
    struct name **at;
    uint64_t hash;

    if (strcmp(path, ".") == 0)
        return l->root;
    at = slot_of(l, path, &hash);
    return *at ? (*at)->mass : NULL;
}

void ledger_put(struct ledger *l, const char *path, struct mass *m)
{
    size_t len = strlen(path) + 1;
    struct name *n = malloc(sizeof(*n) + len);
    struct name **at;

    check(n);
    if (l->count > l->mask)
        ledger_rehash(l);
    at = slot_of(l, path, &n->hash);
    check(!*at);
    memcpy(n->path, path, len);
    n->mass = m;
    n->next = NULL;
    *at = n;
    l->count++;
    m->links++;
}

void ledger_drop_if_unused(struct ledger *l, struct mass *m)
{
    if (m->links > 0 || m->opens > 0 || m == l->root)
        return;
    give(l, m, m->taken);
    free(m);
}

void ledger_remove_name(struct ledger *l, const char *path)
{
    uint64_t hash;
    struct name **at = slot_of(l, path, &hash), *n = *at;

    if (!n)
        return;
    *at = n->next;
    l->count--;
    n->mass->links--;
    ledger_drop_if_unused(l, n->mass);
    free(n);
}

struct mass *ledger_new_mass(bool is_dir, enum ledger_kind kind)
{
    struct mass *m = calloc(1, sizeof(*m));

    check(m);
    m->is_dir = is_dir;
    m->kind = is_dir ? LEDGER_DIRECTORIES : kind;
    return m;
}

/* ---- looking at what is there ---- */

void ledger_learn(struct ledger *l, const char *path, const struct fs_stat *st)
{
    struct mass *m;
    uint64_t bytes = st->allocated;

    mutex_lock(&l->mu);
    m = ledger_find(l, path);
    if (!m) {
        m = ledger_new_mass(st->is_dir, ledger_kind_of(path));
        m->extent = st->size;
        ledger_put(l, path, m);
    }
    if (!st->is_dir && ledger_cost(l, m->extent) > bytes)
        bytes = ledger_cost(l, m->extent);
    if (st->is_dir || bytes > m->taken)
        ledger_set_taken(l, m, bytes);
    mutex_unlock(&l->mu);
}

/* After a name came or went: directories take what they take, at once. */
void ledger_look_at_directory(struct ledger *l, const char *path)
{
    struct fs_stat st;

    if (fs_stat(l->inner, path, &st, NULL) == 0)
        ledger_learn(l, path, &st);
}

struct walk {
    struct ledger *l;
    char **dirs; /* still to be listed */
    size_t count, cap;
    const char *dir;
    uint64_t catalog;
};

static void walk_push(struct walk *w, const char *path)
{
    char *copy = strdup(path);

    if (w->count == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 16;
        w->dirs = realloc(w->dirs, w->cap * sizeof(*w->dirs));
    }
    check(copy && w->dirs);
    w->dirs[w->count++] = copy;
}

static int walk_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct walk *w = ctx;
    char path[FS_PATH_MAX];
    bool top = strcmp(w->dir, ".") == 0;
    int len = snprintf(path, sizeof(path), "%s%s%s", top ? "" : w->dir, top ? "" : "/", name);
    uint32_t depth = 0;

    (void)err;
    if (len < 0 || (size_t)len >= sizeof(path))
        return 0; /* longer than any of our names */
    if (is_catalog(path)) {
        w->catalog += st->allocated;
        return 0;
    }
    ledger_learn(w->l, path, st);
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (st->is_dir && depth < WALK_DEPTH_MAX)
        walk_push(w, path);
    return 0;
}

int ledger_walk(struct fs *ledger, struct err *err)
{
    struct ledger *l = ledger_of(ledger);
    struct walk w = {.l = l};
    struct fs_space space;
    int rc = 0;

    ledger_lock_names(l);
    if (fs_space(l->inner, &space, NULL) == 0 && space.block >= 512 && space.block <= 2 << 20)
        l->block = space.block;
    ledger_look_at_directory(l, ".");
    walk_push(&w, ".");
    while (rc == 0 && w.count > 0) {
        char *dir = w.dirs[--w.count];

        w.dir = dir;
        rc = fs_list(l->inner, dir, walk_entry, &w, err);
        if (rc == ERR_NOT_FOUND)
            rc = 0; /* removed meanwhile */
        free(dir);
    }
    while (w.count > 0)
        free(w.dirs[--w.count]);
    free(w.dirs);
    mutex_lock(&l->mu);
    if (rc == 0)
        l->catalog_actual = w.catalog;
    note_peak(l);
    mutex_unlock(&l->mu);
    ledger_unlock_names(l);
    return rc;
}

void ledger_set_limit(struct fs *ledger, uint64_t bytes)
{
    struct ledger *l = ledger_of(ledger);

    mutex_lock(&l->mu);
    l->usage.limit = bytes;
    mutex_unlock(&l->mu);
}

void ledger_set_catalog(struct fs *ledger, uint64_t bytes)
{
    struct ledger *l = ledger_of(ledger);

    mutex_lock(&l->mu);
    l->catalog_share = bytes;
    note_peak(l);
    mutex_unlock(&l->mu);
}

void ledger_usage(struct fs *ledger, struct ledger_usage *out)
{
    struct ledger *l = ledger_of(ledger);

    mutex_lock(&l->mu);
    *out = l->usage;
    out->by_kind[LEDGER_CATALOG] = catalog_bytes(l);
    out->used = used(l);
    mutex_unlock(&l->mu);
}

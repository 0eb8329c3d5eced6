#include "storage/ledger.h"

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
    BLOCK_DEFAULT = 4096,
    DIRECTORY_GROWTH = 4,        /* blocks: the most that one more name makes a directory grow */
    EXTENT_FREE = 64 << 10,      /* files up to this need no block to find their blocks */
    EXTENT_PER_BLOCK = 64 << 20, /* larger ones need one per this many bytes at most */
    WALK_DEPTH_MAX = 32,
};

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

static struct ledger *of(struct fs *fs)
{
    return (struct ledger *)(void *)fs;
}

static struct ledger_file *file_of(struct fs_file *f)
{
    return (struct ledger_file *)(void *)f;
}

static void lock_names(struct ledger *l)
{
    check(pthread_mutex_lock(&l->names_mu) == 0);
}

static void unlock_names(struct ledger *l)
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

static enum ledger_kind kind_of(const char *path)
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

static void set_taken(struct ledger *l, struct mass *m, uint64_t bytes)
{
    if (bytes > m->taken)
        take(l, m, bytes - m->taken);
    else
        give(l, m, m->taken - bytes);
}

static void set_kind(struct ledger *l, struct mass *m, enum ledger_kind kind)
{
    uint64_t bytes = m->taken;

    give(l, m, bytes);
    m->kind = kind;
    take(l, m, bytes);
}

static int reserve(struct ledger *l, struct mass *m, uint64_t bytes, const char *path,
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
static uint64_t cost(const struct ledger *l, uint64_t extent)
{
    uint64_t blocks = (extent + l->block - 1) / l->block;

    if (extent > EXTENT_FREE)
        blocks += 1 + extent / EXTENT_PER_BLOCK;
    return blocks * l->block;
}

/* Reserves for a file that is to reach to `extent`. */
static int grow(struct ledger_file *f, uint64_t extent, struct err *err)
{
    struct ledger *l = of(f->file.fs);
    struct mass *m = f->mass;
    uint64_t want = cost(l, extent);
    int rc = 0;

    mutex_lock(&l->mu);
    if (want > m->taken)
        rc = reserve(l, m, want - m->taken, f->path, err);
    if (rc == 0 && extent > m->extent)
        m->extent = extent;
    mutex_unlock(&l->mu);
    return rc;
}

/* ---- the table of names; under mu ---- */

static void rehash(struct ledger *l)
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

static struct mass *find(struct ledger *l, const char *path)
{
    struct name **at;
    uint64_t hash;

    if (strcmp(path, ".") == 0)
        return l->root;
    at = slot_of(l, path, &hash);
    return *at ? (*at)->mass : NULL;
}

static void put(struct ledger *l, const char *path, struct mass *m)
{
    size_t len = strlen(path) + 1;
    struct name *n = malloc(sizeof(*n) + len);
    struct name **at;

    check(n);
    if (l->count > l->mask)
        rehash(l);
    at = slot_of(l, path, &n->hash);
    check(!*at);
    memcpy(n->path, path, len);
    n->mass = m;
    n->next = NULL;
    *at = n;
    l->count++;
    m->links++;
}

static void drop_if_unused(struct ledger *l, struct mass *m)
{
    if (m->links > 0 || m->opens > 0 || m == l->root)
        return;
    give(l, m, m->taken);
    free(m);
}

static void remove_name(struct ledger *l, const char *path)
{
    uint64_t hash;
    struct name **at = slot_of(l, path, &hash), *n = *at;

    if (!n)
        return;
    *at = n->next;
    l->count--;
    n->mass->links--;
    drop_if_unused(l, n->mass);
    free(n);
}

static struct mass *new_mass(bool is_dir, enum ledger_kind kind)
{
    struct mass *m = calloc(1, sizeof(*m));

    check(m);
    m->is_dir = is_dir;
    m->kind = is_dir ? LEDGER_DIRECTORIES : kind;
    return m;
}

/* ---- looking at what is there ---- */

static void learn(struct ledger *l, const char *path, const struct fs_stat *st)
{
    struct mass *m;
    uint64_t bytes = st->allocated;

    mutex_lock(&l->mu);
    m = find(l, path);
    if (!m) {
        m = new_mass(st->is_dir, kind_of(path));
        m->extent = st->size;
        put(l, path, m);
    }
    if (!st->is_dir && cost(l, m->extent) > bytes)
        bytes = cost(l, m->extent);
    if (st->is_dir || bytes > m->taken)
        set_taken(l, m, bytes);
    mutex_unlock(&l->mu);
}

/* After a name came or went: directories take what they take, at once. */
static void look_at_directory(struct ledger *l, const char *path)
{
    struct fs_stat st;

    if (fs_stat(l->inner, path, &st, NULL) == 0)
        learn(l, path, &st);
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
    learn(w->l, path, st);
    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (st->is_dir && depth < WALK_DEPTH_MAX)
        walk_push(w, path);
    return 0;
}

int ledger_walk(struct fs *ledger, struct err *err)
{
    struct ledger *l = of(ledger);
    struct walk w = {.l = l};
    struct fs_space space;
    int rc = 0;

    lock_names(l);
    if (fs_space(l->inner, &space, NULL) == 0 && space.block >= 512 && space.block <= 2 << 20)
        l->block = space.block;
    look_at_directory(l, ".");
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
    unlock_names(l);
    return rc;
}

void ledger_set_limit(struct fs *ledger, uint64_t bytes)
{
    struct ledger *l = of(ledger);

    mutex_lock(&l->mu);
    l->usage.limit = bytes;
    mutex_unlock(&l->mu);
}

void ledger_set_catalog(struct fs *ledger, uint64_t bytes)
{
    struct ledger *l = of(ledger);

    mutex_lock(&l->mu);
    l->catalog_share = bytes;
    note_peak(l);
    mutex_unlock(&l->mu);
}

void ledger_usage(struct fs *ledger, struct ledger_usage *out)
{
    struct ledger *l = of(ledger);

    mutex_lock(&l->mu);
    *out = l->usage;
    out->by_kind[LEDGER_CATALOG] = catalog_bytes(l);
    out->used = used(l);
    mutex_unlock(&l->mu);
}

/* What the disk itself says is remembered: whoever waits for space looks at it. */
static int note(struct ledger *l, int rc, const struct err *err)
{
    if (rc != ERR_NO_SPACE && !(rc == ERR_IO && err && err->os_errno == EROFS))
        return rc;
    mutex_lock(&l->mu);
    l->usage.disk_full++;
    mutex_unlock(&l->mu);
    return rc;
}

/* ---- files ---- */

static void parent_of(const char *path, char out[FS_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    check(len < FS_PATH_MAX);
    memcpy(out, path, len);
    out[len] = '\0';
    if (!slash)
        memcpy(out, ".", 2);
}

/* Room for one more name in the directory of `path`. */
static int reserve_name(struct ledger *l, const char *path, struct err *err)
{
    char dir[FS_PATH_MAX];
    struct mass *m;
    int rc;

    parent_of(path, dir);
    mutex_lock(&l->mu);
    m = find(l, dir);
    if (!m)
        m = l->root;
    check(m);
    rc = reserve(l, m, DIRECTORY_GROWTH * l->block, path, err);
    mutex_unlock(&l->mu);
    return rc;
}

/* What was reserved for it becomes what it is. */
static void settle_name(struct ledger *l, const char *path)
{
    char dir[FS_PATH_MAX];
    bool known;

    parent_of(path, dir);
    mutex_lock(&l->mu);
    known = find(l, dir) != NULL;
    mutex_unlock(&l->mu);
    look_at_directory(l, known ? dir : ".");
}

/* One more user of the file that `path` names; NULL when it is not known. */
static struct mass *pin(struct ledger *l, const char *path)
{
    struct mass *m;

    mutex_lock(&l->mu);
    m = find(l, path);
    if (m)
        m->opens++;
    mutex_unlock(&l->mu);
    return m;
}

static void unpin(struct ledger *l, struct mass *m)
{
    mutex_lock(&l->mu);
    m->opens--;
    drop_if_unused(l, m);
    mutex_unlock(&l->mu);
}

static void wrap(struct ledger *l, const char *path, struct fs_file *inner, struct mass *m,
                 struct fs_file **out)
{
    size_t len = strlen(path) + 1;
    struct ledger_file *f = malloc(sizeof(*f) + len);

    check(f);
    f->file.fs = &l->fs;
    f->inner = inner;
    f->mass = m;
    memcpy(f->path, path, len);
    *out = &f->file;
}

static int open_known(struct ledger *l, const char *path, unsigned int flags, struct mass *m,
                      struct fs_file **out, struct err *err)
{
    struct fs_file *inner;
    int rc = note(l, fs_open(l->inner, path, flags, &inner, err), err);

    if (rc == 0)
        wrap(l, path, inner, m, out);
    else
        unpin(l, m);
    return rc;
}

/* With the names' lock: the file is made, or is one that nobody told us about. */
static int open_unknown(struct ledger *l, const char *path, unsigned int flags,
                        struct fs_file **out, struct err *err)
{
    struct fs_stat st = {0};
    struct fs_file *inner;
    int rc = flags & FS_CREATE ? reserve_name(l, path, err) : 0;

    if (rc != 0)
        return rc;
    rc = note(l, fs_open(l->inner, path, flags, &inner, err), err);
    if (rc == 0) {
        (void)fs_file_size(inner, &st.size, NULL);
        learn(l, path, &st);
        wrap(l, path, inner, pin(l, path), out);
    }
    if (flags & FS_CREATE)
        settle_name(l, path);
    return rc;
}

static int ledger_open(struct fs *fs, const char *path, unsigned int flags, struct fs_file **out,
                       struct err *err)
{
    struct ledger *l = of(fs);
    struct mass *m = flags & FS_CREATE ? NULL : pin(l, path);
    int rc;

    /* Questions open files all the time; only what is new waits for changes of names. */
    if (m)
        return open_known(l, path, flags, m, out, err);
    lock_names(l);
    m = pin(l, path);
    rc = m ? open_known(l, path, flags, m, out, err) : open_unknown(l, path, flags, out, err);
    unlock_names(l);
    return rc;
}

static int ledger_pread(struct fs_file *f, void *into, size_t size, uint64_t offset, size_t *got,
                        struct err *err)
{
    return fs_pread(file_of(f)->inner, into, size, offset, got, err);
}

static int ledger_pwrite(struct fs_file *f, const void *data, size_t size, uint64_t offset,
                         struct err *err)
{
    int rc = grow(file_of(f), offset + size, err);

    if (rc != 0)
        return rc;
    return note(of(f->fs), fs_pwrite(file_of(f)->inner, data, size, offset, err), err);
}

static int ledger_size(struct fs_file *f, uint64_t *out, struct err *err)
{
    return fs_file_size(file_of(f)->inner, out, err);
}

static int ledger_truncate(struct fs_file *f, uint64_t size, struct err *err)
{
    struct ledger *l = of(f->fs);
    struct mass *m = file_of(f)->mass;
    int rc = grow(file_of(f), size, err);

    if (rc != 0 || (rc = note(l, fs_truncate(file_of(f)->inner, size, err), err)) != 0)
        return rc;
    mutex_lock(&l->mu);
    m->extent = size;
    set_taken(l, m, cost(l, size));
    mutex_unlock(&l->mu);
    return 0;
}

static int ledger_allocate(struct fs_file *f, uint64_t size, struct err *err)
{
    int rc = grow(file_of(f), size, err);

    return rc != 0 ? rc : note(of(f->fs), fs_allocate(file_of(f)->inner, size, err), err);
}

static int ledger_datasync(struct fs_file *f, struct err *err)
{
    return note(of(f->fs), fs_datasync(file_of(f)->inner, err), err);
}

static int ledger_lock(struct fs_file *f, struct err *err)
{
    return fs_lock(file_of(f)->inner, err);
}

static void ledger_close(struct fs_file *file)
{
    struct ledger_file *f = file_of(file);

    fs_close(f->inner);
    unpin(of(file->fs), f->mass);
    free(f);
}

/* ---- names ---- */

static int ledger_rename(struct fs *fs, const char *from, const char *to, struct err *err)
{
    struct ledger *l = of(fs);
    struct mass *m;
    int rc;

    lock_names(l);
    rc = reserve_name(l, to, err);
    if (rc == 0) {
        rc = note(l, fs_rename(l->inner, from, to, err), err);
        mutex_lock(&l->mu);
        m = rc == 0 ? find(l, from) : NULL;
        /* Two names of one file: rename(2) does nothing. */
        if (rc == 0 && m && m == find(l, to))
            m = NULL;
        else if (rc == 0)
            remove_name(l, to);
        if (m) {
            m->opens++; /* stays while its name changes */
            remove_name(l, from);
            put(l, to, m);
            if (!m->is_dir)
                set_kind(l, m, kind_of(to));
            m->opens--;
        }
        mutex_unlock(&l->mu);
        settle_name(l, from);
        settle_name(l, to);
    }
    unlock_names(l);
    return rc;
}

static int ledger_link(struct fs *fs, const char *from, const char *to, struct err *err)
{
    struct ledger *l = of(fs);
    struct mass *m;
    int rc;

    lock_names(l);
    rc = reserve_name(l, to, err);
    if (rc == 0) {
        rc = note(l, fs_link(l->inner, from, to, err), err);
        mutex_lock(&l->mu);
        m = rc == 0 ? find(l, from) : NULL;
        if (m)
            put(l, to, m);
        mutex_unlock(&l->mu);
        settle_name(l, to);
    }
    unlock_names(l);
    return rc;
}

static int forget(struct fs *fs, const char *path,
                  int (*remove)(struct fs *, const char *, struct err *), struct err *err)
{
    struct ledger *l = of(fs);
    int rc;

    lock_names(l);
    rc = note(l, remove(l->inner, path, err), err);
    if (rc == 0 || rc == ERR_NOT_FOUND) {
        mutex_lock(&l->mu);
        remove_name(l, path);
        mutex_unlock(&l->mu);
        settle_name(l, path);
    }
    unlock_names(l);
    return rc;
}

static int ledger_unlink(struct fs *fs, const char *path, struct err *err)
{
    return forget(fs, path, fs_unlink, err);
}

static int ledger_rmdir(struct fs *fs, const char *path, struct err *err)
{
    return forget(fs, path, fs_rmdir, err);
}

static int ledger_mkdir(struct fs *fs, const char *path, struct err *err)
{
    struct ledger *l = of(fs);
    struct mass *m;
    int rc;

    lock_names(l);
    mutex_lock(&l->mu);
    m = find(l, path);
    mutex_unlock(&l->mu);
    rc = m ? 0 : reserve_name(l, path, err); /* its own block is part of that */
    if (rc == 0) {
        rc = note(l, fs_mkdir(l->inner, path, err), err);
        if (rc == 0 || rc == ERR_EXISTS)
            look_at_directory(l, path);
        settle_name(l, path);
    }
    unlock_names(l);
    return rc;
}

static int ledger_sync_dir(struct fs *fs, const char *path, struct err *err)
{
    return note(of(fs), fs_sync_dir(of(fs)->inner, path, err), err);
}

static int ledger_list(struct fs *fs, const char *path, fs_list_fn each, void *ctx, struct err *err)
{
    return fs_list(of(fs)->inner, path, each, ctx, err);
}

static int ledger_stat(struct fs *fs, const char *path, struct fs_stat *out, struct err *err)
{
    return fs_stat(of(fs)->inner, path, out, err);
}

static int ledger_space(struct fs *fs, struct fs_space *out, struct err *err)
{
    return fs_space(of(fs)->inner, out, err);
}

static void ledger_free(struct fs *fs)
{
    struct ledger *l = of(fs);

    for (size_t i = 0; i <= l->mask; i++) {
        for (struct name *n = l->buckets[i], *next; n; n = next) {
            next = n->next;
            if (--n->mass->links == 0 && n->mass->opens == 0)
                free(n->mass);
            free(n);
        }
    }
    free(l->buckets);
    free(l->root);
    mutex_destroy(&l->mu);
    (void)pthread_mutex_destroy(&l->names_mu);
    free(l);
}

static const struct fs_ops ledger_ops = {
    .open = ledger_open,
    .pread = ledger_pread,
    .pwrite = ledger_pwrite,
    .size = ledger_size,
    .truncate = ledger_truncate,
    .allocate = ledger_allocate,
    .datasync = ledger_datasync,
    .lock = ledger_lock,
    .close = ledger_close,
    .rename = ledger_rename,
    .link = ledger_link,
    .unlink = ledger_unlink,
    .mkdir = ledger_mkdir,
    .rmdir = ledger_rmdir,
    .sync_dir = ledger_sync_dir,
    .list = ledger_list,
    .stat = ledger_stat,
    .space = ledger_space,
    .free = ledger_free,
};

struct fs *ledger_new(struct fs *inner)
{
    struct ledger *l = calloc(1, sizeof(*l));

    check(l);
    l->fs.ops = &ledger_ops;
    l->inner = inner;
    l->seed = hash_seed_random();
    l->block = BLOCK_DEFAULT;
    rehash(l);
    l->root = new_mass(true, LEDGER_DIRECTORIES);
    l->root->links = 1;
    check(pthread_mutex_init(&l->names_mu, NULL) == 0);
    mutex_init(&l->mu, MUTEX_RANK_LEDGER, "ledger");
    return &l->fs;
}

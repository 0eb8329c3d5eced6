/*
 * The ledger as a disk: every call of struct fs, with what it may allocate reserved before.
 */
#include "storage/ledger_internal.h"

#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_DEFAULT = 4096,
    DIRECTORY_GROWTH = 4, /* blocks: the most that one more name makes a directory grow */
};

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
    m = ledger_find(l, dir);
    if (!m)
        m = l->root;
    check(m);
    rc = ledger_reserve(l, m, DIRECTORY_GROWTH * l->block, path, err);
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
    known = ledger_find(l, dir) != NULL;
    mutex_unlock(&l->mu);
    ledger_look_at_directory(l, known ? dir : ".");
}

/* One more user of the file that `path` names; NULL when it is not known. */
static struct mass *pin(struct ledger *l, const char *path)
{
    struct mass *m;

    mutex_lock(&l->mu);
    m = ledger_find(l, path);
    if (m)
        m->opens++;
    mutex_unlock(&l->mu);
    return m;
}

static void unpin(struct ledger *l, struct mass *m)
{
    mutex_lock(&l->mu);
    m->opens--;
    ledger_drop_if_unused(l, m);
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
        ledger_learn(l, path, &st);
        wrap(l, path, inner, pin(l, path), out);
    }
    if (flags & FS_CREATE)
        settle_name(l, path);
    return rc;
}

static int ledger_open(struct fs *fs, const char *path, unsigned int flags, struct fs_file **out,
                       struct err *err)
{
    struct ledger *l = ledger_of(fs);
    struct mass *m = flags & FS_CREATE ? NULL : pin(l, path);
    int rc;

    /* Questions open files all the time; only what is new waits for changes of names. */
    if (m)
        return open_known(l, path, flags, m, out, err);
    ledger_lock_names(l);
    m = pin(l, path);
    rc = m ? open_known(l, path, flags, m, out, err) : open_unknown(l, path, flags, out, err);
    ledger_unlock_names(l);
    return rc;
}

static int ledger_pread(struct fs_file *f, void *into, size_t size, uint64_t offset, size_t *got,
                        struct err *err)
{
    return fs_pread(ledger_file_of(f)->inner, into, size, offset, got, err);
}

static int ledger_pwrite(struct fs_file *f, const void *data, size_t size, uint64_t offset,
                         struct err *err)
{
    int rc = ledger_grow(ledger_file_of(f), offset + size, err);

    if (rc != 0)
        return rc;
    return note(ledger_of(f->fs), fs_pwrite(ledger_file_of(f)->inner, data, size, offset, err),
                err);
}

static int ledger_size(struct fs_file *f, uint64_t *out, struct err *err)
{
    return fs_file_size(ledger_file_of(f)->inner, out, err);
}

static int ledger_truncate(struct fs_file *f, uint64_t size, struct err *err)
{
    struct ledger *l = ledger_of(f->fs);
    struct mass *m = ledger_file_of(f)->mass;
    int rc = ledger_grow(ledger_file_of(f), size, err);

    if (rc != 0 || (rc = note(l, fs_truncate(ledger_file_of(f)->inner, size, err), err)) != 0)
        return rc;
    mutex_lock(&l->mu);
    m->extent = size;
    ledger_set_taken(l, m, ledger_cost(l, size));
    mutex_unlock(&l->mu);
    return 0;
}

static int ledger_allocate(struct fs_file *f, uint64_t size, struct err *err)
{
    int rc = ledger_grow(ledger_file_of(f), size, err);

    return rc != 0 ? rc
                   : note(ledger_of(f->fs), fs_allocate(ledger_file_of(f)->inner, size, err), err);
}

static int ledger_datasync(struct fs_file *f, struct err *err)
{
    return note(ledger_of(f->fs), fs_datasync(ledger_file_of(f)->inner, err), err);
}

static int ledger_lock(struct fs_file *f, struct err *err)
{
    return fs_lock(ledger_file_of(f)->inner, err);
}

static void ledger_close(struct fs_file *file)
{
    struct ledger_file *f = ledger_file_of(file);

    fs_close(f->inner);
    unpin(ledger_of(file->fs), f->mass);
    free(f);
}

/* ---- names ---- */

static int ledger_rename(struct fs *fs, const char *from, const char *to, struct err *err)
{
    struct ledger *l = ledger_of(fs);
    struct mass *m;
    int rc;

    ledger_lock_names(l);
    rc = reserve_name(l, to, err);
    if (rc == 0) {
        rc = note(l, fs_rename(l->inner, from, to, err), err);
        mutex_lock(&l->mu);
        m = rc == 0 ? ledger_find(l, from) : NULL;
        /* Two names of one file: rename(2) does nothing. */
        if (rc == 0 && m && m == ledger_find(l, to))
            m = NULL;
        else if (rc == 0)
            ledger_remove_name(l, to);
        if (m) {
            m->opens++; /* stays while its name changes */
            ledger_remove_name(l, from);
            ledger_put(l, to, m);
            if (!m->is_dir)
                ledger_set_kind(l, m, ledger_kind_of(to));
            m->opens--;
        }
        mutex_unlock(&l->mu);
        settle_name(l, from);
        settle_name(l, to);
    }
    ledger_unlock_names(l);
    return rc;
}

static int ledger_link(struct fs *fs, const char *from, const char *to, struct err *err)
{
    struct ledger *l = ledger_of(fs);
    struct mass *m;
    int rc;

    ledger_lock_names(l);
    rc = reserve_name(l, to, err);
    if (rc == 0) {
        rc = note(l, fs_link(l->inner, from, to, err), err);
        mutex_lock(&l->mu);
        m = rc == 0 ? ledger_find(l, from) : NULL;
        if (m)
            ledger_put(l, to, m);
        mutex_unlock(&l->mu);
        settle_name(l, to);
    }
    ledger_unlock_names(l);
    return rc;
}

static int forget(struct fs *fs, const char *path,
                  int (*remove)(struct fs *, const char *, struct err *), struct err *err)
{
    struct ledger *l = ledger_of(fs);
    int rc;

    ledger_lock_names(l);
    rc = note(l, remove(l->inner, path, err), err);
    if (rc == 0 || rc == ERR_NOT_FOUND) {
        mutex_lock(&l->mu);
        ledger_remove_name(l, path);
        mutex_unlock(&l->mu);
        settle_name(l, path);
    }
    ledger_unlock_names(l);
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
    struct ledger *l = ledger_of(fs);
    struct mass *m;
    int rc;

    ledger_lock_names(l);
    mutex_lock(&l->mu);
    m = ledger_find(l, path);
    mutex_unlock(&l->mu);
    rc = m ? 0 : reserve_name(l, path, err); /* its own block is part of that */
    if (rc == 0) {
        rc = note(l, fs_mkdir(l->inner, path, err), err);
        if (rc == 0 || rc == ERR_EXISTS)
            ledger_look_at_directory(l, path);
        settle_name(l, path);
    }
    ledger_unlock_names(l);
    return rc;
}

static int ledger_sync_dir(struct fs *fs, const char *path, struct err *err)
{
    return note(ledger_of(fs), fs_sync_dir(ledger_of(fs)->inner, path, err), err);
}

static int ledger_list(struct fs *fs, const char *path, fs_list_fn each, void *ctx, struct err *err)
{
    return fs_list(ledger_of(fs)->inner, path, each, ctx, err);
}

static int ledger_stat(struct fs *fs, const char *path, struct fs_stat *out, struct err *err)
{
    return fs_stat(ledger_of(fs)->inner, path, out, err);
}

static int ledger_space(struct fs *fs, struct fs_space *out, struct err *err)
{
    return fs_space(ledger_of(fs)->inner, out, err);
}

static void ledger_free(struct fs *fs)
{
    struct ledger *l = ledger_of(fs);

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
    ledger_rehash(l);
    l->root = ledger_new_mass(true, LEDGER_DIRECTORIES);
    l->root->links = 1;
    check(pthread_mutex_init(&l->names_mu, NULL) == 0);
    mutex_init(&l->mu, MUTEX_RANK_LEDGER, "ledger");
    return &l->fs;
}

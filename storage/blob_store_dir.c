/* Objects as files below the fs root: temp, datasync, rename, sync of the directory. */
#include "storage/blob_store.h"

#include "base/check.h"
#include "base/err.h"
#include "base/fs.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TMP_DIR "tmp"
#define QUARANTINE_DIR "quarantine"

enum {
    LIST_DEPTH_MAX = 16,
    NAMING_TRIES = 3,
    QUARANTINE_NAMES_MAX = 10000, /* of one object, before giving up */
};

struct dir_store {
    struct blob_store b;
    struct fs *fs;
    _Atomic uint64_t temps; /* tells temporary names apart; the folder is swept at start */
};

struct blob_writer {
    struct dir_store *store;
    struct fs_file *file;
    uint64_t size;
    char temp[FS_PATH_MAX], name[FS_PATH_MAX];
};

struct blob_reader {
    struct fs_file *file;
    uint64_t size;
    char name[FS_PATH_MAX];
};

static struct dir_store *of(struct blob_store *b)
{
    return (struct dir_store *)(void *)b;
}

/* Names come from tenants and ids that were validated; a slip must still not leave the root. */
static int check_name(const char *name, struct err *err)
{
    struct str rest = str_from(name), part;

    if (rest.len == 0 || rest.len >= FS_PATH_MAX / 2)
        return err_set(err, ERR_INVALID, "object name of %zu bytes; 1 to %d are possible", rest.len,
                       FS_PATH_MAX / 2 - 1);
    while (str_split(&rest, '/', &part))
        if (part.len == 0 || str_eq(part, STR(".")) || str_eq(part, STR("..")))
            return err_set(err, ERR_INVALID, "object name '%s' has an empty or dotted part", name);
    return 0;
}

/* The directory part of `path`, "." when there is none. */
static void dir_of(const char *path, char out[FS_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    memcpy(out, path, len);
    out[len] = '\0';
    if (!slash)
        memcpy(out, ".", 2);
}

static int make_dir_of(struct fs *fs, const char *path, struct err *err)
{
    char dir[FS_PATH_MAX];

    dir_of(path, dir);
    return strcmp(dir, ".") == 0 ? 0 : fs_make_dirs(fs, dir, err);
}

static int dir_create(struct blob_store *b, const char *name, struct blob_writer **out,
                      struct err *err)
{
    struct dir_store *s = of(b);
    struct blob_writer *w;
    int rc = check_name(name, err);

    if (rc != 0 || (rc = fs_make_dirs(s->fs, TMP_DIR, err)) != 0)
        return rc;
    w = calloc(1, sizeof(*w));
    check(w);
    w->store = s;
    (void)snprintf(w->name, sizeof(w->name), "%s", name);
    do {
        (void)snprintf(w->temp, sizeof(w->temp), TMP_DIR "/object-%llu",
                       (unsigned long long)atomic_fetch_add(&s->temps, 1));
        rc = fs_open(s->fs, w->temp, FS_WRITE | FS_CREATE | FS_EXCL, &w->file, err);
    } while (rc == ERR_EXISTS);
    if (rc != 0) {
        free(w);
        return rc;
    }
    *out = w;
    return 0;
}

static int dir_append(struct blob_writer *w, const void *data, size_t size, struct err *err)
{
    int rc = fs_pwrite(w->file, data, size, w->size, err);

    if (rc == 0)
        w->size += size;
    return rc;
}

static void dir_abort(struct blob_writer *w)
{
    if (!w)
        return;
    fs_close(w->file);
    (void)fs_unlink(w->store->fs, w->temp, NULL);
    free(w);
}

static int dir_commit(struct blob_writer *w, struct err *err)
{
    struct fs *fs = w->store->fs;
    char dir[FS_PATH_MAX];
    int rc = fs_datasync(w->file, err);

    for (int try = 0; rc == 0 && try < NAMING_TRIES; try++) {
        rc = make_dir_of(fs, w->name, err);
        if (rc == 0 && (rc = fs_rename(fs, w->temp, w->name, err)) == 0)
            break;
        /* Whoever took the last object out of the folder took that too. */
        if (rc == ERR_NOT_FOUND && try + 1 < NAMING_TRIES)
            rc = 0;
    }
    if (rc != 0) {
        dir_abort(w);
        return rc;
    }
    dir_of(w->name, dir);
    rc = fs_sync_dir(fs, dir, err);
    /* The name may or may not last: better not. Whoever lists must still expect it. */
    if (rc != 0)
        (void)fs_unlink(fs, w->name, NULL);
    fs_close(w->file);
    free(w);
    return rc;
}

static int dir_open(struct blob_store *b, const char *name, struct blob_reader **out,
                    struct err *err)
{
    struct blob_reader *r;
    int rc = check_name(name, err);

    if (rc != 0)
        return rc;
    r = calloc(1, sizeof(*r));
    check(r);
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    if ((rc = fs_open(of(b)->fs, name, FS_READ, &r->file, err)) == 0)
        rc = fs_file_size(r->file, &r->size, err);
    if (rc != 0) {
        fs_close(r->file);
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

static uint64_t dir_size(const struct blob_reader *r)
{
    return r->size;
}

static int dir_read(struct blob_reader *r, uint64_t offset, void *into, size_t size,
                    struct err *err)
{
    size_t got = 0;
    int rc = fs_pread(r->file, into, size, offset, &got, err);

    if (rc != 0)
        return rc;
    if (got != size)
        return err_set(err, ERR_CORRUPT, "'%s': %zu bytes at offset %llu, expected %zu", r->name,
                       got, (unsigned long long)offset, size);
    return 0;
}

static void dir_close(struct blob_reader *r)
{
    if (!r)
        return;
    fs_close(r->file);
    free(r);
}

static int dir_remove(struct blob_store *b, const char *name, struct err *err)
{
    char dir[FS_PATH_MAX];
    int rc = check_name(name, err);

    if (rc != 0 || (rc = fs_unlink(of(b)->fs, name, err)) != 0)
        return rc;
    dir_of(name, dir);
    return fs_sync_dir(of(b)->fs, dir, err);
}

/* quarantine/<prefix><name with '/' as '_'>, then with .1, .2, ... behind it. */
static int free_place(struct fs *fs, const char *name, const char *prefix, char out[FS_PATH_MAX],
                      struct err *err)
{
    size_t at = sizeof(QUARANTINE_DIR), end;
    struct fs_stat st;
    int rc;

    (void)snprintf(out, FS_PATH_MAX, QUARANTINE_DIR "/%s%s", prefix, name);
    for (end = at; out[end] != '\0'; end++)
        if (out[end] == '/')
            out[end] = '_';
    for (unsigned int n = 1; n < QUARANTINE_NAMES_MAX; n++) {
        rc = fs_stat(fs, out, &st, err);
        if (rc == ERR_NOT_FOUND)
            return 0;
        if (rc != 0)
            return rc;
        (void)snprintf(out + end, FS_PATH_MAX - end, ".%u", n);
    }
    return err_set(err, ERR_EXISTS, "'" QUARANTINE_DIR "/' holds '%s' %d times; empty it", name,
                   QUARANTINE_NAMES_MAX);
}

static int dir_quarantine(struct blob_store *b, const char *name, const char *prefix,
                          struct err *err)
{
    struct fs *fs = of(b)->fs;
    char to[FS_PATH_MAX], dir[FS_PATH_MAX];
    int rc = check_name(name, err);

    if (rc != 0 || (rc = fs_make_dirs(fs, QUARANTINE_DIR, err)) != 0 ||
        (rc = free_place(fs, name, prefix, to, err)) != 0 ||
        (rc = fs_rename(fs, name, to, err)) != 0 ||
        (rc = fs_sync_dir(fs, QUARANTINE_DIR, err)) != 0)
        return rc;
    dir_of(name, dir);
    return fs_sync_dir(fs, dir, err);
}

/* Directories yet to be listed, so that depth on disk is no depth on the stack. */
struct listing {
    struct fs *fs;
    char **dirs;
    size_t count, cap;
    const char *dir; /* being listed */
    unsigned int depth;
    int (*each)(void *ctx, const char *name, uint64_t size, struct err *err);
    void *ctx;
};

static void listing_push(struct listing *l, const char *path)
{
    char *copy = strdup(path);

    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->dirs = realloc(l->dirs, l->cap * sizeof(*l->dirs));
    }
    check(copy && l->dirs);
    l->dirs[l->count++] = copy;
}

static int list_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct listing *l = ctx;
    char path[FS_PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", l->dir, name);

    if (len < 0 || (size_t)len >= sizeof(path) / 2)
        return 0; /* longer than any of our names */
    if (!st->is_dir)
        return l->each(l->ctx, path, st->size, err);
    if (l->depth < LIST_DEPTH_MAX)
        listing_push(l, path);
    return 0;
}

static unsigned int depth_of(const char *path)
{
    unsigned int depth = 0;

    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

static int dir_list(struct blob_store *b, const char *prefix,
                    int (*each)(void *ctx, const char *name, uint64_t size, struct err *err),
                    void *ctx, struct err *err)
{
    struct listing l = {.fs = of(b)->fs, .each = each, .ctx = ctx};
    int rc = check_name(prefix, err);

    if (rc != 0)
        return rc;
    listing_push(&l, prefix);
    while (rc == 0 && l.count > 0) {
        char *dir = l.dirs[--l.count];

        l.dir = dir;
        l.depth = depth_of(dir);
        rc = fs_list(l.fs, dir, list_entry, &l, err);
        if (rc == ERR_NOT_FOUND)
            rc = 0;
        free(dir);
    }
    while (l.count > 0)
        free(l.dirs[--l.count]);
    free(l.dirs);
    return rc;
}

static void dir_free(struct blob_store *b)
{
    free(of(b));
}

static const struct blob_store_ops dir_ops = {
    dir_create, dir_append, dir_commit, dir_abort,      dir_open, dir_size,
    dir_read,   dir_close,  dir_remove, dir_quarantine, dir_list, dir_free,
};

int blob_store_dir_open(struct fs *fs, struct blob_store **out, struct err *err)
{
    struct dir_store *s = calloc(1, sizeof(*s));

    (void)err;
    check(s);
    s->b.ops = &dir_ops;
    s->fs = fs;
    *out = &s->b;
    return 0;
}

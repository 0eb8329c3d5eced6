/*
 * fs - the disk behind a struct of functions: every open, write, sync and
 * rename of the store goes through it.
 *
 * Paths are relative to the root given at creation ("wal/0001.wal"); "." is
 * the root. fs_posix is the real disk, tests/support/fs_fault a simulated one
 * that loses what was not synced. Reads and writes loop until done; a short
 * read happens at the end of the file only.
 *
 * What is durable: file content after fs_datasync(), a name (created,
 * renamed, removed) after fs_sync_dir() of its directory.
 *
 * Errors: 0 or ERR_IO, ERR_NO_SPACE, ERR_NOT_FOUND, ERR_EXISTS, with the
 * operation and the path in *err. Threads: all functions from any thread; one
 * fs_file may be read by several, written by one.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct fs;
struct fs_file;

enum fs_open_flags {
    FS_READ = 0,        /* must exist */
    FS_WRITE = 1 << 0,  /* read and write */
    FS_CREATE = 1 << 1, /* made if missing */
    FS_EXCL = 1 << 2,   /* with FS_CREATE: ERR_EXISTS if it is there */
};

struct fs_stat {
    uint64_t size;
    uint64_t allocated; /* bytes of blocks on disk */
    int64_t mtime_ns;
    bool is_dir;
};

struct fs_space {
    uint64_t total, available; /* bytes of the volume; available to us */
    uint64_t block;            /* what files are allocated in */
};

struct fs_ops {
    int (*open)(struct fs *fs, const char *path, unsigned int flags, struct fs_file **out,
                struct err *err);
    int (*pread)(struct fs_file *f, void *into, size_t size, uint64_t offset, size_t *got,
                 struct err *err);
    int (*pwrite)(struct fs_file *f, const void *data, size_t size, uint64_t offset,
                  struct err *err);
    int (*size)(struct fs_file *f, uint64_t *out, struct err *err);
    int (*truncate)(struct fs_file *f, uint64_t size, struct err *err);
    int (*allocate)(struct fs_file *f, uint64_t size, struct err *err);
    int (*datasync)(struct fs_file *f, struct err *err);
    int (*lock)(struct fs_file *f, struct err *err);
    void (*close)(struct fs_file *f);

    int (*rename)(struct fs *fs, const char *from, const char *to, struct err *err);
    int (*link)(struct fs *fs, const char *from, const char *to, struct err *err);
    /* From another disk of the same kind; NULL: cannot. */
    int (*link_from)(struct fs *fs, struct fs *other, const char *from, const char *to,
                     struct err *err);
    int (*unlink)(struct fs *fs, const char *path, struct err *err);
    int (*mkdir)(struct fs *fs, const char *path, struct err *err);
    int (*rmdir)(struct fs *fs, const char *path, struct err *err);
    int (*sync_dir)(struct fs *fs, const char *path, struct err *err);
    int (*list)(struct fs *fs, const char *path,
                int (*each)(void *ctx, const char *name, const struct fs_stat *st, struct err *err),
                void *ctx, struct err *err);
    int (*stat)(struct fs *fs, const char *path, struct fs_stat *out, struct err *err);
    int (*space)(struct fs *fs, struct fs_space *out, struct err *err);
    void (*free)(struct fs *fs);
};

struct fs {
    const struct fs_ops *ops;
};

/* Embedded first in the implementations. */
struct fs_file {
    struct fs *fs;
};

enum {
    FS_PATH_MAX = 1024, /* of a relative path, with its NUL */
};

/* The directory is made if missing. ERR_IO tells uid, path and what to do. */
int fs_posix_new(const char *root, struct fs **out, struct err *err);
void fs_free(struct fs *fs); /* NULL is fine */

int fs_open(struct fs *fs, const char *path, unsigned int flags, struct fs_file **out,
            struct err *err);
/* *got < size only at the end of the file. */
int fs_pread(struct fs_file *f, void *into, size_t size, uint64_t offset, size_t *got,
             struct err *err);
int fs_pwrite(struct fs_file *f, const void *data, size_t size, uint64_t offset, struct err *err);
int fs_file_size(struct fs_file *f, uint64_t *out, struct err *err);
int fs_truncate(struct fs_file *f, uint64_t size, struct err *err);
/* Grows to `size` with blocks allocated, so that writing there meets no full disk. */
int fs_allocate(struct fs_file *f, uint64_t size, struct err *err);
int fs_datasync(struct fs_file *f, struct err *err);
/* For as long as it is open; ERR_BUSY when another process has it. */
int fs_lock(struct fs_file *f, struct err *err);
void fs_close(struct fs_file *f); /* NULL is fine */

/* Replaces `to` atomically. */
int fs_rename(struct fs *fs, const char *from, const char *to, struct err *err);
int fs_link(struct fs *fs, const char *from, const char *to, struct err *err);
/* A name in `fs` for a file of `other`; ERR_UNSUPPORTED when they are not of one volume. */
int fs_link_from(struct fs *fs, struct fs *other, const char *from, const char *to,
                 struct err *err);
int fs_unlink(struct fs *fs, const char *path, struct err *err);
int fs_mkdir(struct fs *fs, const char *path, struct err *err); /* ERR_EXISTS when there */
int fs_rmdir(struct fs *fs, const char *path, struct err *err);
int fs_sync_dir(struct fs *fs, const char *path, struct err *err);
/* Makes `path` and what is missing above it, and makes those names durable. */
int fs_make_dirs(struct fs *fs, const char *path, struct err *err);

/* Entries of a directory without . and .., in no order; a non-zero return ends it. */
typedef int (*fs_list_fn)(void *ctx, const char *name, const struct fs_stat *st, struct err *err);
int fs_list(struct fs *fs, const char *path, fs_list_fn each, void *ctx, struct err *err);
int fs_stat(struct fs *fs, const char *path, struct fs_stat *out, struct err *err);
int fs_space(struct fs *fs, struct fs_space *out, struct err *err);

#endif

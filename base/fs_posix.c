/* The real disk: fs.h over POSIX calls relative to one directory descriptor. */
#include "base/fs.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    DIR_MODE = 0770, /* the group too: containers run as any uid with group 0 */
    FILE_MODE = 0660,
    BLOCK_UNIT = 512, /* of st_blocks, whatever the file system's block size */
};

struct posix_fs {
    struct fs fs;
    int root;
};

struct posix_file {
    struct fs_file file;
    int fd;
    char path[]; /* for messages */
};

static int root_of(const struct fs *fs)
{
    return ((const struct posix_fs *)(const void *)fs)->root;
}

static struct posix_file *file_of(struct fs_file *f)
{
    return (struct posix_file *)(void *)f;
}

static int posix_open(struct fs *fs, const char *path, unsigned int flags, struct fs_file **out,
                      struct err *err)
{
    size_t len = strlen(path) + 1;
    int mode = O_CLOEXEC | (flags & FS_WRITE ? O_RDWR : O_RDONLY);
    struct posix_file *f;
    int fd;

    if (flags & FS_CREATE)
        mode |= O_CREAT;
    if (flags & FS_EXCL)
        mode |= O_EXCL;
    do
        fd = openat(root_of(fs), path, mode, FILE_MODE);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_io(err, "open", path);
    f = malloc(sizeof(*f) + len);
    check(f);
    f->file.fs = fs;
    f->fd = fd;
    memcpy(f->path, path, len);
    *out = &f->file;
    return 0;
}

static int posix_pread(struct fs_file *file, void *into, size_t size, uint64_t offset, size_t *got,
                       struct err *err)
{
    struct posix_file *f = file_of(file);
    char *p = into;

    *got = 0;
    while (*got < size) {
        ssize_t n = pread(f->fd, p + *got, size - *got, (off_t)(offset + *got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_io(err, "read", f->path);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return 0;
}

static int posix_pwrite(struct fs_file *file, const void *data, size_t size, uint64_t offset,
                        struct err *err)
{
    struct posix_file *f = file_of(file);
    const char *p = data;

    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(f->fd, p + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_io(err, "write", f->path);
        if (n == 0) {
            errno = EIO;
            return err_io(err, "write", f->path);
        }
        done += (size_t)n;
    }
    return 0;
}

static int posix_size(struct fs_file *file, uint64_t *out, struct err *err)
{
    struct posix_file *f = file_of(file);
    struct stat st;

    if (fstat(f->fd, &st) != 0)
        return err_io(err, "stat", f->path);
    *out = (uint64_t)st.st_size;
    return 0;
}

static int posix_truncate(struct fs_file *file, uint64_t size, struct err *err)
{
    struct posix_file *f = file_of(file);

    return ftruncate(f->fd, (off_t)size) == 0 ? 0 : err_io(err, "truncate", f->path);
}

static int posix_allocate(struct fs_file *file, uint64_t size, struct err *err)
{
    struct posix_file *f = file_of(file);
    int rc;

    do
        rc = posix_fallocate(f->fd, 0, (off_t)size);
    while (rc == EINTR);
    if (rc == 0)
        return 0;
    errno = rc;
    return err_io(err, "allocate", f->path);
}

static int posix_datasync(struct fs_file *file, struct err *err)
{
    struct posix_file *f = file_of(file);

    return fdatasync(f->fd) == 0 ? 0 : err_io(err, "sync", f->path);
}

static int posix_lock(struct fs_file *file, struct err *err)
{
    struct posix_file *f = file_of(file);

    if (flock(f->fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return err_set(err, ERR_BUSY,
                       "'%s' is locked: another flamekeep uses this data directory; stop it, or "
                       "give this one a --data of its own",
                       f->path);
    return err_io(err, "lock", f->path);
}

static void posix_close(struct fs_file *file)
{
    struct posix_file *f = file_of(file);

    (void)close(f->fd);
    free(f);
}

static int posix_rename(struct fs *fs, const char *from, const char *to, struct err *err)
{
    int root = root_of(fs);

    return renameat(root, from, root, to) == 0 ? 0 : err_io(err, "rename", from);
}

static int posix_link(struct fs *fs, const char *from, const char *to, struct err *err)
{
    int root = root_of(fs);

    return linkat(root, from, root, to, 0) == 0 ? 0 : err_io(err, "link", from);
}

static int posix_link_from(struct fs *fs, struct fs *other, const char *from, const char *to,
                           struct err *err)
{
    int os_errno, rc;

    if (linkat(root_of(other), from, root_of(fs), to, 0) == 0)
        return 0;
    os_errno = errno;
    rc = err_io(err, "link", from);
    if (os_errno != EXDEV && os_errno != EPERM && os_errno != EOPNOTSUPP && os_errno != EMLINK)
        return rc;
    if (err)
        err->code = ERR_UNSUPPORTED;
    return ERR_UNSUPPORTED;
}

static int posix_unlink(struct fs *fs, const char *path, struct err *err)
{
    return unlinkat(root_of(fs), path, 0) == 0 ? 0 : err_io(err, "unlink", path);
}

static int posix_mkdir(struct fs *fs, const char *path, struct err *err)
{
    return mkdirat(root_of(fs), path, DIR_MODE) == 0 ? 0 : err_io(err, "mkdir", path);
}

static int posix_rmdir(struct fs *fs, const char *path, struct err *err)
{
    return unlinkat(root_of(fs), path, AT_REMOVEDIR) == 0 ? 0 : err_io(err, "rmdir", path);
}

static int open_dir(struct fs *fs, const char *path, struct err *err)
{
    int fd = openat(root_of(fs), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 ? fd : err_io(err, "open directory", path);
}

static int posix_sync_dir(struct fs *fs, const char *path, struct err *err)
{
    int fd = open_dir(fs, path, err), rc = 0;

    if (fd < 0)
        return fd;
    if (fsync(fd) != 0)
        rc = err_io(err, "sync directory", path);
    (void)close(fd);
    return rc;
}

static void fill_stat(const struct stat *st, struct fs_stat *out)
{
    *out = (struct fs_stat){
        .size = (uint64_t)st->st_size,
        .allocated = (uint64_t)st->st_blocks * BLOCK_UNIT,
        .mtime_ns = st->st_mtim.tv_sec * NS_PER_S + st->st_mtim.tv_nsec,
        .is_dir = S_ISDIR(st->st_mode),
    };
}

static int list_entries(DIR *dir, const char *path, fs_list_fn each, void *ctx, struct err *err)
{
    for (;;) {
        struct dirent *entry;
        struct fs_stat info;
        struct stat st;
        int rc;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            return errno == 0 ? 0 : err_io(err, "list", path);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT)
                continue; /* removed meanwhile */
            return err_io(err, "stat", entry->d_name);
        }
        fill_stat(&st, &info);
        if ((rc = each(ctx, entry->d_name, &info, err)) != 0)
            return rc;
    }
}

static int posix_list(struct fs *fs, const char *path, fs_list_fn each, void *ctx, struct err *err)
{
    int fd = open_dir(fs, path, err), rc;
    DIR *dir;

    if (fd < 0)
        return fd;
    dir = fdopendir(fd);
    if (!dir) {
        rc = err_io(err, "list", path);
        (void)close(fd);
        return rc;
    }
    rc = list_entries(dir, path, each, ctx, err);
    (void)closedir(dir);
    return rc;
}

static int posix_stat(struct fs *fs, const char *path, struct fs_stat *out, struct err *err)
{
    struct stat st;

    if (fstatat(root_of(fs), path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_io(err, "stat", path);
    fill_stat(&st, out);
    return 0;
}

static int posix_space(struct fs *fs, struct fs_space *out, struct err *err)
{
    struct statvfs v;

    if (fstatvfs(root_of(fs), &v) != 0)
        return err_io(err, "statvfs", ".");
    *out = (struct fs_space){
        .total = (uint64_t)v.f_blocks * v.f_frsize,
        .available = (uint64_t)v.f_bavail * v.f_frsize,
        .block = v.f_frsize,
    };
    return 0;
}

static void posix_free(struct fs *fs)
{
    (void)close(root_of(fs));
    free(fs);
}

static const struct fs_ops posix_ops = {
    .open = posix_open,
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .size = posix_size,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .datasync = posix_datasync,
    .lock = posix_lock,
    .close = posix_close,
    .rename = posix_rename,
    .link = posix_link,
    .link_from = posix_link_from,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .stat = posix_stat,
    .space = posix_space,
    .free = posix_free,
};

int fs_posix_new(const char *root, struct fs **out, struct err *err)
{
    struct posix_fs *fs;
    int fd;

    if (mkdir(root, DIR_MODE) != 0 && errno != EEXIST)
        return err_io(err, "make data directory", root);
    fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_io(err, "open data directory", root);
    if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
        int code = err_io(err, "write to data directory", root);
        struct err reason = err ? *err : (struct err){.code = code};

        (void)close(fd);
        return err_set(err, ERR_IO, "%s; this process is uid %u, gid %u: chown -R %u:%u %s",
                       reason.msg, geteuid(), getegid(), geteuid(), getegid(), root);
    }
    fs = malloc(sizeof(*fs));
    check(fs);
    fs->fs.ops = &posix_ops;
    fs->root = fd;
    *out = &fs->fs;
    return 0;
}

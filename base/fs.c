/* The thin front of fs.h, and what is the same for every disk. */
#include "base/fs.h"

#include "base/check.h"
#include "base/err.h"

#include <string.h>

void fs_free(struct fs *fs)
{
    if (fs)
        fs->ops->free(fs);
}

int fs_open(struct fs *fs, const char *path, unsigned int flags, struct fs_file **out,
            struct err *err)
{
    return fs->ops->open(fs, path, flags, out, err);
}

int fs_pread(struct fs_file *f, void *into, size_t size, uint64_t offset, size_t *got,
             struct err *err)
{
    return f->fs->ops->pread(f, into, size, offset, got, err);
}

int fs_pwrite(struct fs_file *f, const void *data, size_t size, uint64_t offset, struct err *err)
{
    return f->fs->ops->pwrite(f, data, size, offset, err);
}

int fs_file_size(struct fs_file *f, uint64_t *out, struct err *err)
{
    return f->fs->ops->size(f, out, err);
}

int fs_truncate(struct fs_file *f, uint64_t size, struct err *err)
{
    return f->fs->ops->truncate(f, size, err);
}

int fs_allocate(struct fs_file *f, uint64_t size, struct err *err)
{
    return f->fs->ops->allocate(f, size, err);
}

int fs_datasync(struct fs_file *f, struct err *err)
{
    return f->fs->ops->datasync(f, err);
}

int fs_lock(struct fs_file *f, struct err *err)
{
    return f->fs->ops->lock(f, err);
}

void fs_close(struct fs_file *f)
{
    if (f)
        f->fs->ops->close(f);
}

int fs_rename(struct fs *fs, const char *from, const char *to, struct err *err)
{
    return fs->ops->rename(fs, from, to, err);
}

int fs_link(struct fs *fs, const char *from, const char *to, struct err *err)
{
    return fs->ops->link(fs, from, to, err);
}

int fs_link_from(struct fs *fs, struct fs *other, const char *from, const char *to, struct err *err)
{
    if (!fs->ops->link_from || fs->ops != other->ops)
        return err_set(err, ERR_UNSUPPORTED, "link '%s': not of one kind of disk", from);
    return fs->ops->link_from(fs, other, from, to, err);
}

int fs_unlink(struct fs *fs, const char *path, struct err *err)
{
    return fs->ops->unlink(fs, path, err);
}

int fs_mkdir(struct fs *fs, const char *path, struct err *err)
{
    return fs->ops->mkdir(fs, path, err);
}

int fs_rmdir(struct fs *fs, const char *path, struct err *err)
{
    return fs->ops->rmdir(fs, path, err);
}

int fs_sync_dir(struct fs *fs, const char *path, struct err *err)
{
    return fs->ops->sync_dir(fs, path, err);
}

int fs_list(struct fs *fs, const char *path, fs_list_fn each, void *ctx, struct err *err)
{
    return fs->ops->list(fs, path, each, ctx, err);
}

int fs_stat(struct fs *fs, const char *path, struct fs_stat *out, struct err *err)
{
    return fs->ops->stat(fs, path, out, err);
}

int fs_space(struct fs *fs, struct fs_space *out, struct err *err)
{
    return fs->ops->space(fs, out, err);
}

/* Makes path[0..end) and syncs the directory that now names it. */
static int make_dir(struct fs *fs, char *path, size_t end, struct err *err)
{
    char *slash, kept = path[end];
    int rc;

    path[end] = '\0';
    rc = fs_mkdir(fs, path, err);
    if (rc == 0 || rc == ERR_EXISTS) {
        slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
        /* Also when it was there: whoever made it may not have come to the sync. */
        rc = fs_sync_dir(fs, slash ? path : ".", err);
        if (slash)
            *slash = '/';
    }
    path[end] = kept;
    return rc;
}

int fs_make_dirs(struct fs *fs, const char *path, struct err *err)
{
    char copy[FS_PATH_MAX];
    size_t len = strlen(path);
    int rc = 0;

    check(len > 0 && len < sizeof(copy));
    memcpy(copy, path, len + 1);
    for (size_t i = 1; rc == 0 && i <= len; i++)
        if (copy[i] == '/' || copy[i] == '\0')
            rc = make_dir(fs, copy, i, err);
    return rc;
}

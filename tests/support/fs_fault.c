#include "tests/support/fs_fault.h"

#include "base/check.h"
#include "base/err.h"
#include "tests/support/disk.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPS = 18,
    VOLUME_BYTES = 1 << 30, /* what fs_space() says when there is no limit */
};

/* Picks calls: the nth matching one, or that and all after it. */
struct rule {
    bool on;
    unsigned int ops;
    char *pattern; /* NULL: any path */
    uint64_t nth, seen, hit;
    bool forever;
    int os_errno;
};

struct fault_fs {
    struct fs fs;
    pthread_mutex_t mu; /* a leaf: guards everything below */
    struct disk disk;
    uint64_t generation; /* open files of an older one are dead */
    uint64_t calls[OPS], call_count;
    struct rule fail, skip_datasync, skip_sync_dir;
    bool power_off;
    unsigned int watched;
    void (*each)(void *ctx, const struct fs_fault_call *call);
    void *each_ctx;
};

struct fault_file {
    struct fs_file file;
    struct inode *inode;
    uint64_t generation;
    bool can_write, has_lock;
    char *path;
};

static struct fault_fs *fault_of(struct fs *fs)
{
    return (struct fault_fs *)(void *)fs;
}

static struct fault_file *file_of(struct fs_file *f)
{
    return (struct fault_file *)(void *)f;
}

static void lock(struct fault_fs *fs)
{
    check(pthread_mutex_lock(&fs->mu) == 0);
}

static void unlock(struct fault_fs *fs)
{
    check(pthread_mutex_unlock(&fs->mu) == 0);
}

/* ---- rules ---- */

static void rule_clear(struct rule *r)
{
    free(r->pattern);
    *r = (struct rule){0};
}

static void rule_set(struct rule *r, unsigned int ops, const char *pattern, uint64_t nth,
                     bool forever)
{
    rule_clear(r);
    *r = (struct rule){.on = true, .ops = ops, .nth = nth, .forever = forever};
    if (pattern) {
        r->pattern = strdup(pattern);
        check(r->pattern);
    }
}

static bool rule_hits(struct rule *r, enum fs_fault_op op, const char *path, const char *other)
{
    if (!r->on || !(r->ops & (unsigned int)op))
        return false;
    if (r->pattern && fnmatch(r->pattern, path, 0) != 0 &&
        (!other || fnmatch(r->pattern, other, 0) != 0))
        return false;
    r->seen++;
    if (r->seen != r->nth && !(r->forever && r->seen > r->nth))
        return false;
    r->hit++;
    return true;
}

/*
 * Begins a call: the lock is held afterwards. Returns 0 or the errno that the
 * call must fail with; `other` is the second path of a rename or link.
 */
static int enter(struct fault_fs *fs, enum fs_fault_op op, const char *path, const char *other)
{
    if (fs->watched & (unsigned int)op) {
        struct fs_fault_call call = {&fs->fs, op, path, 0};

        lock(fs);
        call.number = fs->call_count + 1;
        unlock(fs);
        fs->each(fs->each_ctx, &call);
    }
    lock(fs);
    fs->call_count++;
    fs->calls[__builtin_ctz((unsigned int)op)]++;
    if (fs->power_off)
        return EIO;
    return rule_hits(&fs->fail, op, path, other) ? fs->fail.os_errno : 0;
}

static int leave(struct fault_fs *fs, int os_errno, const char *op, const char *path,
                 struct err *err)
{
    unlock(fs);
    if (os_errno == 0)
        return 0;
    errno = os_errno;
    return err_io(err, op, path);
}

/* The same for an open file; a dead one is EIO. */
static int enter_file(struct fault_file *f, enum fs_fault_op op)
{
    struct fault_fs *fs = fault_of(f->file.fs);
    int os_errno = enter(fs, op, f->path, NULL);

    return f->generation == fs->generation ? os_errno : EIO;
}

static int leave_file(struct fault_file *f, int os_errno, const char *op, struct err *err)
{
    return leave(fault_of(f->file.fs), os_errno, op, f->path, err);
}

/* ---- open files ---- */

static int find_or_create(struct fault_fs *fs, const char *path, unsigned int flags,
                          struct inode **out)
{
    int os_errno = disk_find(&fs->disk, path, out);

    if (os_errno == ENOENT && (flags & FS_CREATE))
        return disk_create(&fs->disk, path, false, out);
    if (os_errno == 0 && (flags & FS_CREATE) && (flags & FS_EXCL))
        return EEXIST;
    if (os_errno == 0 && (flags & (FS_WRITE | FS_CREATE)) && (*out)->is_dir)
        return EISDIR;
    return os_errno;
}

static int fault_open(struct fs *base, const char *path, unsigned int flags, struct fs_file **out,
                      struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, flags & FS_CREATE ? FS_FAULT_CREATE : FS_FAULT_OPEN, path, NULL);
    struct inode *inode = NULL;

    if (os_errno == 0)
        os_errno = find_or_create(fs, path, flags, &inode);
    if (os_errno == 0) {
        struct fault_file *f = malloc(sizeof(*f));

        check(f);
        *f = (struct fault_file){
            .file.fs = base,
            .inode = inode_ref(inode),
            .generation = fs->generation,
            .can_write = flags & FS_WRITE,
            .path = strdup(path),
        };
        check(f->path);
        inode->opens++;
        *out = &f->file;
    }
    return leave(fs, os_errno, "open", path, err);
}

static void fault_close(struct fs_file *file)
{
    struct fault_file *f = file_of(file);
    struct fault_fs *fs = fault_of(file->fs);

    lock(fs);
    if (f->generation == fs->generation) {
        f->inode->opens--;
        if (f->has_lock)
            f->inode->locked = false;
    }
    inode_unref(&fs->disk, f->inode);
    unlock(fs);
    free(f->path);
    free(f);
}

static int fault_pread(struct fs_file *file, void *into, size_t size, uint64_t offset, size_t *got,
                       struct err *err)
{
    struct fault_file *f = file_of(file);
    int os_errno = enter_file(f, FS_FAULT_READ);

    *got = 0;
    if (os_errno == 0 && f->inode->is_dir)
        os_errno = EISDIR;
    if (os_errno == 0)
        *got = image_read(&f->inode->visible, into, size, offset);
    return leave_file(f, os_errno, "read", err);
}

static int fault_pwrite(struct fs_file *file, const void *data, size_t size, uint64_t offset,
                        struct err *err)
{
    struct fault_file *f = file_of(file);
    struct fault_fs *fs = fault_of(file->fs);
    int os_errno = enter_file(f, FS_FAULT_WRITE);
    bool alive = f->generation == fs->generation && !fs->power_off;

    if (alive && !f->can_write) {
        os_errno = EBADF;
    } else if (alive && size > 0) {
        struct rng r = rng_of(fs->call_count);
        size_t part = os_errno == 0 ? size : (size_t)rng_below(&r, size + 1);
        int full = part > 0 ? disk_write(&fs->disk, f->inode, data, part, offset) : 0;

        os_errno = os_errno ? os_errno : full;
    }
    return leave_file(f, os_errno, "write", err);
}

static int fault_size(struct fs_file *file, uint64_t *out, struct err *err)
{
    struct fault_file *f = file_of(file);
    int os_errno = enter_file(f, FS_FAULT_SIZE);

    if (os_errno == 0)
        *out = f->inode->visible.size;
    return leave_file(f, os_errno, "stat", err);
}

static int fault_truncate(struct fs_file *file, uint64_t size, struct err *err)
{
    struct fault_file *f = file_of(file);
    int os_errno = enter_file(f, FS_FAULT_TRUNCATE);

    if (os_errno == 0 && !f->can_write)
        os_errno = EINVAL;
    if (os_errno == 0)
        disk_truncate(&fault_of(file->fs)->disk, f->inode, size);
    return leave_file(f, os_errno, "truncate", err);
}

static int fault_allocate(struct fs_file *file, uint64_t size, struct err *err)
{
    struct fault_file *f = file_of(file);
    int os_errno = enter_file(f, FS_FAULT_ALLOCATE);

    if (os_errno == 0 && !f->can_write)
        os_errno = EBADF;
    if (os_errno == 0)
        os_errno = disk_allocate(&fault_of(file->fs)->disk, f->inode, size);
    return leave_file(f, os_errno, "allocate", err);
}

static int fault_datasync(struct fs_file *file, struct err *err)
{
    struct fault_file *f = file_of(file);
    struct fault_fs *fs = fault_of(file->fs);
    int os_errno = enter_file(f, FS_FAULT_DATASYNC);
    bool alive = f->generation == fs->generation && !fs->power_off;

    if (alive && os_errno != 0)
        disk_sync_file_failed(f->inode, fs->call_count);
    else if (alive && !rule_hits(&fs->skip_datasync, FS_FAULT_DATASYNC, f->path, NULL))
        disk_sync_file(f->inode);
    return leave_file(f, os_errno, "sync", err);
}

static int fault_lock(struct fs_file *file, struct err *err)
{
    struct fault_file *f = file_of(file);
    int os_errno = enter_file(f, FS_FAULT_LOCK);
    bool taken = os_errno == 0 && f->inode->locked && !f->has_lock;

    if (os_errno == 0 && !taken)
        f->has_lock = f->inode->locked = true;
    if (leave_file(f, os_errno, "lock", err) != 0)
        return ERR_IO;
    return taken ? err_set(err, ERR_BUSY, "'%s' is locked", f->path) : 0;
}

/* ---- names ---- */

static int fault_rename(struct fs *base, const char *from, const char *to, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_RENAME, from, to);

    if (os_errno == 0)
        os_errno = disk_rename(&fs->disk, from, to);
    return leave(fs, os_errno, "rename", from, err);
}

static int fault_link(struct fs *base, const char *from, const char *to, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_LINK, from, to);

    if (os_errno == 0)
        os_errno = disk_link(&fs->disk, from, to);
    return leave(fs, os_errno, "link", from, err);
}

static int fault_unlink(struct fs *base, const char *path, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_UNLINK, path, NULL);

    if (os_errno == 0)
        os_errno = disk_remove(&fs->disk, path, false);
    return leave(fs, os_errno, "unlink", path, err);
}

static int fault_mkdir(struct fs *base, const char *path, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_MKDIR, path, NULL);
    struct inode *made;

    if (os_errno == 0)
        os_errno = disk_create(&fs->disk, path, true, &made);
    return leave(fs, os_errno, "mkdir", path, err);
}

static int fault_rmdir(struct fs *base, const char *path, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_RMDIR, path, NULL);

    if (os_errno == 0)
        os_errno = disk_remove(&fs->disk, path, true);
    return leave(fs, os_errno, "rmdir", path, err);
}

static int find_dir(struct fault_fs *fs, const char *path, struct inode **out)
{
    int os_errno = disk_find(&fs->disk, path, out);

    return os_errno == 0 && !(*out)->is_dir ? ENOTDIR : os_errno;
}

static int fault_sync_dir(struct fs *base, const char *path, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_SYNC_DIR, path, NULL);
    struct inode *dir;

    if (os_errno == 0)
        os_errno = find_dir(fs, path, &dir);
    if (os_errno == 0 && !rule_hits(&fs->skip_sync_dir, FS_FAULT_SYNC_DIR, path, NULL))
        disk_sync_dir(&fs->disk, dir);
    return leave(fs, os_errno, "sync directory", path, err);
}

static struct fs_stat stat_of(const struct inode *i)
{
    return (struct fs_stat){
        .size = i->visible.size,
        .allocated = (uint64_t)i->visible.allocated * IMAGE_PAGE,
        .mtime_ns = i->mtime_ns,
        .is_dir = i->is_dir,
    };
}

struct listed {
    char name[DISK_NAME_MAX + 1];
    struct fs_stat st;
};

static int fault_list(struct fs *base, const char *path, fs_list_fn each, void *ctx,
                      struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_LIST, path, NULL), rc;
    struct listed *items = NULL;
    struct inode *dir = NULL;
    size_t count = 0;

    if (os_errno == 0)
        os_errno = find_dir(fs, path, &dir);
    if (os_errno == 0) {
        count = dir->names.count;
        items = calloc(count + 1, sizeof(*items));
        check(items);
        for (size_t n = 0; n < count; n++) {
            memcpy(items[n].name, dir->names.items[n].name, strlen(dir->names.items[n].name) + 1);
            items[n].st = stat_of(dir->names.items[n].inode);
        }
    }
    rc = leave(fs, os_errno, "list", path, err);
    for (size_t n = 0; rc == 0 && n < count; n++)
        rc = each(ctx, items[n].name, &items[n].st, err);
    free(items);
    return rc;
}

static int fault_stat(struct fs *base, const char *path, struct fs_stat *out, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_STAT, path, NULL);
    struct inode *inode;

    if (os_errno == 0)
        os_errno = disk_find(&fs->disk, path, &inode);
    if (os_errno == 0)
        *out = stat_of(inode);
    return leave(fs, os_errno, "stat", path, err);
}

static int fault_space(struct fs *base, struct fs_space *out, struct err *err)
{
    struct fault_fs *fs = fault_of(base);
    int os_errno = enter(fs, FS_FAULT_SPACE, ".", NULL);

    if (os_errno == 0) {
        uint64_t total = fs->disk.capacity ? fs->disk.capacity : VOLUME_BYTES;
        uint64_t used = disk_used(&fs->disk);

        *out = (struct fs_space){total, used < total ? total - used : 0, IMAGE_PAGE};
    }
    return leave(fs, os_errno, "statvfs", ".", err);
}

static void fault_free(struct fs *base)
{
    struct fault_fs *fs = fault_of(base);

    rule_clear(&fs->fail);
    rule_clear(&fs->skip_datasync);
    rule_clear(&fs->skip_sync_dir);
    disk_release(&fs->disk);
    check(pthread_mutex_destroy(&fs->mu) == 0);
    free(fs);
}

static const struct fs_ops fault_ops = {
    .open = fault_open,
    .pread = fault_pread,
    .pwrite = fault_pwrite,
    .size = fault_size,
    .truncate = fault_truncate,
    .allocate = fault_allocate,
    .datasync = fault_datasync,
    .lock = fault_lock,
    .close = fault_close,
    .rename = fault_rename,
    .link = fault_link,
    .unlink = fault_unlink,
    .mkdir = fault_mkdir,
    .rmdir = fault_rmdir,
    .sync_dir = fault_sync_dir,
    .list = fault_list,
    .stat = fault_stat,
    .space = fault_space,
    .free = fault_free,
};

/* ---- what tests turn ---- */

static struct fault_fs *fault_new(void)
{
    struct fault_fs *fs = calloc(1, sizeof(*fs));

    check(fs);
    fs->fs.ops = &fault_ops;
    check(pthread_mutex_init(&fs->mu, NULL) == 0);
    return fs;
}

struct fs *fs_fault_new(void)
{
    struct fault_fs *fs = fault_new();

    disk_init(&fs->disk);
    return &fs->fs;
}

struct fs *fs_fault_after_kill(struct fs *base)
{
    struct fault_fs *fs = fault_of(base), *copy = fault_new();

    lock(fs);
    disk_copy(&copy->disk, &fs->disk);
    unlock(fs);
    return &copy->fs;
}

struct fs *fs_fault_after_cut(struct fs *base, uint64_t seed)
{
    struct fs *copy = fs_fault_after_kill(base);

    disk_cut(&fault_of(copy)->disk, seed);
    return copy;
}

/* Open files die; the machine that comes back is a healthy one. */
static void come_back(struct fault_fs *fs)
{
    fs->generation++;
    fs->power_off = false;
    rule_clear(&fs->fail);
    rule_clear(&fs->skip_datasync);
    rule_clear(&fs->skip_sync_dir);
}

void fs_fault_power_cut(struct fs *base, uint64_t seed)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    come_back(fs);
    disk_cut(&fs->disk, seed);
    unlock(fs);
}

void fs_fault_kill(struct fs *base)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    come_back(fs);
    disk_forget_opens(&fs->disk);
    unlock(fs);
}

uint64_t fs_fault_unsynced(struct fs *base)
{
    struct fault_fs *fs = fault_of(base);
    uint64_t n;

    lock(fs);
    n = disk_unsynced(&fs->disk);
    unlock(fs);
    return n;
}

uint64_t fs_fault_calls(struct fs *base, unsigned int ops)
{
    struct fault_fs *fs = fault_of(base);
    uint64_t n = 0;

    lock(fs);
    for (unsigned int op = 0; op < OPS; op++)
        if (ops & 1U << op)
            n += fs->calls[op];
    unlock(fs);
    return n;
}

void fs_fault_fail_at(struct fs *base, unsigned int ops, const char *pattern, uint64_t nth,
                      int code, enum fs_fault_how how)
{
    struct fault_fs *fs = fault_of(base);

    check(nth > 0 && (code == ERR_IO || code == ERR_NO_SPACE));
    lock(fs);
    rule_set(&fs->fail, ops, pattern, nth, how == FS_FAULT_FOREVER);
    fs->fail.os_errno = code == ERR_IO ? EIO : ENOSPC;
    unlock(fs);
}

void fs_fault_fail_never(struct fs *base)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    rule_clear(&fs->fail);
    unlock(fs);
}

uint64_t fs_fault_failed(struct fs *base)
{
    struct fault_fs *fs = fault_of(base);
    uint64_t n;

    lock(fs);
    n = fs->fail.hit;
    unlock(fs);
    return n;
}

void fs_fault_power_off(struct fs *base)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    fs->power_off = true;
    unlock(fs);
}

void fs_fault_set_capacity(struct fs *base, uint64_t bytes)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    fs->disk.capacity = bytes;
    unlock(fs);
}

uint64_t fs_fault_used(struct fs *base)
{
    struct fault_fs *fs = fault_of(base);
    uint64_t used;

    lock(fs);
    used = disk_used(&fs->disk);
    unlock(fs);
    return used;
}

void fs_fault_skip_datasync(struct fs *base, const char *pattern, uint64_t nth)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    rule_set(&fs->skip_datasync, FS_FAULT_DATASYNC, pattern, nth, nth == 0);
    unlock(fs);
}

void fs_fault_skip_sync_dir(struct fs *base, const char *pattern, uint64_t nth)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    rule_set(&fs->skip_sync_dir, FS_FAULT_SYNC_DIR, pattern, nth, nth == 0);
    unlock(fs);
}

void fs_fault_on_call(struct fs *base, unsigned int ops,
                      void (*each)(void *ctx, const struct fs_fault_call *call), void *ctx)
{
    struct fault_fs *fs = fault_of(base);

    lock(fs);
    fs->watched = each ? ops : 0;
    fs->each = each;
    fs->each_ctx = ctx;
    unlock(fs);
}

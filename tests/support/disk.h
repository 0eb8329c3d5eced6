/*
 * disk - files and directories as they look now and as a power cut would find
 * them; what fs_fault.c is made of. tests/support/fs_fault.h has the model.
 *
 * Functions return 0 or a positive errno. Invariant: durable state plus the
 * changes, all kept and in order, is the visible state, unless a sync failed.
 *
 * Threads: none here; fs_fault locks.
 */
#ifndef TESTS_SUPPORT_DISK_H
#define TESTS_SUPPORT_DISK_H

#include "tests/support/image.h"
#include "tests/support/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DISK_SECTOR = 512, /* what a device writes as a whole */
    DISK_NAME_MAX = 255,
};

/* The bytes of a write, shared by copies of the disk. */
struct blob;

enum change_kind {
    CHANGE_WRITE,
    CHANGE_TRUNCATE,
    CHANGE_ALLOCATE,
};

/* Of a file's content, since its last sync. */
struct change {
    enum change_kind kind;
    uint64_t offset, size;
    struct blob *data; /* NULL: zeroes */
};

struct entry {
    char *name;
    struct inode *inode;
};

/* A directory's names. */
struct entries {
    struct entry *items;
    size_t count, cap;
};

struct inode {
    struct inode *prev, *next; /* of all inodes of the disk, in order of creation */
    struct inode *copy;        /* while the disk is being copied */
    uint32_t refs, links, opens;
    bool is_dir, locked;
    int64_t mtime_ns;

    struct image visible, durable; /* of a file */
    struct change *changes;
    size_t change_count, change_cap;

    struct entries names, durable_names; /* of a directory */
};

enum name_change_kind {
    NAME_SET,
    NAME_REMOVE,
    NAME_RENAME,
    NAME_NOTHING, /* overtaken by a change that became durable first */
};

/* Of a name, since the last sync of its directory. */
struct name_change {
    enum name_change_kind kind;
    struct inode *dir, *to_dir; /* to_dir, to: NAME_RENAME */
    char *name, *to;
    struct inode *inode; /* may be NULL for NAME_REMOVE */
};

struct disk {
    struct inode *first, *last, *root;
    struct name_change *changes;
    size_t change_count, change_cap;
    uint64_t capacity; /* 0: no limit */
    uint64_t ticks;    /* what file times are made of */
};

void disk_init(struct disk *d);
void disk_release(struct disk *d);
/* A copy without open files and locks. */
void disk_copy(struct disk *to, struct disk *from);

/* Everything unsynced meets its fate; names and contents are what is left. */
void disk_cut(struct disk *d, uint64_t seed);
void disk_forget_opens(struct disk *d);

struct inode *inode_ref(struct inode *i);
void inode_unref(struct disk *d, struct inode *i);

/* Finds what `path` names. */
int disk_find(struct disk *d, const char *path, struct inode **out);
int disk_create(struct disk *d, const char *path, bool is_dir, struct inode **out);
int disk_rename(struct disk *d, const char *from, const char *to);
int disk_link(struct disk *d, const char *from, const char *to);
int disk_remove(struct disk *d, const char *path, bool is_dir);
void disk_sync_dir(struct disk *d, struct inode *dir);

/* Writes what fits: ENOSPC when that is not all. */
int disk_write(struct disk *d, struct inode *i, const void *data, size_t size, uint64_t offset);
void disk_truncate(struct disk *d, struct inode *i, uint64_t size);
int disk_allocate(struct disk *d, struct inode *i, uint64_t size);
void disk_sync_file(struct inode *i);
/* A sync that failed: each change meets its fate now. */
void disk_sync_file_failed(struct inode *i, uint64_t seed);

uint64_t disk_used(const struct disk *d);
uint64_t disk_unsynced(const struct disk *d);

#endif

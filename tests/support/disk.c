/* Files and directories of a simulated disk, and their copies; disk_cut.c loses them. */
#include "tests/support/disk.h"

#include "tests/support/disk_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const int64_t first_tick_ns = 1700000000 * NS_PER_S;

/* ---- names ---- */

static struct entry *entries_find(const struct entries *e, const char *name)
{
    for (size_t i = 0; i < e->count; i++)
        if (strcmp(e->items[i].name, name) == 0)
            return &e->items[i];
    return NULL;
}

void entries_set(struct disk *d, struct entries *e, const char *name, struct inode *inode)
{
    struct entry *found = entries_find(e, name);

    (void)inode_ref(inode);
    if (found) {
        inode_unref(d, found->inode);
        found->inode = inode;
        return;
    }
    if (e->count == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 8;
        e->items = realloc(e->items, e->cap * sizeof(e->items[0]));
        check(e->items);
    }
    e->items[e->count] = (struct entry){strdup(name), inode};
    check(e->items[e->count].name);
    e->count++;
}

void entries_remove(struct disk *d, struct entries *e, const char *name)
{
    struct entry *found = entries_find(e, name);

    if (!found)
        return;
    free(found->name);
    inode_unref(d, found->inode);
    *found = e->items[--e->count];
}

void entries_clear(struct disk *d, struct entries *e)
{
    for (size_t i = 0; i < e->count; i++) {
        free(e->items[i].name);
        inode_unref(d, e->items[i].inode);
    }
    free(e->items);
    *e = (struct entries){0};
}

/* ---- inodes ---- */

static struct inode *inode_new(struct disk *d, bool is_dir)
{
    struct inode *i = calloc(1, sizeof(*i));

    check(i);
    i->refs = 1;
    i->is_dir = is_dir;
    i->prev = d->last;
    if (d->last)
        d->last->next = i;
    else
        d->first = i;
    d->last = i;
    return i;
}

struct inode *inode_ref(struct inode *i)
{
    i->refs++;
    return i;
}

void inode_unref(struct disk *d, struct inode *i)
{
    if (!i || --i->refs > 0)
        return;
    if (i->prev)
        i->prev->next = i->next;
    else
        d->first = i->next;
    if (i->next)
        i->next->prev = i->prev;
    else
        d->last = i->prev;
    image_release(&i->visible);
    image_release(&i->durable);
    changes_clear(i);
    free(i->changes);
    entries_clear(d, &i->names);
    entries_clear(d, &i->durable_names);
    free(i);
}

static void touch(struct disk *d, struct inode *i)
{
    i->mtime_ns = first_tick_ns + (int64_t)++d->ticks * NS_PER_MS;
}

void disk_init(struct disk *d)
{
    *d = (struct disk){0};
    d->root = inode_new(d, true);
    d->root->links = 1;
    touch(d, d->root);
}

void disk_release(struct disk *d)
{
    name_changes_clear(d);
    free(d->changes);
    inode_unref(d, d->root);
    check(!d->first); /* an open file would keep one */
}

static void copy_entries(struct disk *d, struct entries *to, const struct entries *from)
{
    for (size_t i = 0; i < from->count; i++)
        entries_set(d, to, from->items[i].name, from->items[i].inode->copy);
}

void disk_copy(struct disk *to, struct disk *from)
{
    *to = (struct disk){.capacity = from->capacity, .ticks = from->ticks};
    for (struct inode *i = from->first; i; i = i->next) {
        struct inode *copy = i->copy = inode_new(to, i->is_dir);

        copy->links = i->links;
        copy->mtime_ns = i->mtime_ns;
        image_copy(&copy->visible, &i->visible);
        image_copy(&copy->durable, &i->durable);
        changes_copy(copy, i);
    }
    for (struct inode *i = from->first; i; i = i->next) {
        copy_entries(to, &i->copy->names, &i->names);
        copy_entries(to, &i->copy->durable_names, &i->durable_names);
    }
    for (size_t n = 0; n < from->change_count; n++) {
        const struct name_change *c = &from->changes[n];

        name_change_add(to, c->kind, c->dir->copy, c->name, c->inode ? c->inode->copy : NULL,
                        c->to_dir ? c->to_dir->copy : NULL, c->to);
    }
    to->root = inode_ref(from->root->copy);
    /* What only open files kept goes with the reference that it was made with. */
    for (struct inode *i = from->first; i; i = i->next) {
        inode_unref(to, i->copy);
        i->copy = NULL;
    }
}

void disk_forget_opens(struct disk *d)
{
    for (struct inode *i = d->first; i; i = i->next) {
        i->opens = 0;
        i->locked = false;
    }
}

uint64_t disk_used(const struct disk *d)
{
    uint64_t pages = 0;

    for (const struct inode *i = d->first; i; i = i->next)
        if (i->links > 0 || i->opens > 0)
            pages += i->visible.allocated;
    return pages * IMAGE_PAGE;
}

uint64_t disk_unsynced(const struct disk *d)
{
    uint64_t n = d->change_count;

    for (const struct inode *i = d->first; i; i = i->next)
        n += i->change_count;
    return n;
}

/* ---- paths ---- */

/* Walks to the directory of the last component, whose name is copied to `name` ("" for "."). */
static int walk(struct disk *d, const char *path, struct inode **dir, char name[DISK_NAME_MAX + 1])
{
    *dir = d->root;
    name[0] = '\0';
    if (path[0] == '\0' || path[0] == '/' || strlen(path) >= FS_PATH_MAX)
        return path[0] ? EINVAL : ENOENT;
    while (*path) {
        size_t len = strcspn(path, "/");

        if (len > DISK_NAME_MAX)
            return ENAMETOOLONG;
        if (len == 2 && memcmp(path, "..", 2) == 0)
            return EINVAL; /* the store never goes up */
        if (len > 0 && !(len == 1 && path[0] == '.')) {
            if (name[0]) {
                struct entry *e = entries_find(&(*dir)->names, name);

                if (!e)
                    return ENOENT;
                if (!e->inode->is_dir)
                    return ENOTDIR;
                *dir = e->inode;
            }
            memcpy(name, path, len);
            name[len] = '\0';
        }
        path += len + (path[len] == '/');
    }
    return 0;
}

int disk_find(struct disk *d, const char *path, struct inode **out)
{
    char name[DISK_NAME_MAX + 1];
    struct inode *dir;
    struct entry *e;
    int rc = walk(d, path, &dir, name);

    if (rc != 0)
        return rc;
    e = name[0] ? entries_find(&dir->names, name) : NULL;
    if (name[0] && !e)
        return ENOENT;
    *out = e ? e->inode : dir;
    return 0;
}

int disk_create(struct disk *d, const char *path, bool is_dir, struct inode **out)
{
    char name[DISK_NAME_MAX + 1];
    struct inode *dir;
    int rc = walk(d, path, &dir, name);

    if (rc != 0)
        return rc;
    if (!name[0] || entries_find(&dir->names, name))
        return EEXIST;
    *out = inode_new(d, is_dir);
    (*out)->links = 1;
    touch(d, *out);
    touch(d, dir);
    entries_set(d, &dir->names, name, *out);
    name_change_add(d, NAME_SET, dir, name, *out, NULL, NULL);
    inode_unref(d, *out); /* the name keeps it */
    return 0;
}

int disk_link(struct disk *d, const char *from, const char *to)
{
    char name[DISK_NAME_MAX + 1];
    struct inode *inode, *dir;
    int rc = disk_find(d, from, &inode);

    if (rc == 0)
        rc = walk(d, to, &dir, name);
    if (rc != 0)
        return rc;
    if (inode->is_dir)
        return EPERM;
    if (!name[0] || entries_find(&dir->names, name))
        return EEXIST;
    inode->links++;
    entries_set(d, &dir->names, name, inode);
    name_change_add(d, NAME_SET, dir, name, inode, NULL, NULL);
    return 0;
}

int disk_remove(struct disk *d, const char *path, bool is_dir)
{
    char name[DISK_NAME_MAX + 1];
    struct inode *dir;
    struct entry *e;
    int rc = walk(d, path, &dir, name);

    if (rc != 0)
        return rc;
    e = name[0] ? entries_find(&dir->names, name) : NULL;
    if (!e)
        return name[0] ? ENOENT : EBUSY;
    if (e->inode->is_dir != is_dir)
        return is_dir ? ENOTDIR : EISDIR;
    if (is_dir && e->inode->names.count > 0)
        return ENOTEMPTY;
    e->inode->links--;
    touch(d, dir);
    name_change_add(d, NAME_REMOVE, dir, name, NULL, NULL, NULL);
    entries_remove(d, &dir->names, name);
    return 0;
}

static int check_replace(const struct inode *moved, const struct inode *replaced)
{
    if (replaced->is_dir && !moved->is_dir)
        return EISDIR;
    if (!replaced->is_dir && moved->is_dir)
        return ENOTDIR;
    return replaced->is_dir && replaced->names.count > 0 ? ENOTEMPTY : 0;
}

int disk_rename(struct disk *d, const char *from, const char *to)
{
    char name[DISK_NAME_MAX + 1], to_name[DISK_NAME_MAX + 1];
    struct inode *dir, *to_dir, *moved;
    struct entry *e, *old;
    int rc = walk(d, from, &dir, name);

    if (rc == 0)
        rc = walk(d, to, &to_dir, to_name);
    if (rc != 0)
        return rc;
    e = name[0] ? entries_find(&dir->names, name) : NULL;
    if (!e || !to_name[0])
        return e || !name[0] ? EBUSY : ENOENT;
    moved = e->inode;
    old = entries_find(&to_dir->names, to_name);
    if (old && old->inode == moved)
        return 0; /* two links to one file: POSIX says, do nothing */
    if (old && (rc = check_replace(moved, old->inode)) != 0)
        return rc;
    if (old)
        old->inode->links--;
    touch(d, dir);
    touch(d, to_dir);
    name_change_add(d, NAME_RENAME, dir, name, moved, to_dir, to_name);
    entries_set(d, &to_dir->names, to_name, moved);
    entries_remove(d, &dir->names, name);
    return 0;
}

/* ---- contents ---- */

/* The part of a write that the volume has room for. */
static size_t fitting(const struct disk *d, const struct inode *i, size_t size, uint64_t offset)
{
    uint64_t used = disk_used(d), room = used < d->capacity ? d->capacity - used : 0;

    while (size > 0 && image_missing(&i->visible, size, offset) * (uint64_t)IMAGE_PAGE > room) {
        size_t last = (size_t)((offset + size) % IMAGE_PAGE);

        last = last ? last : IMAGE_PAGE;
        size -= last < size ? last : size;
    }
    return size;
}

int disk_write(struct disk *d, struct inode *i, const void *data, size_t size, uint64_t offset)
{
    size_t fits = d->capacity ? fitting(d, i, size, offset) : size;

    if (fits > 0) {
        touch(d, i);
        change_add_write(i, data, fits, offset);
        image_write(&i->visible, data, fits, offset);
    }
    return fits == size ? 0 : ENOSPC;
}

void disk_truncate(struct disk *d, struct inode *i, uint64_t size)
{
    touch(d, i);
    change_add(i, (struct change){CHANGE_TRUNCATE, 0, size, NULL});
    image_truncate(&i->visible, size);
}

int disk_allocate(struct disk *d, struct inode *i, uint64_t size)
{
    uint64_t need = image_missing(&i->visible, size, 0) * (uint64_t)IMAGE_PAGE;

    if (d->capacity && disk_used(d) + need > d->capacity)
        return ENOSPC;
    touch(d, i);
    change_add(i, (struct change){CHANGE_ALLOCATE, 0, size, NULL});
    image_allocate(&i->visible, size);
    return 0;
}

/* What is unsynced: the lists of it, making it durable, losing it. */
#include "tests/support/disk.h"

#include "tests/support/disk_internal.h"

#include "base/check.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct blob {
    _Atomic uint32_t refs;
    uint8_t data[];
};

/* What becomes of all changes of one sort: extremes find a missing sync at once. */
enum fate {
    FATE_NONE_KEPT,
    FATE_ALL_KEPT,
    FATE_MIXED,
};

/* ---- lists ---- */

static void *grown(void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 8;
    items = realloc(items, *cap * size);
    check(items);
    return items;
}

void change_add(struct inode *i, struct change c)
{
    i->changes = grown(i->changes, i->change_count, &i->change_cap, sizeof(i->changes[0]));
    i->changes[i->change_count++] = c;
}

void change_add_write(struct inode *i, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *p = data;
    struct blob *b = NULL;

    /* Not all zeroes: the first byte is not, or it differs from its neighbour somewhere. */
    if (p[0] != 0 || memcmp(p, p + 1, size - 1) != 0) {
        b = malloc(sizeof(*b) + size);
        check(b);
        atomic_init(&b->refs, 1);
        memcpy(b->data, p, size);
    }
    change_add(i, (struct change){CHANGE_WRITE, offset, size, b});
}

void changes_clear(struct inode *i)
{
    for (size_t n = 0; n < i->change_count; n++) {
        struct blob *b = i->changes[n].data;

        if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
            free(b);
    }
    i->change_count = 0;
}

void changes_copy(struct inode *to, const struct inode *from)
{
    for (size_t n = 0; n < from->change_count; n++) {
        if (from->changes[n].data)
            (void)atomic_fetch_add(&from->changes[n].data->refs, 1);
        change_add(to, from->changes[n]);
    }
}

void name_change_add(struct disk *d, enum name_change_kind kind, struct inode *dir,
                     const char *name, struct inode *inode, struct inode *to_dir, const char *to)
{
    d->changes = grown(d->changes, d->change_count, &d->change_cap, sizeof(d->changes[0]));
    d->changes[d->change_count++] = (struct name_change){
        .kind = kind,
        .dir = inode_ref(dir),
        .to_dir = to_dir ? inode_ref(to_dir) : NULL,
        .name = strdup(name),
        .to = to ? strdup(to) : NULL,
        .inode = inode ? inode_ref(inode) : NULL,
    };
}

static void name_change_release(struct disk *d, struct name_change *c)
{
    inode_unref(d, c->dir);
    inode_unref(d, c->to_dir);
    inode_unref(d, c->inode);
    free(c->name);
    free(c->to);
}

void name_changes_clear(struct disk *d)
{
    for (size_t n = 0; n < d->change_count; n++)
        name_change_release(d, &d->changes[n]);
    d->change_count = 0;
}

/* ---- making durable ---- */

void disk_sync_file(struct inode *i)
{
    for (size_t n = 0; n < i->change_count; n++) {
        const struct change *c = &i->changes[n];

        if (c->kind == CHANGE_TRUNCATE)
            image_truncate(&i->durable, c->size);
        else
            image_share(&i->durable, &i->visible, c->size, c->offset);
    }
    if (i->change_count > 0)
        image_truncate(&i->durable, i->visible.size);
    changes_clear(i);
}

static void apply_name_change(struct disk *d, const struct name_change *c)
{
    if (c->kind == NAME_NOTHING)
        return;
    if (c->kind == NAME_SET)
        entries_set(d, &c->dir->durable_names, c->name, c->inode);
    if (c->kind == NAME_RENAME)
        entries_set(d, &c->to_dir->durable_names, c->to, c->inode);
    if (c->kind != NAME_SET)
        entries_remove(d, &c->dir->durable_names, c->name);
}

/* `name` of `dir` became durable: what the first `count` changes say about it is history. */
static void supersede(struct disk *d, size_t count, const struct inode *dir, const char *name)
{
    for (size_t n = 0; n < count; n++) {
        struct name_change *c = &d->changes[n];

        if (c->kind == NAME_RENAME && c->to_dir == dir && strcmp(c->to, name) == 0)
            c->kind = NAME_REMOVE; /* of the old name, when its directory says so */
        else if (c->dir == dir && strcmp(c->name, name) == 0)
            c->kind = NAME_NOTHING;
    }
}

/*
 * Renames between two directories: syncing the target makes the new name durable
 * and leaves the old one for its own directory to forget; syncing the source
 * makes both durable, since a file must not vanish between them.
 */
void disk_sync_dir(struct disk *d, struct inode *dir)
{
    size_t kept = 0;

    for (size_t n = 0; n < d->change_count; n++) {
        struct name_change *c = &d->changes[n];
        bool to_here = c->kind == NAME_RENAME && c->to_dir == dir;

        if (c->dir == dir) {
            if (c->kind == NAME_RENAME && !to_here)
                supersede(d, kept, c->to_dir, c->to);
            apply_name_change(d, c);
            name_change_release(d, c);
            continue;
        }
        if (to_here) {
            entries_set(d, &dir->durable_names, c->to, c->inode);
            c->kind = NAME_REMOVE;
        }
        d->changes[kept++] = *c;
    }
    d->change_count = kept;
}

/* ---- losing ---- */

static enum fate pick_fate(struct rng *r)
{
    uint64_t n = rng_below(r, 4);

    return n == 0 ? FATE_NONE_KEPT : n == 1 ? FATE_ALL_KEPT : FATE_MIXED;
}

static void apply_write(struct image *image, const struct change *c, uint64_t from, uint64_t to)
{
    image_write(image, c->data ? c->data->data + (from - c->offset) : NULL, (size_t)(to - from),
                from);
}

/* Some sectors of a write: the first few, or any. */
static void tear_write(struct image *image, const struct change *c, struct rng *r)
{
    uint64_t end = c->offset + c->size, first = c->offset / DISK_SECTOR;
    uint64_t sectors = (end - 1) / DISK_SECTOR - first + 1;
    bool prefix = rng_one_in(r, 2);
    uint64_t keep = rng_below(r, sectors + 1);

    for (uint64_t n = 0; n < sectors; n++) {
        uint64_t from = (first + n) * DISK_SECTOR, to = from + DISK_SECTOR;

        if (prefix ? n >= keep : rng_one_in(r, 2))
            continue;
        apply_write(image, c, from > c->offset ? from : c->offset, to < end ? to : end);
    }
}

static void settle_write(struct image *image, const struct change *c, enum fate fate, struct rng *r)
{
    uint64_t end = c->offset + c->size;
    uint64_t n = fate == FATE_MIXED ? rng_below(r, 4) : fate == FATE_ALL_KEPT ? 0 : 1;

    if (n == 0)
        apply_write(image, c, c->offset, end);
    else if (n > 1)
        tear_write(image, c, r);
    /* A file system may have noted the new length without the bytes. */
    if (fate == FATE_MIXED && end > image->size && rng_one_in(r, 4))
        image_truncate(image, end);
}

static void settle_file(struct inode *i, enum fate fate, struct rng *r)
{
    for (size_t n = 0; n < i->change_count; n++) {
        const struct change *c = &i->changes[n];
        bool kept = fate == FATE_MIXED ? rng_one_in(r, 2) : fate == FATE_ALL_KEPT;

        if (c->kind == CHANGE_WRITE)
            settle_write(&i->durable, c, fate, r);
        else if (kept && c->kind == CHANGE_TRUNCATE)
            image_truncate(&i->durable, c->size);
        else if (kept)
            image_allocate(&i->durable, c->size);
    }
    changes_clear(i);
}

void disk_sync_file_failed(struct inode *i, uint64_t seed)
{
    struct rng r = rng_of(seed);

    settle_file(i, pick_fate(&r), &r);
}

/* A kept rename needs the one before it of the same file: a chain has no holes. */
static void keep_rename_chain(const struct disk *d, bool *kept, size_t at)
{
    const struct name_change *c = &d->changes[at];

    for (size_t n = at; n-- > 0;) {
        const struct name_change *before = &d->changes[n];

        if (before->kind != NAME_RENAME || before->inode != c->inode)
            continue;
        if (before->to_dir == c->dir && strcmp(before->to, c->name) == 0)
            kept[n] = true;
        return;
    }
}

static void settle_names(struct disk *d, enum fate fate, struct rng *r)
{
    bool *kept = calloc(d->change_count + 1, sizeof(*kept));

    check(kept);
    for (size_t n = 0; n < d->change_count; n++)
        kept[n] = fate == FATE_MIXED ? rng_one_in(r, 2) : fate == FATE_ALL_KEPT;
    for (size_t n = d->change_count; n-- > 0;)
        if (kept[n] && d->changes[n].kind == NAME_RENAME)
            keep_rename_chain(d, kept, n);
    for (size_t n = 0; n < d->change_count; n++)
        if (kept[n])
            apply_name_change(d, &d->changes[n]);
    free(kept);
    name_changes_clear(d);
}

static void count_links(struct disk *d)
{
    for (struct inode *i = d->first; i; i = i->next)
        i->links = i == d->root;
    for (struct inode *i = d->first; i; i = i->next)
        for (size_t n = 0; n < i->names.count; n++)
            i->names.items[n].inode->links++;
}

/* Every directory has the names that its durable list says. */
static void forget_lost_names(struct disk *d)
{
    size_t count = 0, n = 0;
    struct inode **all;

    for (struct inode *i = d->first; i; i = i->next)
        count++;
    all = calloc(count, sizeof(struct inode *));
    check(all);
    for (struct inode *i = d->first; i; i = i->next)
        all[n++] = inode_ref(i); /* so that the list stands still */
    for (n = 0; n < count; n++) {
        entries_clear(d, &all[n]->names);
        for (size_t k = 0; k < all[n]->durable_names.count; k++)
            entries_set(d, &all[n]->names, all[n]->durable_names.items[k].name,
                        all[n]->durable_names.items[k].inode);
    }
    for (n = 0; n < count; n++)
        inode_unref(d, all[n]);
    free(all);
}

void disk_cut(struct disk *d, uint64_t seed)
{
    struct rng r = rng_of(seed);
    enum fate names = pick_fate(&r), contents = pick_fate(&r);

    disk_forget_opens(d);
    settle_names(d, names, &r);
    forget_lost_names(d);
    for (struct inode *i = d->first; i; i = i->next) {
        if (i->is_dir)
            continue;
        settle_file(i, contents, &r);
        image_copy(&i->visible, &i->durable);
    }
    count_links(d);
}

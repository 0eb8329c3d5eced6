/*
 * disk_internal - what disk.c and disk_cut.c share: names, and the lists of
 * unsynced changes.
 */
#ifndef TESTS_SUPPORT_DISK_INTERNAL_H
#define TESTS_SUPPORT_DISK_INTERNAL_H

#include "tests/support/disk.h"

void entries_set(struct disk *d, struct entries *e, const char *name, struct inode *inode);
void entries_remove(struct disk *d, struct entries *e, const char *name);
void entries_clear(struct disk *d, struct entries *e);

void change_add(struct inode *i, struct change c);
void change_add_write(struct inode *i, const void *data, size_t size, uint64_t offset);
void changes_clear(struct inode *i);
void changes_copy(struct inode *to, const struct inode *from);

void name_change_add(struct disk *d, enum name_change_kind kind, struct inode *dir,
                     const char *name, struct inode *inode, struct inode *to_dir, const char *to);
void name_changes_clear(struct disk *d);

#endif

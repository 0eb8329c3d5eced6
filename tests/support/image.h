/*
 * image - the bytes of a simulated file, in pages that copies share.
 *
 * A page is NULL (a hole), the shared page of zeroes (allocated, never written
 * otherwise), or refcounted and copied before it changes. So a copy of a file
 * costs a pointer per 4 KiB, and pre-writing a log with zeroes costs nothing.
 *
 * Threads: one owner per image; copies may live in other threads.
 */
#ifndef TESTS_SUPPORT_IMAGE_H
#define TESTS_SUPPORT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

enum {
    IMAGE_PAGE = 4096,
};

struct page;

struct image {
    struct page **pages;
    size_t count, cap; /* pages; those behind count are holes */
    uint64_t size;     /* bytes of the file */
    size_t allocated;  /* pages that are no holes */
};

void image_release(struct image *i);
/* `to` becomes equal to `from`; what it held is let go. */
void image_copy(struct image *to, const struct image *from);

size_t image_read(const struct image *i, void *into, size_t size, uint64_t offset);
/* Grows as needed. data NULL writes zeroes. */
void image_write(struct image *i, const void *data, size_t size, uint64_t offset);
void image_truncate(struct image *i, uint64_t size);
/* Grows the size to `size` at least, without holes. */
void image_allocate(struct image *i, uint64_t size);

/* The pages of `to` that cover the range become those of `from`; its size grows with them. */
void image_share(struct image *to, const struct image *from, uint64_t size, uint64_t offset);

/* Pages that a write of that range would allocate. */
size_t image_missing(const struct image *i, size_t size, uint64_t offset);

#endif

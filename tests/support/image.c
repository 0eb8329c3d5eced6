#include "tests/support/image.h"

#include "base/check.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct page {
    _Atomic uint32_t refs;
    uint8_t data[IMAGE_PAGE];
};

static struct page zero_page; /* never written, never freed */

static struct page *page_ref(struct page *p)
{
    if (p && p != &zero_page)
        (void)atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

static void page_unref(struct page *p)
{
    if (p && p != &zero_page && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
        free(p);
}

void image_release(struct image *i)
{
    for (size_t n = 0; n < i->count; n++)
        page_unref(i->pages[n]);
    free(i->pages);
    *i = (struct image){0};
}

static void make_room(struct image *i, size_t count)
{
    if (count > i->cap) {
        size_t cap = i->cap * 2 > count ? i->cap * 2 : count;

        i->pages = realloc(i->pages, cap * sizeof(i->pages[0]));
        check(i->pages);
        i->cap = cap;
    }
    for (; i->count < count; i->count++)
        i->pages[i->count] = NULL;
}

void image_copy(struct image *to, const struct image *from)
{
    struct image fresh = {.size = from->size, .allocated = from->allocated};

    make_room(&fresh, from->count);
    for (size_t n = 0; n < from->count; n++)
        fresh.pages[n] = page_ref(from->pages[n]);
    image_release(to);
    *to = fresh;
}

size_t image_read(const struct image *i, void *into, size_t size, uint64_t offset)
{
    uint8_t *p = into;
    size_t done = 0;

    if (offset >= i->size)
        return 0;
    if (size > i->size - offset)
        size = (size_t)(i->size - offset);
    while (done < size) {
        size_t index = (size_t)((offset + done) / IMAGE_PAGE);
        size_t at = (size_t)((offset + done) % IMAGE_PAGE);
        size_t n = size - done < IMAGE_PAGE - at ? size - done : IMAGE_PAGE - at;

        if (index < i->count && i->pages[index])
            memcpy(p + done, i->pages[index]->data + at, n);
        else
            memset(p + done, 0, n);
        done += n;
    }
    return size;
}

/* The page for writing: its own, as it was. */
static struct page *own_page(struct image *i, size_t index)
{
    struct page *old = i->pages[index], *fresh;

    if (old && old != &zero_page && atomic_load_explicit(&old->refs, memory_order_acquire) == 1)
        return old;
    fresh = malloc(sizeof(*fresh));
    check(fresh);
    atomic_init(&fresh->refs, 1);
    memcpy(fresh->data, old ? old->data : zero_page.data, IMAGE_PAGE);
    page_unref(old);
    i->pages[index] = fresh;
    return fresh;
}

static void write_page(struct image *i, size_t index, size_t at, const uint8_t *data, size_t n)
{
    struct page *p = i->pages[index];

    if (!p) {
        p = i->pages[index] = &zero_page;
        i->allocated++;
    }
    if (!data)
        data = zero_page.data;
    if (memcmp(p->data + at, data, n) != 0)
        memcpy(own_page(i, index)->data + at, data, n);
}

void image_write(struct image *i, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *p = data;

    if (size == 0)
        return;
    make_room(i, (size_t)((offset + size + IMAGE_PAGE - 1) / IMAGE_PAGE));
    for (size_t done = 0; done < size;) {
        size_t at = (size_t)((offset + done) % IMAGE_PAGE);
        size_t n = size - done < IMAGE_PAGE - at ? size - done : IMAGE_PAGE - at;

        write_page(i, (size_t)((offset + done) / IMAGE_PAGE), at, p ? p + done : NULL, n);
        done += n;
    }
    if (offset + size > i->size)
        i->size = offset + size;
}

void image_truncate(struct image *i, uint64_t size)
{
    size_t keep = (size_t)((size + IMAGE_PAGE - 1) / IMAGE_PAGE);
    size_t tail = (size_t)(size % IMAGE_PAGE);

    for (; i->count > keep; i->count--) {
        i->allocated -= i->pages[i->count - 1] != NULL;
        page_unref(i->pages[i->count - 1]);
    }
    /* What is cut off must not come back when the file grows again. */
    if (size < i->size && tail > 0 && i->count == keep && i->pages[keep - 1])
        write_page(i, keep - 1, tail, NULL, IMAGE_PAGE - tail);
    i->size = size;
}

void image_allocate(struct image *i, uint64_t size)
{
    size_t count = (size_t)((size + IMAGE_PAGE - 1) / IMAGE_PAGE);

    make_room(i, count);
    for (size_t n = 0; n < count; n++) {
        if (i->pages[n])
            continue;
        i->pages[n] = &zero_page;
        i->allocated++;
    }
    if (size > i->size)
        i->size = size;
}

void image_share(struct image *to, const struct image *from, uint64_t size, uint64_t offset)
{
    uint64_t end = offset + size < from->size ? offset + size : from->size;

    if (end <= offset)
        return;
    make_room(to, (size_t)((end + IMAGE_PAGE - 1) / IMAGE_PAGE));
    for (size_t n = (size_t)(offset / IMAGE_PAGE); n <= (end - 1) / IMAGE_PAGE; n++) {
        struct page *page = n < from->count ? page_ref(from->pages[n]) : NULL;

        to->allocated += (page != NULL);
        to->allocated -= (to->pages[n] != NULL);
        page_unref(to->pages[n]);
        to->pages[n] = page;
    }
    if (end > to->size)
        to->size = end;
}

size_t image_missing(const struct image *i, size_t size, uint64_t offset)
{
    size_t missing = 0;

    if (size == 0)
        return 0;
    for (uint64_t n = offset / IMAGE_PAGE; n <= (offset + size - 1) / IMAGE_PAGE; n++)
        missing += n >= i->count || !i->pages[n];
    return missing;
}

/* labels - see labels.h. */
#include "storage/model/labels.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "storage/model/go_text.h"

#include <stdlib.h>

enum {
    SORT_BY_INSERTION_MAX = 24, /* sets of real clients; larger ones are sorted by merging */
};

static void insertion_sort(struct label *pairs, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct label moved = pairs[i];
        uint32_t j = i;

        for (; j > 0 && str_cmp(pairs[j - 1].name, moved.name) > 0; j--)
            pairs[j] = pairs[j - 1];
        pairs[j] = moved;
    }
}

struct ranked {
    struct label label;
    uint32_t rank;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = str_cmp(x->label.name, y->label.name);

    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

void labels_sort(struct labels *labels)
{
    struct ranked *ranked;

    if (labels->count <= SORT_BY_INSERTION_MAX) {
        insertion_sort(labels->pairs, labels->count);
        return;
    }
    /* A client may send any number, so neither quadratic time nor a stack of them. */
    ranked = malloc(labels->count * sizeof(ranked[0]));
    if (ranked == NULL) {
        insertion_sort(labels->pairs, labels->count);
        return;
    }
    for (uint32_t i = 0; i < labels->count; i++)
        ranked[i] = (struct ranked){labels->pairs[i], i};
    qsort(ranked, labels->count, sizeof(ranked[0]), compare_ranked);
    for (uint32_t i = 0; i < labels->count; i++)
        labels->pairs[i] = ranked[i].label;
    free(ranked);
}

const struct label *labels_find(const struct labels *labels, struct str name)
{
    for (uint32_t i = 0; i < labels->count; i++)
        if (str_eq(labels->pairs[i].name, name))
            return &labels->pairs[i];
    return NULL;
}

struct str labels_get(const struct labels *labels, struct str name)
{
    const struct label *found = labels_find(labels, name);

    return found != NULL ? found->value : (struct str){0};
}

int labels_cmp(const struct labels *a, const struct labels *b)
{
    uint32_t common = a->count < b->count ? a->count : b->count;

    for (uint32_t i = 0; i < common; i++) {
        int order = str_cmp(a->pairs[i].name, b->pairs[i].name);

        if (order == 0)
            order = str_cmp(a->pairs[i].value, b->pairs[i].value);
        if (order != 0)
            return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

bool labels_eq(const struct labels *a, const struct labels *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!str_eq(a->pairs[i].name, b->pairs[i].name) ||
            !str_eq(a->pairs[i].value, b->pairs[i].value))
            return false;
    return true;
}

uint64_t labels_hash(const struct labels *labels, uint64_t seed)
{
    uint64_t h = seed ^ labels->count;

    /* The hash of one part seeds the next, so "ab","c" and "a","bc" differ. */
    for (uint32_t i = 0; i < labels->count; i++) {
        h = hash64(h, labels->pairs[i].name.p, labels->pairs[i].name.len);
        h = hash64(h, labels->pairs[i].value.p, labels->pairs[i].value.len);
    }
    return h;
}

static bool copy_str(struct str from, struct arena *arena, struct str *out)
{
    out->p = arena_memdup(arena, from.p, from.len);
    out->len = from.len;
    return out->p != NULL;
}

bool labels_copy(const struct labels *from, struct arena *arena, struct labels *out)
{
    struct label *pairs = arena_array(arena, struct label, from->count);

    if (pairs == NULL)
        return false;
    for (uint32_t i = 0; i < from->count; i++)
        if (!copy_str(from->pairs[i].name, arena, &pairs[i].name) ||
            !copy_str(from->pairs[i].value, arena, &pairs[i].value))
            return false;
    *out = (struct labels){.pairs = pairs, .count = from->count};
    return true;
}

void labels_format(const struct labels *labels, struct buf *out)
{
    (void)buf_append_byte(out, '{');
    for (uint32_t i = 0; i < labels->count; i++) {
        if (i > 0)
            (void)buf_append_cstr(out, ", ");
        (void)buf_append_str(out, labels->pairs[i].name);
        (void)buf_append_byte(out, '=');
        go_quote_append(out, labels->pairs[i].value);
    }
    (void)buf_append_byte(out, '}');
}

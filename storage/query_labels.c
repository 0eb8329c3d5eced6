/* Label lists: what exists in a range, from the indexes of the datasets. */
#include "storage/query.h"

#include "storage/query_select.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    SET_INITIAL = 64,
};

/* A growing set of label sets; plain strings are sets of one pair without a name. */
struct label_set {
    const struct query *q;
    uint64_t seed;
    struct labels *items;
    uint64_t *hashes;
    uint32_t count, cap;
    uint32_t *slots; /* item + 1, 0 free */
    uint32_t slot_mask;
};

static int set_grow(struct label_set *s, struct err *err)
{
    uint32_t cap = s->cap ? s->cap * 2 : SET_INITIAL;
    struct labels *items = arena_array(s->q->arena, struct labels, cap);
    uint64_t *hashes = arena_array(s->q->arena, uint64_t, cap);
    uint32_t *slots = arena_array(s->q->arena, uint32_t, (size_t)cap * 2);

    if (!items || !hashes || !slots)
        return query_out_of_memory(s->q, err);
    memset(slots, 0, (size_t)cap * 2 * sizeof(*slots));
    if (s->count > 0) {
        memcpy(items, s->items, s->count * sizeof(*items));
        memcpy(hashes, s->hashes, s->count * sizeof(*hashes));
    }
    s->items = items;
    s->hashes = hashes;
    s->slots = slots;
    s->slot_mask = cap * 2 - 1;
    s->cap = cap;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t at = (uint32_t)hashes[i] & s->slot_mask;

        while (slots[at] != 0)
            at = (at + 1) & s->slot_mask;
        slots[at] = i + 1;
    }
    return 0;
}

static int set_add(struct label_set *s, const struct labels *labels, struct err *err)
{
    uint64_t hash = labels_hash(labels, s->seed);
    uint32_t at;
    int rc;

    if (s->count == s->cap && (rc = set_grow(s, err)) != 0)
        return rc;
    check(s->slots != NULL);
    for (at = (uint32_t)hash & s->slot_mask; s->slots[at] != 0; at = (at + 1) & s->slot_mask) {
        uint32_t found = s->slots[at] - 1;

        if (s->hashes[found] == hash && labels_eq(&s->items[found], labels))
            return 0;
    }
    if (!labels_copy(labels, s->q->arena, &s->items[s->count]))
        return query_out_of_memory(s->q, err);
    s->hashes[s->count] = hash;
    s->slots[at] = ++s->count;
    return 0;
}

static int set_add_text(struct label_set *s, struct str text, struct err *err)
{
    struct label pair = {STR(""), text};
    struct labels one = {&pair, 1};

    return text.len > 0 ? set_add(s, &one, err) : 0;
}

static int labels_order(const void *a, const void *b)
{
    return labels_cmp(a, b);
}

static void set_sort(struct label_set *s)
{
    if (s->count > 1)
        qsort(s->items, s->count, sizeof(*s->items), labels_order);
}

/* What one series contributes to a list. */
typedef int (*series_fn)(struct label_set *set, const void *ctx, const struct dataset_index *index,
                         const struct dataset_entry *entry, uint32_t type, struct arena *scratch,
                         struct err *err);

struct presence {
    const struct selected_dataset *sel;
    uint32_t at;
    uint64_t *present; /* by selected entry */
};

static int note_presence(void *ctx, const struct dataset_row *row,
                         const struct sample_columns *columns, struct err *err)
{
    struct presence *p = ctx;
    const struct dataset_entry *entry = &p->sel->index->entries[p->sel->entries[p->at]];

    (void)columns;
    (void)err;
    while (entry->stream != row->stream || entry->typeset != row->typeset) {
        check(p->at + 1 < p->sel->count);
        entry = &p->sel->index->entries[p->sel->entries[++p->at]];
    }
    p->present[p->at] |= row->present;
    return 0;
}

static bool inside(struct time_span outer, struct time_span inner)
{
    return outer.first_ns <= inner.first_ns && inner.last_ns <= outer.last_ns;
}

/*
 * The types that have a row in the range. An entry that lies inside it needs
 * no look at its rows; one that overlaps an edge does.
 */
static int exact_presence(const struct query *q, const struct selected_dataset *sel,
                          struct arena *scratch, uint64_t **out, struct err *err)
{
    struct presence p = {.sel = sel};
    struct dataset_scan scan = {sel->entries, sel->types, sel->count, q->time, false};
    bool all_inside = true;

    p.present = arena_array(scratch, uint64_t, sel->count);
    if (!p.present)
        return query_out_of_memory(q, err);
    for (uint32_t i = 0; i < sel->count; i++) {
        const struct dataset_entry *entry = &sel->index->entries[sel->entries[i]];

        p.present[i] = 0;
        if (inside(q->time, entry->time))
            p.present[i] = entry->present;
        else
            all_inside = false;
    }
    *out = p.present;
    if (all_inside)
        return 0;
    return sel->ds->ops->scan(sel->ds, &scan, scratch, note_presence, &p, err);
}

/* A list being made. */
struct listing {
    struct label_set *set;
    series_fn fn;
    const void *ctx;
};

static int list_dataset(void *ctx, const struct query *q, struct selected_dataset *sel,
                        struct arena *scratch, struct err *err)
{
    struct listing *l = ctx;
    uint64_t *present = NULL;
    int rc;

    if ((rc = query_check_canceled(q, err)) == 0)
        rc = exact_presence(q, sel, scratch, &present, err);
    check(rc != 0 || present != NULL);
    for (uint32_t i = 0; rc == 0 && i < sel->count; i++) {
        uint64_t types = sel->types[i] & present[i];

        for (; rc == 0 && types != 0; types &= types - 1)
            rc = l->fn(l->set, l->ctx, sel->index, &sel->index->entries[sel->entries[i]],
                       (uint32_t)__builtin_ctzll(types), scratch, err);
    }
    return rc;
}

static int each_series(struct storage *s, const struct query *q, struct label_set *set,
                       series_fn fn, const void *ctx, struct err *err)
{
    struct listing l = {set, fn, ctx};
    struct selection sel;
    int rc;

    if ((rc = selection_open(s, q, q->time, &sel, err)) != 0)
        return rc;
    rc = selection_each(&sel, list_dataset, &l, err);
    selection_release(&sel);
    if (rc == 0)
        set_sort(set);
    return rc;
}

static int texts_of(const struct label_set *set, struct str **out, uint32_t *count, struct err *err)
{
    *out = arena_array(set->q->arena, struct str, (size_t)set->count + 1);
    if (!*out)
        return query_out_of_memory(set->q, err);
    for (uint32_t i = 0; i < set->count; i++)
        (*out)[i] = set->items[i].pairs[0].value;
    *count = set->count;
    return 0;
}

static int add_value(struct label_set *set, const void *ctx, const struct dataset_index *index,
                     const struct dataset_entry *entry, uint32_t type, struct arena *scratch,
                     struct err *err)
{
    struct str value;
    int rc = series_label(index, entry, type, *(const struct str *)ctx, scratch, &value, err);

    return rc != 0 ? rc : set_add_text(set, value, err);
}

static int add_names(struct label_set *set, const void *ctx, const struct dataset_index *index,
                     const struct dataset_entry *entry, uint32_t type, struct arena *scratch,
                     struct err *err)
{
    struct labels labels;
    int rc = series_labels(index, entry, type, scratch, &labels, err);

    (void)ctx;
    for (uint32_t i = 0; rc == 0 && i < labels.count; i++)
        rc = set_add_text(set, labels.pairs[i].name, err);
    return rc;
}

struct projection {
    const struct str *names;
    uint32_t count;
};

static int add_projection(struct label_set *set, const void *ctx, const struct dataset_index *index,
                          const struct dataset_entry *entry, uint32_t type, struct arena *scratch,
                          struct err *err)
{
    const struct projection *p = ctx;
    struct labels all, some = {0};
    int rc = series_labels(index, entry, type, scratch, &all, err);

    if (rc != 0)
        return rc;
    if (p->count == 0)
        return set_add(set, &all, err);
    some.pairs = all.pairs;
    for (uint32_t i = 0; i < all.count; i++)
        for (uint32_t n = 0; n < p->count; n++)
            if (str_eq(all.pairs[i].name, p->names[n])) {
                some.pairs[some.count++] = all.pairs[i];
                break;
            }
    return some.count > 0 ? set_add(set, &some, err) : 0;
}

int query_profile_types(struct storage *s, const struct query *q, struct str **ids, uint32_t *count,
                        struct err *err)
{
    return query_label_values(s, q, STR(LABEL_PROFILE_TYPE), ids, count, err);
}

int query_label_names(struct storage *s, const struct query *q, struct str **names, uint32_t *count,
                      struct err *err)
{
    struct label_set set = {.q = q, .seed = hash_seed_random()};
    int rc = each_series(s, q, &set, add_names, NULL, err);

    return rc != 0 ? rc : texts_of(&set, names, count, err);
}

int query_label_values(struct storage *s, const struct query *q, struct str name,
                       struct str **values, uint32_t *count, struct err *err)
{
    struct label_set set = {.q = q, .seed = hash_seed_random()};
    int rc = each_series(s, q, &set, add_value, &name, err);

    return rc != 0 ? rc : texts_of(&set, values, count, err);
}

int query_label_sets(struct storage *s, const struct query *q, const struct str *names,
                     uint32_t name_count, struct labels **sets, uint32_t *count, struct err *err)
{
    struct label_set set = {.q = q, .seed = hash_seed_random()};
    struct projection p = {names, name_count};
    int rc = each_series(s, q, &set, add_projection, &p, err);

    if (rc != 0)
        return rc;
    *sets = set.items;
    *count = set.count;
    return 0;
}

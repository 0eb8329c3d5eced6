#include "storage/rollup.h"

uint32_t rollup_families(const struct dataset_index *index, uint32_t *family_of)
{
    struct {
        struct str name;
        uint32_t typeset;
    } families[ROLLUP_FAMILIES_MAX];
    uint32_t count = 0;

    for (uint32_t e = 0; e < index->entry_count; e++) {
        const struct dataset_entry *entry = &index->entries[e];
        struct str name = labels_get(&index->streams[entry->stream], STR(LABEL_NAME));
        uint32_t f = 0;

        while (f < count &&
               (families[f].typeset != entry->typeset || !str_eq(families[f].name, name)))
            f++;
        if (f == ROLLUP_FAMILIES_MAX) {
            family_of[e] = ROLLUP_NO_FAMILY;
            continue;
        }
        if (f == count) {
            families[count].name = name;
            families[count++].typeset = entry->typeset;
        }
        family_of[e] = f;
    }
    return count;
}

int rollup_vector_cmp(const struct rollup_vector *a, const struct rollup_vector *b)
{
    bool a_family = a->kind != ROLLUP_STREAM, b_family = b->kind != ROLLUP_STREAM;

    if (a_family != b_family)
        return a_family ? 1 : -1;
    if (a->owner != b->owner)
        return a->owner < b->owner ? -1 : 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return (a->hour > b->hour) - (a->hour < b->hour);
}

const struct rollup_vector *rollup_find(const struct rollups *r, enum rollup_kind kind,
                                        uint32_t owner, uint32_t hour)
{
    struct rollup_vector want = {.kind = kind, .owner = owner, .hour = hour};
    uint32_t low = 0, high = r->vector_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int d = rollup_vector_cmp(&r->vectors[mid], &want);

        if (d == 0)
            return &r->vectors[mid];
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

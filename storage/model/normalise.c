/* normalise - see normalise.h. */
#include "storage/model/normalise.h"

#include "base/arena.h"
#include "base/err.h"
#include "storage/model/go_fix.h"
#include "storage/model/language.h"
#include "storage/model/limits.h"
#include "storage/model/pprof.h"
#include "storage/model/profile_build.h"
#include "storage/model/series_labels.h"
#include "storage/model/validate.h"

struct normaliser {
    const struct normalise_input *in;
    struct arena *arena;
    struct normalise_result *out;
    struct labels request; /* sorted, with a service name */
    struct profile_build built;
    uint32_t *row_of_group;
};

static int no_memory(struct normaliser *n)
{
    n->out->discard.limit = arena_limit(n->arena);
    return discard_set(&n->out->discard, ERR_TOO_LARGE, DISCARD_MEMORY_LIMIT, n->arena,
                       "profile needs more than %zu bytes of memory", arena_limit(n->arena));
}

/* --- rows --- */

/* The labels of a group as strings; `extra` has room for all its pairs. */
static void group_labels(const struct normaliser *n, const struct sample_group *g,
                         struct label *extra)
{
    const struct str *strings = n->in->pprof->strings;

    for (uint32_t i = 0; i < g->pair_count; i++) {
        const struct sample_group_pair *pair = &n->built.pairs[g->pair_first + i];

        extra[i] = (struct label){strings[pair->name], strings[pair->value]};
    }
}

static uint32_t pair_count_max(const struct normaliser *n)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < n->built.group_count; i++)
        if (n->built.groups[i].pair_count > most)
            most = n->built.groups[i].pair_count;
    return most;
}

/* The row with these labels: an earlier one, or the next. */
static uint32_t find_row(struct normaliser *n, uint32_t *slots, uint32_t mask,
                         const struct labels *labels)
{
    struct push_row *rows = n->out->rows;
    uint32_t slot = (uint32_t)labels_hash(labels, n->in->seed) & mask;

    for (; slots[slot] != 0; slot = (slot + 1) & mask)
        if (labels_eq(&rows[slots[slot] - 1].labels, labels))
            return slots[slot] - 1;
    slots[slot] = ++n->out->row_count;
    rows[n->out->row_count - 1].labels = *labels;
    return n->out->row_count - 1;
}

static int make_rows(struct normaliser *n)
{
    uint32_t group_count = n->built.group_count, capacity = 16;
    struct label *extra = arena_array(n->arena, struct label, pair_count_max(n));
    uint32_t *slots;

    while (capacity < 2 * (uint64_t)group_count && capacity < UINT32_C(1) << 31)
        capacity *= 2;
    slots = arena_calloc(n->arena, capacity, sizeof(slots[0]));
    n->out->rows = arena_array(n->arena, struct push_row, group_count);
    n->row_of_group = arena_array(n->arena, uint32_t, group_count);
    if (extra == NULL || slots == NULL || n->out->rows == NULL || n->row_of_group == NULL)
        return no_memory(n);
    for (uint32_t g = 0; g < group_count; g++) {
        const struct sample_group *group = &n->built.groups[g];
        struct labels labels;

        group_labels(n, group, extra);
        if (!series_labels_join(&n->request, extra, group->pair_count, n->arena, &labels))
            return no_memory(n);
        n->row_of_group[g] = find_row(n, slots, capacity - 1, &labels);
    }
    return 0;
}

static int validate_rows(struct normaliser *n)
{
    for (uint32_t r = 0; r < n->out->row_count; r++) {
        struct labels *labels = &n->out->rows[r].labels;
        int rc = validate_labels(labels, n->in->limits, n->arena, &n->out->discard);

        if (rc != 0)
            return rc;
        series_labels_strip(labels);
    }
    return 0;
}

/* Gives each row its range of samples. */
static int place_samples(struct normaliser *n)
{
    struct profile *profile = n->built.profile;
    uint32_t row_count = n->out->row_count, first = 0;
    uint32_t *counts = arena_array(n->arena, uint32_t, row_count);

    if (counts == NULL)
        return no_memory(n);
    counts[0] = profile->sample_count;
    if (n->built.group_count > 1) {
        for (uint32_t i = 0; i < profile->sample_count; i++)
            n->built.group_of[i] = n->row_of_group[n->built.group_of[i]];
        if (profile_build_regroup(&n->built, row_count, n->arena, counts) != 0)
            return no_memory(n);
    }
    for (uint32_t r = 0; r < row_count; r++) {
        struct push_row *row = &n->out->rows[r];

        row->profile = profile;
        row->id = n->in->id;
        row->sample_first = first;
        row->sample_count = counts[r];
        first += counts[r];
    }
    return 0;
}

int normalise(const struct normalise_input *in, struct arena *arena, struct normalise_result *out)
{
    struct normaliser n = {.in = in, .arena = arena, .out = out};
    struct profile_facts facts;
    int rc;

    *out = (struct normalise_result){0};
    if (!series_labels_of_request(&in->labels, arena, &n.request))
        return no_memory(&n);
    out->service = labels_get(&n.request, STR(LABEL_SERVICE_NAME));
    rc = validate_profile(in->pprof, &n.request, in->limits, in->now_ns, arena, &facts,
                          &out->discard);
    if (rc != 0)
        return rc;
    out->time_set = facts.time_set;
    if (language_detect(&n.request, in->pprof) == LANGUAGE_GO &&
        go_fix(in->pprof, facts.brackets, facts.bracket_count, in->seed, arena, NULL) != 0)
        return no_memory(&n);
    if (profile_build(in->pprof, &n.request, in->seed, arena, &n.built) != 0)
        return no_memory(&n);
    if (n.built.profile->sample_count == 0)
        return 0;
    rc = make_rows(&n);
    if (rc == 0)
        rc = validate_rows(&n);
    if (rc == 0)
        rc = place_samples(&n);
    if (rc != 0) {
        out->rows = NULL;
        out->row_count = 0;
    }
    return rc;
}

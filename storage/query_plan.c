#include "storage/query_plan.h"

#include "base/arena.h"
#include "base/err.h"

#include <string.h>

struct planning {
    const struct query *q;
    const struct selected_dataset *sel;
    const struct rollups *rollups;
    struct time_span asked; /* of what the dataset has */
    bool whole;             /* all of it */
    bool hours;             /* some hours are covered whole: */
    uint32_t hour_first, hour_last;
    uint64_t *family_types; /* by family: the types asked for; 0: cannot stand for the selection */
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct rollup_ops const *ops_of(const struct selected_dataset *sel)
{
    return sel->ds->ops->rollups;
}

static int find_rollups(const struct query *q, const struct selected_dataset *sel,
                        const struct rollups **out, struct err *err)
{
    *out = NULL;
    if (q->force == QUERY_FORCE_RAW || q->span_id_count > 0 || q->trace_id_count > 0 ||
        !ops_of(sel))
        return 0;
    return ops_of(sel)->find(sel->ds, out, err);
}

/* An hour is covered when all that the dataset has of it was asked for. */
static void find_hours(struct planning *p)
{
    struct time_span has = p->sel->ds->time;
    int64_t first = p->asked.first_ns / ROLLUP_HOUR_NS, last = p->asked.last_ns / ROLLUP_HOUR_NS;

    if (p->asked.first_ns > later(first * ROLLUP_HOUR_NS, has.first_ns))
        first++;
    if (p->asked.last_ns < earlier((last + 1) * ROLLUP_HOUR_NS - 1, has.last_ns))
        last--;
    p->hours = first <= last && p->q->force != QUERY_FORCE_DAY;
    p->hour_first = (uint32_t)first;
    p->hour_last = (uint32_t)last;
}

static bool overlaps(const struct dataset_entry *e, const struct time_span *t)
{
    return e->time.last_ns >= t->first_ns && e->time.first_ns <= t->last_ns;
}

/*
 * The union of the types asked for of a family's entries; then every entry of the family must
 * have been asked for all of those that it has.
 */
static int find_families(struct planning *p, struct arena *arena, struct err *err)
{
    const struct selected_dataset *sel = p->sel;
    uint32_t at = 0;

    p->family_types = arena_calloc(arena, p->rollups->family_count, sizeof(*p->family_types));
    if (!p->family_types)
        return query_out_of_memory(p->q, err);
    for (uint32_t i = 0; i < sel->count; i++) {
        uint32_t f = p->rollups->family_of[sel->entries[i]];

        if (f != ROLLUP_NO_FAMILY)
            p->family_types[f] |= sel->types[i];
    }
    for (uint32_t e = 0; e < sel->index->entry_count; e++) {
        const struct dataset_entry *entry = &sel->index->entries[e];
        uint32_t f = p->rollups->family_of[e];
        bool selected = at < sel->count && sel->entries[at] == e;
        uint64_t asked = selected ? sel->types[at++] : 0;

        if (f != ROLLUP_NO_FAMILY && (selected || overlaps(entry, &p->q->time)) &&
            (p->family_types[f] & entry->present) != asked)
            p->family_types[f] = 0;
    }
    return 0;
}

static bool has_hours(const struct rollups *r, uint32_t family)
{
    struct rollup_vector want = {.kind = ROLLUP_HOUR, .owner = family};

    /* The first one at or behind hour 0 of the family. */
    uint32_t low = 0, high = r->vector_count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (rollup_vector_cmp(&r->vectors[mid], &want) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < r->vector_count && r->vectors[low].kind == ROLLUP_HOUR &&
           r->vectors[low].owner == family;
}

static void use(struct query_plan *plan, const struct rollup_vector *v, uint64_t types)
{
    plan->vectors[plan->vector_count++] = (struct plan_vector){v, types};
}

static void use_hours(const struct planning *p, struct query_plan *plan, uint32_t family)
{
    for (uint32_t i = 0; i < p->rollups->vector_count; i++) {
        const struct rollup_vector *v = &p->rollups->vectors[i];

        if (v->kind == ROLLUP_HOUR && v->owner == family && v->hour >= p->hour_first &&
            v->hour <= p->hour_last)
            use(plan, v, p->family_types[family]);
    }
}

/* What became of the entries. */
enum {
    BY_ROWS,
    BY_HOURS,
    BY_ALL,
};

static void choose_family(const struct planning *p, struct query_plan *plan, uint32_t family,
                          enum rollup_kind all, uint8_t *covered)
{
    const struct rollup_vector *v = p->whole && p->q->force != QUERY_FORCE_HOUR
                                        ? rollup_find(p->rollups, all, family, 0)
                                        : NULL;

    if (p->family_types[family] == 0)
        return;
    if (v) {
        use(plan, v, p->family_types[family]);
        *covered = BY_ALL;
    } else if (p->hours && has_hours(p->rollups, family)) {
        use_hours(p, plan, family);
        *covered = BY_HOURS;
    }
}

/* Entry by entry: its family's vectors, its own, or rows. `covers` runs parallel to the entries. */
static void choose(const struct planning *p, struct query_plan *plan, enum rollup_kind all,
                   uint8_t *family_covers, uint8_t *covers)
{
    const struct selected_dataset *sel = p->sel;

    for (uint32_t f = 0; f < p->rollups->family_count; f++)
        choose_family(p, plan, f, all, &family_covers[f]);
    for (uint32_t i = 0; i < sel->count; i++) {
        uint32_t e = sel->entries[i], f = p->rollups->family_of[e];
        const struct rollup_vector *v;

        covers[i] = f == ROLLUP_NO_FAMILY ? BY_ROWS : family_covers[f];
        if (covers[i] == BY_ALL || !p->whole || p->q->force == QUERY_FORCE_HOUR)
            continue;
        if (covers[i] == BY_ROWS && (v = rollup_find(p->rollups, ROLLUP_STREAM, e, 0))) {
            use(plan, v, sel->types[i]);
            covers[i] = BY_ALL;
        }
    }
}

/* Rows of the entries with `which`, in `time`. */
static int add_scan(const struct planning *p, struct query_plan *plan, const uint8_t *covers,
                    uint8_t which, struct time_span time, struct arena *arena, struct err *err)
{
    const struct selected_dataset *sel = p->sel;
    uint32_t *entries = arena_array(arena, uint32_t, sel->count);
    uint64_t *types = arena_array(arena, uint64_t, sel->count);
    uint32_t n = 0;

    if (!entries || !types)
        return query_out_of_memory(p->q, err);
    for (uint32_t i = 0; i < sel->count; i++)
        if (covers[i] == which && overlaps(&sel->index->entries[sel->entries[i]], &time)) {
            entries[n] = sel->entries[i];
            types[n++] = sel->types[i];
        }
    if (n > 0 && time.first_ns <= time.last_ns)
        plan->scans[plan->scan_count++] = (struct dataset_scan){entries, types, n, time, true};
    return 0;
}

static int add_scans(const struct planning *p, struct query_plan *plan, const uint8_t *covers,
                     struct arena *arena, struct err *err)
{
    int rc = add_scan(p, plan, covers, BY_ROWS, p->q->time, arena, err);

    if (rc != 0 || !p->hours)
        return rc;
    rc = add_scan(
        p, plan, covers, BY_HOURS,
        (struct time_span){p->q->time.first_ns, rollup_hour_span(p->hour_first).first_ns - 1},
        arena, err);
    if (rc != 0)
        return rc;
    return add_scan(
        p, plan, covers, BY_HOURS,
        (struct time_span){rollup_hour_span(p->hour_last).last_ns + 1, p->q->time.last_ns}, arena,
        err);
}

static int try(struct planning *p, enum rollup_kind all, struct arena *arena,
               struct query_plan *plan, struct err *err)
{
    uint8_t *family_covers = arena_calloc(arena, p->rollups->family_count, 1);
    uint8_t *covers = arena_calloc(arena, p->sel->count, 1);

    plan->vector_count = plan->scan_count = 0;
    if (!family_covers || !covers)
        return query_out_of_memory(p->q, err);
    choose(p, plan, all, family_covers, covers);
    return add_scans(p, plan, covers, arena, err);
}

static bool all_by_flame(const struct query_plan *plan)
{
    for (uint32_t i = 0; i < plan->vector_count; i++)
        if (plan->vectors[i].vector->kind != ROLLUP_FLAME)
            return false;
    return plan->scan_count == 0;
}

static void explain(const struct query *q, const struct query_plan *plan)
{
    bool hours = false;

    if (!q->explain)
        return;
    for (uint32_t i = 0; i < plan->vector_count; i++)
        hours = hours || plan->vectors[i].vector->kind == ROLLUP_HOUR;
    q->explain->datasets_raw += plan->vector_count == 0;
    q->explain->datasets_hour += hours;
    q->explain->datasets_day += plan->vector_count > 0 && !hours;
    q->explain->vectors += plan->vector_count;
}

static void plan_rows(const struct query *q, const struct selected_dataset *sel,
                      struct query_plan *out)
{
    out->scans[0] = (struct dataset_scan){sel->entries, sel->types, sel->count, q->time, true};
    out->scan_count = 1;
}

static int plan_vectors(struct planning *p, bool flame, struct arena *arena, struct query_plan *out,
                        struct err *err)
{
    struct time_span has = p->sel->ds->time;
    int rc;

    p->asked = (struct time_span){later(p->q->time.first_ns, has.first_ns),
                                  earlier(p->q->time.last_ns, has.last_ns)};
    p->whole = p->asked.first_ns == has.first_ns && p->asked.last_ns == has.last_ns;
    find_hours(p);
    out->vectors = arena_array(arena, struct plan_vector, p->rollups->vector_count);
    if (!out->vectors)
        return query_out_of_memory(p->q, err);
    if ((rc = find_families(p, arena, err)) != 0)
        return rc;
    if (flame) {
        if ((rc = try(p, ROLLUP_FLAME, arena, out, err)) != 0)
            return rc;
        out->by_flame = all_by_flame(out);
        if (out->by_flame)
            return 0;
    }
    return try(p, ROLLUP_ALL, arena, out, err);
}

int query_plan_samples(const struct query *q, const struct selected_dataset *sel, bool flame,
                       struct arena *arena, struct query_plan *out, struct err *err)
{
    struct planning p = {.q = q, .sel = sel};
    int rc = find_rollups(q, sel, &p.rollups, err);

    memset(out, 0, sizeof(*out));
    if (rc == 0 && p.rollups && p.rollups->vector_count > 0 && rollup_time_ok(sel->ds->time))
        rc = plan_vectors(&p, flame, arena, out, err);
    else
        plan_rows(q, sel, out);
    if (rc == 0)
        explain(q, out);
    return rc;
}

int query_plan_totals(const struct query *q, const struct selected_dataset *sel, bool *usable,
                      struct err *err)
{
    const struct rollups *r = NULL;
    int rc = *usable ? find_rollups(q, sel, &r, err) : 0;

    *usable = r && r->has_totals;
    if (rc == 0 && q->explain) {
        q->explain->datasets_totals += *usable;
        q->explain->datasets_raw += !*usable;
    }
    return rc;
}

#include "storage/query_select.h"

#include "storage/storage.h"

#include "base/arena.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#include <string.h>

enum {
    DECODED_PER_STORED = 4, /* bytes of a dictionary in memory for one on disk */
    EXPECTED_SHARE = 4,     /* of a question's limit, at most, is taken in advance */
};

#define MEMORY_WAIT_NS (5 * NS_PER_S)

/* The labels that belong to the type, not to the stream. */
enum derived {
    DERIVED_NONE,
    DERIVED_TYPE,
    DERIVED_UNIT,
    DERIVED_PERIOD_TYPE,
    DERIVED_PERIOD_UNIT,
    DERIVED_PROFILE_TYPE,
    DERIVED_SERVICE,
    DERIVED_COUNT,
};

static const char *const derived_names[DERIVED_COUNT] = {
    [DERIVED_TYPE] = LABEL_TYPE,
    [DERIVED_UNIT] = LABEL_UNIT,
    [DERIVED_PERIOD_TYPE] = LABEL_PERIOD_TYPE,
    [DERIVED_PERIOD_UNIT] = LABEL_PERIOD_UNIT,
    [DERIVED_PROFILE_TYPE] = LABEL_PROFILE_TYPE,
    [DERIVED_SERVICE] = LABEL_SERVICE_NAME_COPY,
};

static enum derived derived_of(struct str name)
{
    for (enum derived d = DERIVED_TYPE; d < DERIVED_COUNT; d++)
        if (name.len == strlen(derived_names[d]) && memcmp(name.p, derived_names[d], name.len) == 0)
            return d;
    return DERIVED_NONE;
}

int query_out_of_memory(const struct query *q, struct err *err)
{
    const struct budget_share *share = q->arena->share;

    if (share && share->refused > 0)
        return budget_refuse(share->account, share->refused, err);
    return err_set(err, ERR_TOO_LARGE,
                   "the query needs more than %zu bytes of working memory; ask for a shorter "
                   "range or raise limits.query_memory_bytes_max",
                   arena_limit(q->arena));
}

int query_check_canceled(const struct query *q, struct err *err)
{
    if (q->canceled && q->canceled(q->canceled_ctx))
        return err_set(err, ERR_CANCELED, "the query was canceled");
    return 0;
}

bool query_link_matches(const struct query *q, const struct profile_link *link)
{
    if (q->span_id_count == 0 && q->trace_id_count == 0)
        return true;
    if (!link)
        return false;
    for (uint32_t i = 0; i < q->span_id_count; i++)
        if (q->span_ids[i] == link->span_id)
            return true;
    for (uint32_t i = 0; i < q->trace_id_count; i++)
        if (memcmp(q->trace_ids[i], link->trace_id, sizeof(link->trace_id)) == 0)
            return true;
    return false;
}

static struct profile_type type_of(const struct dataset_index *index,
                                   const struct dataset_entry *entry, uint32_t type)
{
    const struct typeset *ts = &index->typesets[entry->typeset];

    check(type < ts->count);
    return (struct profile_type){
        .name = labels_get(&index->streams[entry->stream], STR(LABEL_NAME)),
        .sample_type = ts->types[type].type,
        .sample_unit = ts->types[type].unit,
        .period_type = ts->period_type,
        .period_unit = ts->period_unit,
    };
}

static int format_type(const struct profile_type *t, struct arena *arena, struct str *out,
                       struct err *err)
{
    size_t len = t->name.len + t->sample_type.len + t->sample_unit.len + t->period_type.len +
                 t->period_unit.len + 4;
    struct buf b;
    char *copy;

    buf_init(&b, len);
    profile_type_format(t, &b);
    copy = b.failed ? NULL : arena_strndup(arena, (const char *)b.data, b.len);
    buf_release(&b);
    if (!copy)
        return err_set(err, ERR_TOO_LARGE, "labels need more than %zu bytes of memory",
                       arena_limit(arena));
    *out = (struct str){copy, len};
    return 0;
}

int series_label(const struct dataset_index *index, const struct dataset_entry *entry,
                 uint32_t type, struct str name, struct arena *arena, struct str *out,
                 struct err *err)
{
    struct profile_type t = type_of(index, entry, type);

    switch (derived_of(name)) {
    case DERIVED_TYPE:
        *out = t.sample_type;
        return 0;
    case DERIVED_UNIT:
        *out = t.sample_unit;
        return 0;
    case DERIVED_PERIOD_TYPE:
        *out = t.period_type;
        return 0;
    case DERIVED_PERIOD_UNIT:
        *out = t.period_unit;
        return 0;
    case DERIVED_PROFILE_TYPE:
        return format_type(&t, arena, out, err);
    case DERIVED_SERVICE:
        *out = labels_get(&index->streams[entry->stream], STR(LABEL_SERVICE_NAME));
        return 0;
    case DERIVED_NONE:
    case DERIVED_COUNT:
        break;
    }
    *out = labels_get(&index->streams[entry->stream], name);
    return 0;
}

int series_labels(const struct dataset_index *index, const struct dataset_entry *entry,
                  uint32_t type, struct arena *arena, struct labels *out, struct err *err)
{
    const struct labels *stream = &index->streams[entry->stream];
    int rc;

    out->pairs = arena_array(arena, struct label, (size_t)stream->count + DERIVED_COUNT);
    if (!out->pairs)
        return err_set(err, ERR_TOO_LARGE, "labels need more than %zu bytes of memory",
                       arena_limit(arena));
    out->count = 0;
    for (uint32_t i = 0; i < stream->count; i++)
        if (derived_of(stream->pairs[i].name) == DERIVED_NONE)
            out->pairs[out->count++] = stream->pairs[i];
    for (enum derived d = DERIVED_TYPE; d < DERIVED_COUNT; d++) {
        struct str name = {derived_names[d], strlen(derived_names[d])}, value;

        if ((rc = series_label(index, entry, type, name, arena, &value, err)) != 0)
            return rc;
        if (value.len > 0)
            out->pairs[out->count++] = (struct label){name, value};
    }
    labels_sort(out);
    return 0;
}

static bool stream_matches(const struct matchers *m, const struct labels *stream)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const struct matcher *item = &m->items[i];
        struct str name = item->name;

        if (derived_of(name) == DERIVED_SERVICE)
            name = STR(LABEL_SERVICE_NAME);
        else if (derived_of(name) != DERIVED_NONE)
            continue;
        if (!matcher_matches(item, labels_get(stream, name)))
            return false;
    }
    return true;
}

static bool type_is(const struct profile_type *want, const struct profile_type *t)
{
    return str_eq(want->name, t->name) && str_eq(want->sample_type, t->sample_type) &&
           str_eq(want->sample_unit, t->sample_unit) && str_eq(want->period_type, t->period_type) &&
           str_eq(want->period_unit, t->period_unit);
}

/* The types of an entry that match: those present, then by the type and by derived labels. */
static int matching_types(const struct query *q, const struct dataset_index *index,
                          const struct dataset_entry *entry, uint64_t *out, struct err *err)
{
    const struct typeset *ts = &index->typesets[entry->typeset];

    *out = 0;
    for (uint32_t t = 0; t < ts->count; t++) {
        struct profile_type type = type_of(index, entry, t);
        bool match = (entry->present >> t & 1) && (!q->type || type_is(q->type, &type));

        for (uint32_t i = 0; match && i < q->matchers.count; i++) {
            const struct matcher *m = &q->matchers.items[i];
            enum derived d = derived_of(m->name);
            struct arena_mark mark = arena_mark(q->arena);
            struct str value;
            int rc;

            if (d == DERIVED_NONE || d == DERIVED_SERVICE)
                continue;
            rc = series_label(index, entry, t, m->name, q->arena, &value, err);
            if (rc != 0)
                return rc;
            match = matcher_matches(m, value);
            arena_rewind(q->arena, mark);
        }
        if (match)
            *out |= (uint64_t)1 << t;
    }
    return 0;
}

static int select_entries(const struct query *q, struct time_span time,
                          struct selected_dataset *sel, struct err *err)
{
    const struct dataset_index *index = sel->index;
    uint32_t last_stream = UINT32_MAX;
    bool stream_ok = false;

    sel->entries = arena_array(q->arena, uint32_t, index->entry_count);
    sel->types = arena_array(q->arena, uint64_t, index->entry_count);
    if (index->entry_count > 0 && (!sel->entries || !sel->types))
        return query_out_of_memory(q, err);
    for (uint32_t e = 0; e < index->entry_count; e++) {
        const struct dataset_entry *entry = &index->entries[e];
        uint64_t types;
        int rc;

        if (entry->time.last_ns < time.first_ns || entry->time.first_ns > time.last_ns)
            continue;
        if (entry->stream != last_stream) {
            last_stream = entry->stream;
            stream_ok = stream_matches(&q->matchers, &index->streams[entry->stream]);
        }
        if (!stream_ok)
            continue;
        if ((rc = matching_types(q, index, entry, &types, err)) != 0)
            return rc;
        if (types == 0)
            continue;
        sel->entries[sel->count] = e;
        sel->types[sel->count++] = types;
    }
    return 0;
}

/*
 * What the question will need about, before anything is decoded: a merged tree is no larger than
 * the dictionaries it is merged from. The same names and stacks in many segments count once.
 */
static uint64_t expected_bytes(const struct query *q, struct storage_view *view)
{
    uint64_t bytes = storage_view_bytes(view) * DECODED_PER_STORED;
    uint64_t most = arena_limit(q->arena) / EXPECTED_SHARE;

    return bytes < most ? bytes : most;
}

int selection_open(struct storage *s, const struct query *q, struct time_span time,
                   struct selection *out, struct err *err)
{
    struct str service = STR("");
    struct dataset **datasets;
    uint32_t count;
    int rc;

    if (!matchers_equal_value(&q->matchers, STR(LABEL_SERVICE_NAME), &service))
        (void)matchers_equal_value(&q->matchers, STR(LABEL_SERVICE_NAME_COPY), &service);
    memset(out, 0, sizeof(*out));
    out->q = q;
    rc = storage_view_acquire(s, q->tenants, q->tenant_count, service, time, &out->view, err);
    if (rc != 0)
        return rc;
    if (q->arena->share)
        rc =
            budget_share_expect(q->arena->share, expected_bytes(q, out->view), MEMORY_WAIT_NS, err);
    if (rc != 0) {
        selection_release(out);
        return rc;
    }
    datasets = storage_view_datasets(out->view, &count);
    out->datasets = arena_array(q->arena, struct selected_dataset, count);
    if (count > 0 && !out->datasets)
        rc = query_out_of_memory(q, err);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct selected_dataset *sel = &out->datasets[out->count];

        if ((rc = query_check_canceled(q, err)) != 0)
            break;
        memset(sel, 0, sizeof(*sel));
        sel->ds = datasets[i];
        rc = sel->ds->ops->index(sel->ds, &sel->index, err);
        if (rc == 0)
            rc = select_entries(q, time, sel, err);
        else if (storage_view_damaged(out->view, sel->ds, true, err))
            rc = 0;
        if (rc == 0 && sel->count > 0)
            out->count++;
    }
    if (rc != 0)
        selection_release(out);
    return rc;
}

static int add_one(struct selection *sel, struct selected_dataset *d, selection_add add, void *ctx,
                   struct arena *scratch, struct err *err)
{
    struct query rows = *sel->q;
    int rc = add(ctx, sel->q, d, scratch, err);

    if (rc == 0 || !storage_view_damaged(sel->view, d->ds, false, err))
        return rc;
    if (sel->q->force != QUERY_FORCE_RAW) {
        rows.force = QUERY_FORCE_RAW;
        arena_reset(scratch);
        if ((rc = add(ctx, &rows, d, scratch, err)) == 0)
            return 0;
    }
    return storage_view_damaged(sel->view, d->ds, true, err) ? 0 : rc;
}

int selection_each(struct selection *sel, selection_add add, void *ctx, struct err *err)
{
    struct err failed = {0};
    struct arena scratch;
    int rc = 0;

    arena_init_shared(&scratch, arena_limit(sel->q->arena), sel->q->arena->share);
    for (uint32_t i = 0; rc == 0 && i < sel->count; i++) {
        arena_reset(&scratch);
        rc = add_one(sel, &sel->datasets[i], add, ctx, &scratch, &failed);
    }
    arena_release(&scratch);
    if (rc != 0 && err)
        *err = failed;
    return rc;
}

void selection_release(struct selection *sel)
{
    if (sel->view && sel->q->missing)
        storage_missing_join(sel->q->missing, storage_view_missing(sel->view));
    storage_view_release(sel->view);
    sel->view = NULL;
    sel->count = 0;
}

/*
 * Compaction: several segments of a tenant and day become one.
 *
 *     plan -> write the merge under temporary names -> still all there? -> its name, durable
 *       -> read back and compare -> one swap: inputs out, output in -> catalog
 *       -> unlink with the last reader
 *
 * The output lists all heads of its inputs. So a start that finds both, after a crash in
 * between, sees that the inputs are repeated and removes them. An output that does not
 * hold exactly what its inputs hold is set aside, loudly, and the inputs stay.
 */
#include "storage/storage_internal.h"

#include "storage/compaction.h"
#include "storage/merged_dataset.h"
#include "storage/segment_format.h"
#include "storage/segment_writer.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define QUIET_NS (30 * NS_PER_S)      /* since heads were sealed for memory's sake */
#define LOOK_NS (5 * NS_PER_S)        /* at what may be due */
#define RETRY_NS (60 * NS_PER_S)      /* after a failure */
#define MISMATCH_NS (3600 * NS_PER_S) /* after a merge that was wrong */

enum {
    SEGMENTS_MANY = 512, /* of the store: joined whatever else there is to do */
    REPORT_BYTES_MAX = 64 << 10,
};

/* The inputs, referenced, oldest first; and what becomes of them. */
struct compaction {
    struct segment *inputs[COMPACTION_FANIN_MAX];
    uint32_t count;
    struct segment_meta meta; /* of the output */
    struct segment_source *sources;
};

static int by_day(const void *a, const void *b)
{
    const struct segment_meta *x = segment_meta(*(struct segment *const *)a);
    const struct segment_meta *y = segment_meta(*(struct segment *const *)b);
    int d = str_cmp(x->tenant, y->tenant);

    if (d == 0)
        d = (x->day > y->day) - (x->day < y->day);
    if (d == 0)
        d = (x->created_ns > y->created_ns) - (x->created_ns < y->created_ns);
    return d;
}

/*
 * All segments, referenced, together by tenant and day. Damaged ones are left as they are: a merge
 * would have to drop what cannot be read.
 */
static uint32_t list_segments(struct storage *s, struct segment ***out)
{
    struct segment **all;
    uint32_t count = 0;

    mutex_lock(&s->mu);
    all = calloc((size_t)s->segment_count + 1, sizeof(struct segment *));
    check(all);
    for (uint32_t i = 0; i < s->segment_count; i++)
        if (segment_damaged_services(s->segments[i]) == 0)
            all[count++] = segment_ref(s->segments[i]);
    mutex_unlock(&s->mu);
    qsort(all, count, sizeof(struct segment *), by_day);
    *out = all;
    return count;
}

static void join_sources(struct compaction *c)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < c->count; i++)
        count += segment_meta(c->inputs[i])->source_count;
    c->sources = calloc((size_t)count + 1, sizeof(*c->sources));
    check(c->sources);
    count = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct segment_meta *m = segment_meta(c->inputs[i]);

        if (m->source_count > 0)
            memcpy(c->sources + count, m->sources, m->source_count * sizeof(*m->sources));
        count += m->source_count;
    }
    c->meta.sources = c->sources;
    c->meta.source_count = count;
}

/* False: nothing is due. */
static bool choose(struct storage *s, struct compaction *c)
{
    struct compaction_rules rules = {s->o.segment_bytes_max, s->o.compaction_age_ns};
    struct segment **all;
    uint32_t count = list_segments(s, &all);
    struct compaction_item *items = calloc((size_t)count + 1, sizeof(*items));
    struct compaction_job job;
    bool due;

    check(items);
    memset(c, 0, sizeof(*c));
    for (uint32_t i = 0; i < count; i++) {
        const struct segment_meta *m = segment_meta(all[i]);

        items[i] = (struct compaction_item){m->tenant, m->day, m->level,
                                            m->agg_bytes + m->smp_bytes, m->created_ns};
    }
    due = compaction_plan(items, count, &rules, clock_now_ns(s->o.clock), &job);
    if (due) {
        const struct segment_meta *m = segment_meta(all[job.inputs[0]]);

        c->count = job.count;
        for (uint32_t i = 0; i < job.count; i++)
            c->inputs[i] = segment_ref(all[job.inputs[i]]);
        c->meta = (struct segment_meta){
            .tenant = m->tenant,
            .day = m->day,
            .level = job.level,
            .created_ns = clock_now_ns(s->o.clock),
            .rollups = s->o.rollups,
        };
        random_bytes(&c->meta.id, sizeof(c->meta.id));
        join_sources(c);
        due = c->meta.source_count <= SEGMENT_SOURCES_MAX;
    }
    for (uint32_t i = 0; i < count; i++)
        segment_unref(all[i]);
    free(all);
    free(items);
    return due;
}

static void release_compaction(struct compaction *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        segment_unref(c->inputs[i]);
    free(c->sources);
}

/* ---- a service of several segments ---- */

/* Positions in the inputs' lists of services, which ascend. */
struct cursors {
    uint32_t at[COMPACTION_FANIN_MAX];
};

/* The next service, and which inputs have it; false at the end. */
static bool next_service(const struct compaction *c, struct cursors *cursors, struct str *service)
{
    bool found = false;

    for (uint32_t i = 0; i < c->count; i++) {
        struct time_span span;
        struct str name;

        if (cursors->at[i] == segment_service_count(c->inputs[i]))
            continue;
        name = segment_service_name(c->inputs[i], cursors->at[i], &span);
        if (!found || str_cmp(name, *service) < 0)
            *service = name;
        found = true;
    }
    return found;
}

/* What one service has in the inputs, as one dataset. */
struct joined {
    struct dataset *inputs[COMPACTION_FANIN_MAX];
    uint32_t count;
    struct dataset *merged;
};

static void release_joined(struct joined *j)
{
    merged_dataset_close(j->merged);
    for (uint32_t i = 0; i < j->count; i++)
        segment_dataset_close(j->inputs[i]);
}

static int join(const struct compaction *c, struct cursors *cursors, struct str service,
                struct joined *out, struct err *err)
{
    int rc = 0;

    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; rc == 0 && i < c->count; i++) {
        struct time_span span;

        if (cursors->at[i] == segment_service_count(c->inputs[i]) ||
            !str_eq(segment_service_name(c->inputs[i], cursors->at[i], &span), service))
            continue;
        rc = segment_dataset_open(c->inputs[i], cursors->at[i]++, &out->inputs[out->count], err);
        out->count += rc == 0;
    }
    if (rc == 0)
        rc = merged_dataset_open(out->inputs, out->count, &out->merged, err);
    if (rc != 0)
        release_joined(out);
    return rc;
}

static int write_services(struct storage *s, const struct compaction *c, struct segment_writer *w,
                          struct err *err)
{
    struct cursors cursors = {0};
    struct str service;
    int rc = 0;

    while (rc == 0 && next_service(c, &cursors, &service)) {
        struct joined j;

        if (atomic_load(&s->stopping))
            return err_set(err, ERR_CANCELED, "compaction ends with the server");
        if ((rc = join(c, &cursors, service, &j, err)) != 0)
            break;
        rc = segment_writer_add(w, j.merged, err);
        release_joined(&j);
    }
    return rc;
}

/* ---- what went in came out ---- */

/* Of an entry: everything that a merge must keep. */
struct entry_sum {
    uint64_t rows, samples;
    value128 totals[PROFILE_TYPES_MAX];
    uint32_t type_count;
};

static int add_row(void *ctx, const struct dataset_row *row, const struct sample_columns *columns,
                   struct err *err)
{
    struct entry_sum *sum = ctx;

    (void)columns;
    (void)err;
    sum->rows++;
    sum->samples += row->sample_count;
    for (uint32_t t = 0; t < sum->type_count; t++)
        sum->totals[t] += row->totals[t];
    return 0;
}

static int sum_entry(struct dataset *ds, const struct dataset_index *ix, uint32_t entry,
                     struct arena *scratch, struct entry_sum *out, struct err *err)
{
    uint64_t types = 0;
    struct dataset_scan scan = {
        .entries = &entry, .types = &types, .entry_count = 1, .time = {INT64_MIN, INT64_MAX}};

    memset(out, 0, sizeof(*out));
    out->type_count = ix->typesets[ix->entries[entry].typeset].count;
    arena_reset(scratch);
    return ds->ops->scan(ds, &scan, scratch, add_row, out, err);
}

static bool sums_equal(const struct entry_sum *a, const struct entry_sum *b)
{
    bool equal = a->rows == b->rows && a->samples == b->samples && a->type_count == b->type_count;

    for (uint32_t t = 0; equal && t < a->type_count; t++)
        equal = a->totals[t] == b->totals[t];
    return equal;
}

static int not_the_same(struct str service, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT,
                   "service %" STR_FMT ": the merge does not have the %s of its inputs",
                   STR_ARG(service), what);
}

/* Both are in the same canonical order when they hold the same. */
static int compare_datasets(struct dataset *want, struct dataset *got, struct arena *scratch,
                            struct err *err)
{
    const struct dataset_index *x, *y;
    int rc;

    if ((rc = want->ops->index(want, &x, err)) != 0 || (rc = got->ops->index(got, &y, err)) != 0)
        return rc;
    if (x->entry_count != y->entry_count)
        return not_the_same(want->service, "entries", err);
    for (uint32_t e = 0; e < x->entry_count; e++) {
        struct entry_sum a, b;

        if (!labels_eq(&x->streams[x->entries[e].stream], &y->streams[y->entries[e].stream]))
            return not_the_same(want->service, "streams", err);
        if ((rc = sum_entry(want, x, e, scratch, &a, err)) != 0 ||
            (rc = sum_entry(got, y, e, scratch, &b, err)) != 0)
            return rc;
        if (!sums_equal(&a, &b))
            return not_the_same(want->service, "sums", err);
    }
    return 0;
}

/* Every byte is read back, and every sum compared with those of the inputs. */
static int check_output(const struct compaction *c, struct segment *out, struct err *err)
{
    struct cursors cursors = {0};
    uint32_t services = 0;
    struct arena scratch;
    struct str service;
    struct buf report;
    int rc;

    buf_init(&report, REPORT_BYTES_MAX);
    arena_init(&scratch, SIZE_MAX);
    rc = segment_verify(out, &report, err);
    while (rc == 0 && next_service(c, &cursors, &service)) {
        struct dataset *got = NULL;
        struct time_span span;
        struct joined j;

        if ((rc = join(c, &cursors, service, &j, err)) != 0)
            break;
        if (services == segment_service_count(out) ||
            !str_eq(segment_service_name(out, services, &span), service))
            rc = not_the_same(service, "services", err);
        else if ((rc = segment_dataset_open(out, services++, &got, err)) == 0)
            rc = compare_datasets(j.merged, got, &scratch, err);
        segment_dataset_close(got);
        release_joined(&j);
    }
    if (rc == 0 && services != segment_service_count(out))
        rc = not_the_same(STR("?"), "services", err);
    arena_release(&scratch);
    buf_release(&report);
    return rc;
}

static void set_aside(struct storage *s, const struct segment_meta *m)
{
    static const enum segment_file files[] = {SEGMENT_FILE_AGG, SEGMENT_FILE_SMP};
    char path[SEGMENT_PATH_MAX];
    struct err err;

    for (int i = 0; i < 2; i++) {
        segment_path(m->tenant, m->day, m->id, m->level, files[i], path);
        if (s->blobs->ops->quarantine(s->blobs, path, "merge_", &err) != 0)
            log_error("cannot set a wrong merge aside", LOG_CSTR("name", path), LOG_ERR(&err));
    }
}

/* ---- publishing ---- */

static bool all_there(struct storage *s, const struct compaction *c)
{
    uint32_t found = 0;

    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->segment_count; i++)
        for (uint32_t k = 0; k < c->count; k++)
            found += s->segments[i] == c->inputs[k];
    mutex_unlock(&s->mu);
    return found == c->count;
}

static void swap_in(struct storage *s, const struct compaction *c, struct segment *out)
{
    uint32_t kept = 0;

    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->segment_count; i++) {
        struct segment *seg = s->segments[i];
        bool replaced = false;

        for (uint32_t k = 0; k < c->count; k++)
            replaced = replaced || seg == c->inputs[k];
        if (replaced)
            storage_doom_replaced(s, seg);
        else
            s->segments[kept++] = seg;
    }
    s->segment_count = kept;
    storage_add_segment(s, out);
    mutex_unlock(&s->mu);
}

/* With publish_mu: what was evicted meanwhile must not come back. Ends the writer. */
static int publish(struct storage *s, struct compaction *c, struct segment_writer *w,
                   struct err *err)
{
    struct segment_meta *m = &c->meta;
    struct segment *out;
    int rc;

    if (!all_there(s, c)) {
        segment_writer_abort(w);
        return err_set(err, ERR_CANCELED, "segments were evicted while they were merged");
    }
    if ((rc = segment_writer_commit(w, m, err)) != 0)
        return rc;
    rc = segment_open(s->blobs, s->cache, m->tenant, m->day, m->id, m->level, &out, err);
    if (rc == 0 && (rc = check_output(c, out, err)) != 0)
        segment_unref(out);
    if (rc != 0) {
        set_aside(s, m);
        return rc;
    }
    swap_in(s, c, out);
    storage_catalog_add(s, m);
    return 0;
}

static int compact(struct storage *s, struct compaction *c, struct err *err)
{
    struct segment_writer *w;
    int rc = segment_writer_open(s->blobs, &c->meta, &w, err);

    if (rc != 0)
        return rc;
    if ((rc = write_services(s, c, w, err)) != 0) {
        segment_writer_abort(w);
        return rc;
    }
    mutex_lock(&s->publish_mu);
    rc = publish(s, c, w, err);
    mutex_unlock(&s->publish_mu);
    return rc;
}

static uint64_t input_bytes(const struct compaction *c)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < c->count; i++)
        bytes += storage_segment_bytes(segment_meta(c->inputs[i]));
    return bytes;
}

/* Was it an input that could not be read? Then other days, and the rest of this one, go on. */
static bool blame_inputs(const struct compaction *c)
{
    bool any = false;

    for (uint32_t i = 0; i < c->count; i++)
        any = storage_find_damage(c->inputs[i]) > 0 || any;
    return any;
}

static int finish(struct storage *s, const struct compaction *c, int rc, struct err *err)
{
    int64_t now = clock_mono_ns(s->o.clock);
    bool damage = rc < 0 && segment_is_damage(rc, err) && blame_inputs(c);

    if (rc == 0) {
        (void)atomic_fetch_add(&s->compactions, 1);
        (void)atomic_fetch_add(&s->compacted_bytes_in, input_bytes(c));
        (void)atomic_fetch_add(&s->compacted_bytes_out, storage_segment_bytes(&c->meta));
        s->compact_look_mono_ns = now; /* there may be more */
        log_debug("segments joined", LOG_STR("tenant", c->meta.tenant), LOG_I64("day", c->meta.day),
                  LOG_U64("inputs", c->count), LOG_U64("level", c->meta.level),
                  LOG_U64("bytes_in", input_bytes(c)),
                  LOG_U64("bytes_out", storage_segment_bytes(&c->meta)));
        return 1;
    }
    if (rc == ERR_CANCELED)
        return 0;
    (void)atomic_fetch_add(&s->compaction_failures, 1);
    if (!damage)
        s->compact_look_mono_ns = now + (rc == ERR_CORRUPT ? MISMATCH_NS : RETRY_NS);
    log_error("segments not joined, they stay as they are", LOG_STR("tenant", c->meta.tenant),
              LOG_I64("day", c->meta.day), LOG_ERR(err));
    return rc;
}

/* Pushes that come faster than heads take them need the processor and the memory. */
static bool can_wait(struct storage *s, int64_t now)
{
    int64_t pressure = atomic_load(&s->pressure_mono_ns);
    uint32_t segments;

    if (pressure == 0 || now - pressure >= QUIET_NS)
        return false;
    mutex_lock(&s->mu);
    segments = s->segment_count;
    mutex_unlock(&s->mu);
    return segments < SEGMENTS_MANY;
}

int storage_step_compact(struct storage *s, struct err *err)
{
    int64_t now = clock_mono_ns(s->o.clock);
    struct compaction c;
    int rc;

    if (now < s->compact_look_mono_ns || atomic_load(&s->space) != SPACE_OK)
        return 0;
    s->compact_look_mono_ns = now + LOOK_NS;
    if (can_wait(s, now))
        return 0;
    if (!choose(s, &c)) {
        release_compaction(&c);
        return 0;
    }
    rc = finish(s, &c, compact(s, &c, err), err);
    release_compaction(&c);
    return rc;
}

/*
 * Whatever mix of log, heads and segments serves it, an answer is the sum of
 * what was pushed. Random rows, random order of commits, seals and kills; then
 * every profile type is asked as a tree and as a series, over random ranges, and
 * compared byte for byte with a reference that keeps the raw rows and adds up
 * paths as text: by rows, by hours, by days and as the planner likes, as a tree, as a merged
 * profile and as series of several steps.
 *
 *   FLAMEKEEP_EXACT_SEEDS=n   runs n seeds instead of the few of every day
 */
#include "storage/query.h"
#include "storage/storage.h"

#include "storage/model/symbols.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include "tests/support/clock_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"
#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DAY0_NS (20000LL * NS_PER_DAY)
#define SPAN_NS (2 * NS_PER_DAY)

enum {
    SEEDS_DEFAULT = 12,
    ROWS = 60,
    QUESTIONS = 40,
    ARENA_BYTES = 256 << 20,
    VALUE_BITS = 50,
};

struct world {
    struct rng rng;
    struct fs *fs;
    struct clock_fake clock;
    struct storage *store;
    struct profile_gen gen[2];
    struct push_row rows[ROWS];
    uint32_t row_count;
    struct query_explain explain; /* of all questions */
    bool any_row[QUERY_FORCE_DAY + 1];
};

static void open_store(struct world *w)
{
    struct storage_options o;
    struct storage_recovery recovery;
    struct err err;

    storage_options_init(&o);
    o.fs = w->fs;
    o.clock = &w->clock.clock;
    o.rollups = SEGMENT_ROLLUPS_ALWAYS;
    o.compaction_age_ns = 1;
    if (storage_open(&o, &w->store, &recovery, &err) != 0)
        fail_msg("%s", err.msg);
}

static void on_done(void *ctx, int rc, const struct err *err)
{
    (void)ctx;
    (void)err;
    assert_int_equal(rc, 0);
}

/* Samples of one stack in one profile saturate at int64; these stay clear of that. */
static void shrink_values(const struct profile *p)
{
    for (uint32_t i = 0; i < p->value_count; i++)
        if (p->values[i] >> VALUE_BITS != 0)
            p->values[i] = (p->values[i] >> (63 - VALUE_BITS)) + 1;
}

static void push_one(struct world *w)
{
    struct push_row *row = &w->rows[w->row_count++];
    struct push push = {STR("anonymous"), row, 1};
    struct err err;

    profile_gen_row(&w->gen[rng_below(&w->rng, 2)], row);
    shrink_values(row->profile);
    if (storage_push(w->store, &push, on_done, NULL, &err) != 0)
        fail_msg("%s", err.msg);
}

/* Everything is durable first: here the question is exactness, not what survives. */
static void disturb(struct world *w)
{
    struct err err;

    while (storage_step_commit(w->store, true, &err) > 0)
        ;
    switch (rng_below(&w->rng, 4)) {
    case 0:
        assert_true(storage_step_seal(w->store, true, &err) >= 0);
        clock_fake_advance(&w->clock, 6 * NS_PER_S);
        assert_true(storage_step_compact(w->store, &err) >= 0);
        break;
    case 1:
        (void)storage_step_release(w->store, &err);
        break;
    case 2:
        fs_fault_kill(w->fs);
        (void)storage_close(w->store, 0, &err);
        open_store(w);
        break;
    default:
        assert_true(storage_step_spare(w->store, &err) >= 0);
    }
}

/* ---- the reference ---- */

struct line {
    char *path;
    value128 value;
};

struct lines {
    struct line *items;
    size_t count, cap;
};

static void add_line(struct lines *l, const struct buf *path, value128 value)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->items = realloc(l->items, l->cap * sizeof(*l->items));
        assert_non_null(l->items);
    }
    l->items[l->count].path = calloc(1, path->len + 1);
    assert_non_null(l->items[l->count].path);
    memcpy(l->items[l->count].path, path->data, path->len);
    l->items[l->count++].value = value;
}

static int line_cmp(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->path, ((const struct line *)b)->path);
}

/* Sorted, equal paths added up, as text. */
static char *lines_text(struct lines *l)
{
    struct buf out;
    char *text;

    buf_init(&out, SIZE_MAX / 2);
    if (l->count > 0)
        qsort(l->items, l->count, sizeof(*l->items), line_cmp);
    for (size_t i = 0; i < l->count;) {
        value128 sum = 0;
        size_t k = i;

        for (; k < l->count && strcmp(l->items[k].path, l->items[i].path) == 0; k++)
            sum += l->items[k].value;
        (void)buf_printf(&out, "%s %llx%016llx\n", l->items[i].path,
                         (unsigned long long)(sum >> 64), (unsigned long long)sum);
        i = k;
    }
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].path);
    free(l->items);
    *l = (struct lines){0};
    text = strndup(out.data ? (const char *)out.data : "", out.len);
    buf_release(&out);
    return text;
}

static bool same_type(const struct push_row *row, uint32_t t, const struct profile_type *type)
{
    const struct typeset *ts = &row->profile->typeset;

    return str_eq(labels_get(&row->labels, STR("__name__")), type->name) &&
           str_eq(ts->types[t].type, type->sample_type) &&
           str_eq(ts->types[t].unit, type->sample_unit) &&
           str_eq(ts->period_type, type->period_type) && str_eq(ts->period_unit, type->period_unit);
}

/* Root first, one frame per line, the outermost first; false when there is no frame. */
static bool put_path(const struct profile *p, const struct profile_sample *s, struct buf *out)
{
    bool any = false;

    buf_reset(out);
    for (uint32_t i = s->stack_count; i-- > 0;) {
        const struct profile_location *l = &p->locations[p->stacks[s->stack_first + i]];

        for (uint32_t k = l->line_count; k-- > 0; any = true) {
            (void)buf_append_byte(out, ';');
            (void)buf_append_str(
                out, p->strings[p->functions[p->lines[l->line_first + k].function].name]);
        }
    }
    return any;
}

/* What a question means, as plainly as can be said. */
static bool asked(const struct push_row *row, const struct query *q)
{
    if (row->profile->time_ns < q->time.first_ns || row->profile->time_ns > q->time.last_ns)
        return false;
    for (uint32_t i = 0; i < q->matchers.count; i++)
        if (!str_eq(labels_get(&row->labels, q->matchers.items[i].name),
                    q->matchers.items[i].value))
            return false;
    return true;
}

static char *reference_tree(struct world *w, const struct query *q)
{
    struct lines lines = {0};
    struct buf path;
    char *text;

    buf_init(&path, 1 << 20);
    for (uint32_t r = 0; r < w->row_count; r++) {
        const struct push_row *row = &w->rows[r];
        const struct profile *p = row->profile;

        for (uint32_t t = 0; asked(row, q) && t < p->typeset.count; t++)
            for (uint32_t s = 0; same_type(row, t, q->type) && s < row->sample_count; s++) {
                const struct profile_sample *sample = &p->samples[row->sample_first + s];
                int64_t v = p->values[sample->value_first + t];

                if (v > 0 && put_path(p, sample, &path))
                    add_line(&lines, &path, (value128)v);
            }
    }
    text = lines_text(&lines);
    buf_release(&path);
    return text;
}

/* Half of the questions drop what lies behind the last edge. */
static struct series_query series_of(const struct query *q, int64_t step_ms)
{
    struct series_query sq = {.start_ms = q->time.first_ns / NS_PER_MS, .step_ms = step_ms};

    sq.end_ms = q->time.last_ns / NS_PER_MS + (step_ms % 2 == 0 ? step_ms : 0);
    return sq;
}

static void put_point(struct lines *lines, int64_t time_ms, value128 value)
{
    struct buf text;

    buf_init(&text, 64);
    (void)buf_printf(&text, "%020lld", (long long)time_ms);
    add_line(lines, &text, value);
    buf_release(&text);
}

static char *reference_series(struct world *w, const struct query *q, int64_t step_ms)
{
    struct series_query sq = series_of(q, step_ms);
    struct lines lines = {0};

    for (uint32_t r = 0; r < w->row_count; r++) {
        const struct push_row *row = &w->rows[r];
        const struct profile *p = row->profile;
        int64_t edge = sq.start_ms;
        value128 sum = 0;

        for (uint32_t t = 0; asked(row, q) && t < p->typeset.count; t++)
            for (uint32_t s = 0; same_type(row, t, q->type) && s < row->sample_count; s++)
                sum += (value128)p->values[p->samples[row->sample_first + s].value_first + t];
        while (edge < p->time_ns / NS_PER_MS)
            edge += step_ms;
        if (sum > 0 && edge <= sq.end_ms)
            put_point(&lines, edge, sum);
    }
    return lines_text(&lines);
}

/* ---- the store ---- */

static char *store_tree(struct world *w, const struct query *q)
{
    struct tree_names *names = tree_names_new(q->arena);
    const struct tree_node *nodes;
    struct lines lines = {0};
    struct tree *tree;
    struct err err;

    if (query_tree(w->store, q, names, &tree, &err) != 0)
        fail_msg("%s", err.msg);
    nodes = tree_nodes(tree);
    for (uint32_t n = 1; n < tree_node_count(tree); n++) {
        uint32_t chain[4096], depth = 0;
        struct buf path;

        if (nodes[n].self == 0)
            continue;
        for (uint32_t up = n; up != TREE_ROOT; up = nodes[up].parent)
            chain[depth++] = up;
        buf_init(&path, 1 << 20);
        while (depth > 0) {
            (void)buf_append_byte(&path, ';');
            (void)buf_append_str(&path, tree_names_text(names, nodes[chain[--depth]].name));
        }
        add_line(&lines, &path, nodes[n].self);
        buf_release(&path);
    }
    return lines_text(&lines);
}

static void put_stack(const struct symbols *symbols, uint32_t node, struct buf *out)
{
    uint32_t chain[4096], depth = 0;

    buf_reset(out);
    for (; node != SYMBOLS_ROOT; node = symbols_node(symbols, node).parent)
        chain[depth++] = symbols_node(symbols, node).location;
    while (depth > 0) {
        struct symbol_location loc = symbols_location(symbols, chain[--depth]);

        for (uint32_t i = loc.line_count; i-- > 0;) {
            (void)buf_append_byte(out, ';');
            (void)buf_append_str(
                out,
                symbols_string(symbols, symbols_function(symbols, loc.lines[i].function).name));
        }
    }
}

static char *store_profile(struct world *w, const struct query *q)
{
    struct merged_profile merged;
    struct lines lines = {0};
    struct buf path;
    struct err err;

    if (query_profile(w->store, q, &merged, &err) != 0)
        fail_msg("%s", err.msg);
    buf_init(&path, 1 << 20);
    for (uint32_t i = 0; i < merged.sample_count; i++) {
        put_stack(merged.symbols, merged.samples[i].node, &path);
        if (path.len > 0)
            add_line(&lines, &path, merged.samples[i].value);
    }
    buf_release(&path);
    w->any_row[q->force] = merged.any_row;
    merged_profile_release(&merged);
    return lines_text(&lines);
}

static char *store_series(struct world *w, const struct query *q, int64_t step_ms)
{
    struct series_query sq = series_of(q, step_ms);
    struct lines lines = {0};
    struct series *series;
    struct err err;
    uint32_t count;

    if (query_series(w->store, q, &sq, &series, &count, &err) != 0)
        fail_msg("%s", err.msg);
    for (uint32_t s = 0; s < count; s++)
        for (uint32_t i = 0; i < series[s].point_count; i++)
            put_point(&lines, series[s].points[i].time_ms, series[s].points[i].value);
    return lines_text(&lines);
}

/* All there is, whole hours and windows, or anything; now and then ends that just miss. */
static struct time_span any_span(struct world *w)
{
    int64_t from = rng_between(&w->rng, 0, SPAN_NS), to = rng_between(&w->rng, from, SPAN_NS);
    int64_t unit = rng_one_in(&w->rng, 2) ? 3600 * NS_PER_S : 600 * NS_PER_S;

    switch (rng_below(&w->rng, 4)) {
    case 0:
        return (struct time_span){DAY0_NS, DAY0_NS + SPAN_NS};
    case 1:
        return (struct time_span){DAY0_NS + from, DAY0_NS + to};
    case 2: /* the way buckets end */
        return (struct time_span){DAY0_NS + from / unit * unit + NS_PER_MS,
                                  DAY0_NS + (to / unit + 1) * unit + NS_PER_MS - 1};
    default:
        return (struct time_span){DAY0_NS + from / unit * unit + rng_between(&w->rng, -1, 1),
                                  DAY0_NS + (to / unit + 1) * unit - 1};
    }
}

static struct matchers one_label(const struct push_row *row, uint32_t i, struct arena *arena)
{
    const struct label *pair = &row->labels.pairs[i];
    struct matchers m = {0};
    struct err err;

    assert_int_equal(matchers_add(&m, MATCH_EQ, pair->name, pair->value, arena, &err), 0);
    return m;
}

enum way {
    WAY_TREE,
    WAY_PROFILE,
    WAY_SERIES,
    WAYS,
};

static char *answer(struct world *w, const struct query *q, int way, int64_t step_ms)
{
    switch (way) {
    case WAY_TREE:
        return store_tree(w, q);
    case WAY_PROFILE:
        return store_profile(w, q);
    default:
        return store_series(w, q, step_ms);
    }
}

/* Under every plan, the answer is `want`. */
static void ask_all(struct world *w, struct query *q, int way, int64_t step_ms, const char *want,
                    uint64_t seed)
{
    for (enum query_force force = QUERY_FORCE_NONE; force <= QUERY_FORCE_DAY; force++) {
        struct arena arena;
        char *got;

        arena_init(&arena, ARENA_BYTES);
        q->arena = &arena;
        q->force = force;
        q->explain = &w->explain;
        got = answer(w, q, way, step_ms);
        if (strcmp(want, got) != 0)
            fail_msg("seed %llu, way %d, plan %d: want\n%.800s\ngot\n%.800s",
                     (unsigned long long)seed, way, (int)force, want, got);
        free(got);
        arena_release(&arena);
    }
}

static void ask(struct world *w, uint64_t seed)
{
    const struct push_row *row = &w->rows[rng_below(&w->rng, w->row_count)];
    const struct typeset *ts = &row->profile->typeset;
    uint32_t t = (uint32_t)rng_below(&w->rng, ts->count);
    const struct profile_type type = {labels_get(&row->labels, STR("__name__")), ts->types[t].type,
                                      ts->types[t].unit, ts->period_type, ts->period_unit};
    const struct str tenant = STR("anonymous");
    struct query q = {.tenants = &tenant, .tenant_count = 1, .type = &type};
    int64_t step_ms = rng_one_in(&w->rng, 2) ? 600000 : rng_between(&w->rng, 1000, 20000000);
    struct arena memory;
    char *want;

    arena_init(&memory, ARENA_BYTES);
    q.time = any_span(w);
    if (rng_one_in(&w->rng, 3))
        q.matchers = one_label(row, (uint32_t)rng_below(&w->rng, row->labels.count), &memory);
    want = reference_tree(w, &q);
    ask_all(w, &q, WAY_TREE, step_ms, want, seed);
    ask_all(w, &q, WAY_PROFILE, step_ms, want, seed);
    free(want);
    for (enum query_force force = QUERY_FORCE_NONE; force <= QUERY_FORCE_DAY; force++)
        assert_int_equal(w->any_row[force], w->any_row[QUERY_FORCE_RAW]);
    want = reference_series(w, &q, step_ms);
    ask_all(w, &q, WAY_SERIES, step_ms, want, seed);
    free(want);
    matchers_release(&q.matchers);
    arena_release(&memory);
}

static void live(uint64_t seed, struct query_explain *used)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err err;

    assert_non_null(w);
    w->rng = rng_of(seed);
    w->fs = fs_fault_new();
    clock_fake_init(&w->clock, DAY0_NS + 3 * NS_PER_DAY);
    profile_gen_init(&w->gen[0], seed * 2, STR("first"), DAY0_NS, SPAN_NS);
    profile_gen_init(&w->gen[1], seed * 2 + 1, STR("second"), DAY0_NS, SPAN_NS);
    open_store(w);
    for (int i = 0; i < ROWS; i++) {
        push_one(w);
        if (rng_one_in(&w->rng, 6))
            disturb(w);
    }
    while (storage_step_commit(w->store, true, &err) > 0)
        ;
    for (int i = 0; i < QUESTIONS; i++) {
        ask(w, seed);
        if (rng_one_in(&w->rng, 10))
            disturb(w);
    }
    used->datasets_raw += w->explain.datasets_raw;
    used->datasets_hour += w->explain.datasets_hour;
    used->datasets_day += w->explain.datasets_day;
    used->datasets_totals += w->explain.datasets_totals;
    (void)storage_close(w->store, 0, &err);
    fs_free(w->fs);
    for (int g = 0; g < 2; g++)
        profile_gen_release(&w->gen[g]);
    free(w);
}

static void test_every_answer_is_the_sum_of_what_was_pushed(void **state)
{
    const char *text = getenv("FLAMEKEEP_EXACT_SEEDS");
    uint64_t seeds = SEEDS_DEFAULT;
    struct query_explain used = {0};

    (void)state;
    if (text)
        (void)str_parse_u64(str_from(text), UINT32_MAX, &seeds);
    for (uint64_t seed = 0; seed < seeds; seed++)
        live(seed, &used);
    print_message("%llu seeds, %llu questions, all exact; datasets by rows %u, hours %u, days %u, "
                  "totals %u\n",
                  (unsigned long long)seeds, (unsigned long long)seeds * QUESTIONS,
                  used.datasets_raw, used.datasets_hour, used.datasets_day, used.datasets_totals);
    assert_true(used.datasets_raw > 0 && used.datasets_hour > 0 && used.datasets_day > 0 &&
                used.datasets_totals > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_answer_is_the_sum_of_what_was_pushed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

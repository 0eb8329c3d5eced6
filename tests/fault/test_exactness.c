/*
 * Whatever mix of log, heads and segments serves it, an answer is the sum of
 * what was pushed. Random rows, random order of commits, seals and kills; then
 * every profile type is asked as a tree and as a series, over random ranges, and
 * compared byte for byte with a reference that keeps the raw rows and adds up
 * paths as text.
 *
 *   FLAMEKEEP_EXACT_SEEDS=n   runs n seeds instead of the few of every day
 */
#include "storage/query.h"
#include "storage/storage.h"

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
};

static void open_store(struct world *w)
{
    struct storage_options o;
    struct storage_recovery recovery;
    struct err err;

    storage_options_init(&o);
    o.fs = w->fs;
    o.clock = &w->clock.clock;
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

static char *reference_tree(struct world *w, const struct profile_type *type, struct time_span time)
{
    struct lines lines = {0};
    struct buf path;
    char *text;

    buf_init(&path, 1 << 20);
    for (uint32_t r = 0; r < w->row_count; r++) {
        const struct push_row *row = &w->rows[r];
        const struct profile *p = row->profile;

        if (p->time_ns < time.first_ns || p->time_ns > time.last_ns)
            continue;
        for (uint32_t t = 0; t < p->typeset.count; t++)
            for (uint32_t s = 0; same_type(row, t, type) && s < row->sample_count; s++) {
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

static char *reference_total(struct world *w, const struct profile_type *type,
                             struct time_span time)
{
    char text[64];
    value128 sum = 0;

    for (uint32_t r = 0; r < w->row_count; r++) {
        const struct push_row *row = &w->rows[r];
        const struct profile *p = row->profile;

        if (p->time_ns < time.first_ns || p->time_ns > time.last_ns)
            continue;
        for (uint32_t t = 0; t < p->typeset.count; t++)
            for (uint32_t s = 0; same_type(row, t, type) && s < row->sample_count; s++)
                sum += (value128)p->values[p->samples[row->sample_first + s].value_first + t];
    }
    (void)snprintf(text, sizeof(text), "%llx%016llx", (unsigned long long)(sum >> 64),
                   (unsigned long long)sum);
    return strdup(text);
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

static char *store_total(struct world *w, const struct query *q)
{
    int64_t end_ms = q->time.last_ns / NS_PER_MS + 1;
    struct series_query sq = {.start_ms = end_ms, .end_ms = end_ms, .step_ms = INT64_C(1) << 40};
    struct series *series;
    value128 sum = 0;
    struct err err;
    uint32_t count;
    char text[64];

    if (query_series(w->store, q, &sq, &series, &count, &err) != 0)
        fail_msg("%s", err.msg);
    for (uint32_t s = 0; s < count; s++)
        for (uint32_t i = 0; i < series[s].point_count; i++)
            sum += series[s].points[i].value;
    (void)snprintf(text, sizeof(text), "%llx%016llx", (unsigned long long)(sum >> 64),
                   (unsigned long long)sum);
    return strdup(text);
}

static void ask(struct world *w, uint64_t seed)
{
    const struct push_row *row = &w->rows[rng_below(&w->rng, w->row_count)];
    const struct typeset *ts = &row->profile->typeset;
    uint32_t t = (uint32_t)rng_below(&w->rng, ts->count);
    const struct profile_type type = {labels_get(&row->labels, STR("__name__")), ts->types[t].type,
                                      ts->types[t].unit, ts->period_type, ts->period_unit};
    const struct str tenant = STR("anonymous");
    int64_t from = rng_between(&w->rng, 0, SPAN_NS), to = rng_between(&w->rng, from, SPAN_NS);
    struct arena arena;
    struct query q = {.tenants = &tenant, .tenant_count = 1, .type = &type, .arena = &arena};
    char *want, *got;

    arena_init(&arena, ARENA_BYTES);
    q.time = rng_one_in(&w->rng, 3) ? (struct time_span){DAY0_NS, DAY0_NS + SPAN_NS}
                                    : (struct time_span){DAY0_NS + from, DAY0_NS + to};
    want = reference_tree(w, &type, q.time);
    got = store_tree(w, &q);
    if (strcmp(want, got) != 0)
        fail_msg("seed %llu: trees differ:\nwant\n%.800s\ngot\n%.800s", (unsigned long long)seed,
                 want, got);
    free(want);
    free(got);
    want = reference_total(w, &type, q.time);
    got = store_total(w, &q);
    if (strcmp(want, got) != 0)
        fail_msg("seed %llu: totals differ: want %s got %s", (unsigned long long)seed, want, got);
    free(want);
    free(got);
    arena_release(&arena);
}

static void live(uint64_t seed)
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

    (void)state;
    if (text)
        (void)str_parse_u64(str_from(text), UINT32_MAX, &seeds);
    for (uint64_t seed = 0; seed < seeds; seed++)
        live(seed);
    print_message("%llu seeds, %llu questions, all exact\n", (unsigned long long)seeds,
                  (unsigned long long)seeds * QUESTIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_answer_is_the_sum_of_what_was_pushed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

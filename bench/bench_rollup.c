/*
 * bench_rollup - what long ranges cost, and what the sums for it take on disk.
 *
 * One service of ten pods with 41,347 stacks, drawn with weights (i + 20)^-1.2, 554 ticks of 10 ms
 * per profile, goes through the real writer, on a disk in memory:
 *
 *   one day in full, 5,760 profiles per pod: bytes of sums beside bytes of samples, an hour by rows
 *   thirty days with one profile per pod and hour that holds the ticks of 240: their vectors and
 *   trees are as large as those of full days, their chunks are not, so nothing is read off them
 *
 * A store is opened on each with nothing cached; CPU time of the thread; bytes are those read.
 */
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "storage/blob_store.h"
#include "storage/model/samples.h"
#include "storage/model/symbols.h"
#include "storage/model/tree.h"
#include "storage/query.h"
#include "storage/segment.h"
#include "storage/segment_format.h"
#include "storage/segment_reader.h"
#include "storage/storage.h"
#include "tests/support/fs_fault.h"
#include "tests/support/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PODS = 10,
    STACKS = 41347,
    FUNCTIONS = 5176,
    LINES = 3, /* locations per function */
    DEPTH_MAX = 120,
    TICKS = 554,
    PROFILES = 5760, /* per pod and day */
    DAYS = 30,
    FIRST_DAY = 20000,
    RUNS = 3,
};

struct synth {
    struct dataset ds;
    struct symbols *symbols;
    uint32_t leaf[STACKS];  /* by popularity */
    uint32_t alias[STACKS]; /* of the draw */
    uint32_t keep[STACKS];  /* out of 2^32 */
    uint32_t node_count;
    uint32_t *count_of;   /* by node, of the row at hand */
    uint32_t rows, ticks; /* per pod */
    struct labels labels[PODS];
    struct label pairs[PODS][3];
    struct profile_value_type types[2];
    struct typeset typeset;
    struct dataset_entry entries[PODS];
    struct dataset_index index;
};

static uint64_t bytes_read;
static const struct fs_ops *memory_ops;

static int counting_pread(struct fs_file *f, void *into, size_t size, uint64_t offset, size_t *got,
                          struct err *err)
{
    bytes_read += size;
    return memory_ops->pread(f, into, size, offset, got, err);
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(int rc, const struct err *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench_rollup: %s\n", err->msg);
    exit(2);
}

/* ---- the service ---- */

static void make_functions(struct synth *s)
{
    for (uint32_t f = 0; f < FUNCTIONS; f++) {
        char name[96], file[96];
        struct profile_function fn = {0};
        int n = snprintf(name, sizeof(name), "com/shop/%s/module%u/Handler%u.processRequest%u",
                         f % 3 ? "service" : "infrastructure", f % 61, f / 11, f);
        int m = snprintf(file, sizeof(file), "Handler%u.java", f / 11);

        must(symbols_intern_string(s->symbols, (struct str){name, (size_t)n}, &fn.name, NULL),
             NULL);
        must(symbols_intern_string(s->symbols, (struct str){file, (size_t)m}, &fn.filename, NULL),
             NULL);
        fn.system_name = fn.name;
        must(symbols_add_function(s->symbols, fn, NULL), NULL);
    }
    for (uint32_t l = 0; l < FUNCTIONS * LINES; l++) {
        struct profile_line line = {l / LINES, l % LINES * 7 + 3};
        struct symbol_location loc = {PROFILE_NONE, 1, 0, &line, false};

        must(symbols_add_location(s->symbols, &loc, NULL), NULL);
    }
}

/* A stack leaves an earlier one somewhere: by another line of the same calls, or to others. */
static void make_stacks(struct synth *s, struct rng *rng)
{
    static uint32_t path[STACKS][DEPTH_MAX];
    static uint32_t depth[STACKS];

    for (uint32_t i = 0; i < STACKS; i++) {
        const uint32_t *from = path[i ? rng_below(rng, i) : 0];
        uint32_t had = i ? depth[(from - path[0]) / DEPTH_MAX] : 0, node = SYMBOLS_ROOT;
        uint32_t kept = had > 8 ? had - (uint32_t)rng_below(rng, 9) : 0, n = kept;

        memcpy(path[i], from, kept * sizeof(from[0]));
        if (kept < had && rng_one_in(rng, 2)) {
            memcpy(path[i] + kept, from + kept, (had - kept) * sizeof(from[0]));
            path[i][kept] = path[i][kept] / LINES * LINES + (path[i][kept] + 1) % LINES;
            n = had;
        } else {
            for (uint32_t grow = 1 + (uint32_t)rng_below(rng, kept ? 5 : 60); grow > 0; grow--) {
                uint64_t f = rng_below(rng, FUNCTIONS);

                if (n < DEPTH_MAX)
                    path[i][n++] = (uint32_t)(f * f / FUNCTIONS) * LINES + (uint32_t)(f % LINES);
            }
        }
        depth[i] = n;
        for (uint32_t k = 0; k < n; k++)
            must(symbols_intern_node(s->symbols, node, path[i][k], &node, NULL), NULL);
        s->leaf[i] = node;
    }
    for (uint32_t i = STACKS; i-- > 1;) {
        uint32_t other = (uint32_t)rng_below(rng, (uint64_t)i + 1), leaf = s->leaf[i];

        s->leaf[i] = s->leaf[other];
        s->leaf[other] = leaf;
    }
    s->node_count = symbols_counts(s->symbols).nodes;
    s->count_of = calloc(s->node_count, sizeof(*s->count_of));
    check(s->count_of);
}

/* Vose's alias method. */
static void make_weights(struct synth *s)
{
    static double p[STACKS];
    static uint32_t small[STACKS], large[STACKS];
    uint32_t smalls = 0, larges = 0;
    double sum = 0;

    for (uint32_t i = 0; i < STACKS; i++)
        sum += p[i] = pow(i + 20.0, -1.2);
    for (uint32_t i = 0; i < STACKS; i++) {
        p[i] *= STACKS / sum;
        if (p[i] < 1)
            small[smalls++] = i;
        else
            large[larges++] = i;
    }
    while (smalls > 0 && larges > 0) {
        uint32_t l = small[--smalls], g = large[larges - 1];

        s->keep[l] = (uint32_t)(p[l] * 4294967295.0);
        s->alias[l] = g;
        p[g] -= 1 - p[l];
        if (p[g] < 1) {
            larges--;
            small[smalls++] = g;
        }
    }
    while (larges > 0)
        s->keep[large[--larges]] = UINT32_MAX;
    while (smalls > 0)
        s->keep[small[--smalls]] = UINT32_MAX;
}

static int get_index(struct dataset *ds, const struct dataset_index **out, struct err *err)
{
    (void)err;
    *out = &((struct synth *)(void *)ds)->index;
    return 0;
}

static int get_symbols(struct dataset *ds, const struct symbols **out, uint32_t *node_count,
                       struct err *err)
{
    struct synth *s = (struct synth *)(void *)ds;

    (void)err;
    *out = s->symbols;
    *node_count = s->node_count;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Ticks of a profile, give or take 30 %, as columns. */
static void draw(struct synth *s, struct rng *rng, struct sample_columns *c)
{
    uint32_t ticks = s->ticks * 7 / 10 + (uint32_t)rng_below(rng, s->ticks * 6 / 10 + 1);

    c->count = 0;
    for (uint32_t i = 0; i < ticks; i++) {
        uint64_t r = rng_next(rng);
        uint32_t at = (uint32_t)((r >> 32) * STACKS >> 32), node;

        node = s->leaf[(uint32_t)r <= s->keep[at] ? at : s->alias[at]];
        if (s->count_of[node]++ == 0)
            c->stacks[c->count++] = node;
    }
    qsort(c->stacks, c->count, sizeof(*c->stacks), compare_ids);
    for (uint32_t i = 0; i < c->count; i++) {
        c->values[0][i] = s->count_of[c->stacks[i]];
        c->values[1][i] = c->values[0][i] * 10000000;
        s->count_of[c->stacks[i]] = 0;
    }
}

static int show_row(struct synth *s, uint32_t pod, uint32_t r, struct sample_columns *c,
                    dataset_visit visit, void *ctx, struct err *err)
{
    value128 totals[2] = {samples_total(c->values[0], c->count),
                          samples_total(c->values[1], c->count)};
    int64_t step = NS_PER_DAY / s->rows;
    struct dataset_row row = {.stream = pod,
                              .time_ns = s->ds.time.first_ns + r * step + (int64_t)pod * NS_PER_MS,
                              .duration_ns = step,
                              .period = 10000000,
                              .present = 3,
                              .totals = totals,
                              .sample_count = c->count,
                              .sequence = (uint64_t)r * PODS + pod + 1};

    return visit(ctx, &row, c, err);
}

/* Asked without columns it is to know which stacks there are: the first row shows all of them. */
static int scan(struct dataset *ds, const struct dataset_scan *scan, struct arena *scratch,
                dataset_visit visit, void *ctx, struct err *err)
{
    struct synth *s = (struct synth *)(void *)ds;
    static uint32_t stacks[STACKS];
    static int64_t values[2][STACKS];
    struct sample_columns c = {.type_count = 2, .stacks = stacks, .values = {values[0], values[1]}};
    int rc = 0;

    (void)scratch;
    for (uint32_t e = 0; rc == 0 && e < scan->entry_count; e++) {
        uint32_t pod = scan->entries[e];
        struct rng rng = rng_of((uint64_t)ds->time.first_ns + pod);

        for (uint32_t r = 0; rc == 0 && r < s->rows; r++) {
            if (scan->types[e] != 0) {
                draw(s, &rng, &c);
            } else {
                c.count = r == 0 ? STACKS : 0;
                memcpy(stacks, s->leaf, sizeof(stacks));
            }
            rc = show_row(s, pod, r, &c, visit, ctx, err);
        }
    }
    return rc;
}

static const struct dataset_ops synth_ops = {
    .index = get_index, .symbols = get_symbols, .scan = scan};

static struct synth *synth_new(void)
{
    static const char *const pods[PODS] = {"pod-0", "pod-1", "pod-2", "pod-3", "pod-4",
                                           "pod-5", "pod-6", "pod-7", "pod-8", "pod-9"};
    struct synth *s = calloc(1, sizeof(*s));
    struct rng rng = rng_of(41);

    check(s);
    s->symbols = symbols_new(SIZE_MAX / 2);
    make_functions(s);
    make_stacks(s, &rng);
    make_weights(s);
    s->ds = (struct dataset){.ops = &synth_ops, .tenant = STR("anonymous"), .service = STR("big")};
    s->types[0] = (struct profile_value_type){STR("samples"), STR("count")};
    s->types[1] = (struct profile_value_type){STR("cpu"), STR("nanoseconds")};
    s->typeset = (struct typeset){STR("cpu"), STR("nanoseconds"), s->types, 2};
    for (uint32_t p = 0; p < PODS; p++) {
        s->pairs[p][0] = (struct label){STR("__name__"), STR("process_cpu")};
        s->pairs[p][1] = (struct label){STR("pod"), str_from(pods[p])};
        s->pairs[p][2] = (struct label){STR("service_name"), STR("big")};
        s->labels[p] = (struct labels){s->pairs[p], 3};
    }
    s->index = (struct dataset_index){s->labels, PODS, &s->typeset, 1, s->entries, PODS};
    return s;
}

static void write_day(struct synth *s, struct blob_store *blobs, int32_t day, uint32_t rows,
                      struct segment_meta *meta)
{
    struct dataset *ds = &s->ds;
    struct err err;

    s->rows = rows;
    s->ticks = TICKS * (PROFILES / rows);
    s->ds.time.first_ns = day * NS_PER_DAY;
    s->ds.time.last_ns = day * NS_PER_DAY + NS_PER_DAY / rows * (rows - 1) + PODS * NS_PER_MS;
    for (uint32_t p = 0; p < PODS; p++)
        s->entries[p] = (struct dataset_entry){
            .stream = p,
            .present = 3,
            .row_count = rows,
            .time = {s->ds.time.first_ns + p * NS_PER_MS,
                     s->ds.time.first_ns + NS_PER_DAY / rows * (rows - 1) + p * NS_PER_MS}};
    *meta = (struct segment_meta){.id = {(uint64_t)day, rows},
                                  .tenant = STR("anonymous"),
                                  .day = day,
                                  .level = 2,
                                  .rollups = rows == PROFILES ? SEGMENT_ROLLUPS_AUTO
                                                              : SEGMENT_ROLLUPS_ALWAYS,
                                  .created_ns = day * NS_PER_DAY};
    must(segment_write(blobs, &ds, 1, meta, &err), &err);
}

/* ---- questions ---- */

static struct fs *new_disk(struct blob_store **blobs)
{
    static struct fs_ops ops;
    struct fs *fs = fs_fault_new();
    struct err err;

    memory_ops = fs->ops;
    ops = *fs->ops;
    ops.pread = counting_pread;
    fs->ops = &ops;
    must(blob_store_dir_open(fs, blobs, &err), &err);
    return fs;
}

struct asking {
    struct storage *store;
    struct profile_type type;
    struct query_explain explain;
    enum query_force force;
    double ms;
    uint64_t bytes;
    uint32_t nodes;
};

static struct storage *open_store(struct fs *fs, uint64_t cache_bytes)
{
    struct storage_options o;
    struct storage_recovery recovery;
    struct storage *store;
    struct err err;

    storage_options_init(&o);
    o.fs = fs;
    o.clock = clock_system();
    o.cache_bytes_max = cache_bytes;
    must(storage_open(&o, &store, &recovery, &err), &err);
    return store;
}

/* The fastest of RUNS. */
static void ask(struct asking *a, struct time_span time, bool series)
{
    const struct str tenant = STR("anonymous"), pod = STR("pod");

    a->ms = 1e9;
    for (int i = 0; i < RUNS; i++) {
        struct arena arena;
        struct query q = {.tenants = &tenant,
                          .tenant_count = 1,
                          .type = &a->type,
                          .time = time,
                          .arena = &arena,
                          .force = a->force,
                          .explain = &a->explain};
        struct series_query sq = {.start_ms = time.first_ns / NS_PER_MS,
                                  .end_ms = time.last_ns / NS_PER_MS,
                                  .step_ms = 3600000,
                                  .group_by = &pod,
                                  .group_by_count = 1};
        double began = now_ms();
        struct series *out;
        struct tree *tree;
        struct err err;

        bytes_read = 0;
        a->explain = (struct query_explain){0};
        arena_init(&arena, (size_t)4 << 30);
        if (series) {
            must(query_series(a->store, &q, &sq, &out, &a->nodes, &err), &err);
        } else {
            must(query_tree(a->store, &q, tree_names_new(&arena), &tree, &err), &err);
            a->nodes = tree_node_count(tree);
        }
        a->ms = now_ms() - began < a->ms ? now_ms() - began : a->ms;
        a->bytes = bytes_read;
        arena_release(&arena);
    }
}

static void figure(const char *name, double value, const char *unit, double bar)
{
    printf("%-58s %10.2f %-6s bar %g\n", name, value, unit, bar);
    printf("FIGURE\t%s, %s\t%.2f\t<= %g\t%s\n", name, unit, value, bar,
           value <= bar ? "ok" : "MISSED");
}

static void sizes(struct fs *fs, struct blob_store *blobs, const struct segment_meta *meta)
{
    struct segment_section *sections;
    struct segment_reading agg;
    double sums = 0, samples = (double)meta->smp_bytes;
    struct segment *seg;
    struct arena arena;
    struct err err;

    (void)fs;
    must(segment_open(blobs, NULL, meta->tenant, meta->day, meta->id, meta->level, &seg, &err),
         &err);
    arena_init(&arena, SIZE_MAX);
    must(segment_reading_open(seg, SEGMENT_FILE_AGG, &agg, &err), &err);
    must(segment_sections(&agg, &arena, &sections, &err), &err);
    for (uint32_t i = 0; i < seg->footer.table_count; i++) {
        char name[4];

        printf("  %s %9.1f KB\n", segment_kind_name(sections[i].kind, name),
               (double)sections[i].stored / 1e3);
        switch (sections[i].kind) {
        case SECTION_TOT:
        case SECTION_RLD:
        case SECTION_AGG:
        case SECTION_FLM:
            sums += (double)sections[i].stored;
        }
    }
    printf("  rows and samples %.1f MB, %.3f bytes per sample\n", samples / 1e6,
           samples / (double)meta->samples);
    figure("sums / rows and samples, a full day", sums / samples * 100, "%", 6);
    segment_reading_close(&agg);
    arena_release(&arena);
    segment_unref(seg);
}

static void report(const struct asking *a, const char *name, double bar_ms)
{
    figure(name, a->ms, "ms", bar_ms);
    printf(
        "    %.2f MB read, %u nodes or series; datasets day %u hour %u totals %u raw %u, vectors "
        "%u\n",
        (double)a->bytes / 1e6, a->nodes, a->explain.datasets_day, a->explain.datasets_hour,
        a->explain.datasets_totals, a->explain.datasets_raw, a->explain.vectors);
}

static void full_day(struct synth *s)
{
    struct asking a = {.type = {STR("process_cpu"), STR("cpu"), STR("nanoseconds"), STR("cpu"),
                                STR("nanoseconds")}};
    int64_t day = FIRST_DAY * NS_PER_DAY;
    struct segment_meta meta;
    struct blob_store *blobs;
    struct fs *fs = new_disk(&blobs);
    double began = now_ms(), rows_ms;
    struct err err;

    write_day(s, blobs, FIRST_DAY, PROFILES, &meta);
    printf("written in %.1f s with drawing: %llu samples\n", (now_ms() - began) / 1e3,
           (unsigned long long)meta.samples);
    sizes(fs, blobs, &meta);
    a.store = open_store(fs, (uint64_t)256 << 20);
    a.force = QUERY_FORCE_RAW;
    ask(&a, (struct time_span){day + 5 * 3600 * NS_PER_S, day + 6 * 3600 * NS_PER_S - 1}, false);
    report(&a, "1 h of ten pods by rows, dictionary cached", 10);
    ask(&a, (struct time_span){day, day + NS_PER_DAY - 1}, false);
    report(&a, "1 day by rows", 1000);
    rows_ms = a.ms;
    ask(&a, (struct time_span){day, day + 1}, false);
    figure("decode and add a sample", (rows_ms - a.ms) * 1e6 / (double)meta.samples, "ns", 5);
    a.force = QUERY_FORCE_HOUR;
    ask(&a, (struct time_span){day, day + NS_PER_DAY - 1}, false);
    report(&a, "1 day by hours", 1000);
    a.force = QUERY_FORCE_NONE;
    ask(&a, (struct time_span){day, day + NS_PER_DAY - 1}, false);
    report(&a, "1 day as planned", 1000);
    (void)storage_close(a.store, 0, &err);
    blobs->ops->free(blobs);
    fs_free(fs);
}

static void month(struct synth *s)
{
    struct asking a = {.type = {STR("process_cpu"), STR("cpu"), STR("nanoseconds"), STR("cpu"),
                                STR("nanoseconds")}};
    struct time_span all = {FIRST_DAY * NS_PER_DAY, (FIRST_DAY + DAYS) * NS_PER_DAY - 1};
    struct blob_store *blobs;
    struct fs *fs = new_disk(&blobs);
    struct segment_meta meta;
    struct err err;

    for (int32_t d = 0; d < DAYS; d++)
        write_day(s, blobs, FIRST_DAY + d, 24, &meta);
    a.store = open_store(fs, 0);
    ask(&a, all, false);
    report(&a, "30 days, flame graph, nothing cached", 100);
    figure("30 days, flame graph, read", (double)a.bytes / 1e6, "MB", 5);
    figure("365 days, 30 days in proportion", a.ms * 365 / 30, "ms", 1000);
    ask(&a, all, true);
    report(&a, "30 days, series by pod, step 1 h, nothing cached", 50);
    (void)storage_close(a.store, 0, &err);
    a.store = open_store(fs, (uint64_t)1 << 30);
    ask(&a, all, false);
    report(&a, "30 days, flame graph, trees cached", 100);
    (void)storage_close(a.store, 0, &err);
    blobs->ops->free(blobs);
    fs_free(fs);
}

int main(void)
{
    struct synth *s = synth_new();
    struct symbols_counts counts = symbols_counts(s->symbols);

    printf("%d stacks, %u nodes, %u locations, %u functions\n", STACKS, counts.nodes,
           counts.locations, counts.functions);
    month(s);
    full_day(s);
    symbols_free(s->symbols);
    free(s->count_of);
    free(s);
    return 0;
}

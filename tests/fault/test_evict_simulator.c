/*
 * A store with a quota on a simulated disk, driven by one seed: as in
 * test_store_simulator.c, and segments have to go. What goes is the oldest, whole
 * segments, never anything else; what was evicted stays away through power cuts;
 * what the disk holds is never more than is counted, and that never more than the
 * quota; a view that was taken before reads on.
 *
 *   FLAMEKEEP_SIM_SEEDS=n   runs n seeds instead of the few of every day
 */
#include "storage/storage_internal.h"

#include "storage/model/samples.h"
#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

#include "tests/support/clock_fake.h"
#include "tests/support/fs_fault.h"
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

enum {
    SCRUB_RATE = 20000, /* a part or two a step */
    PUSHES_MAX = 400,
    STEPS = 320,
    ROWS_MAX = 3,
    SERVICES = 3,
    DAYS = 3,
    SEGMENTS_MAX = 64,
    SEEDS_DEFAULT = 60,
    WAL_FILE_BYTES = 8 << 10,
    LIMIT = 640 << 10,
    TENANT_LIMIT = 5 * 8192, /* so many segments: two blocks each */
};

enum ack_state {
    ACK_NONE,    /* not pushed, or refused */
    ACK_WAITING, /* taken, not answered */
    ACK_OK,
    ACK_FAILED,
};

/* What eviction did to a row. */
enum fate {
    LIVE,
    ASKED, /* its segment was about to go when that failed: the next start may find it gone */
    OUT,   /* not to be seen; the files are there, so the next start may find it again */
    GONE,  /* for ever */
};

struct pushed {
    enum ack_state state;
    uint32_t rows;
    uint32_t seen[ROWS_MAX]; /* at the last look */
    enum fate fate[ROWS_MAX];
    struct segment_id segment[ROWS_MAX]; /* where it was when its fate was decided */
};

/* A segment as the model sees it. */
struct known {
    struct segment *segment;
    struct segment_id id;
    int64_t last_ns, created_ns;
    uint64_t bytes;
};

struct sim {
    struct rng rng;
    struct fs *fs;
    struct clock_fake clock;
    struct retention_tenant tenant;
    struct storage *store;
    struct storage_view *view; /* held for some steps */
    struct pushed pushes[PUSHES_MAX];
    uint32_t push_count, cuts, evictions;
    char violation[256]; /* empty: none */
};

static void violate(struct sim *m, const char *what, uint32_t push)
{
    if (!m->violation[0])
        (void)snprintf(m->violation, sizeof(m->violation), "push %u: %s", push, what);
}

static void on_done(void *ctx, int rc, const struct err *err)
{
    struct pushed *p = ctx;

    (void)err;
    p->state = rc == 0 ? ACK_OK : ACK_FAILED;
}

/* Row `r` of push `i`: a stack all share, and one that only this row has. */
struct one_row {
    char unique[32], service[16];
    struct str strings[4];
    struct profile_function functions[2];
    struct profile_line lines[2];
    struct profile_location locations[2];
    uint32_t stacks[2];
    int64_t values[2];
    struct profile_sample samples[2];
    struct profile_value_type type;
    struct label labels[2];
    struct profile profile;
};

static void make_row(struct sim *m, uint32_t i, uint32_t r, struct one_row *o, struct push_row *out)
{
    memset(o, 0, sizeof(*o));
    (void)snprintf(o->unique, sizeof(o->unique), "fn-%u-%u", i, r);
    (void)snprintf(o->service, sizeof(o->service), "svc%u",
                   (unsigned int)rng_below(&m->rng, SERVICES));
    o->strings[0] = STR("");
    o->strings[1] = STR("shared");
    o->strings[2] = str_from(o->unique);
    o->strings[3] = STR("file.c");
    for (uint32_t k = 0; k < 2; k++) {
        o->functions[k] = (struct profile_function){k + 1, k + 1, 3, 0};
        o->lines[k] = (struct profile_line){k, 7};
        o->locations[k] = (struct profile_location){PROFILE_NONE, 0, k, 1, false, false};
        o->stacks[k] = k;
        o->samples[k] =
            (struct profile_sample){.stack_first = k, .stack_count = 1, .value_first = k};
    }
    o->values[0] = 1;
    o->values[1] = (int64_t)i * ROWS_MAX + r + 2;
    o->type = (struct profile_value_type){STR("cpu"), STR("nanoseconds")};
    o->labels[0] = (struct label){STR("__name__"), STR("process_cpu")};
    o->labels[1] = (struct label){STR("service_name"), str_from(o->service)};
    o->profile = (struct profile){
        .typeset = {STR("cpu"), STR("nanoseconds"), &o->type, 1},
        .strings = o->strings,
        .string_count = 4,
        .functions = o->functions,
        .function_count = 2,
        .locations = o->locations,
        .location_count = 2,
        .lines = o->lines,
        .line_count = 2,
        .stacks = o->stacks,
        .stack_index_count = 2,
        .values = o->values,
        .value_count = 2,
        .samples = o->samples,
        .sample_count = 2,
        .time_ns = DAY0_NS + (int64_t)rng_below(&m->rng, DAYS * (uint64_t)NS_PER_DAY),
    };
    *out = (struct push_row){{o->labels, 2}, &o->profile, 0, 2, STR("")};
}

static void push_one(struct sim *m)
{
    uint32_t i = m->push_count;
    struct pushed *p = &m->pushes[i];
    struct one_row rows[ROWS_MAX];
    struct push_row push_rows[ROWS_MAX];
    struct push push = {STR("anonymous"), push_rows, 0};
    struct err err;

    if (i == PUSHES_MAX)
        return;
    m->push_count++;
    push.row_count = 1 + (uint32_t)rng_below(&m->rng, ROWS_MAX);
    for (uint32_t r = 0; r < push.row_count; r++)
        make_row(m, i, r, &rows[r], &push_rows[r]);
    p->rows = push.row_count;
    p->state = ACK_WAITING;
    if (storage_push(m->store, &push, on_done, p, &err) != 0)
        p->state = ACK_NONE;
}

/* ---- looking ---- */

typedef void (*row_fn)(struct sim *m, uint32_t push, uint32_t row, void *ctx);

struct look {
    struct sim *m;
    const struct symbols *symbols;
    row_fn each;
    void *ctx;
};

static int look_at_row(void *ctx, const struct dataset_row *row,
                       const struct sample_columns *columns, struct err *err)
{
    struct look *l = ctx;

    (void)row;
    (void)err;
    for (uint32_t s = 0; s < columns->count; s++) {
        struct symbol_node n = symbols_node(l->symbols, columns->stacks[s]);
        struct symbol_location loc = symbols_location(l->symbols, n.location);
        struct str name =
            symbols_string(l->symbols, symbols_function(l->symbols, loc.lines[0].function).name);
        char text[32];
        unsigned int i, r;

        if (!str_starts(name, STR("fn-")) || name.len >= sizeof(text))
            continue;
        memcpy(text, name.p, name.len);
        text[name.len] = '\0';
        if (sscanf(text, "fn-%u-%u", &i, &r) != 2 || i >= l->m->push_count || r >= ROWS_MAX)
            violate(l->m, "a row that was never pushed", 0);
        else if (columns->values[0][s] != (int64_t)i * ROWS_MAX + r + 2)
            violate(l->m, "another value than was pushed", i);
        else
            l->each(l->m, i, r, l->ctx);
    }
    return 0;
}

static int read_dataset(struct sim *m, struct dataset *ds, row_fn each, void *ctx, struct err *err)
{
    const struct dataset_index *index;
    struct look l = {m, NULL, each, ctx};
    struct arena scratch;
    uint32_t nodes;
    int rc = ds->ops->index(ds, &index, err);

    if (rc == 0)
        rc = ds->ops->symbols(ds, &l.symbols, &nodes, err);
    arena_init(&scratch, 64 << 20);
    for (uint32_t e = 0; rc == 0 && e < index->entry_count; e++) {
        const uint64_t types = UINT64_MAX;
        const struct dataset_scan scan = {&e, &types, 1, {INT64_MIN, INT64_MAX}, true};

        rc = ds->ops->scan(ds, &scan, &scratch, look_at_row, &l, err);
    }
    arena_release(&scratch);
    return rc;
}

static void count_row(struct sim *m, uint32_t push, uint32_t row, void *ctx)
{
    (void)ctx;
    m->pushes[push].seen[row]++;
}

static struct storage_view *take_view(struct sim *m)
{
    const struct str tenant = STR("anonymous");
    struct storage_view *view;
    struct err err;

    if (storage_view_acquire(m->store, &tenant, 1, STR(""),
                             (struct time_span){INT64_MIN, INT64_MAX}, &view, &err) == 0)
        return view;
    violate(m, err.msg, 0);
    return NULL;
}

static void read_view(struct sim *m, struct storage_view *view, bool old)
{
    struct dataset **datasets;
    struct err err;
    uint32_t count;

    datasets = storage_view_datasets(view, &count);
    for (uint32_t i = 0; i < count; i++) {
        int rc = read_dataset(m, datasets[i], count_row, NULL, &err);

        if (rc != 0 && !(old && rc == ERR_BUSY))
            violate(m, err.msg, 0);
    }
}

static void check_push(struct sim *m, uint32_t i)
{
    const struct pushed *p = &m->pushes[i];
    uint32_t total = 0, expected = 0;

    for (uint32_t r = 0; r < p->rows; r++) {
        bool away = p->fate[r] == OUT || p->fate[r] == GONE;

        if (p->seen[r] > 1)
            violate(m, "a row is there twice", i);
        if (away && p->seen[r] > 0)
            violate(m, "an evicted row is there", i);
        total += away ? 0 : p->seen[r];
        expected += !away;
    }
    if (p->state == ACK_OK && total != expected)
        violate(m, "acknowledged, not evicted, and not there", i);
    if (total != 0 && total != expected)
        violate(m, "half of it is there", i);
    if (p->state == ACK_NONE && total != 0)
        violate(m, "refused, and there", i);
}

static void look(struct sim *m)
{
    struct storage_view *view = take_view(m);

    for (uint32_t i = 0; i < m->push_count; i++)
        memset(m->pushes[i].seen, 0, sizeof(m->pushes[i].seen));
    if (!view)
        return;
    read_view(m, view, false);
    storage_view_release(view);
}

static void look_and_check(struct sim *m)
{
    look(m);
    for (uint32_t i = 0; i < m->push_count; i++)
        check_push(m, i);
}

static bool same_id(struct segment_id a, struct segment_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* After a start: segments whose fate was open are there whole or not at all. */
static void settle_fates(struct sim *m)
{
    for (uint32_t i = 0; i < m->push_count; i++) {
        for (uint32_t r = 0; r < m->pushes[i].rows; r++) {
            struct pushed *p = &m->pushes[i];
            bool there = p->seen[r] > 0;

            if (p->fate[r] != ASKED && p->fate[r] != OUT)
                continue;
            for (uint32_t k = 0; k < m->push_count; k++)
                for (uint32_t q = 0; q < m->pushes[k].rows; q++)
                    if (m->pushes[k].fate[q] == p->fate[r] &&
                        same_id(m->pushes[k].segment[q], p->segment[r]) &&
                        (m->pushes[k].seen[q] > 0) != there)
                        violate(m, "an evicted segment came back half", i);
        }
    }
    for (uint32_t i = 0; i < m->push_count; i++)
        for (uint32_t r = 0; r < m->pushes[i].rows; r++)
            if (m->pushes[i].fate[r] == ASKED || m->pushes[i].fate[r] == OUT)
                m->pushes[i].fate[r] = m->pushes[i].seen[r] > 0 ? LIVE : GONE;
}

/* ---- eviction ---- */

static int older_first(const void *a, const void *b)
{
    const struct known *x = a, *y = b;

    if (x->last_ns != y->last_ns)
        return x->last_ns < y->last_ns ? -1 : 1;
    return x->created_ns < y->created_ns ? -1 : x->created_ns > y->created_ns;
}

struct placing {
    struct segment_id id;
    enum fate fate;
};

static void place_row(struct sim *m, uint32_t push, uint32_t row, void *ctx)
{
    const struct placing *p = ctx;

    m->pushes[push].fate[row] = p->fate;
    m->pushes[push].segment[row] = p->id;
}

/* All rows of a segment get a fate. */
static void doom_rows(struct sim *m, struct segment *seg, enum fate fate)
{
    struct placing p = {segment_meta(seg)->id, fate};

    for (uint32_t i = 0; i < segment_service_count(seg); i++) {
        struct dataset *ds;
        struct err err;

        if (segment_dataset_open(seg, i, &ds, &err) != 0 ||
            read_dataset(m, ds, place_row, &p, &err) != 0)
            violate(m, err.msg, 0);
        segment_dataset_close(ds);
    }
}

static bool is_listed(const struct sim *m, struct segment_id id)
{
    for (uint32_t i = 0; i < m->store->segment_count; i++)
        if (same_id(segment_meta(m->store->segments[i])->id, id))
            return true;
    return false;
}

/* The segments before a step, oldest first, with references. */
struct before {
    struct known all[SEGMENTS_MAX];
    uint32_t count, must_go;
};

static void remember(struct sim *m, struct before *b)
{
    uint64_t bytes = 0;

    b->count = m->store->segment_count;
    b->must_go = 0;
    assert_true(b->count <= SEGMENTS_MAX);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct segment_meta *meta = segment_meta(m->store->segments[i]);

        b->all[i] = (struct known){segment_ref(m->store->segments[i]), meta->id, meta->time.last_ns,
                                   meta->created_ns, storage_segment_bytes(meta)};
        bytes += b->all[i].bytes;
    }
    qsort(b->all, b->count, sizeof(b->all[0]), older_first);
    while (bytes > TENANT_LIMIT)
        bytes -= b->all[b->must_go++].bytes;
}

/* What went is the oldest of them; of a step that failed, a start may find more of it gone. */
static uint32_t compare(struct sim *m, struct before *b, bool failed)
{
    uint32_t gone = 0;

    for (uint32_t i = 0; i < b->count; i++) {
        if (is_listed(m, b->all[i].id)) {
            if (failed)
                doom_rows(m, b->all[i].segment, ASKED);
        } else {
            if (gone < i)
                violate(m, "an older segment stayed", 0);
            gone++;
            doom_rows(m, b->all[i].segment, OUT);
        }
        segment_unref(b->all[i].segment);
    }
    m->evictions += gone;
    return gone;
}

static void evict(struct sim *m)
{
    struct before b;
    struct err err;
    uint32_t gone;
    int rc;

    remember(m, &b);
    atomic_store(&m->store->evict_wanted, true);
    rc = storage_step_evict(m->store, &err);
    gone = compare(m, &b, rc < 0);
    if (gone > b.must_go)
        violate(m, "more went than had to", 0);
    /* A log without room takes them one by one. */
    if (rc >= 0 && b.must_go > 0 && gone == 0)
        violate(m, "a segment that has to go is there", 0);
}

/* A step that meets a full disk makes room. */
static void may_make_room(struct sim *m, int (*step)(struct storage *s, struct err *err))
{
    uint64_t failed = fs_fault_failed(m->fs);
    struct before b;
    struct err err;

    remember(m, &b);
    (void)step(m->store, &err);
    failed = fs_fault_failed(m->fs) - failed;
    if (compare(m, &b, failed > 0) > 0 && failed == 0)
        violate(m, "a segment went without need", 0);
}

static int seal_any(struct storage *s, struct err *err)
{
    return storage_step_seal(s, true, err);
}

/* What has a record, or no file any more, is gone for ever. */
static void note_gone(struct sim *m)
{
    for (uint32_t i = 0; i < m->push_count; i++) {
        for (uint32_t r = 0; r < m->pushes[i].rows; r++) {
            bool back = false;

            if (m->pushes[i].fate[r] != OUT)
                continue;
            for (uint32_t d = 0; d < m->store->doomed_count; d++) {
                const struct doomed *doomed = &m->store->doomed[d];

                if (same_id(segment_meta(doomed->segment)->id, m->pushes[i].segment[r]))
                    back = doomed->lsn == 0 && !doomed->unlinked;
            }
            if (!back)
                m->pushes[i].fate[r] = GONE;
        }
    }
}

static void check_ledger(struct sim *m)
{
    struct ledger_usage u;

    ledger_usage(m->store->ledger, &u);
    if (u.used > LIMIT)
        violate(m, "more than the quota is counted", 0);
    if (fs_fault_used(m->fs) > u.used)
        violate(m, "the disk holds more than is counted", 0);
}

/* ---- the life of a store ---- */

static bool open_store(struct sim *m)
{
    struct storage_options o;
    struct storage_recovery recovery;
    struct err err;

    storage_options_init(&o);
    o.fs = m->fs;
    o.clock = &m->clock.clock;
    o.wal_file_bytes_min = WAL_FILE_BYTES;
    o.wal_file_bytes_max = 2 * WAL_FILE_BYTES;
    o.scrub_interval_ns = 1;
    o.scrub_bytes_per_s = SCRUB_RATE;
    m->tenant = (struct retention_tenant){STR("anonymous"), TENANT_LIMIT, 0};
    o.retention =
        (struct retention_rules){.max_bytes = LIMIT, .tenants = &m->tenant, .tenant_count = 1};
    if (storage_open(&o, &m->store, &recovery, &err) != 0) {
        m->store = NULL;
        violate(m, err.msg, 0);
        return false;
    }
    if (recovery.wal.files_quarantined > 0)
        violate(m, "a power cut was taken for damage", 0);
    return true;
}

static void close_view(struct sim *m)
{
    storage_view_release(m->view);
    m->view = NULL;
}

static void close_store(struct sim *m)
{
    struct err err;

    close_view(m);
    (void)storage_close(m->store, rng_one_in(&m->rng, 2) ? INT64_MAX : 0, &err);
    m->store = NULL;
}

/* Whoever was not answered by now never will be. */
static void forget_waiting(struct sim *m)
{
    for (uint32_t i = 0; i < m->push_count; i++)
        if (m->pushes[i].state == ACK_WAITING)
            m->pushes[i].state = ACK_FAILED;
}

static void start_again(struct sim *m)
{
    forget_waiting(m);
    if (!open_store(m))
        return;
    look(m);
    settle_fates(m);
    for (uint32_t i = 0; i < m->push_count; i++)
        check_push(m, i);
}

static void crash(struct sim *m)
{
    m->cuts++;
    close_view(m);
    /* The old process must not answer anybody from here on. */
    if (!rng_one_in(&m->rng, 4))
        fs_fault_power_cut(m->fs, rng_next(&m->rng));
    else
        fs_fault_kill(m->fs);
    close_store(m);
    start_again(m);
}

static void restart(struct sim *m)
{
    fs_fault_fail_never(m->fs);
    close_store(m);
    start_again(m);
}

static void break_something(struct sim *m)
{
    static const unsigned int ops[] = {FS_FAULT_DATASYNC, FS_FAULT_WRITE,  FS_FAULT_RENAME,
                                       FS_FAULT_SYNC_DIR, FS_FAULT_CREATE, FS_FAULT_UNLINK};
    int code = rng_one_in(&m->rng, 2) ? ERR_IO : ERR_NO_SPACE;

    fs_fault_fail_at(m->fs, ops[rng_below(&m->rng, sizeof(ops) / sizeof(ops[0]))], NULL,
                     1 + rng_below(&m->rng, 6), code,
                     rng_one_in(&m->rng, 4) ? FS_FAULT_FOREVER : FS_FAULT_ONCE);
}

static void use_view(struct sim *m)
{
    if (!m->view) {
        m->view = take_view(m);
        return;
    }
    read_view(m, m->view, true);
    close_view(m);
}

static void work(struct sim *m, uint64_t choice, bool faults)
{
    struct err err;

    switch (choice) {
    case 0:
    case 1:
    case 2:
        may_make_room(m, seal_any);
        return;
    case 3:
    case 4:
        (void)storage_step_release(m->store, &err);
        return;
    case 5:
    case 6:
    case 7:
        may_make_room(m, storage_step_spare);
        return;
    case 8:
        look_and_check(m);
        return;
    case 9:
        if (faults && rng_one_in(&m->rng, 2))
            break_something(m);
        return;
    case 10:
        clock_fake_advance(&m->clock, (int64_t)rng_below(&m->rng, 40) * NS_PER_S);
        return;
    case 11:
    case 12:
        evict(m);
        return;
    case 13:
        (void)storage_step_unlink(m->store, &err);
        clock_fake_advance(&m->clock, NS_PER_S);
        (void)storage_step_scrub(m->store, &err);
        return;
    case 14:
        use_view(m);
        return;
    default:
        clock_fake_advance(&m->clock, 30 * NS_PER_MS);
        (void)storage_step_commit(m->store, rng_one_in(&m->rng, 2), &err);
    }
}

static void step(struct sim *m, bool faults)
{
    uint64_t choice = rng_below(&m->rng, 30);

    if (choice == 0)
        crash(m);
    else if (choice == 1 && rng_one_in(&m->rng, 3))
        restart(m);
    else if (choice < 20)
        work(m, choice - 2, faults);
    else
        push_one(m);
    if (m->store) {
        note_gone(m);
        check_ledger(m);
    }
}

static void simulate(uint64_t seed, bool faults, struct sim *m)
{
    memset(m, 0, sizeof(*m));
    m->rng = rng_of(seed);
    m->fs = fs_fault_new();
    clock_fake_init(&m->clock, DAY0_NS + 4 * NS_PER_DAY);
    if (open_store(m))
        for (int i = 0; i < STEPS && !m->violation[0]; i++)
            step(m, faults);
    if (m->store && !m->violation[0])
        crash(m);
    if (m->store) {
        fs_fault_fail_never(m->fs);
        close_store(m);
    }
    fs_free(m->fs);
}

static uint32_t seeds_wanted(void)
{
    const char *text = getenv("FLAMEKEEP_SIM_SEEDS");
    uint64_t n;

    if (text && str_parse_u64(str_from(text), UINT32_MAX, &n))
        return (uint32_t)n;
    return SEEDS_DEFAULT;
}

static void run_seeds(bool faults)
{
    uint32_t seeds = seeds_wanted(), cuts = 0, evictions = 0;
    struct sim *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    for (uint32_t seed = 0; seed < seeds; seed++) {
        simulate(seed, faults, m);
        cuts += m->cuts;
        evictions += m->evictions;
        if (m->violation[0])
            fail_msg("seed %u%s: %s", seed, faults ? " with disk errors" : "", m->violation);
    }
    assert_true(evictions >= seeds);
    print_message("%u seeds, %u cuts and kills, %u evictions, no violation\n", seeds, cuts,
                  evictions);
    free(m);
}

static void test_the_oldest_segments_go_whole_and_stay_away_through_power_cuts(void **state)
{
    (void)state;
    run_seeds(false);
}

static void test_disk_errors_bring_nothing_back_half(void **state)
{
    (void)state;
    run_seeds(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_segments_go_whole_and_stay_away_through_power_cuts),
        cmocka_unit_test(test_disk_errors_bring_nothing_back_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

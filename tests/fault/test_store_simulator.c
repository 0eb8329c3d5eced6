/*
 * The whole store on a simulated disk, driven by one seed: pushes of several
 * services and days, the background steps in any order, power cuts, kills, clean
 * restarts, disk errors. After every start each acknowledged push is there
 * exactly once, each other one whole or not at all.
 *
 * And the check of the check: leave out any kind of sync and it must notice.
 *
 *   FLAMEKEEP_SIM_SEEDS=n   runs n seeds instead of the few of every day
 */
#include "storage/storage.h"

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
    STEPS = 220,
    ROWS_MAX = 3,
    SERVICES = 3,
    DAYS = 2,
    SEEDS_DEFAULT = 150,
    SEEDS_MUTATION = 400,
    WAL_FILE_BYTES = 8 << 10, /* small: rotation and recycling happen all the time */
};

enum ack_state {
    ACK_NONE,    /* not pushed, or refused */
    ACK_WAITING, /* taken, not answered */
    ACK_OK,
    ACK_FAILED,
};

struct pushed {
    enum ack_state state;
    uint32_t rows;
    uint32_t seen[ROWS_MAX]; /* at the last look */
};

struct sim {
    struct rng rng;
    struct fs *fs;
    struct clock_fake clock;
    struct storage *store;
    struct pushed pushes[PUSHES_MAX];
    uint32_t push_count, cuts;
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

struct look {
    struct sim *m;
    const struct symbols *symbols;
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
        else if (columns->values[0][s] != (int64_t)i * ROWS_MAX + r + 2 || columns->count != 2)
            violate(l->m, "another value than was pushed", i);
        else
            l->m->pushes[i].seen[r]++;
    }
    return 0;
}

static void look_at_dataset(struct sim *m, struct dataset *ds)
{
    const struct dataset_index *index;
    struct look l = {m, NULL};
    struct arena scratch;
    struct err err;
    uint32_t nodes;
    int rc = ds->ops->index(ds, &index, &err);

    if (rc == 0)
        rc = ds->ops->symbols(ds, &l.symbols, &nodes, &err);
    arena_init(&scratch, 64 << 20);
    for (uint32_t e = 0; rc == 0 && e < index->entry_count; e++) {
        const uint64_t types = UINT64_MAX;
        const struct dataset_scan scan = {&e, &types, 1, {INT64_MIN, INT64_MAX}, true};

        rc = ds->ops->scan(ds, &scan, &scratch, look_at_row, &l, &err);
    }
    arena_release(&scratch);
    if (rc != 0)
        violate(m, err.msg, 0);
}

static void look(struct sim *m)
{
    const struct str tenant = STR("anonymous");
    struct storage_view *view;
    struct dataset **datasets;
    struct storage_stats stats;
    struct err err;
    uint32_t count;

    for (uint32_t i = 0; i < m->push_count; i++)
        memset(m->pushes[i].seen, 0, sizeof(m->pushes[i].seen));
    if (storage_view_acquire(m->store, &tenant, 1, STR(""),
                             (struct time_span){INT64_MIN, INT64_MAX}, &view, &err) != 0) {
        violate(m, err.msg, 0);
        return;
    }
    datasets = storage_view_datasets(view, &count);
    for (uint32_t i = 0; i < count; i++)
        look_at_dataset(m, datasets[i]);
    storage_stats(m->store, &stats);
    if (storage_view_missing(view)->segments + storage_view_missing(view)->logs > 0 ||
        stats.datasets_damaged + stats.scrub_findings > 0)
        violate(m, "what is sound was taken for damage", 0);
    storage_view_release(view);
    for (uint32_t i = 0; i < m->push_count; i++) {
        const struct pushed *p = &m->pushes[i];
        uint32_t total = 0;

        for (uint32_t r = 0; r < p->rows; r++) {
            total += p->seen[r];
            if (p->seen[r] > 1)
                violate(m, "a row is there twice", i);
        }
        if (p->state == ACK_OK && total != p->rows)
            violate(m, "acknowledged, and not there", i);
        if (total != 0 && total != p->rows)
            violate(m, "half of it is there", i);
        if (p->state == ACK_NONE && total != 0)
            violate(m, "refused, and there", i);
    }
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
    o.compaction_age_ns = 1;
    if (storage_open(&o, &m->store, &recovery, &err) != 0) {
        m->store = NULL;
        violate(m, err.msg, 0);
        return false;
    }
    if (recovery.wal.files_quarantined > 0)
        violate(m, "a power cut was taken for damage", 0);
    return true;
}

static void close_store(struct sim *m)
{
    struct err err;

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

struct mutation {
    const char *datasync, *sync_dir; /* paths whose syncs are left out */
};

static void apply_mutation(struct sim *m, const struct mutation *mutation)
{
    if (mutation && mutation->datasync)
        fs_fault_skip_datasync(m->fs, mutation->datasync, 0);
    if (mutation && mutation->sync_dir)
        fs_fault_skip_sync_dir(m->fs, mutation->sync_dir, 0);
}

static void crash(struct sim *m, const struct mutation *mutation)
{
    bool power = !rng_one_in(&m->rng, 4);

    m->cuts++;
    /* The old process must not answer anybody from here on. */
    if (power)
        fs_fault_power_cut(m->fs, rng_next(&m->rng));
    else
        fs_fault_kill(m->fs);
    close_store(m);
    forget_waiting(m);
    apply_mutation(m, mutation);
    if (open_store(m))
        look(m);
}

static void restart(struct sim *m)
{
    fs_fault_fail_never(m->fs);
    close_store(m);
    forget_waiting(m);
    if (open_store(m))
        look(m);
}

static void break_something(struct sim *m)
{
    static const unsigned int ops[] = {FS_FAULT_DATASYNC, FS_FAULT_WRITE, FS_FAULT_RENAME,
                                       FS_FAULT_SYNC_DIR, FS_FAULT_CREATE};
    int code = rng_one_in(&m->rng, 2) ? ERR_IO : ERR_NO_SPACE;

    fs_fault_fail_at(m->fs, ops[rng_below(&m->rng, sizeof(ops) / sizeof(ops[0]))], NULL,
                     1 + rng_below(&m->rng, 6), code,
                     rng_one_in(&m->rng, 4) ? FS_FAULT_FOREVER : FS_FAULT_ONCE);
}

static void step(struct sim *m, const struct mutation *mutation, bool faults)
{
    struct err err;

    switch (rng_below(&m->rng, 28)) {
    case 0:
        crash(m, mutation);
        return;
    case 1:
        if (rng_one_in(&m->rng, 3))
            restart(m);
        return;
    case 2:
    case 3:
        (void)storage_step_seal(m->store, rng_one_in(&m->rng, 2), &err);
        return;
    case 4:
    case 5:
        (void)storage_step_release(m->store, &err);
        return;
    case 6:
    case 7:
    case 8:
        (void)storage_step_spare(m->store, &err);
        return;
    case 9:
        look(m);
        return;
    case 16:
        clock_fake_advance(&m->clock, 6 * NS_PER_S);
        (void)storage_step_compact(m->store, &err);
        return;
    case 17:
        (void)storage_step_unlink(m->store, &err);
        return;
    case 18:
    case 19:
        clock_fake_advance(&m->clock, NS_PER_S);
        (void)storage_step_scrub(m->store, &err);
        return;
    case 10:
        if (faults && rng_one_in(&m->rng, 2))
            break_something(m);
        return;
    case 11:
        clock_fake_advance(&m->clock, (int64_t)rng_below(&m->rng, 40) * NS_PER_S);
        return;
    case 12:
    case 13:
    case 14:
    case 15:
        clock_fake_advance(&m->clock, 30 * NS_PER_MS);
        (void)storage_step_commit(m->store, rng_one_in(&m->rng, 2), &err);
        return;
    default:
        push_one(m);
    }
}

/* One life; the violation, or an empty text, in `out`. Returns the number of cuts. */
static uint32_t simulate(uint64_t seed, const struct mutation *mutation, bool faults, char *out,
                         size_t size)
{
    struct sim *m = calloc(1, sizeof(*m));
    uint32_t cuts;

    assert_non_null(m);
    m->rng = rng_of(seed);
    m->fs = fs_fault_new();
    clock_fake_init(&m->clock, DAY0_NS + 3 * NS_PER_DAY);
    apply_mutation(m, mutation);
    if (open_store(m))
        for (int i = 0; i < STEPS && !m->violation[0]; i++)
            step(m, mutation, faults);
    if (m->store && !m->violation[0])
        crash(m, mutation);
    if (m->store) {
        fs_fault_fail_never(m->fs);
        close_store(m);
    }
    fs_free(m->fs);
    (void)snprintf(out, size, "%s", m->violation);
    cuts = m->cuts;
    free(m);
    return cuts;
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
    uint32_t seeds = seeds_wanted(), cuts = 0;
    char violation[256];

    for (uint32_t seed = 0; seed < seeds; seed++) {
        cuts += simulate(seed, NULL, faults, violation, sizeof(violation));
        if (violation[0])
            fail_msg("seed %u%s: %s", seed, faults ? " with disk errors" : "", violation);
    }
    print_message("%u seeds, %u cuts and kills, no violation\n", seeds, cuts);
}

static void test_acknowledged_pushes_survive_power_cuts_and_kills(void **state)
{
    (void)state;
    run_seeds(false);
}

static void test_disk_errors_lose_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    run_seeds(true);
}

static void assert_noticed(const char *what, struct mutation mutation)
{
    char violation[256];

    for (uint32_t seed = 0; seed < SEEDS_MUTATION; seed++) {
        (void)simulate(seed, &mutation, false, violation, sizeof(violation));
        if (violation[0]) {
            print_message("without %s: seed %u: %s\n", what, seed, violation);
            return;
        }
    }
    fail_msg("nobody noticed that %s is left out", what);
}

static void test_every_sync_is_needed(void **state)
{
    (void)state;
    assert_noticed("datasync of log files", (struct mutation){.datasync = "wal/*.wal"});
    assert_noticed("sync of wal/", (struct mutation){.sync_dir = "wal"});
    assert_noticed("sync of the root directory", (struct mutation){.sync_dir = "."});
    assert_noticed("datasync of FORMAT", (struct mutation){.datasync = "tmp/FORMAT"});
    assert_noticed("datasync of segments", (struct mutation){.datasync = "tmp/object-*"});
    assert_noticed("sync of a segment's directory", (struct mutation){.sync_dir = "seg/*/*"});
    assert_noticed("sync of a tenant's directory", (struct mutation){.sync_dir = "seg/*"});
    assert_noticed("sync of seg/", (struct mutation){.sync_dir = "seg"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acknowledged_pushes_survive_power_cuts_and_kills),
        cmocka_unit_test(test_disk_errors_lose_nothing_that_was_acknowledged),
        cmocka_unit_test(test_every_sync_is_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

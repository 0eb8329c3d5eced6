/*
 * bench_ingest - a body on its way into the log's buffer, beside inflating the same body.
 *
 *     bench_ingest [-v] [DIRECTORY]    <program>.<kind>.<number>.pb.gz; default
 *                                      $FLAMEKEEP_CORPUS, then ../shared/workload/corpus
 *
 * The way is the server's, in process: inflate, decode, normalise, intern and encode into
 * the head, append to the log; the disk is memory and syncing is not measured. The bodies
 * of a program follow each other as they were taken, so three things can be told apart:
 *
 *     first     the first body of a row: every name, function and stack is new
 *     later     the second half of a row: names known, most stacks of Go programs new
 *     again     all bodies a second time, with a warm dictionary: this has the bar
 *
 * CPU time of the thread, the best of some rounds per body, each with a fresh store.
 * The bar is 2.5 times inflating, for the kind cpu. Exit code 1 when it is missed. Without a
 * corpus it says so and measures nothing.
 */
#include "api/decode/pprof.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "storage/model/limits.h"
#include "storage/model/normalise.h"
#include "storage/storage.h"
#include "tests/support/fs_fault.h"

#include <dirent.h>
#include <errno.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FILES_MAX = 1024,
    ROUNDS = 5, /* the best one counts */
};

#define BAR_CPU 2.5

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static size_t mallocs;

void *malloc(size_t size)
{
    mallocs++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    mallocs++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    mallocs++;
    return __libc_realloc(old, size);
}

enum pass {
    PASS_FIRST,
    PASS_LATER,
    PASS_AGAIN,
    PASSES,
};

enum stage {
    STAGE_INFLATE,
    STAGE_DECODE,
    STAGE_NORMALISE,
    STAGE_STORE,
    STAGES,
};

/* Nanoseconds of one body, best round; inflating alone beside them. */
struct timing {
    double stages[STAGES], total, inflate;
    size_t mallocs;
};

struct bench_file {
    char name[256], program[64], kind[64];
    uint8_t *gz;
    size_t gz_len, raw_len;
    uint32_t place; /* in its row */
    struct timing in_row, again;
};

struct bench {
    struct bench_file *files;
    size_t count;
    struct pprof_decoder *decoder;
    struct libdeflate_decompressor *inflater;
    struct buf inflated;
    struct arena arena;
    struct limits limits;
    struct storage *storage;
};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what, const char *name)
{
    fprintf(stderr, "bench_ingest: %s: %s\n", name, what);
    exit(2);
}

static void pushed(void *ctx, int rc, const struct err *err)
{
    (void)ctx;
    if (rc != 0)
        die(err->msg, "commit");
}

static void store(struct bench *b, const struct bench_file *f, struct pprof *p, double *normalised)
{
    struct label labels[] = {{STR("__name__"), STR("process_cpu")},
                             {STR("namespace"), STR("default")},
                             {STR("node"), STR("node-17")},
                             {STR("pod"), STR("pod-6d9f7c")},
                             {STR("service_name"), str_from(f->program)}};
    struct normalise_input input = {
        .labels = {labels, sizeof(labels) / sizeof(labels[0])},
        .pprof = p,
        .now_ns = p->time_ns,
        .limits = &b->limits,
        .seed = 1,
    };
    struct normalise_result result = {0};
    struct push push = {.tenant = STR("anonymous")};
    struct err err = {0};

    if (normalise(&input, &b->arena, &result) != 0)
        die("is refused", f->name);
    *normalised = now_ns();
    push.rows = result.rows;
    push.row_count = result.row_count;
    if (storage_push(b->storage, &push, pushed, NULL, &err) != 0)
        die(err.msg, f->name);
}

static void better(struct timing *best, const struct timing *one)
{
    double inflate = best->inflate;

    if (best->total == 0 || one->total < best->total)
        *best = *one;
    best->inflate = inflate == 0 || one->inflate < inflate ? one->inflate : inflate;
}

static void run_inflate(struct bench *b, const struct bench_file *f)
{
    size_t got;

    if (libdeflate_gzip_decompress(b->inflater, f->gz, f->gz_len, b->inflated.data, b->inflated.cap,
                                   &got) != LIBDEFLATE_SUCCESS)
        die("does not inflate", f->name);
}

static void run(struct bench *b, const struct bench_file *f, struct timing *best)
{
    struct str raw = {(const char *)f->gz, f->gz_len}, body;
    struct timing t = {0};
    double at[STAGES + 1], began;
    struct pprof p;
    struct err err = {0};
    size_t before;

    run_inflate(b, f);
    began = now_ns();
    run_inflate(b, f);
    t.inflate = now_ns() - began;
    before = mallocs;
    at[STAGE_INFLATE] = now_ns();
    arena_reset(&b->arena);
    if (pprof_inflate(raw, b->limits.profile_bytes_max, &b->inflated, &body, &err) != 0)
        die(err.msg, f->name);
    at[STAGE_DECODE] = now_ns();
    if (pprof_decode(b->decoder, body, 0, &p, &err) != 0)
        die(err.msg, f->name);
    p.encoded_bytes = body.len;
    at[STAGE_NORMALISE] = now_ns();
    store(b, f, &p, &at[STAGE_STORE]);
    at[STAGES] = now_ns();
    t.mallocs = mallocs - before;
    for (int s = 0; s < STAGES; s++)
        t.stages[s] = at[s + 1] - at[s];
    t.total = at[STAGES] - at[STAGE_INFLATE];
    better(best, &t);
    if (storage_step_commit(b->storage, true, &err) < 0)
        die(err.msg, "commit");
}

static void round_of_all(struct bench *b)
{
    struct fs *fs = fs_fault_new();
    struct storage_options o;
    struct storage_recovery recovery;
    struct err err = {0};

    storage_options_init(&o);
    o.fs = fs;
    /* Every log file defines what it uses; a busy server's hold thousands of profiles. */
    o.wal_file_bytes_min = o.wal_file_bytes_max;
    if (storage_open(&o, &b->storage, &recovery, &err) != 0)
        die(err.msg, "storage");
    for (size_t i = 0; i < b->count; i++) {
        (void)storage_step_spare(b->storage, &err);
        run(b, &b->files[i], &b->files[i].in_row);
    }
    for (size_t i = 0; i < b->count; i++) {
        (void)storage_step_spare(b->storage, &err);
        run(b, &b->files[i], &b->files[i].again);
    }
    (void)storage_close(b->storage, 0, &err);
    fs_free(fs);
}

static void load_file(struct bench *b, const char *dir, const char *name)
{
    struct bench_file *f = &b->files[b->count++];
    char path[4096];
    FILE *in;
    long size;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(f->name, sizeof(f->name), "%s", name);
    if (sscanf(name, "%63[^.].%63[^.]", f->program, f->kind) != 2)
        die("is not named program.kind.number.pb.gz", name);
    in = fopen(path, "rb");
    if (in == NULL || fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) < 18)
        die("cannot be read", path);
    rewind(in);
    f->gz_len = (size_t)size;
    f->gz = malloc(f->gz_len);
    if (f->gz == NULL || fread(f->gz, 1, f->gz_len, in) != f->gz_len)
        die("cannot be read", path);
    fclose(in);
    f->raw_len = get_le32(f->gz + f->gz_len - 4);
}

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct bench_file *)x)->name, ((const struct bench_file *)y)->name);
}

static bool same_row(const struct bench_file *a, const struct bench_file *b)
{
    return strcmp(a->program, b->program) == 0 && strcmp(a->kind, b->kind) == 0;
}

static void load_directory(struct bench *b, const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    if (dir == NULL) {
        fprintf(stderr, "bench_ingest: SKIPPED, no corpus at %s: %s\n", path, strerror(errno));
        exit(0);
    }
    while ((entry = readdir(dir)) != NULL && b->count < FILES_MAX) {
        size_t len = strlen(entry->d_name);

        if (len > 6 && strcmp(entry->d_name + len - 6, ".pb.gz") == 0)
            load_file(b, path, entry->d_name);
    }
    closedir(dir);
    if (b->count == 0)
        die("holds no *.pb.gz", path);
    qsort(b->files, b->count, sizeof(*b->files), by_name);
    for (size_t i = 1; i < b->count; i++)
        if (same_row(&b->files[i], &b->files[i - 1]))
            b->files[i].place = b->files[i - 1].place + 1;
}

/* Length of the row that file i belongs to. */
static uint32_t row_length(const struct bench *b, size_t i)
{
    while (i + 1 < b->count && same_row(&b->files[i], &b->files[i + 1]))
        i++;
    return b->files[i].place + 1;
}

static bool belongs(const struct bench *b, size_t i, enum pass pass)
{
    uint32_t place = b->files[i].place;

    return pass == PASS_AGAIN || (pass == PASS_FIRST && place == 0) ||
           (pass == PASS_LATER && place > 0 && place >= row_length(b, i) / 2);
}

/* One line; returns the ratio to inflating, 0 without files. */
static double print_pass(const struct bench *b, const char *program, const char *kind,
                         enum pass pass)
{
    static const char *const names[PASSES] = {"first", "later", "again"};
    struct timing sum = {0};
    size_t files = 0;

    for (size_t i = 0; i < b->count; i++) {
        const struct bench_file *f = &b->files[i];
        const struct timing *t = pass == PASS_AGAIN ? &f->again : &f->in_row;

        if (strcmp(f->kind, kind) != 0 || (program && strcmp(f->program, program) != 0) ||
            !belongs(b, i, pass))
            continue;
        files++;
        for (int s = 0; s < STAGES; s++)
            sum.stages[s] += t->stages[s];
        sum.total += t->total;
        sum.inflate += t->inflate;
        sum.mallocs += t->mallocs;
    }
    if (files == 0)
        return 0;
    printf("%-10s %-10s %-6s %5zu %9.1f %8.2f %9.1f %8.1f %8.1f %8.1f %8.1f %8.1f\n",
           program ? program : "all", kind, names[pass], files, sum.total / 1e3 / (double)files,
           sum.total / sum.inflate, sum.inflate / 1e3 / (double)files,
           sum.stages[STAGE_INFLATE] / 1e3 / (double)files,
           sum.stages[STAGE_DECODE] / 1e3 / (double)files,
           sum.stages[STAGE_NORMALISE] / 1e3 / (double)files,
           sum.stages[STAGE_STORE] / 1e3 / (double)files, (double)sum.mallocs / (double)files);
    return sum.total / sum.inflate;
}

static int report(const struct bench *b, bool verbose)
{
    double ratio[PASSES] = {0};

    printf("%-10s %-10s %-6s %5s %9s %8s %9s %8s %8s %8s %8s %8s\n", "program", "kind", "", "files",
           "us/file", "/inflate", "libdefl.", "inflate", "decode", "normal.", "store", "mallocs");
    for (size_t i = 0; i < b->count; i++) {
        bool seen = false;

        for (size_t k = 0; k < i; k++)
            seen = seen || strcmp(b->files[k].kind, b->files[i].kind) == 0;
        if (verbose && b->files[i].place == 0)
            for (int pass = 0; pass < PASSES; pass++)
                (void)print_pass(b, b->files[i].program, b->files[i].kind, (enum pass)pass);
        for (int pass = 0; !seen && pass < PASSES; pass++) {
            double r = print_pass(b, NULL, b->files[i].kind, (enum pass)pass);

            if (strcmp(b->files[i].kind, "cpu") == 0)
                ratio[pass] = r;
        }
    }
    printf("FIGURE\tbody to log buffer / inflating, cpu, most stacks new\t%.2f\t-\t-\n",
           ratio[PASS_LATER]);
    printf("FIGURE\tbody to log buffer / inflating, cpu\t%.2f\t%.1f\t%s\n", ratio[PASS_AGAIN],
           BAR_CPU, ratio[PASS_AGAIN] <= BAR_CPU ? "ok" : "MISSED");
    return ratio[PASS_AGAIN] <= BAR_CPU ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    const char *dir = argc > 1 + verbose ? argv[1 + verbose] : getenv("FLAMEKEEP_CORPUS");
    size_t raw_max = 0;

    b.files = calloc(FILES_MAX, sizeof(*b.files));
    b.decoder = pprof_decoder_new();
    b.inflater = libdeflate_alloc_decompressor();
    if (b.files == NULL || b.decoder == NULL || b.inflater == NULL)
        die("no memory", "start");
    limits_init(&b.limits, LIMITS_DEFAULT);
    arena_init(&b.arena, SIZE_MAX);
    load_directory(&b, dir != NULL ? dir : "../shared/workload/corpus");
    for (size_t i = 0; i < b.count; i++)
        raw_max = b.files[i].raw_len > raw_max ? b.files[i].raw_len : raw_max;
    buf_init(&b.inflated, SIZE_MAX);
    if (buf_reserve(&b.inflated, raw_max + 1) != 0)
        die("no memory", "start");
    for (int round = 0; round < ROUNDS; round++)
        round_of_all(&b);
    return report(&b, verbose);
}

/*
 * bench_pprof - our pprof decoder beside protobuf-c's unpack and libdeflate's inflate.
 *
 *     bench_pprof [-v] [DIRECTORY]     *.pb.gz files; default $FLAMEKEEP_CORPUS, then
 *                                      ../shared/workload/corpus
 *
 * Prints a line per kind of profile (the second component of the file name), with
 * -v one per file: decode speed, the ratio to protobuf-c of the worst file and of
 * the whole kind, decode time as a share of inflating, and the calls of malloc that
 * one decode needs when warm. Then the figures with their bars: 6 times for cpu
 * files, 4 times for any file, no malloc. Exit code 1 when one is missed. Without
 * a corpus it says so and measures nothing.
 */
#include "api/decode/pprof.h"
#include "api/proto/profile.pb-c.h"
#include "base/bytes.h"
#include "base/err.h"

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
    KINDS_MAX = 32,
    ROUNDS = 7,             /* the best one counts */
    ROUND_NS = 2 * 1000000, /* work per round and file, at least */
};

#define BAR_CPU 6.0
#define BAR_ANY 4.0

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

struct bench_file {
    char name[256];
    char kind[64];
    uint8_t *gz, *raw;
    size_t gz_len, raw_len;
    double decode_ns, unpack_ns, inflate_ns;
    size_t warm_mallocs, unpack_mallocs, decoded_bytes;
};

struct bench {
    struct bench_file *files;
    size_t count;
    struct pprof_decoder *decoder;
    struct libdeflate_decompressor *inflater;
    uint8_t *out;
    size_t out_len;
};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what, const char *name)
{
    fprintf(stderr, "bench_pprof: %s: %s\n", name, what);
    exit(2);
}

static void run_decode(struct bench *b, const struct bench_file *f)
{
    struct str body = {(const char *)f->raw, f->raw_len};
    struct pprof p;
    struct err err = {0};

    if (pprof_decode(b->decoder, body, 0, &p, &err) != 0)
        die(err.msg, f->name);
}

static void run_unpack(struct bench *b, const struct bench_file *f)
{
    Google__V1__Profile *p = google__v1__profile__unpack(NULL, f->raw_len, f->raw);

    (void)b;
    if (p == NULL)
        die("protobuf-c refuses it", f->name);
    google__v1__profile__free_unpacked(p, NULL);
}

static void run_inflate(struct bench *b, const struct bench_file *f)
{
    size_t got;

    if (libdeflate_gzip_decompress(b->inflater, f->gz, f->gz_len, b->out, b->out_len, &got) !=
        LIBDEFLATE_SUCCESS)
        die("does not inflate", f->name);
}

static double best_ns(struct bench *b, const struct bench_file *f,
                      void (*run)(struct bench *, const struct bench_file *))
{
    double best = 1e18;

    run(b, f);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns(), passed;
        size_t n = 0;

        do {
            run(b, f);
            n++;
            passed = now_ns() - start;
        } while (passed < ROUND_NS);
        if (passed / (double)n < best)
            best = passed / (double)n;
    }
    return best;
}

static void check_same_counts(struct bench *b, const struct bench_file *f)
{
    struct str body = {(const char *)f->raw, f->raw_len};
    Google__V1__Profile *want = google__v1__profile__unpack(NULL, f->raw_len, f->raw);
    struct pprof got;
    struct err err = {0};
    size_t ids = 0, values = 0, lines = 0;

    if (want == NULL || pprof_decode(b->decoder, body, 0, &got, &err) != 0)
        die("does not decode", f->name);
    for (size_t i = 0; i < want->n_sample; i++) {
        ids += want->sample[i]->n_location_id;
        values += want->sample[i]->n_value;
    }
    for (size_t i = 0; i < want->n_location; i++)
        lines += want->location[i]->n_line;
    if (want->n_sample != got.sample_count || ids != got.location_id_count ||
        values != got.value_count || lines != got.line_count ||
        want->n_location != got.location_count || want->n_function != got.function_count ||
        want->n_string_table != got.string_count || want->n_mapping != got.mapping_count ||
        want->n_comment != got.comment_count || want->time_nanos != got.time_ns)
        die("the two decoders disagree", f->name);
    google__v1__profile__free_unpacked(want, NULL);
}

static void measure(struct bench *b, struct bench_file *f)
{
    size_t before;

    check_same_counts(b, f);
    f->decode_ns = best_ns(b, f, run_decode);
    f->unpack_ns = best_ns(b, f, run_unpack);
    f->inflate_ns = best_ns(b, f, run_inflate);
    before = mallocs;
    run_decode(b, f);
    f->warm_mallocs = mallocs - before;
    before = mallocs;
    run_unpack(b, f);
    f->unpack_mallocs = mallocs - before;
    f->decoded_bytes = pprof_decoder_bytes(b->decoder);
}

static void load_file(struct bench *b, const char *dir, const char *name)
{
    struct bench_file *f = &b->files[b->count++];
    char path[4096];
    FILE *in;
    long size;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(f->name, sizeof(f->name), "%s", name);
    if (sscanf(name, "%*[^.].%63[^.]", f->kind) != 1)
        snprintf(f->kind, sizeof(f->kind), "other");
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
    f->raw = malloc(f->raw_len + 1);
    if (f->raw_len + 1 > b->out_len)
        b->out_len = f->raw_len + 1;
    if (f->raw == NULL || libdeflate_gzip_decompress(b->inflater, f->gz, f->gz_len, f->raw,
                                                     f->raw_len, NULL) != LIBDEFLATE_SUCCESS)
        die("does not inflate", path);
}

static int by_kind_and_name(const void *x, const void *y)
{
    const struct bench_file *a = x, *b = y;
    int order = strcmp(a->kind, b->kind);

    return order != 0 ? order : strcmp(a->name, b->name);
}

static void load_directory(struct bench *b, const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    if (dir == NULL) {
        fprintf(stderr, "bench_pprof: SKIPPED, no corpus at %s: %s\n", path, strerror(errno));
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
    qsort(b->files, b->count, sizeof(*b->files), by_kind_and_name);
}

static void print_line(const char *name, size_t files, const struct bench_file *sum, double worst)
{
    printf("%-28s %5zu %9.1f %8.2f %8.2f %8.2f %10.2f %9zu %12zu\n", name, files,
           sum->decode_ns / 1e3 / (double)files, (double)sum->raw_len / sum->decode_ns,
           sum->unpack_ns / sum->decode_ns, worst, sum->decode_ns / sum->inflate_ns,
           sum->warm_mallocs, sum->unpack_mallocs / files);
}

/* Prints files [first, last), all of one kind; returns the ratio of the worst. */
static double print_kind(const struct bench *b, size_t first, size_t last, bool verbose)
{
    struct bench_file sum = {0};
    double worst = 1e18;

    for (size_t i = first; i < last; i++) {
        const struct bench_file *f = &b->files[i];
        double ratio = f->unpack_ns / f->decode_ns;

        sum.decode_ns += f->decode_ns;
        sum.unpack_ns += f->unpack_ns;
        sum.inflate_ns += f->inflate_ns;
        sum.raw_len += f->raw_len;
        sum.warm_mallocs += f->warm_mallocs;
        sum.unpack_mallocs += f->unpack_mallocs;
        if (ratio < worst)
            worst = ratio;
        if (verbose)
            print_line(f->name, 1, f, ratio);
    }
    print_line(b->files[first].kind, last - first, &sum, worst);
    return worst;
}

/* A row of the table that bench/run.sh prints. */
static bool figure(const char *name, double value, double bar, bool is_met)
{
    printf("FIGURE\t%s\t%.2f\t%.0f\t%s\n", name, value, bar, is_met ? "ok" : "MISSED");
    return is_met;
}

static int report(const struct bench *b, bool verbose)
{
    double worst_cpu = 1e18, worst_any = 1e18;
    size_t warm_mallocs = 0;
    bool met;

    printf("%-28s %5s %9s %8s %8s %8s %10s %9s %12s\n", "kind", "files", "us/file", "GB/s",
           "x unpack", "worst", "/ inflate", "mallocs", "unpack's");
    for (size_t first = 0, last; first < b->count; first = last) {
        double worst;

        for (last = first;
             last < b->count && strcmp(b->files[last].kind, b->files[first].kind) == 0; last++)
            warm_mallocs += b->files[last].warm_mallocs;
        worst = print_kind(b, first, last, verbose);
        if (strcmp(b->files[first].kind, "cpu") == 0)
            worst_cpu = worst;
        if (worst < worst_any)
            worst_any = worst;
    }
    met = figure("pprof decode, times protobuf-c, worst cpu file", worst_cpu, BAR_CPU,
                 worst_cpu >= BAR_CPU);
    met &= figure("pprof decode, times protobuf-c, worst file", worst_any, BAR_ANY,
                  worst_any >= BAR_ANY);
    met &= figure("pprof decode, mallocs when warm", (double)warm_mallocs, 0, warm_mallocs == 0);
    return met ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    const char *dir = argc > 1 + verbose ? argv[1 + verbose] : getenv("FLAMEKEEP_CORPUS");

    b.files = calloc(FILES_MAX, sizeof(*b.files));
    b.decoder = pprof_decoder_new();
    b.inflater = libdeflate_alloc_decompressor();
    if (b.files == NULL || b.decoder == NULL || b.inflater == NULL)
        die("no memory", "start");
    load_directory(&b, dir != NULL ? dir : "../shared/workload/corpus");
    b.out = malloc(b.out_len);
    if (b.out == NULL)
        die("no memory", "start");
    for (size_t i = 0; i < b.count; i++)
        measure(&b, &b.files[i]);
    return report(&b, verbose);
}

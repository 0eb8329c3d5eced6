/*
 * bench_segment - what sealing costs, what it leaves on disk, what reading it back costs.
 *
 *     bench_segment [SPOOL | DIRECTORY [N]]
 *                          a spool of ../shared/workload/load.go, or a corpus; default
 *                          $FLAMEKEEP_SPOOL, $FLAMEKEEP_CORPUS, then ../shared/workload/corpus.
 *                          N: seal after every N profiles, not once at the end
 *
 * Bodies are pushed into a store on a disk in memory, sealed in one go, and every sample is
 * read back. A corpus body is pushed as it is by one pod of its program. Bytes are those of
 * the two files, dictionary and all, per pprof sample (stack with its values, as stored).
 * CPU time of the thread. Without input it says so and measures nothing.
 */
#include "api/decode/pprof.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "storage/blob_store.h"
#include "storage/model/limits.h"
#include "storage/model/normalise.h"
#include "storage/model/samples.h"
#include "storage/segment_index.h"
#include "storage/segment_reader.h"
#include "storage/storage.h"
#include "tests/support/fs_fault.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    SPOOL_HEAD = 17,
    SPOOL_SERVICES = 50,
};

#define BAR_VALUE 1.5
#define BAR_BYTES 3.0 /* a minute's worth: dictionaries are hardly shared */

struct bench {
    struct pprof_decoder *decoder;
    struct buf inflated, body;
    struct arena arena;
    struct limits limits;
    struct fs *fs;
    struct storage *storage;
    uint64_t profiles, seal_every;
    double seal_ns;
    bool is_spool;
};

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what, const char *name)
{
    fprintf(stderr, "bench_segment: %s: %s\n", name, what);
    exit(2);
}

static void pushed(void *ctx, int rc, const struct err *err)
{
    (void)ctx;
    if (rc != 0)
        die(err->msg, "commit");
}

static void seal(struct bench *b)
{
    struct err err = {0};
    double began = now_ns();
    int rc;

    do
        rc = storage_step_seal(b->storage, true, &err);
    while (rc > 0);
    if (rc < 0)
        die(err.msg, "seal");
    b->seal_ns += now_ns() - began;
}

static void push_body(struct bench *b, struct str gz, const char *metric, struct str service,
                      struct str pod)
{
    struct label labels[] = {{STR("__name__"), str_from(metric)},
                             {STR("namespace"), STR("default")},
                             {STR("pod"), pod},
                             {STR("service_name"), service}};
    struct normalise_result result = {0};
    struct normalise_input input = {
        .labels = {labels, sizeof(labels) / sizeof(labels[0])}, .limits = &b->limits, .seed = 1};
    struct push push = {.tenant = STR("anonymous")};
    struct err err = {0};
    struct pprof p;
    struct str body;

    arena_reset(&b->arena);
    if (pprof_inflate(gz, b->limits.profile_bytes_max, &b->inflated, &body, &err) != 0 ||
        pprof_decode(b->decoder, body, 0, &p, &err) != 0)
        die(err.msg, metric);
    p.encoded_bytes = body.len;
    input.pprof = &p;
    input.now_ns = p.time_ns;
    if (normalise(&input, &b->arena, &result) != 0)
        return; /* one body of the corpus is over a limit */
    (void)storage_step_spare(b->storage, &err);
    push.rows = result.rows;
    push.row_count = result.row_count;
    if (storage_push(b->storage, &push, pushed, NULL, &err) != 0 ||
        storage_step_commit(b->storage, true, &err) < 0)
        die(err.msg, "push");
    b->profiles++;
    if (b->seal_every && b->profiles % b->seal_every == 0)
        seal(b);
}

static void read_spool(struct bench *b, const char *path)
{
    static const char *const metrics[] = {"process_cpu", "wall",  "memory",
                                          "goroutines",  "mutex", "block"};
    uint8_t head[SPOOL_HEAD];
    FILE *in = fopen(path, "rb");

    if (!in)
        die("cannot be read", path);
    while (fread(head, 1, sizeof(head), in) == sizeof(head)) {
        uint32_t target = get_le32(head), size = get_le32(head + 13);
        char service[32], pod[32];

        buf_reset(&b->body);
        if (head[4] >= sizeof(metrics) / sizeof(metrics[0]) || buf_reserve(&b->body, size) != 0 ||
            fread(b->body.data, 1, size, in) != size)
            die("is no spool", path);
        (void)snprintf(service, sizeof(service), "team/app-%02u", target % SPOOL_SERVICES);
        (void)snprintf(pod, sizeof(pod), "app-%02u-%05x", target % SPOOL_SERVICES,
                       target * 40503U % 0xfffff);
        push_body(b, (struct str){(char *)b->body.data, size}, metrics[head[4]], str_from(service),
                  str_from(pod));
    }
    (void)fclose(in);
}

static void read_corpus(struct bench *b, const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);

    if (count < 0) {
        fprintf(stderr, "bench_segment: SKIPPED, no corpus at %s\n", path);
        exit(0);
    }
    for (int i = 0; i < count; i++) {
        char file[4096], program[64], kind[64];
        FILE *in;
        size_t got;

        if (strstr(names[i]->d_name, ".pb.gz") &&
            sscanf(names[i]->d_name, "%63[^.].%63[^.]", program, kind) == 2) {
            (void)snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
            buf_reset(&b->body);
            in = fopen(file, "rb");
            if (!in || buf_reserve(&b->body, 8 << 20) != 0)
                die("cannot be read", file);
            got = fread(b->body.data, 1, 8 << 20, in);
            (void)fclose(in);
            push_body(b, (struct str){(char *)b->body.data, got}, kind, str_from(program),
                      STR("pod-1"));
        }
        free(names[i]);
    }
    free(names);
}

struct sizes {
    struct bench *b;
    uint64_t agg[16], agg_raw[16], chunks, row_blocks;
    uint32_t kinds[16];
    uint64_t rows, samples, bytes, values;
};

static void add_section(struct sizes *z, const struct segment_section *s)
{
    int i = 0;

    while (i < 15 && z->kinds[i] != 0 && z->kinds[i] != s->kind)
        i++;
    z->kinds[i] = s->kind;
    z->agg[i] += s->stored;
    z->agg_raw[i] += s->raw;
}

static int measure_one(void *ctx, const char *name, uint64_t size, struct err *err)
{
    struct sizes *z = ctx;
    struct segment_section *sections;
    struct segment_reading agg;
    struct segment_name n;
    struct blob_store *blobs;
    struct segment *seg;
    struct arena arena;

    (void)size;
    if (!segment_path_parse(name, &n))
        return 0;
    arena_init(&arena, SIZE_MAX);
    if (blob_store_dir_open(z->b->fs, &blobs, err) != 0 ||
        segment_open(blobs, NULL, n.tenant, n.day, n.id, n.level, &seg, err) != 0 ||
        segment_reading_open(seg, SEGMENT_FILE_AGG, &agg, err) != 0 ||
        segment_sections(&agg, &arena, &sections, err) != 0)
        die(err->msg, name);
    for (uint32_t i = 0; i < seg->footer.table_count; i++)
        add_section(z, &sections[i]);
    for (uint32_t i = 0; i < segment_service_count(seg); i++) {
        struct segment_index ix;

        if (segment_index_load(seg, i, &arena, &ix, err) != 0)
            die(err->msg, name);
        for (uint32_t k = 0; k < ix.row_block_first[ix.index.entry_count]; k++)
            z->row_blocks += ix.row_blocks[k].stored;
        for (uint32_t k = 0; k < ix.chunk_first[ix.index.entry_count]; k++)
            z->chunks += ix.chunks[k].stored;
    }
    z->rows += segment_meta(seg)->rows;
    z->samples += segment_meta(seg)->samples;
    z->bytes += segment_meta(seg)->agg_bytes + segment_meta(seg)->smp_bytes;
    segment_reading_close(&agg);
    segment_unref(seg);
    blobs->ops->free(blobs);
    arena_release(&arena);
    return 0;
}

static int count_values(void *ctx, const struct dataset_row *row,
                        const struct sample_columns *columns, struct err *err)
{
    uint64_t *values = ctx;

    (void)row;
    (void)err;
    for (uint32_t t = 0; t < columns->type_count; t++)
        for (uint32_t i = 0; i < columns->count; i++)
            *values += columns->values[t][i] != 0;
    return 0;
}

/* Everything, all columns. Nanoseconds. */
static double read_back(struct bench *b, uint64_t *values, double *dictionaries)
{
    struct str tenant = STR("anonymous");
    struct storage_view *view;
    struct dataset **datasets;
    struct arena scratch;
    struct err err = {0};
    uint32_t count;
    double spent = 0;

    arena_init(&scratch, SIZE_MAX);
    if (storage_view_acquire(b->storage, &tenant, 1, STR(""),
                             (struct time_span){INT64_MIN, INT64_MAX}, &view, &err) != 0)
        die(err.msg, "view");
    datasets = storage_view_datasets(view, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct dataset_index *index;
        const struct symbols *symbols;
        uint32_t nodes, *entries;
        uint64_t *types;
        struct dataset_scan scan = {.time = {INT64_MIN, INT64_MAX}, .samples = true};
        double began = now_ns();

        arena_reset(&scratch);
        if (datasets[i]->ops->index(datasets[i], &index, &err) != 0 ||
            datasets[i]->ops->symbols(datasets[i], &symbols, &nodes, &err) != 0)
            die(err.msg, "index");
        *dictionaries += now_ns() - began;
        entries = arena_array(&scratch, uint32_t, index->entry_count);
        types = arena_array(&scratch, uint64_t, index->entry_count);
        for (uint32_t e = 0; e < index->entry_count; e++) {
            entries[e] = e;
            types[e] = UINT64_MAX;
        }
        scan.entries = entries;
        scan.types = types;
        scan.entry_count = index->entry_count;
        began = now_ns();
        if (datasets[i]->ops->scan(datasets[i], &scan, &scratch, count_values, values, &err) != 0)
            die(err.msg, "scan");
        spent += now_ns() - began;
    }
    storage_view_release(view);
    arena_release(&scratch);
    return spent;
}

static void open_storage(struct bench *b)
{
    struct storage_recovery recovery;
    struct storage_options o;
    struct err err = {0};

    b->fs = fs_fault_new();
    storage_options_init(&o);
    o.fs = b->fs;
    o.wal_file_bytes_min = o.wal_file_bytes_max;
    o.wal_bytes_max = (uint64_t)16 << 30;
    o.head_bytes_max = (uint64_t)16 << 30;
    o.cache_bytes_max = (uint64_t)4 << 30;
    if (storage_open(&o, &b->storage, &recovery, &err) != 0)
        die(err.msg, "storage");
}

static void report(struct bench *b, double seal_ns)
{
    struct sizes z = {.b = b};
    struct blob_store *blobs;
    struct err err = {0};
    double read_ns, dictionaries = 0, per;
    char name[4];

    if (blob_store_dir_open(b->fs, &blobs, &err) != 0 ||
        blobs->ops->list(blobs, "seg", measure_one, &z, &err) != 0)
        die(err.msg, "seg");
    blobs->ops->free(blobs);
    read_ns = read_back(b, &z.values, &dictionaries);
    printf("%llu profiles, %llu rows, %llu samples, %llu values\n", (unsigned long long)b->profiles,
           (unsigned long long)z.rows, (unsigned long long)z.samples, (unsigned long long)z.values);
    for (int i = 0; i < 16 && z.kinds[i] != 0; i++)
        printf("  %-10s %12llu bytes, %12llu raw\n", segment_kind_name(z.kinds[i], name),
               (unsigned long long)z.agg[i], (unsigned long long)z.agg_raw[i]);
    printf("  %-10s %12llu bytes, %.3f per sample, %.3f per value\n", "chunks",
           (unsigned long long)z.chunks, (double)z.chunks / (double)z.samples,
           (double)z.chunks / (double)z.values);
    printf("  %-10s %12llu bytes, %.1f per row\n", "row blocks", (unsigned long long)z.row_blocks,
           (double)z.row_blocks / (double)z.rows);
    printf("  %-10s %12llu bytes\n", "all", (unsigned long long)z.bytes);
    per = (double)z.bytes / (double)z.samples;
    printf("dictionaries decoded in %.1f ms\n", dictionaries / 1e6);
    /* A corpus has each body once: its symbols weigh more than they do in any service. */
    if (b->is_spool)
        printf("FIGURE\tsegment bytes per sample, symbols included\t%.2f\t%.1f\t%s\n", per,
               BAR_BYTES, per <= BAR_BYTES ? "ok" : "MISSED");
    else
        printf("FIGURE\tsegment bytes per sample, symbols included\t%.2f\t-\t-\n", per);
    per = (double)z.chunks / (double)z.values;
    printf("FIGURE\tsample bytes per value\t%.2f\t%.1f\t%s\n", per, BAR_VALUE,
           per <= BAR_VALUE ? "ok" : "MISSED");
    printf("FIGURE\tseal, ns per sample\t%.0f\t-\t-\n", seal_ns / (double)z.samples);
    printf("FIGURE\tscan samples, ns per value column entry\t%.1f\t-\t-\n",
           read_ns / (double)z.values);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : getenv("FLAMEKEEP_SPOOL");
    struct bench b = {0};
    struct err err = {0};
    struct stat st;

    if (argc > 2)
        b.seal_every = strtoull(argv[2], NULL, 10);
    if (!path)
        path = getenv("FLAMEKEEP_CORPUS");
    if (!path)
        path = "../shared/workload/corpus";
    b.decoder = pprof_decoder_new();
    limits_init(&b.limits, LIMITS_DEFAULT);
    arena_init(&b.arena, SIZE_MAX);
    buf_init(&b.inflated, SIZE_MAX);
    buf_init(&b.body, SIZE_MAX);
    open_storage(&b);
    b.is_spool = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    if (b.is_spool)
        read_spool(&b, path);
    else
        read_corpus(&b, path);
    seal(&b);
    report(&b, b.seal_ns);
    (void)storage_close(b.storage, 0, &err);
    fs_free(b.fs);
    buf_release(&b.inflated);
    buf_release(&b.body);
    arena_release(&b.arena);
    pprof_decoder_free(b.decoder);
    return 0;
}

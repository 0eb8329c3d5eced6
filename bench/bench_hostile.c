/*
 * bench_hostile - what inputs that were made to hurt cost.
 *
 *     bench_hostile
 *
 * Each case builds its input, then gives it to a decoder as the server does and takes the CPU
 * time of the thread, the best of some rounds. The unit tests claim what the decoders answer;
 * here the claim is that the cost follows the length and no more. The bars are those of
 * docs/performance.md. Exit code 1 when one is missed.
 */
#include "api/decode/app_name.h"
#include "api/decode/folded.h"
#include "api/decode/multipart.h"
#include "api/decode/pprof.h"
#include "api/decode/text_kind.h"
#include "api/json_bridge.h"
#include "api/proto/push.pb-c.h"
#include "api/proto_scan.h"
#include "api/push_request.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/gzip.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum {
    ROUNDS = 3, /* the best one counts */
    INPUT_MAX = 64 << 20,
    ARENA_MAX = 256 << 20,
    GROUPS = 1000000,
    ARRAYS = 1000000,
    MESSAGES = 200000,
    LABELS = 100000,
    FRAMES_DEEP = 30000,
    STACKS_WIDE = 60000,
    BOUNDARIES = 100000,
    BOMB_LIMIT = 64 << 20, /* what a profile may be when inflated */
    BODY_MAX = 1 << 20,
};

#define BOMB_BYTES (1UL << 30)
#define BAR_NESTED_MS 100
#define BAR_LONG_MS 500
#define BAR_BOMB_MS 1000
#define BAR_MEMORY_MIB 192

struct hostile {
    struct buf input, scratch;
    struct pprof_decoder *decoder;
    struct err err;
};

static bool met = true;

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void figure(const char *name, const char *unit, double value, double bar)
{
    bool is_met = value <= bar;

    met &= is_met;
    printf("FIGURE\t%s\t%.1f %s\t%.0f %s\t%s\n", name, value, unit, bar, unit,
           is_met ? "ok" : "MISSED");
}

/* ---- inputs ---- */

static void repeat(struct buf *b, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_append_cstr(b, text);
}

static void make_groups(struct hostile *h)
{
    repeat(&h->input, "\xa3\x01", GROUPS); /* field 20, a group begins */
}

/*
 * Field 2 in field 2 in ... : every length is right, the innermost is empty. Two levels in, the
 * rest is a field that holds bytes or that nobody knows, so it is accepted and not walked.
 */
static void make_messages(struct hostile *h)
{
    uint8_t *room = malloc(INPUT_MAX), *at = room + INPUT_MAX;

    check(room);
    for (int i = 0; i < MESSAGES; i++) {
        uint64_t len = (uint64_t)(room + INPUT_MAX - at);
        uint8_t head[12];
        size_t n = 0;

        head[n++] = 2 << 3 | 2;
        for (; len >= 0x80; len >>= 7)
            head[n++] = (uint8_t)(len | 0x80);
        head[n++] = (uint8_t)len;
        at -= n;
        memcpy(at, head, n);
    }
    buf_append(&h->input, at, (size_t)(room + INPUT_MAX - at));
    free(room);
}

static void make_arrays(struct hostile *h)
{
    buf_append_cstr(&h->input, "{\"unknown\":");
    repeat(&h->input, "[", ARRAYS);
    repeat(&h->input, "]", ARRAYS);
    buf_append_cstr(&h->input, "}");
}

static void make_objects(struct hostile *h)
{
    repeat(&h->input, "{\"a\":", ARRAYS);
}

static void make_deep_stack(struct hostile *h)
{
    repeat(&h->input, "a;", FRAMES_DEEP);
    buf_append_cstr(&h->input, "b 1\n");
}

static void make_wide_stacks(struct hostile *h)
{
    for (int i = 0; i < STACKS_WIDE; i++)
        buf_printf(&h->input, "root;f%d 1\n", i);
}

static void make_labels(struct hostile *h)
{
    buf_append_cstr(&h->input, "app{");
    for (int i = 0; i < LABELS; i++)
        buf_printf(&h->input, "l%d=v,", i);
    buf_append_cstr(&h->input, "}");
}

static void make_repeated_labels(struct hostile *h)
{
    buf_append_cstr(&h->input, "app{");
    repeat(&h->input, "a=,b=,", LABELS / 2);
    buf_append_cstr(&h->input, "}");
}

static void make_boundaries(struct hostile *h)
{
    buf_append_cstr(&h->input, "--x\r\n\r\n");
    repeat(&h->input, "\r\n--x  \t!", BOUNDARIES);
}

/* A gigabyte of zeros, which are mapped and never resident. */
static void make_bomb(struct hostile *h)
{
    void *zeros =
        mmap(NULL, BOMB_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct buf packed;

    check(zeros != MAP_FAILED);
    buf_init(&packed, 2 * BOMB_BYTES);
    check(gzip_deflate((struct str){zeros, BOMB_BYTES}, 9, &packed, &h->err) == 0);
    check(packed.len <= BODY_MAX + BODY_MAX / 8);
    buf_append(&h->input, packed.data, packed.len);
    buf_release(&packed);
    munmap(zeros, BOMB_BYTES);
}

static void make_lying_bomb(struct hostile *h)
{
    make_bomb(h);
    memset(h->input.data + h->input.len - 4, 0, 4); /* the trailer's size */
}

/* ---- what reads them; each returns what the decoder said ---- */

static int read_pprof(struct hostile *h)
{
    struct pprof p;

    return pprof_decode(h->decoder, buf_str(&h->input), 0, &p, &h->err);
}

static int read_question(struct hostile *h)
{
    size_t memory;

    return proto_scan(&push__v1__push_request__descriptor, buf_str(&h->input), ARENA_MAX, &memory,
                      &h->err);
}

static int read_push(struct hostile *h)
{
    struct push_request request;
    struct arena arena;
    int rc;

    arena_init(&arena, ARENA_MAX);
    rc = push_request_decode(buf_str(&h->input), &arena, &request, &h->err);
    arena_release(&arena);
    return rc;
}

static int read_json(struct hostile *h)
{
    struct ProtobufCMessage *message;
    struct arena arena;
    int rc;

    arena_init(&arena, ARENA_MAX);
    rc = json_bridge_read(&push__v1__push_request__descriptor, buf_str(&h->input), &arena, &message,
                          &h->err);
    arena_release(&arena);
    return rc;
}

static int read_folded(struct hostile *h)
{
    struct text_kind kind;
    struct folded folded;
    struct arena arena;
    int rc;

    check(text_kind_of(STR("app.cpu"), TEXT_KIND_SAMPLE_RATE, &kind, &h->err) == 0);
    arena_init(&arena, ARENA_MAX);
    rc = folded_decode(buf_str(&h->input), FOLDED_GROUPS, &kind, 0, &arena, &folded, &h->err);
    arena_release(&arena);
    return rc;
}

static int read_name(struct hostile *h)
{
    struct app_name name;
    struct arena arena;
    int rc;

    arena_init(&arena, ARENA_MAX);
    rc = app_name_parse(buf_str(&h->input), &arena, &name, &h->err);
    arena_release(&arena);
    return rc;
}

static int read_multipart(struct hostile *h)
{
    struct multipart form;
    struct arena arena;
    int rc;

    arena_init(&arena, ARENA_MAX);
    rc = multipart_parse(buf_str(&h->input), STR("x"), &arena, &form, &h->err);
    arena_release(&arena);
    return rc;
}

static int read_gzip(struct hostile *h)
{
    struct str out;

    return pprof_inflate(buf_str(&h->input), BOMB_LIMIT, &h->scratch, &out, &h->err);
}

/* ---- */

struct hostile_case {
    const char *name;
    void (*make)(struct hostile *h);
    int (*read)(struct hostile *h);
    int answer;
    double bar_ms;
};

static const struct hostile_case cases[] = {
    /* The bombs first: the memory of the process is still theirs alone. */
    {"hostile: 1 MB that inflates to 1 GB", make_bomb, read_gzip, ERR_TOO_LARGE, BAR_BOMB_MS},
    {"hostile: the same, the trailer lies", make_lying_bomb, read_gzip, ERR_TOO_LARGE, BAR_BOMB_MS},
    {"hostile: 1,000,000 groups, pprof", make_groups, read_pprof, ERR_INVALID, BAR_NESTED_MS},
    {"hostile: 1,000,000 groups, push", make_groups, read_push, ERR_INVALID, BAR_NESTED_MS},
    {"hostile: 1,000,000 groups, bridge", make_groups, read_question, ERR_INVALID, BAR_NESTED_MS},
    {"hostile: 200,000 nested messages, pprof", make_messages, read_pprof, 0, BAR_NESTED_MS},
    {"hostile: 200,000 nested messages, push", make_messages, read_push, 0, BAR_NESTED_MS},
    {"hostile: 1,000,000 arrays, JSON", make_arrays, read_json, ERR_INVALID, BAR_NESTED_MS},
    {"hostile: 1,000,000 objects, JSON", make_objects, read_json, ERR_INVALID, BAR_NESTED_MS},
    {"hostile: a stack 30,000 deep", make_deep_stack, read_folded, 0, BAR_LONG_MS},
    {"hostile: 60,000 stacks of one parent", make_wide_stacks, read_folded, 0, BAR_LONG_MS},
    {"hostile: a name with 100,000 labels", make_labels, read_name, 0, BAR_LONG_MS},
    {"hostile: two labels, 50,000 times", make_repeated_labels, read_name, 0, BAR_LONG_MS},
    {"hostile: 100,000 near boundaries", make_boundaries, read_multipart, ERR_INVALID,
     BAR_NESTED_MS},
};

static bool run(const struct hostile_case *c, struct hostile *h)
{
    double best = 1e18;
    int answer = 0;

    buf_reset(&h->input);
    c->make(h);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ms(), passed;

        h->err.msg[0] = '\0';
        answer = c->read(h);
        passed = now_ms() - start;
        if (passed < best)
            best = passed;
    }
    printf("%-40s %9zu bytes %8.1f ms  %s\n", c->name, h->input.len, best,
           answer ? h->err.msg : "read");
    if (answer != c->answer) {
        fprintf(stderr, "bench_hostile: %s: answered %d instead of %d\n", c->name, answer,
                c->answer);
        return false;
    }
    figure(c->name, "ms", best, c->bar_ms);
    return true;
}

int main(void)
{
    struct hostile h = {0};
    struct rusage usage;
    bool as_wanted = true;

    buf_init(&h.input, INPUT_MAX);
    buf_init(&h.scratch, 2 * BOMB_LIMIT);
    h.decoder = pprof_decoder_new();
    check(h.decoder);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        as_wanted &= run(&cases[i], &h);
    check(getrusage(RUSAGE_SELF, &usage) == 0);
    figure("hostile: peak resident memory of all", "MiB", (double)usage.ru_maxrss / 1024,
           BAR_MEMORY_MIB);
    buf_release(&h.input);
    buf_release(&h.scratch);
    pprof_decoder_free(h.decoder);
    return as_wanted && met ? 0 : 1;
}

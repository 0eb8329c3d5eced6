/* intake - see intake.h. */
#include "api/intake.h"

#include "api/api.h"
#include "api/decode/pprof.h"
#include "api/rate_limit.h"
#include "base/arena.h"
#include "base/budget.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "storage/model/go_text.h"
#include "storage/model/limits.h"
#include "storage/model/normalise.h"
#include "storage/model/series_labels.h"

#include <stdlib.h>

enum {
    BUSY_MIN = 2,             /* decoders at once, at least */
    KEEP_BYTES = 1024 * 1024, /* of each part of a scratch, between requests */
    LOG_TEXT_MAX = 256,       /* of a refusal's text in the log */
    ROWS_FIRST = 4,
    DECODED_PER_BODY = 16,       /* memory of a push, decoded, for a byte of its body */
    ENCODED_PER_DECODED_NUM = 3, /* a profile encodes to at most 3/2 of its decoded bytes, */
    ENCODED_PER_DECODED_DEN = 2, /* beside a time that was filled in */
    ENCODED_EXTRA = 64,
};

#define MEMORY_WAIT_NS (INT64_C(2000) * NS_PER_MS)
#define LOG_INTERVAL_NS (INT64_C(1000) * NS_PER_MS)

/* Bodies of further profiles of one request, which must all stay until it is stored. */
struct inflated {
    struct inflated *next;
    struct buf bytes;
};

struct intake_scratch {
    struct intake_scratch *next; /* in the pool */
    struct pprof_decoder *decoder;
    struct buf inflated; /* of the first profile */
    bool inflated_used;
    struct inflated *more;
    struct arena arena;
};

/*
 * Decoding is bound by the processor: as many at a time as there are CPUs, so that memory for
 * large profiles is needed that often only.
 */
static struct {
    pthread_once_t once;
    struct mutex mu; /* guards the list and busy */
    struct cond more;
    unsigned int busy, busy_max;
    struct intake_scratch *first;
    uint64_t seed;
} pool = {.once = PTHREAD_ONCE_INIT};

static void pool_init(void)
{
    mutex_init(&pool.mu, MUTEX_RANK_API, "intake");
    cond_init(&pool.more);
    pool.busy_max = cpu_count() > BUSY_MIN ? cpu_count() : BUSY_MIN;
    pool.seed = hash_seed_random();
}

static struct intake_scratch *scratch_new(void)
{
    struct intake_scratch *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->decoder = pprof_decoder_new();
    if (s->decoder == NULL) {
        free(s);
        return NULL;
    }
    buf_init(&s->inflated, SIZE_MAX);
    arena_init(&s->arena, SIZE_MAX);
    return s;
}

/* One decoder less is busy; its scratch, if there is one, is for the next. */
static void scratch_return(struct intake_scratch *s)
{
    mutex_lock(&pool.mu);
    pool.busy--;
    if (s != NULL) {
        s->next = pool.first;
        pool.first = s;
    }
    cond_signal(&pool.more);
    mutex_unlock(&pool.mu);
}

static struct intake_scratch *scratch_take(void)
{
    struct intake_scratch *s;

    (void)pthread_once(&pool.once, pool_init);
    mutex_lock(&pool.mu);
    while (pool.busy == pool.busy_max)
        cond_wait(&pool.more, &pool.mu);
    pool.busy++;
    s = pool.first;
    if (s != NULL)
        pool.first = s->next;
    mutex_unlock(&pool.mu);
    if (s == NULL && (s = scratch_new()) == NULL)
        scratch_return(NULL);
    return s;
}

static void scratch_give(struct intake_scratch *s)
{
    while (s->more != NULL) {
        struct inflated *next = s->more->next;

        buf_release(&s->more->bytes);
        free(s->more);
        s->more = next;
    }
    s->inflated_used = false;
    buf_reset(&s->inflated);
    if (s->inflated.cap > KEEP_BYTES)
        buf_release(&s->inflated);
    pprof_decoder_trim(s->decoder, KEEP_BYTES);
    if (arena_used(&s->arena) > KEEP_BYTES)
        arena_release(&s->arena);
    else
        arena_reset(&s->arena);
    scratch_return(s);
}

int intake_begin(struct intake *in, const struct api *api, struct str tenant, size_t body_bytes,
                 size_t memory_max, struct err *err)
{
    uint64_t wanted = body_bytes < memory_max / DECODED_PER_BODY
                          ? (uint64_t)body_bytes * DECODED_PER_BODY
                          : memory_max;
    int rc = budget_take_wait(BUDGET_INTAKE, wanted, MEMORY_WAIT_NS, err);

    *in = (struct intake){.api = api, .tenant = tenant, .now_ns = clock_now_ns(api->clock)};
    if (rc != 0)
        return rc;
    in->reserved = wanted;
    in->scratch = scratch_take();
    if (in->scratch == NULL) {
        intake_end(in);
        return err_set(err, ERR_NOMEM, "no memory to decode profiles");
    }
    in->arena = &in->scratch->arena;
    in->arena->limit = memory_max;
    return 0;
}

void intake_end(struct intake *in)
{
    if (in->scratch != NULL)
        scratch_give(in->scratch);
    budget_give(BUDGET_INTAKE, in->reserved);
    in->reserved = 0;
    in->scratch = NULL;
    in->rows = NULL;
    in->row_count = 0;
}

/* A buffer that keeps one inflated body until intake_end(). */
static struct buf *inflated_buffer(struct intake *in)
{
    struct intake_scratch *s = in->scratch;
    struct inflated *more;

    if (!s->inflated_used) {
        s->inflated_used = true;
        s->inflated.max = SIZE_MAX;
        return &s->inflated;
    }
    more = calloc(1, sizeof(*more));
    if (more == NULL)
        return NULL;
    buf_init(&more->bytes, SIZE_MAX);
    more->next = s->more;
    s->more = more;
    return &more->bytes;
}

static int refuse_err(const struct intake *in, const struct err *err, struct discard *d)
{
    enum discard_reason reason = err->code == ERR_INVALID     ? DISCARD_MALFORMED
                                 : err->code == ERR_TOO_LARGE ? DISCARD_MEMORY_LIMIT
                                                              : DISCARD_UNKNOWN;

    return discard_set(d, err->code, reason, in->arena, "%s", err->msg);
}

int intake_open(struct intake *in, struct str raw, struct pprof *out, struct discard *discard)
{
    uint64_t size_max = in->api->limits->profile_bytes_max;
    struct buf *bytes = inflated_buffer(in);
    struct str body;
    struct err err;
    int rc;

    *discard = (struct discard){0};
    if (bytes == NULL)
        return discard_set(discard, ERR_NOMEM, DISCARD_MEMORY_LIMIT, in->arena,
                           "no memory for a profile");
    rc = pprof_inflate(raw, size_max, bytes, &body, &err);
    if (rc == ERR_TOO_LARGE) {
        discard->actual = raw.len > size_max ? raw.len : size_max + 1;
        discard->limit = size_max;
        return discard_set(discard, rc, DISCARD_PROFILE_SIZE_LIMIT, in->arena, "%s", err.msg);
    }
    if (rc != 0)
        return refuse_err(in, &err, discard);
    in->inflated_bytes += body.len;
    rc = pprof_decode(in->scratch->decoder, body, arena_limit(in->arena), out, &err);
    if (rc != 0)
        return refuse_err(in, &err, discard);
    out->encoded_bytes = body.len;
    return 0;
}

/*
 * The size that limits compare is that of the profile written again. Measuring it is a
 * pass of its own, made only where the answer is not clear from the decoded size.
 */
static void measure(const struct intake *in, struct pprof *p)
{
    const struct limits *limits = in->api->limits;
    uint64_t most =
        p->encoded_bytes / ENCODED_PER_DECODED_DEN * ENCODED_PER_DECODED_NUM + ENCODED_EXTRA;

    if (limits->push_rate_bytes > 0 || p->encoded_bytes == 0 ||
        (limits->profile_bytes_max > 0 && most > limits->profile_bytes_max))
        p->encoded_bytes = pprof_encoded_bytes(p);
}

static int charge(const struct intake *in, const struct labels *labels, const struct pprof *p,
                  struct discard *d)
{
    const struct limits *limits = in->api->limits;
    uint64_t bytes = p->encoded_bytes;
    struct buf text;
    int rc;

    if (limits->push_rate_bytes == 0)
        return 0;
    for (uint32_t i = 0; i < labels->count; i++)
        bytes += labels->pairs[i].name.len + labels->pairs[i].value.len;
    if (labels_get(labels, STR(LABEL_SERVICE_NAME)).len == 0)
        bytes += sizeof(LABEL_SERVICE_NAME LABEL_SERVICE_UNKNOWN) - 1;
    if (rate_limit_take(limits, in->tenant, bytes, clock_mono_ns(in->api->clock)))
        return 0;
    d->actual = bytes;
    d->limit = limits->push_rate_bytes;
    buf_init(&text, DISCARD_TEXT_MAX);
    (void)buf_append_cstr(&text, "push rate limit (");
    go_bytes_iec_append(&text, limits->push_rate_bytes);
    (void)buf_append_cstr(&text, ") exceeded while adding ");
    go_bytes_iec_append(&text, bytes);
    rc = discard_set_buf(d, ERR_RATE_LIMITED, DISCARD_RATE_LIMITED, in->arena, &text);
    buf_release(&text);
    return rc;
}

static int keep_rows(struct intake *in, const struct normalise_result *result)
{
    uint32_t needed = in->row_count + result->row_count;

    if (needed > in->row_capacity) {
        uint32_t capacity = in->row_capacity == 0 ? ROWS_FIRST : 2 * in->row_capacity;
        struct push_row *rows;

        if (capacity < needed)
            capacity = needed;
        rows = arena_array(in->arena, struct push_row, capacity);
        if (rows == NULL)
            return ERR_TOO_LARGE;
        if (in->row_count > 0)
            memcpy(rows, in->rows, in->row_count * sizeof(rows[0]));
        in->rows = rows;
        in->row_capacity = capacity;
    }
    if (result->row_count > 0)
        memcpy(in->rows + in->row_count, result->rows, result->row_count * sizeof(in->rows[0]));
    in->row_count = needed;
    return 0;
}

int intake_add(struct intake *in, const struct labels *labels, struct str id, struct pprof *p,
               struct discard *discard)
{
    struct normalise_input input = {
        .labels = *labels,
        .id = id,
        .pprof = p,
        .now_ns = in->now_ns,
        .limits = in->api->limits,
        .seed = pool.seed,
    };
    struct normalise_result result = {0};
    int rc;

    *discard = (struct discard){0};
    measure(in, p);
    rc = charge(in, labels, p, discard);
    if (rc == 0) {
        rc = normalise(&input, in->arena, &result);
        *discard = result.discard;
    }
    if (rc == 0 && keep_rows(in, &result) != 0)
        rc = discard_set(discard, ERR_TOO_LARGE, DISCARD_MEMORY_LIMIT, in->arena,
                         "profile needs more than %zu bytes of memory", arena_limit(in->arena));
    if (rc != 0) {
        intake_refuse(in, labels_get(labels, STR(LABEL_SERVICE_NAME)), discard);
        return rc;
    }
    metric_add(METRIC_profiles, 1);
    metric_add(METRIC_profile_bytes, p->encoded_bytes);
    if (result.time_set)
        metric_add(METRIC_profiles_time_set, 1);
    return 0;
}

void intake_refuse(const struct intake *in, struct str service, const struct discard *discard)
{
    static struct log_limit limit;
    struct str reason = str_from(discard_label(discard->reason));
    uint64_t held_back;

    metric_family_add(METRIC_discarded_profiles, reason, 1);
    if (!log_limit_pass(&limit, clock_mono_ns(in->api->clock), LOG_INTERVAL_NS, &held_back))
        return;
    log_warn("profile refused", LOG_STR("tenant", in->tenant),
             LOG_STR("service", service.len > 0 ? service : STR(LABEL_SERVICE_UNKNOWN)),
             LOG_STR("reason", reason), LOG_U64("value", discard->actual),
             LOG_U64("limit", discard->limit),
             LOG_STR("err", str_slice(discard->text, 0, LOG_TEXT_MAX)),
             LOG_U64("held_back", held_back));
}

int intake_store(struct intake *in, storage_push_done done, void *ctx, bool *pending,
                 struct err *err)
{
    const struct push push = {in->tenant, in->rows, in->row_count};
    int rc;

    *pending = false;
    if (in->row_count == 0)
        return 0;
    rc = storage_push(in->api->storage, &push, done, ctx, err);
    *pending = rc == 0;
    return rc;
}

int intake_store_status(int rc)
{
    switch (rc) {
    case ERR_NO_SPACE:
        return 507;
    case ERR_BUSY:
    case ERR_NOMEM:
        return 503;
    case ERR_TIMEOUT:
        return 504;
    case ERR_CANCELED:
        return 499;
    case ERR_TOO_LARGE:
        return 413;
    default:
        return 500;
    }
}

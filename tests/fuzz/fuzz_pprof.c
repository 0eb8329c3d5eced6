/*
 * fuzz_pprof - any bytes through inflate, decode, size and repair.
 *
 * Beside not crashing: everything a decoded profile refers to lies in its arrays
 * and in the body, tables stay within the promised multiple of the body, a warm
 * decoder says what a cold one says, and the canonical size keeps its bound.
 */
#include "api/decode/pprof.h"
#include "api/decode/pprof_fixups.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INFLATED_MAX = 1 << 20,
    REPAIR_MAX = 4 << 20,
};

static void check_strings(const struct pprof *p, struct str body)
{
    for (uint32_t i = 0; i < p->string_count; i++)
        check(p->strings[i].p >= body.p && p->strings[i].len <= body.len &&
              p->strings[i].p + p->strings[i].len <= body.p + body.len);
}

static void check_ranges(const struct pprof *p)
{
    uint32_t locations = 0, values = 0, labels = 0, lines = 0;

    for (uint32_t i = 0; i < p->sample_count; i++) {
        const struct pprof_sample *s = &p->samples[i];

        check(s->location_first == locations && s->value_first == values);
        check(s->label_first == labels);
        locations += s->location_count;
        values += s->value_count;
        labels += s->label_count;
    }
    for (uint32_t i = 0; i < p->location_count; i++) {
        check(p->locations[i].line_first == lines);
        lines += p->locations[i].line_count;
    }
    check(locations == p->location_id_count && values == p->value_count);
    check(labels == p->label_count && lines == p->line_count);
}

static void repair(struct pprof *p, const char *spy)
{
    struct pprof_fixups fixups = {.spy_name = str_from(spy), .from_ns = 1};
    struct arena arena;

    arena_init(&arena, REPAIR_MAX);
    if (pprof_fixups_apply(p, &fixups, &arena, NULL) == 0) {
        (void)pprof_metric_name(p, NULL);
        (void)pprof_encoded_bytes(p);
    }
    arena_release(&arena);
}

static void try_decode(struct pprof_decoder *warm, struct str body)
{
    static const char *const spies[] = {"gospy", "pyspy", "rbspy", "dotnetspy"};
    struct pprof_decoder *cold = pprof_decoder_new();
    struct pprof p, again;
    struct err err;
    int rc = pprof_decode(warm, body, 0, &p, &err);

    check(cold != NULL);
    check((pprof_decode(cold, body, 0, &again, &err) == 0) == (rc == 0));
    check(pprof_decoder_bytes(cold) <=
          2 * (body.len * PPROF_DECODED_PER_BYTE + PPROF_DECODED_FREE) + 16384);
    if (rc == 0) {
        check(p.sample_count == again.sample_count && p.value_count == again.value_count);
        check_strings(&p, body);
        check_ranges(&p);
        check(pprof_encoded_bytes(&p) <= body.len + body.len / 2);
        repair(&p, spies[body.len % 4]);
    }
    pprof_decoder_free(cold);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pprof_decoder *warm;
    struct str raw = {(const char *)data, size}, body;
    struct buf scratch;

    if (warm == NULL)
        warm = pprof_decoder_new();
    check(warm != NULL);
    try_decode(warm, raw);
    buf_init(&scratch, INFLATED_MAX);
    if (pprof_inflate(raw, INFLATED_MAX, &scratch, &body, NULL) == 0 && body.p != raw.p)
        try_decode(warm, body);
    buf_release(&scratch);
    return 0;
}

/*
 * A decoded pprof of any content through the whole pipeline: what comes out keeps every
 * promise of storage/model/profile.h.
 */
#include "api/decode/pprof.h"
#include "storage/model/normalise.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "storage/model/limits.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tables(const struct profile *p)
{
    check(p->string_count > 0 && p->strings[0].len == 0 && p->time_ns > 0);
    for (uint32_t i = 0; i < p->function_count; i++)
        check(p->functions[i].name < p->string_count &&
              p->functions[i].system_name < p->string_count &&
              p->functions[i].filename < p->string_count);
    for (uint32_t i = 0; i < p->mapping_count; i++)
        check(p->mappings[i].filename < p->string_count &&
              p->mappings[i].build_id < p->string_count);
    for (uint32_t i = 0; i < p->location_count; i++) {
        if (p->locations[i].is_unused)
            continue;
        check(p->locations[i].mapping < p->mapping_count);
        for (uint32_t j = 0; j < p->locations[i].line_count; j++)
            check(p->lines[p->locations[i].line_first + j].function < p->function_count);
    }
}

static void check_row(const struct push_row *row)
{
    const struct profile *p = row->profile;

    check(row->sample_count > 0);
    for (uint32_t i = 1; i < row->labels.count; i++)
        check(str_cmp(row->labels.pairs[i - 1].name, row->labels.pairs[i].name) < 0);
    for (uint32_t i = 0; i < row->sample_count; i++) {
        const struct profile_sample *s = &p->samples[row->sample_first + i];
        int64_t any = 0;

        for (uint32_t j = 0; j < s->stack_count; j++)
            check(p->stacks[s->stack_first + j] < p->location_count &&
                  !p->locations[p->stacks[s->stack_first + j]].is_unused);
        for (uint32_t t = 0; t < p->typeset.count; t++) {
            check(p->values[s->value_first + t] >= 0);
            any |= p->values[s->value_first + t];
        }
        check(any != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pprof_decoder *decoder;
    struct label pairs[] = {{STR("__name__"), STR("process_cpu")},
                            {STR("service_name"), STR("s")},
                            {STR("pyroscope_spy"), STR("gospy")}};
    struct normalise_result out;
    struct normalise_input in;
    struct limits limits;
    struct arena arena;
    struct pprof p;
    struct err err;

    if (decoder == NULL)
        decoder = pprof_decoder_new();
    if (size == 0 ||
        pprof_decode(decoder, (struct str){(const char *)data + 1, size - 1}, 0, &p, &err) != 0)
        return 0;
    limits_init(&limits, LIMITS_DEFAULT);
    p.encoded_bytes = size;
    in = (struct normalise_input){
        .labels = {pairs, data[0] & 1 ? 3 : 2},
        .pprof = &p,
        .now_ns = INT64_C(1700000000000000000),
        .limits = &limits,
        .seed = data[0],
    };
    arena_init(&arena, 64 << 20);
    if (normalise(&in, &arena, &out) == 0) {
        if (out.row_count > 0)
            check_tables(out.rows[0].profile);
        for (uint32_t r = 0; r < out.row_count; r++)
            check_row(&out.rows[r]);
    } else {
        check(out.discard.text.len > 0);
    }
    arena_release(&arena);
    return 0;
}

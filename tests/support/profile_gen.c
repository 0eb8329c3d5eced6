#include "tests/support/profile_gen.h"

#include "base/check.h"

#include <stdio.h>

enum {
    KINDS = 4,
    MAPPINGS = 3,
};

void profile_gen_init(struct profile_gen *g, uint64_t seed, struct str service, int64_t first_ns,
                      int64_t span_ns)
{
    *g = (struct profile_gen){.rng = rng_of(seed),
                              .service = service,
                              .first_ns = first_ns,
                              .span_ns = span_ns,
                              .streams = 5,
                              .functions = 40,
                              .locations = 60,
                              .depth_max = 12,
                              .samples_max = 40,
                              .links = true};
    arena_init(&g->memory, SIZE_MAX);
}

void profile_gen_release(struct profile_gen *g)
{
    arena_release(&g->memory);
}

static void *take(struct profile_gen *g, size_t count, size_t size)
{
    void *p = arena_calloc(&g->memory, count ? count : 1, size);

    check(p);
    return p;
}

static struct str text(struct profile_gen *g, const char *prefix, uint32_t n, const char *suffix)
{
    char out[64];
    int len = snprintf(out, sizeof(out), "%s%u%s", prefix, n, suffix);

    return (struct str){arena_strndup(&g->memory, out, (size_t)len), (size_t)len};
}

/* Strings: 0 empty, then names, files, mapping files. The world is the same in every row. */
static void make_symbols(struct profile_gen *g, struct profile *p)
{
    p->string_count = 1 + g->functions + 8 + MAPPINGS;
    p->strings = take(g, p->string_count, sizeof(*p->strings));
    p->strings[0] = STR("");
    for (uint32_t i = 0; i < g->functions; i++)
        p->strings[1 + i] = text(g, "func_", i * 2654435761U % 100000, "");
    for (uint32_t i = 0; i < 8; i++)
        p->strings[1 + g->functions + i] = text(g, "dir/file", i, ".go");
    p->mapping_count = MAPPINGS;
    p->mappings = take(g, MAPPINGS, sizeof(*p->mappings));
    for (uint32_t i = 0; i < MAPPINGS; i++) {
        p->strings[1 + g->functions + 8 + i] = text(g, "/bin/prog", i, "");
        p->mappings[i] = (struct profile_mapping){.memory_start = UINT64_C(0x400000) * (i + 1),
                                                  .memory_limit = UINT64_MAX - i,
                                                  .filename = 1 + g->functions + 8 + i,
                                                  .has_functions = i & 1};
    }
    p->function_count = g->functions;
    p->functions = take(g, g->functions, sizeof(*p->functions));
    for (uint32_t i = 0; i < g->functions; i++)
        p->functions[i] = (struct profile_function){
            1 + i, i % 5 ? 1 + i : 0, 1 + g->functions + i % 8, i % 7 ? (int64_t)i * 10 : -1};
}

static void make_locations(struct profile_gen *g, struct profile *p)
{
    p->location_count = g->locations;
    p->locations = take(g, g->locations, sizeof(*p->locations));
    p->lines = take(g, (size_t)g->locations * 3, sizeof(*p->lines));
    for (uint32_t i = 0; i < g->locations; i++) {
        struct profile_location *l = &p->locations[i];

        *l = (struct profile_location){i % 6 ? i % MAPPINGS : PROFILE_NONE,
                                       i % 4 ? 0x1000 + (uint64_t)i * 16 : 0,
                                       p->line_count,
                                       i % 9 == 8 ? 0 : 1 + i % 3,
                                       i % 11 == 0,
                                       false};
        for (uint32_t k = 0; k < l->line_count; k++)
            p->lines[p->line_count++] =
                (struct profile_line){(i + k * 7) % g->functions, (int64_t)(i + k) * 3 - 5};
    }
}

static void make_types(struct profile_gen *g, struct profile *p, uint32_t kind)
{
    static const char *const types[KINDS][4][2] = {
        {{"cpu", "nanoseconds"}},
        {{"alloc_objects", "count"},
         {"alloc_space", "bytes"},
         {"inuse_objects", "count"},
         {"inuse_space", "bytes"}},
        {{"contentions", "count"}, {"delay", "nanoseconds"}},
        {{"samples", "count"}, {"cpu", "nanoseconds"}},
    };
    static const uint32_t counts[KINDS] = {1, 4, 2, 2};

    p->typeset.period_type = kind == 2 ? STR("") : STR("cpu");
    p->typeset.period_unit = kind == 2 ? STR("") : STR("nanoseconds");
    p->typeset.count = counts[kind];
    p->typeset.types = take(g, counts[kind], sizeof(*p->typeset.types));
    for (uint32_t t = 0; t < counts[kind]; t++)
        p->typeset.types[t] =
            (struct profile_value_type){str_from(types[kind][t][0]), str_from(types[kind][t][1])};
}

static int64_t draw_value(struct profile_gen *g, uint32_t kind)
{
    switch (rng_below(&g->rng, 16)) {
    case 0:
        return 0;
    case 1:
        return kind == 2 && rng_one_in(&g->rng, 8) ? INT64_MAX : 10000000;
    case 2:
        return (int64_t)rng_below(&g->rng, 1000000007) + 1;
    default:
        return 10000000 * (1 + (int64_t)rng_below(&g->rng, 3));
    }
}

static void make_samples(struct profile_gen *g, struct profile *p, uint32_t kind)
{
    uint32_t count = 1 + (uint32_t)rng_below(&g->rng, g->samples_max), k = p->typeset.count;
    bool links = g->links && rng_one_in(&g->rng, 3), quiet = k > 1 && rng_one_in(&g->rng, 4);

    p->samples = take(g, count, sizeof(*p->samples));
    p->sample_count = count;
    p->values = take(g, (size_t)count * k, sizeof(*p->values));
    p->stacks = take(g, (size_t)count * g->depth_max, sizeof(*p->stacks));
    for (uint32_t i = 0; i < count; i++) {
        struct profile_sample *s = &p->samples[i];
        struct rng shape = rng_of(rng_below(&g->rng, 200));
        int64_t any = 0;

        s->stack_first = p->stack_index_count;
        s->stack_count = (uint32_t)rng_below(&shape, g->depth_max);
        for (uint32_t d = 0; d < s->stack_count; d++)
            p->stacks[p->stack_index_count++] = (uint32_t)rng_below(&shape, g->locations);
        s->value_first = p->value_count;
        for (uint32_t t = 0; t < k; t++) {
            int64_t v = quiet && t > 0 ? 0 : draw_value(g, kind);

            p->values[p->value_count++] = v;
            any |= v;
        }
        if (any == 0)
            p->values[s->value_first] = 1;
        if (links && !rng_one_in(&g->rng, 4)) {
            s->link.span_id = 1 + rng_below(&g->rng, 5);
            s->link.trace_id[3] = (uint8_t)rng_below(&g->rng, 2);
        }
    }
}

void profile_gen_row(struct profile_gen *g, struct push_row *out)
{
    static const char *const names[KINDS] = {"wall", "memory", "mutex", "process_cpu"};
    struct profile *p = take(g, 1, sizeof(*p));
    struct label *pairs = take(g, 3, sizeof(*pairs));
    uint32_t kind = (uint32_t)rng_below(&g->rng, KINDS);

    make_types(g, p, kind);
    make_symbols(g, p);
    make_locations(g, p);
    make_samples(g, p, kind);
    p->time_ns = g->first_ns + (int64_t)rng_below(&g->rng, (uint64_t)g->span_ns);
    if (rng_one_in(&g->rng, 6))
        p->time_ns = g->first_ns; /* equal times happen */
    p->duration_ns = rng_one_in(&g->rng, 5) ? 0 : INT64_C(15000000000);
    p->period = kind == 2 ? 0 : 10000000;
    pairs[0] = (struct label){STR("__name__"), str_from(names[kind])};
    pairs[1] =
        (struct label){STR("pod"), text(g, "pod-", (uint32_t)rng_below(&g->rng, g->streams), "")};
    pairs[2] = (struct label){STR("service_name"), g->service};
    *out = (struct push_row){
        .labels = {pairs, 3}, .profile = p, .sample_first = 0, .sample_count = p->sample_count};
}

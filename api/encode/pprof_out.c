#include "api/encode/pprof_out.h"

#include "storage/model/merged_profile.h"
#include "storage/model/profile_type.h"
#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

/* What the reference makes of a period that it does not store. */
enum {
    PERIOD_PROCESS_CPU = 1000000000,
    PERIOD_MEMORY = 524288,
    PERIOD_OTHER = 1,
};

struct out {
    const struct symbols *symbols;
    struct arena *arena;
    Google__V1__Profile *profile;
    bool failed; /* out of memory: looked at once */
};

static void *take(struct out *o, size_t count, size_t size)
{
    void *p = o->failed ? NULL : arena_alloc_array(o->arena, count ? count : 1, size);

    o->failed = o->failed || !p;
    return p;
}

#define TAKE(o, type, count) ((type *)take(o, count, sizeof(type)))

static void put_strings(struct out *o)
{
    uint32_t count = symbols_counts(o->symbols).strings;
    char **table = TAKE(o, char *, count);

    for (uint32_t i = 0; !o->failed && i < count; i++) {
        struct str s = symbols_string(o->symbols, i);

        table[i] = arena_strndup(o->arena, s.p, s.len);
        o->failed = !table[i];
    }
    o->profile->string_table = table;
    o->profile->n_string_table = count;
}

static void put_functions(struct out *o)
{
    uint32_t count = symbols_counts(o->symbols).functions;
    Google__V1__Function *items = TAKE(o, Google__V1__Function, count);
    Google__V1__Function **list = TAKE(o, Google__V1__Function *, count);

    for (uint32_t i = 0; !o->failed && i < count; i++) {
        struct profile_function f = symbols_function(o->symbols, i);

        google__v1__function__init(&items[i]);
        items[i].id = i + 1;
        items[i].name = f.name;
        items[i].system_name = f.system_name;
        items[i].filename = f.filename;
        items[i].start_line = f.start_line;
        list[i] = &items[i];
    }
    o->profile->function = list;
    o->profile->n_function = count;
}

static void put_mappings(struct out *o)
{
    uint32_t count = symbols_counts(o->symbols).mappings;
    Google__V1__Mapping *items = TAKE(o, Google__V1__Mapping, count);
    Google__V1__Mapping **list = TAKE(o, Google__V1__Mapping *, count);

    for (uint32_t i = 0; !o->failed && i < count; i++) {
        struct profile_mapping m = symbols_mapping(o->symbols, i);

        google__v1__mapping__init(&items[i]);
        items[i].id = i + 1;
        items[i].memory_start = m.memory_start;
        items[i].memory_limit = m.memory_limit;
        items[i].file_offset = m.file_offset;
        items[i].filename = m.filename;
        items[i].build_id = m.build_id;
        items[i].has_functions = m.has_functions;
        items[i].has_filenames = m.has_filenames;
        items[i].has_line_numbers = m.has_line_numbers;
        items[i].has_inline_frames = m.has_inline_frames;
        list[i] = &items[i];
    }
    o->profile->mapping = list;
    o->profile->n_mapping = count;
}

static void put_lines(struct out *o, const struct symbol_location *loc, Google__V1__Location *to)
{
    Google__V1__Line *items = TAKE(o, Google__V1__Line, loc->line_count);
    Google__V1__Line **list = TAKE(o, Google__V1__Line *, loc->line_count);

    for (uint32_t i = 0; !o->failed && i < loc->line_count; i++) {
        google__v1__line__init(&items[i]);
        items[i].function_id = (uint64_t)loc->lines[i].function + 1;
        items[i].line = loc->lines[i].line;
        list[i] = &items[i];
    }
    to->line = list;
    to->n_line = loc->line_count;
}

static void put_locations(struct out *o)
{
    uint32_t count = symbols_counts(o->symbols).locations;
    Google__V1__Location *items = TAKE(o, Google__V1__Location, count);
    Google__V1__Location **list = TAKE(o, Google__V1__Location *, count);

    for (uint32_t i = 0; !o->failed && i < count; i++) {
        struct symbol_location loc = symbols_location(o->symbols, i);

        google__v1__location__init(&items[i]);
        items[i].id = i + 1;
        items[i].mapping_id = loc.mapping == PROFILE_NONE ? 0 : (uint64_t)loc.mapping + 1;
        items[i].address = loc.address;
        items[i].is_folded = loc.is_folded;
        put_lines(o, &loc, &items[i]);
        list[i] = &items[i];
    }
    o->profile->location = list;
    o->profile->n_location = count;
}

/* The stack of a node, leaf first. */
static void put_stack(struct out *o, uint32_t node, Google__V1__Sample *to)
{
    uint32_t depth = 0;

    for (uint32_t n = node; n != SYMBOLS_ROOT; n = symbols_node(o->symbols, n).parent)
        depth++;
    to->location_id = TAKE(o, uint64_t, depth);
    to->n_location_id = depth;
    if (o->failed)
        return;
    depth = 0;
    for (uint32_t n = node; n != SYMBOLS_ROOT; n = symbols_node(o->symbols, n).parent)
        to->location_id[depth++] = (uint64_t)symbols_node(o->symbols, n).location + 1;
}

static void put_samples(struct out *o, const struct merged_profile *p)
{
    Google__V1__Sample *items = TAKE(o, Google__V1__Sample, p->sample_count);
    Google__V1__Sample **list = TAKE(o, Google__V1__Sample *, p->sample_count);
    int64_t *values = TAKE(o, int64_t, p->sample_count);
    bool saturated = false;

    for (uint32_t i = 0; !o->failed && i < p->sample_count; i++) {
        google__v1__sample__init(&items[i]);
        values[i] = value_saturate(p->samples[i].value, &saturated);
        items[i].value = &values[i];
        items[i].n_value = 1;
        put_stack(o, p->samples[i].node, &items[i]);
        list[i] = &items[i];
    }
    o->profile->sample = list;
    o->profile->n_sample = p->sample_count;
}

static Google__V1__ValueType *value_type(struct out *o, uint32_t type, uint32_t unit)
{
    Google__V1__ValueType *v = TAKE(o, Google__V1__ValueType, 1);

    if (v) {
        google__v1__value_type__init(v);
        v->type = type;
        v->unit = unit;
    }
    return v;
}

static int put_header(struct out *o, struct symbols *symbols, const struct profile_type *type,
                      int64_t time_ns, struct err *err)
{
    const struct str text[4] = {type->sample_type, type->sample_unit, type->period_type,
                                type->period_unit};
    uint32_t id[4];

    for (int i = 0; i < 4; i++) {
        int rc = symbols_intern_string(symbols, text[i], &id[i], err);

        if (rc != 0)
            return rc;
    }
    o->profile->sample_type = TAKE(o, Google__V1__ValueType *, 1);
    if (o->profile->sample_type) {
        o->profile->sample_type[0] = value_type(o, id[0], id[1]);
        o->profile->n_sample_type = 1;
    }
    o->profile->period_type = value_type(o, id[2], id[3]);
    o->profile->default_sample_type = id[0];
    o->profile->time_nanos = time_ns;
    if (str_eq(type->name, STR("process_cpu")))
        o->profile->period = PERIOD_PROCESS_CPU;
    else if (str_eq(type->name, STR("memory")))
        o->profile->period = PERIOD_MEMORY;
    else
        o->profile->period = PERIOD_OTHER;
    return 0;
}

int pprof_out(struct merged_profile *p, const struct profile_type *type, int64_t time_ns,
              struct arena *arena, Google__V1__Profile *out, struct err *err)
{
    struct out o = {.symbols = p->symbols, .arena = arena, .profile = out};
    int rc;

    google__v1__profile__init(out);
    if (!p->any_row)
        return 0;
    if ((rc = put_header(&o, p->symbols, type, time_ns, err)) != 0)
        return rc;
    put_samples(&o, p);
    put_mappings(&o);
    put_locations(&o);
    put_functions(&o);
    put_strings(&o);
    if (o.failed)
        return err_set(err, ERR_TOO_LARGE,
                       "the profile needs more than %zu bytes of working memory; ask for a "
                       "shorter range or raise limits.query_memory_bytes_max",
                       arena_limit(arena));
    return 0;
}

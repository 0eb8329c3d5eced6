#include "api/decode/pprof_fixups.h"

#include "api/decode/sample_type_config.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "storage/model/profile.h"

#include <stdbool.h>
#include <string.h>

/* Times below it are in 1970: zero, or seconds to microseconds taken for nanoseconds. */
static const int64_t ns_of_1970 = (int64_t)365 * 24 * 60 * 60 * 1000000000;

static int no_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "pprof: its repair needs more than %zu bytes of memory",
                   arena_limit(arena));
}

/* Looks in the first `count` strings. */
static bool string_at(const struct pprof *p, uint32_t count, int64_t index, struct str *out)
{
    if (index < 0 || index >= (int64_t)count)
        return false;
    *out = p->strings[index];
    return true;
}

/*
 * Script profilers: `run` of b.py becomes `b.py run`. New functions follow the old
 * ones; equal (file, name) pairs share one. A string is hashed once however often
 * it is used, and a function renamed once, so time stays linear.
 */
struct renamer {
    struct pprof *p;
    struct arena *arena;
    uint64_t seed;
    bool keeps_absolute_paths;
    uint64_t *string_hashes; /* 0: not computed */
    uint32_t *by_id;         /* slots: index of a function plus one */
    uint32_t *by_name;       /* slots: index of a new function plus one */
    uint32_t slot_mask;
    uint64_t *new_ids;                   /* of the function at that index; 0: not renamed yet */
    uint32_t old_functions, old_strings; /* what came; the rest is new */
    uint64_t last_id;
};

static uint64_t string_hash(struct renamer *r, int64_t index)
{
    uint64_t *hash = &r->string_hashes[index];

    if (*hash == 0)
        *hash = hash64(r->seed, r->p->strings[index].p, r->p->strings[index].len) | 1;
    return *hash;
}

static uint32_t id_slot(const struct renamer *r, uint64_t id)
{
    uint32_t i = (uint32_t)hash64(r->seed, &id, sizeof(id)) & r->slot_mask;

    while (r->by_id[i] != 0 && r->p->functions[r->by_id[i] - 1].id != id)
        i = (i + 1) & r->slot_mask;
    return i;
}

static bool renamer_init(struct renamer *r)
{
    struct pprof *p = r->p;
    size_t slots = 16, functions = (size_t)p->function_count;
    struct pprof_function *all = arena_array(r->arena, struct pprof_function, functions * 2);
    struct str *strings =
        arena_array(r->arena, struct str, (size_t)p->string_count + p->function_count);

    while (slots < functions * 2)
        slots *= 2;
    r->seed = hash_seed_random();
    r->slot_mask = (uint32_t)slots - 1;
    r->string_hashes = arena_calloc(r->arena, p->string_count, sizeof(uint64_t));
    r->by_id = arena_calloc(r->arena, slots, sizeof(uint32_t));
    r->by_name = arena_calloc(r->arena, slots, sizeof(uint32_t));
    r->new_ids = arena_calloc(r->arena, functions, sizeof(uint64_t));
    if (all == NULL || strings == NULL || r->string_hashes == NULL || r->by_id == NULL ||
        r->by_name == NULL || r->new_ids == NULL)
        return false;
    memcpy(all, p->functions, functions * sizeof(*all));
    if (p->string_count > 0)
        memcpy(strings, p->strings, p->string_count * sizeof(*strings));
    p->functions = all;
    p->strings = strings;
    r->old_functions = p->function_count;
    r->old_strings = p->string_count;
    for (uint32_t i = 0; i < p->function_count; i++) {
        r->by_id[id_slot(r, p->functions[i].id)] = i + 1;
        if (p->functions[i].id > r->last_id)
            r->last_id = p->functions[i].id;
    }
    return true;
}

static bool join_names(struct renamer *r, struct str file, struct str name, struct str *out)
{
    char *text = arena_alloc(r->arena, file.len + 1 + name.len);

    if (text == NULL)
        return false;
    if (file.len > 0)
        memcpy(text, file.p, file.len);
    text[file.len] = ' ';
    if (name.len > 0)
        memcpy(text + file.len + 1, name.p, name.len);
    *out = (struct str){text, file.len + 1 + name.len};
    return true;
}

static bool same_text(const struct pprof *p, int64_t a, int64_t b)
{
    return a == b || str_eq(p->strings[a], p->strings[b]);
}

/* The slot of the new function for these two strings, free or taken. */
static uint32_t name_slot(struct renamer *r, const struct pprof_function *f)
{
    uint64_t key[2] = {string_hash(r, f->filename), string_hash(r, f->name)};
    uint32_t i = (uint32_t)hash64(r->seed, key, sizeof(key)) & r->slot_mask;

    for (; r->by_name[i] != 0; i = (i + 1) & r->slot_mask) {
        /* Which old function a new one was made of is told by new_ids. */
        const struct pprof_function *other = &r->p->functions[r->by_name[i] - 1];

        if (same_text(r->p, other->filename, f->filename) && same_text(r->p, other->name, f->name))
            break;
    }
    return i;
}

/* Finds or makes the new function for the one at `index`; *id is the old id if it stays. */
static bool rename_function(struct renamer *r, uint32_t index, uint64_t *id)
{
    struct pprof *p = r->p;
    struct pprof_function f = p->functions[index];
    struct str file, name;
    uint32_t slot;

    *id = f.id;
    if (!string_at(p, r->old_strings, f.filename, &file) ||
        !string_at(p, r->old_strings, f.name, &name))
        return true;
    if (r->keeps_absolute_paths && str_starts(file, STR("/")))
        return true;
    slot = name_slot(r, &f);
    if (r->by_name[slot] != 0) {
        *id = r->new_ids[r->by_name[slot] - 1];
        return true;
    }
    r->by_name[slot] = index + 1;
    if (!join_names(r, file, name, &p->strings[p->string_count]))
        return false;
    f.id = ++r->last_id;
    f.name = (int64_t)p->string_count++;
    p->functions[p->function_count++] = f;
    *id = f.id;
    return true;
}

static int rename_functions(struct pprof *p, bool keeps_absolute_paths, struct arena *arena,
                            struct err *err)
{
    struct renamer r = {.p = p, .arena = arena, .keeps_absolute_paths = keeps_absolute_paths};

    if (p->function_count == 0)
        return 0;
    if (!renamer_init(&r))
        return no_memory(arena, err);
    if (r.last_id > UINT64_MAX - r.old_functions)
        return 0; /* no ids are left to give: such a profile stays as it is */
    for (uint32_t i = 0; i < p->line_count; i++) {
        uint32_t function = r.by_id[id_slot(&r, p->lines[i].function_id)];

        if (function == 0)
            continue;
        if (r.new_ids[function - 1] == 0 &&
            !rename_function(&r, function - 1, &r.new_ids[function - 1]))
            return no_memory(arena, err);
        p->lines[i].function_id = r.new_ids[function - 1];
    }
    return 0;
}

/* The .NET client leaves all function ids zero and refers to functions by location. */
static void number_functions(struct pprof *p)
{
    if (p->function_count != p->location_count)
        return;
    for (uint32_t i = 0; i < p->function_count; i++)
        if (p->functions[i].id != 0)
            return;
    for (uint32_t i = 0; i < p->function_count; i++)
        p->functions[i].id = p->locations[i].id;
}

static int replace_dashes(struct pprof *p, struct arena *arena, struct err *err)
{
    for (uint32_t i = 0; i < p->sample_type_count; i++) {
        int64_t index = p->sample_types[i].type;
        struct str name;
        char *text;

        if (!string_at(p, p->string_count, index, &name) || str_find_byte(name, '-') == SIZE_MAX)
            continue;
        text = arena_alloc(arena, name.len);
        if (text == NULL)
            return no_memory(arena, err);
        for (size_t k = 0; k < name.len; k++)
            text[k] = name.p[k] == '-' ? '_' : name.p[k];
        p->strings[index] = (struct str){text, name.len};
    }
    return 0;
}

static bool is_one_of(struct str s, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(s, str_from(words[i])))
            return true;
    return false;
}

int pprof_fixups_apply(struct pprof *p, const struct pprof_fixups *fixups, struct arena *arena,
                       struct err *err)
{
    static const char *const scripting[] = {"pyspy", "rbspy", "scripting"};
    struct str spy = fixups->spy_name;

    if (p->time_ns >= 0 && p->time_ns < ns_of_1970)
        p->time_ns = fixups->from_ns;
    if (is_one_of(spy, scripting, sizeof(scripting) / sizeof(scripting[0]))) {
        int rc = rename_functions(p, str_eq(spy, STR("pyspy")), arena, err);

        if (rc != 0)
            return rc;
    }
    if (str_eq(spy, STR("dotnetspy")) ||
        (str_eq(spy, STR("unknown")) && fixups->config != NULL &&
         sample_type_config_find(fixups->config, STR("inuse-space")) != NULL)) {
        number_functions(p);
        return replace_dashes(p, arena, err);
    }
    return 0;
}

/* What a sample type is called on a screen, by default. */
static struct str builtin_display_name(struct str sample_type)
{
    static const char *const names[][2] = {
        {"samples", "cpu"},
        {"goroutine", "goroutines"},
        {"contentions", "mutex_count"},
        {"delay", "mutex_duration"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(sample_type, str_from(names[i][0])))
            return str_from(names[i][1]);
    return STR("");
}

static struct str display_name(struct str sample_type, const struct sample_type_config *config)
{
    const struct sample_type_config_entry *entry;
    struct str name;

    if (config != NULL && config->is_set) {
        entry = sample_type_config_find(config, sample_type);
        name = entry != NULL ? entry->display_name : STR("");
    } else {
        name = builtin_display_name(sample_type);
    }
    return name.len > 0 ? name : sample_type;
}

/* Tested in this order; the first part that occurs decides. */
static const char *metric_of(struct str name)
{
    static const char *const rules[][2] = {
        {"cpu", "process_cpu"}, {"alloc_", "memory"}, {"inuse_", "memory"},
        {"mutex_", "mutex"},    {"block_", "block"},  {"goroutines", "goroutines"},
    };

    if (str_eq(name, STR("space")) || str_eq(name, STR("objects")))
        return "memory";
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (str_find(name, str_from(rules[i][0])) != SIZE_MAX)
            return rules[i][1];
    return NULL;
}

static struct str sample_type_name(const struct pprof *p, uint32_t i)
{
    struct str name = STR("");

    (void)string_at(p, p->string_count, p->sample_types[i].type, &name);
    return name;
}

struct str pprof_metric_name(const struct pprof *p, const struct sample_type_config *config)
{
    struct str last = STR("");
    uint32_t count = p->sample_type_count;

    if (count > PROFILE_TYPES_MAX)
        count = PROFILE_TYPES_MAX; /* a profile of more is refused later, whatever its name */
    for (uint32_t i = 0; i < count; i++)
        if (str_eq(sample_type_name(p, i), STR("wall")))
            return STR("wall");
    for (uint32_t i = 0; i < count; i++) {
        const char *metric;

        last = display_name(sample_type_name(p, i), config);
        metric = metric_of(last);
        if (metric != NULL)
            return str_from(metric);
    }
    return last;
}

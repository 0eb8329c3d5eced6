#include "storage/model/symbols.h"

#include "storage/model/symbols_internal.h"

#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t item_sizes[TABLE_COUNT] = {
    [STRINGS] = sizeof(struct str),
    [FUNCTIONS] = sizeof(struct profile_function),
    [MAPPINGS] = sizeof(struct profile_mapping),
    [LOCATIONS] = sizeof(struct symbol_location),
    [NODES] = sizeof(struct symbol_node),
};

static int too_large(const struct symbols *s, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "the dictionary is larger than %zu bytes", s->bytes_max);
}

/* Takes `size` bytes off what is left. */
int symbols_charge(struct symbols *s, size_t size, struct err *err)
{
    if (size > s->bytes_max - symbols_bytes(s))
        return too_large(s, err);
    s->bytes += size;
    s->text.limit = s->bytes_max - s->bytes; /* texts share what is left */
    return 0;
}

struct symbols *symbols_new(size_t bytes_max)
{
    struct symbols *s = calloc(1, sizeof(*s));
    struct symbol_node *root;

    check(s);
    s->bytes_max = bytes_max;
    s->seed = hash_seed_random();
    for (int t = 0; t < TABLE_COUNT; t++)
        stable_array_init(&s->tables[t], item_sizes[t]);
    arena_init(&s->text, bytes_max);
    root = stable_array_add(&s->tables[NODES]);
    check(root && stable_array_add(&s->tables[STRINGS]));
    root->location = PROFILE_NONE;
    return s;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    for (int t = 0; t < TABLE_COUNT; t++)
        stable_array_release(&s->tables[t]);
    for (int t = 0; t <= LOCATIONS; t++)
        free(s->indexes[t].slots);
    free(s->nodes.slots);
    free(s->stacks.slots);
    free(s->contents.slots);
    arena_release(&s->text);
    free(s);
}

size_t symbols_bytes(const struct symbols *s)
{
    return s->bytes + arena_used(&s->text);
}

struct symbols_counts symbols_counts(const struct symbols *s)
{
    return (struct symbols_counts){
        .strings = s->tables[STRINGS].count,
        .functions = s->tables[FUNCTIONS].count,
        .mappings = s->tables[MAPPINGS].count,
        .locations = s->tables[LOCATIONS].count,
        .nodes = s->tables[NODES].count,
    };
}

struct str symbols_string(const struct symbols *s, uint32_t id)
{
    return *(const struct str *)stable_array_at(&s->tables[STRINGS], id);
}

struct profile_function symbols_function(const struct symbols *s, uint32_t id)
{
    return *(const struct profile_function *)stable_array_at(&s->tables[FUNCTIONS], id);
}

struct profile_mapping symbols_mapping(const struct symbols *s, uint32_t id)
{
    return *(const struct profile_mapping *)stable_array_at(&s->tables[MAPPINGS], id);
}

struct symbol_location symbols_location(const struct symbols *s, uint32_t id)
{
    return *(const struct symbol_location *)stable_array_at(&s->tables[LOCATIONS], id);
}

struct symbol_node symbols_node(const struct symbols *s, uint32_t id)
{
    return *(const struct symbol_node *)stable_array_at(&s->tables[NODES], id);
}

static void place(struct index *ix, uint32_t hash, uint32_t id)
{
    uint32_t at = hash & ix->mask;

    while (ix->slots[at].id != 0)
        at = (at + 1) & ix->mask;
    ix->slots[at] = (struct slot){hash, id + 1};
}

/* Room for one more entry. */
static int index_reserve(struct symbols *s, enum table t, struct err *err)
{
    struct index *ix = &s->indexes[t], old = *ix;
    uint32_t size = old.slots ? (old.mask + 1) * 2 : SLOTS_INITIAL;
    int rc;

    if (old.slots && old.used < (old.mask + 1) / 2)
        return 0;
    if ((rc = symbols_charge(s, (size - (old.slots ? old.mask + 1 : 0)) * sizeof(*ix->slots),
                             err)) != 0)
        return rc;
    ix->slots = calloc(size, sizeof(*ix->slots));
    if (!ix->slots) {
        *ix = old;
        return err_set(err, ERR_NOMEM, "no memory for an index of %u slots", size);
    }
    ix->mask = size - 1;
    for (uint32_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].id != 0)
            place(ix, old.slots[i].hash, old.slots[i].id - 1);
    free(old.slots);
    return 0;
}

/* One more item in a table, accounted. */
static int add_item(struct symbols *s, enum table t, void **item, struct err *err)
{
    size_t more = stable_array_next_bytes(&s->tables[t]);
    int rc = symbols_charge(s, more, err);

    if (rc != 0)
        return rc;
    *item = stable_array_add(&s->tables[t]);
    if (*item)
        return 0;
    s->bytes -= more;
    return err_set(err, ERR_NOMEM, "no memory for %u dictionary entries", s->tables[t].count);
}

int symbols_add_string(struct symbols *s, struct str text, struct err *err)
{
    char *copy = arena_strndup(&s->text, text.p, text.len);
    void *item;
    int rc;

    if (!copy)
        return too_large(s, err);
    if ((rc = add_item(s, STRINGS, &item, err)) == 0)
        *(struct str *)item = (struct str){copy, text.len};
    return rc;
}

static int bad_reference(const char *what, uint32_t id, uint32_t count, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "dictionary: %s %u of %u", what, id, count);
}

int symbols_add_function(struct symbols *s, struct profile_function f, struct err *err)
{
    uint32_t strings = s->tables[STRINGS].count;
    void *item;
    int rc;

    if (f.name >= strings || f.system_name >= strings || f.filename >= strings)
        return bad_reference("function names string", f.name, strings, err);
    if ((rc = add_item(s, FUNCTIONS, &item, err)) == 0)
        *(struct profile_function *)item = f;
    return rc;
}

int symbols_add_mapping(struct symbols *s, struct profile_mapping m, struct err *err)
{
    uint32_t strings = s->tables[STRINGS].count;
    void *item;
    int rc;

    if (m.filename >= strings || m.build_id >= strings)
        return bad_reference("mapping names string", m.filename, strings, err);
    if ((rc = add_item(s, MAPPINGS, &item, err)) == 0)
        *(struct profile_mapping *)item = m;
    return rc;
}

int symbols_add_location(struct symbols *s, const struct symbol_location *l, struct err *err)
{
    uint32_t functions = s->tables[FUNCTIONS].count, mappings = s->tables[MAPPINGS].count;
    struct profile_line *lines;
    void *item;
    int rc;

    if (l->mapping != PROFILE_NONE && l->mapping >= mappings)
        return bad_reference("location names mapping", l->mapping, mappings, err);
    for (uint32_t i = 0; i < l->line_count; i++)
        if (l->lines[i].function >= functions)
            return bad_reference("line names function", l->lines[i].function, functions, err);
    lines = arena_memdup(&s->text, l->lines, l->line_count * sizeof(*lines));
    if (!lines)
        return too_large(s, err);
    if ((rc = add_item(s, LOCATIONS, &item, err)) == 0) {
        *(struct symbol_location *)item = *l;
        ((struct symbol_location *)item)->lines = lines;
    }
    return rc;
}

int symbols_add_node(struct symbols *s, uint32_t parent, uint32_t location, struct err *err)
{
    void *item;
    int rc;

    if (parent >= s->tables[NODES].count)
        return bad_reference("node names parent", parent, s->tables[NODES].count, err);
    if (location >= s->tables[LOCATIONS].count)
        return bad_reference("node names location", location, s->tables[LOCATIONS].count, err);
    if ((rc = add_item(s, NODES, &item, err)) == 0)
        *(struct symbol_node *)item = (struct symbol_node){parent, location};
    return rc;
}

/* Registers the item just added. index_reserve() came before. */
static void remember(struct symbols *s, enum table t, uint32_t hash, uint32_t *id)
{
    *id = s->tables[t].count - 1;
    place(&s->indexes[t], hash, *id);
    s->indexes[t].used++;
}

int symbols_intern_string(struct symbols *s, struct str text, uint32_t *id, struct err *err)
{
    struct index *ix = &s->indexes[STRINGS];
    uint32_t hash;
    int rc;

    if (text.len == 0) {
        *id = 0;
        return 0;
    }
    if ((rc = index_reserve(s, STRINGS, err)) != 0)
        return rc;
    hash = (uint32_t)hash64(s->seed, text.p, text.len);
    for (uint32_t at = hash & ix->mask; ix->slots[at].id != 0; at = (at + 1) & ix->mask) {
        uint32_t found = ix->slots[at].id - 1;

        if (ix->slots[at].hash == hash && str_eq(symbols_string(s, found), text)) {
            *id = found;
            return 0;
        }
    }
    if ((rc = symbols_add_string(s, text, err)) == 0)
        remember(s, STRINGS, hash, id);
    return rc;
}

static bool function_eq(const struct profile_function *a, const struct profile_function *b)
{
    return a->name == b->name && a->system_name == b->system_name && a->filename == b->filename &&
           a->start_line == b->start_line;
}

int symbols_intern_function(struct symbols *s, struct profile_function f, uint32_t *id,
                            struct err *err)
{
    struct index *ix = &s->indexes[FUNCTIONS];
    const uint64_t key[3] = {(uint64_t)f.name << 32 | f.system_name, f.filename,
                             (uint64_t)f.start_line};
    uint32_t hash = (uint32_t)hash64(s->seed, key, sizeof(key));
    int rc = index_reserve(s, FUNCTIONS, err);

    if (rc != 0)
        return rc;
    for (uint32_t at = hash & ix->mask; ix->slots[at].id != 0; at = (at + 1) & ix->mask) {
        uint32_t found = ix->slots[at].id - 1;

        if (ix->slots[at].hash != hash ||
            !function_eq(stable_array_at(&s->tables[FUNCTIONS], found), &f))
            continue;
        *id = found;
        return 0;
    }
    if ((rc = symbols_add_function(s, f, err)) == 0)
        remember(s, FUNCTIONS, hash, id);
    return rc;
}

static bool mapping_eq(const struct profile_mapping *a, const struct profile_mapping *b)
{
    return a->memory_start == b->memory_start && a->memory_limit == b->memory_limit &&
           a->file_offset == b->file_offset && a->filename == b->filename &&
           a->build_id == b->build_id && a->has_functions == b->has_functions &&
           a->has_filenames == b->has_filenames && a->has_line_numbers == b->has_line_numbers &&
           a->has_inline_frames == b->has_inline_frames;
}

int symbols_intern_mapping(struct symbols *s, struct profile_mapping m, uint32_t *id,
                           struct err *err)
{
    struct index *ix = &s->indexes[MAPPINGS];
    const uint64_t key[4] = {m.memory_start, m.memory_limit, m.file_offset,
                             (uint64_t)m.filename << 32 | m.build_id};
    uint32_t hash = (uint32_t)hash64(s->seed, key, sizeof(key));
    int rc = index_reserve(s, MAPPINGS, err);

    if (rc != 0)
        return rc;
    for (uint32_t at = hash & ix->mask; ix->slots[at].id != 0; at = (at + 1) & ix->mask) {
        uint32_t found = ix->slots[at].id - 1;

        if (ix->slots[at].hash != hash ||
            !mapping_eq(stable_array_at(&s->tables[MAPPINGS], found), &m))
            continue;
        *id = found;
        return 0;
    }
    if ((rc = symbols_add_mapping(s, m, err)) == 0)
        remember(s, MAPPINGS, hash, id);
    return rc;
}

static bool location_eq(const struct symbol_location *a, const struct symbol_location *b)
{
    if (a->mapping != b->mapping || a->address != b->address || a->is_folded != b->is_folded ||
        a->line_count != b->line_count)
        return false;
    for (uint32_t i = 0; i < a->line_count; i++)
        if (a->lines[i].function != b->lines[i].function || a->lines[i].line != b->lines[i].line)
            return false;
    return true;
}

static uint32_t location_hash(const struct symbols *s, const struct symbol_location *l)
{
    const uint64_t key[2] = {l->address, (uint64_t)l->mapping << 1 | l->is_folded};
    uint64_t hash = hash64(s->seed, key, sizeof(key));

    for (uint32_t i = 0; i < l->line_count; i++) {
        const uint64_t line[2] = {l->lines[i].function, (uint64_t)l->lines[i].line};

        hash = hash64(hash, line, sizeof(line));
    }
    return (uint32_t)hash;
}

int symbols_intern_location(struct symbols *s, const struct symbol_location *l, uint32_t *id,
                            struct err *err)
{
    struct index *ix = &s->indexes[LOCATIONS];
    uint32_t hash = location_hash(s, l);
    int rc = index_reserve(s, LOCATIONS, err);

    if (rc != 0)
        return rc;
    for (uint32_t at = hash & ix->mask; ix->slots[at].id != 0; at = (at + 1) & ix->mask) {
        uint32_t found = ix->slots[at].id - 1;

        if (ix->slots[at].hash != hash ||
            !location_eq(stable_array_at(&s->tables[LOCATIONS], found), l))
            continue;
        *id = found;
        return 0;
    }
    if ((rc = symbols_add_location(s, l, err)) == 0)
        remember(s, LOCATIONS, hash, id);
    return rc;
}

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
    [LOCATIONS] = sizeof(struct location_item),
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
    for (int t = 0; t < TABLE_COUNT; t++)
        free(s->indexes[t].slots);
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
        .strings = stable_array_count(&s->tables[STRINGS]),
        .functions = stable_array_count(&s->tables[FUNCTIONS]),
        .mappings = stable_array_count(&s->tables[MAPPINGS]),
        .locations = stable_array_count(&s->tables[LOCATIONS]),
        .nodes = stable_array_count(&s->tables[NODES]),
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
    const struct location_item *l = stable_array_at(&s->tables[LOCATIONS], id);

    return (struct symbol_location){
        .mapping = l->mapping,
        .line_count = l->line_count,
        .address = l->address,
        .lines = l->lines,
        .is_folded = l->is_folded,
    };
}

struct symbol_node symbols_node(const struct symbols *s, uint32_t id)
{
    return *(const struct symbol_node *)stable_array_at(&s->tables[NODES], id);
}

static void place(struct index *ix, uint32_t hash, uint32_t id)
{
    uint32_t at = hash & ix->mask;

    while (ix->slots[at] != 0)
        at = (at + 1) & ix->mask;
    ix->slots[at] = slot_make(hash, id);
}

/* The first entry that an index knows: the empty string and the root are found without. */
static uint32_t first_indexed(enum table t)
{
    return t == STRINGS || t == NODES;
}

int index_reserve(struct symbols *s, enum table t,
                  uint32_t (*hash_of)(const struct symbols *s, uint32_t id), struct err *err)
{
    struct index *ix = &s->indexes[t];
    uint32_t count = s->tables[t].count, old_size = ix->slots ? ix->mask + 1 : 0;
    uint32_t size = old_size ? old_size * 2 : SLOTS_INITIAL, *slots;
    int rc;

    if (ix->used < old_size / 4 * 3)
        return 0;
    if ((count + 1) >> SLOT_ID_BITS != 0)
        return err_set(err, ERR_TOO_LARGE, "the dictionary has more than %u entries of a kind",
                       count);
    while (size / 4 * 3 <= count)
        size *= 2;
    if ((rc = symbols_charge(s, (size - old_size) * sizeof(*slots), err)) != 0)
        return rc;
    slots = calloc(size, sizeof(*slots));
    if (!slots)
        return err_set(err, ERR_NOMEM, "no memory for an index of %u slots", size);
    free(ix->slots);
    *ix = (struct index){slots, size - 1, count - first_indexed(t)};
    for (uint32_t id = first_indexed(t); id < count; id++)
        place(ix, hash_of(s, id), id);
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
    if (l->line_count > UINT32_MAX >> 1)
        return bad_reference("location has line", l->line_count, UINT32_MAX >> 1, err);
    for (uint32_t i = 0; i < l->line_count; i++)
        if (l->lines[i].function >= functions)
            return bad_reference("line names function", l->lines[i].function, functions, err);
    lines = arena_memdup(&s->text, l->lines, l->line_count * sizeof(*lines));
    if (!lines)
        return too_large(s, err);
    if ((rc = add_item(s, LOCATIONS, &item, err)) == 0)
        *(struct location_item *)item = (struct location_item){
            .mapping = l->mapping,
            .is_folded = l->is_folded,
            .line_count = l->line_count & (UINT32_MAX >> 1),
            .address = l->address,
            .lines = lines,
        };
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

static uint32_t string_hash(const struct symbols *s, struct str text)
{
    return (uint32_t)hash64(s->seed, text.p, text.len);
}

static uint32_t hash_of_string(const struct symbols *s, uint32_t id)
{
    return string_hash(s, symbols_string(s, id));
}

int symbols_intern_string(struct symbols *s, struct str text, uint32_t *id, struct err *err)
{
    const struct index *ix = &s->indexes[STRINGS];
    uint32_t hash, at;
    int rc;

    if (text.len == 0) {
        *id = 0;
        return 0;
    }
    if ((rc = index_reserve(s, STRINGS, hash_of_string, err)) != 0)
        return rc;
    hash = string_hash(s, text);
    for (at = index_probe(ix, hash, hash); ix->slots[at] != 0; at = index_probe(ix, hash, at + 1)) {
        *id = slot_id(ix->slots[at]);
        if (str_eq(symbols_string(s, *id), text))
            return 0;
    }
    if ((rc = symbols_add_string(s, text, err)) == 0)
        *id = index_take(s, STRINGS, hash, at);
    return rc;
}

static bool function_eq(const struct profile_function *a, const struct profile_function *b)
{
    return a->name == b->name && a->system_name == b->system_name && a->filename == b->filename &&
           a->start_line == b->start_line;
}

static uint32_t function_hash(const struct symbols *s, const struct profile_function *f)
{
    const uint64_t key[3] = {(uint64_t)f->name << 32 | f->system_name, f->filename,
                             (uint64_t)f->start_line};

    return (uint32_t)hash64(s->seed, key, sizeof(key));
}

static uint32_t hash_of_function(const struct symbols *s, uint32_t id)
{
    return function_hash(s, stable_array_at(&s->tables[FUNCTIONS], id));
}

int symbols_intern_function(struct symbols *s, struct profile_function f, uint32_t *id,
                            struct err *err)
{
    const struct index *ix = &s->indexes[FUNCTIONS];
    uint32_t hash = function_hash(s, &f), at;
    int rc = index_reserve(s, FUNCTIONS, hash_of_function, err);

    if (rc != 0)
        return rc;
    for (at = index_probe(ix, hash, hash); ix->slots[at] != 0; at = index_probe(ix, hash, at + 1)) {
        *id = slot_id(ix->slots[at]);
        if (function_eq(stable_array_at(&s->tables[FUNCTIONS], *id), &f))
            return 0;
    }
    if ((rc = symbols_add_function(s, f, err)) == 0)
        *id = index_take(s, FUNCTIONS, hash, at);
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

static uint32_t mapping_hash(const struct symbols *s, const struct profile_mapping *m)
{
    const uint64_t key[4] = {m->memory_start, m->memory_limit, m->file_offset,
                             (uint64_t)m->filename << 32 | m->build_id};

    return (uint32_t)hash64(s->seed, key, sizeof(key));
}

static uint32_t hash_of_mapping(const struct symbols *s, uint32_t id)
{
    return mapping_hash(s, stable_array_at(&s->tables[MAPPINGS], id));
}

int symbols_intern_mapping(struct symbols *s, struct profile_mapping m, uint32_t *id,
                           struct err *err)
{
    const struct index *ix = &s->indexes[MAPPINGS];
    uint32_t hash = mapping_hash(s, &m), at;
    int rc = index_reserve(s, MAPPINGS, hash_of_mapping, err);

    if (rc != 0)
        return rc;
    for (at = index_probe(ix, hash, hash); ix->slots[at] != 0; at = index_probe(ix, hash, at + 1)) {
        *id = slot_id(ix->slots[at]);
        if (mapping_eq(stable_array_at(&s->tables[MAPPINGS], *id), &m))
            return 0;
    }
    if ((rc = symbols_add_mapping(s, m, err)) == 0)
        *id = index_take(s, MAPPINGS, hash, at);
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

static uint32_t hash_of_location(const struct symbols *s, uint32_t id)
{
    struct symbol_location l = symbols_location(s, id);

    return location_hash(s, &l);
}

int symbols_intern_location(struct symbols *s, const struct symbol_location *l, uint32_t *id,
                            struct err *err)
{
    const struct index *ix = &s->indexes[LOCATIONS];
    uint32_t hash = location_hash(s, l), at;
    int rc = index_reserve(s, LOCATIONS, hash_of_location, err);

    if (rc != 0)
        return rc;
    for (at = index_probe(ix, hash, hash); ix->slots[at] != 0; at = index_probe(ix, hash, at + 1)) {
        struct symbol_location found = symbols_location(s, slot_id(ix->slots[at]));

        *id = slot_id(ix->slots[at]);
        if (location_eq(&found, l))
            return 0;
    }
    if ((rc = symbols_add_location(s, l, err)) == 0)
        *id = index_take(s, LOCATIONS, hash, at);
    return rc;
}

#include "api/decode/folded.h"

#include "api/decode/text_kind.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <string.h>

/*
 * Two tables, sized before the first line is read: distinct frame names, and the
 * nodes of the call tree by (parent, name). Both are open addressing over ids plus
 * one, so that zero means free, at most half full.
 */
struct node {
    int64_t self;
    uint32_t parent, name;
    uint32_t depth; /* frames from the root to here */
};

enum {
    ROOT = 0,
};

struct call_tree {
    uint64_t seed;
    struct str *names;
    uint32_t *name_slots;
    uint32_t name_count;
    struct node *nodes; /* nodes[ROOT] has no name */
    uint32_t *node_slots;
    uint32_t node_count;
    uint32_t slot_mask;
};

/* Indexes in the string table before the frame names. */
enum {
    STRING_EMPTY,
    STRING_SAMPLE_TYPE,
    STRING_SAMPLE_UNIT,
    STRING_PERIOD_TYPE,
    STRING_PERIOD_UNIT,
    STRING_FIRST_NAME,
};

static int no_memory(const struct arena *arena, size_t body_bytes, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "stacks: the call tree of %zu bytes of text needs more than %zu bytes of memory",
                   body_bytes, arena_limit(arena));
}

/* An upper bound of the frames in the text: every frame ends at a semicolon or with its line. */
static size_t count_frames_max(struct str body)
{
    size_t n = 1;

    for (size_t i = 0; i < body.len; i++)
        n += body.p[i] == ';' || body.p[i] == '\n';
    return n;
}

static bool tree_init(struct call_tree *t, size_t frames_max, struct arena *arena)
{
    size_t slots = 16;

    if (frames_max >= UINT32_MAX / 4)
        return false;
    while (slots < frames_max * 2)
        slots *= 2;
    t->seed = hash_seed_random();
    t->slot_mask = (uint32_t)slots - 1;
    t->names = arena_array(arena, struct str, frames_max);
    t->nodes = arena_array(arena, struct node, frames_max + 1);
    t->name_slots = arena_calloc(arena, slots, sizeof(uint32_t));
    t->node_slots = arena_calloc(arena, slots, sizeof(uint32_t));
    if (t->names == NULL || t->nodes == NULL || t->name_slots == NULL || t->node_slots == NULL)
        return false;
    t->nodes[ROOT] = (struct node){0};
    t->node_count = 1;
    t->name_count = 0;
    return true;
}

static uint32_t name_id(struct call_tree *t, struct str name)
{
    uint32_t i = (uint32_t)hash64(t->seed, name.p, name.len) & t->slot_mask;

    for (; t->name_slots[i] != 0; i = (i + 1) & t->slot_mask)
        if (str_eq(t->names[t->name_slots[i] - 1], name))
            return t->name_slots[i] - 1;
    t->names[t->name_count++] = name;
    t->name_slots[i] = t->name_count;
    return t->name_count - 1;
}

static uint32_t child_of(struct call_tree *t, uint32_t parent, uint32_t name)
{
    uint32_t key[2] = {parent, name};
    uint32_t i = (uint32_t)hash64(t->seed, key, sizeof(key)) & t->slot_mask;

    for (; t->node_slots[i] != 0; i = (i + 1) & t->slot_mask) {
        uint32_t id = t->node_slots[i] - 1;

        if (t->nodes[id].parent == parent && t->nodes[id].name == name)
            return id;
    }
    t->nodes[t->node_count] =
        (struct node){.parent = parent, .name = name, .depth = t->nodes[parent].depth + 1};
    t->node_slots[i] = ++t->node_count;
    return t->node_count - 1;
}

static int64_t saturating_add(int64_t a, int64_t b)
{
    int64_t sum;

    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

/* `a;b` and `a;b;` are one stack: what follows the last semicolon counts only if not empty. */
static void add_stack(struct call_tree *t, struct str stack, int64_t count)
{
    uint32_t node = ROOT;

    while (stack.len > 0) {
        const char *semicolon = memchr(stack.p, ';', stack.len);
        size_t len = semicolon == NULL ? stack.len : (size_t)(semicolon - stack.p);

        node = child_of(t, node, name_id(t, str_slice(stack, 0, len)));
        stack = str_slice(stack, len + 1, stack.len);
    }
    t->nodes[node].self = saturating_add(t->nodes[node].self, count);
}

/* As Go quotes a string: what is not printable ASCII or UTF-8 is escaped. */
static void quote(struct str s, char *out, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    bool is_text = str_is_utf8(s);
    size_t n = 0;

    for (size_t i = 0; i < s.len && n + 5 < size; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c == '\t') {
            out[n++] = '\\';
            out[n++] = 't';
        } else if (c == '\r') {
            out[n++] = '\\';
            out[n++] = 'r';
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_text)) {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
}

static int bad_count(struct str text, const char *why, struct err *err)
{
    char quoted[256];

    quote(text, quoted, sizeof(quoted));
    return err_set(err, ERR_INVALID, "strconv.Atoi: parsing \"%s\": %s", quoted, why);
}

static int parse_count(struct str text, int64_t *out, struct err *err)
{
    bool is_minus = text.len > 0 && text.p[0] == '-';
    size_t i = is_minus || (text.len > 0 && text.p[0] == '+') ? 1 : 0;
    int64_t value = 0;

    if (i == text.len)
        return bad_count(text, "invalid syntax", err);
    for (; i < text.len; i++) {
        int digit = text.p[i] - '0';

        if (digit < 0 || digit > 9)
            return bad_count(text, "invalid syntax", err);
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, is_minus ? -digit : digit, &value))
            return bad_count(text, "value out of range", err);
    }
    *out = value;
    return 0;
}

static int add_line(struct call_tree *t, struct str line, enum folded_form form, struct err *err)
{
    size_t space;
    int64_t count = 0;
    int rc;

    if (line.len > 0 && line.p[line.len - 1] == '\r')
        line.len--;
    if (form == FOLDED_LINES) {
        if (line.len > 0)
            add_stack(t, line, 1);
        return 0;
    }
    space = str_rfind_byte(line, ' ');
    if (space == SIZE_MAX)
        return 0;
    rc = parse_count(str_slice(line, space + 1, line.len), &count, err);
    if (rc == 0)
        add_stack(t, str_slice(line, 0, space), count);
    return rc;
}

static int add_lines(struct call_tree *t, struct str body, enum folded_form form,
                     size_t *unread_bytes, struct err *err)
{
    *unread_bytes = 0;
    while (body.len > 0) {
        const char *newline = memchr(body.p, '\n', body.len);
        size_t len = newline == NULL ? body.len : (size_t)(newline - body.p);
        int rc;

        if (len > FOLDED_LINE_MAX) {
            if (form == FOLDED_LINES)
                return err_set(err, ERR_INVALID, "bufio.Scanner: token too long");
            *unread_bytes = body.len;
            return 0;
        }
        rc = add_line(t, str_slice(body, 0, len), form, err);
        if (rc != 0)
            return rc;
        body = str_slice(body, len + 1, body.len);
    }
    return 0;
}

static int64_t scaled(int64_t value, int64_t scale)
{
    int64_t product;

    return __builtin_mul_overflow(value, scale, &product) ? INT64_MAX : product;
}

static bool allocate(struct pprof *p, const struct call_tree *t, struct arena *arena)
{
    size_t ids = 0, samples = 0;

    for (uint32_t i = 0; i < t->node_count; i++) {
        if (t->nodes[i].self <= 0)
            continue;
        samples++;
        ids += t->nodes[i].depth;
    }
    if (ids > UINT32_MAX)
        return false;
    p->sample_types = arena_array(arena, struct pprof_value_type, 1);
    p->samples = arena_array(arena, struct pprof_sample, samples);
    p->values = arena_array(arena, int64_t, samples);
    p->location_ids = arena_array(arena, uint64_t, ids);
    p->mappings = arena_calloc(arena, 1, sizeof(*p->mappings));
    p->locations = arena_array(arena, struct pprof_location, t->name_count);
    p->lines = arena_array(arena, struct pprof_line, t->name_count);
    p->functions = arena_array(arena, struct pprof_function, t->name_count);
    p->strings = arena_array(arena, struct str, (size_t)t->name_count + STRING_FIRST_NAME);
    return p->sample_types != NULL && p->samples != NULL && p->values != NULL &&
           p->location_ids != NULL && p->mappings != NULL && p->locations != NULL &&
           p->lines != NULL && p->functions != NULL && p->strings != NULL;
}

static void fill_types(struct pprof *p, const struct text_kind *kind)
{
    p->strings[STRING_EMPTY] = STR("");
    p->strings[STRING_SAMPLE_TYPE] = kind->sample_type;
    p->strings[STRING_SAMPLE_UNIT] = kind->sample_unit;
    p->strings[STRING_PERIOD_TYPE] = kind->period_type;
    p->strings[STRING_PERIOD_UNIT] = kind->period_unit;
    p->sample_types[0] = (struct pprof_value_type){STRING_SAMPLE_TYPE, STRING_SAMPLE_UNIT};
    p->sample_type_count = 1;
    p->has_period_type = kind->period_type.len > 0;
    if (p->has_period_type)
        p->period_type = (struct pprof_value_type){STRING_PERIOD_TYPE, STRING_PERIOD_UNIT};
    p->period = kind->period;
    p->mappings[0].id = 1;
    p->mapping_count = 1;
}

static void fill_names(struct pprof *p, const struct call_tree *t)
{
    for (uint32_t i = 0; i < t->name_count; i++) {
        int64_t name = STRING_FIRST_NAME + (int64_t)i;

        p->strings[STRING_FIRST_NAME + i] = t->names[i];
        p->functions[i] = (struct pprof_function){
            .id = (uint64_t)i + 1,
            .name = t->names[i].len == 0 ? STRING_EMPTY : name,
            .system_name = t->names[i].len == 0 ? STRING_EMPTY : name,
        };
        p->lines[i] = (struct pprof_line){.function_id = (uint64_t)i + 1};
        p->locations[i] = (struct pprof_location){
            .id = (uint64_t)i + 1, .mapping_id = 1, .line_first = i, .line_count = 1};
    }
    p->string_count = t->name_count + STRING_FIRST_NAME;
    p->function_count = p->line_count = p->location_count = t->name_count;
}

static void fill_samples(struct pprof *p, const struct call_tree *t, int64_t scale)
{
    for (uint32_t i = 0; i < t->node_count; i++) {
        if (t->nodes[i].self <= 0)
            continue;
        p->samples[p->sample_count] = (struct pprof_sample){
            .location_first = p->location_id_count,
            .location_count = t->nodes[i].depth,
            .value_first = p->value_count,
            .value_count = 1,
        };
        p->sample_count++;
        p->values[p->value_count++] = scaled(t->nodes[i].self, scale);
        for (uint32_t n = i; n != ROOT; n = t->nodes[n].parent)
            p->location_ids[p->location_id_count++] = (uint64_t)t->nodes[n].name + 1;
    }
}

int folded_decode(struct str body, enum folded_form form, const struct text_kind *kind,
                  int64_t time_ns, struct arena *arena, struct folded *out, struct err *err)
{
    struct call_tree tree;
    struct pprof p = {.time_ns = time_ns};
    size_t unread_bytes;
    int rc;

    if (!tree_init(&tree, count_frames_max(body), arena))
        return no_memory(arena, body.len, err);
    rc = add_lines(&tree, body, form, &unread_bytes, err);
    if (rc != 0)
        return rc;
    if (!allocate(&p, &tree, arena))
        return no_memory(arena, body.len, err);
    fill_types(&p, kind);
    fill_names(&p, &tree);
    fill_samples(&p, &tree, kind->scale);
    *out = (struct folded){.pprof = p, .unread_bytes = unread_bytes};
    return 0;
}

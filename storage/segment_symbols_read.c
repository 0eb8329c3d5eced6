/* Dictionary sections back into a dictionary; every number is checked before it is used. */
#include "storage/segment_symbols.h"

#include "storage/segment_format.h"
#include "storage/segment_pack.h"

#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

enum {
    COLUMNS_MAX = 8,
    LOCATION_LINES_MAX = 1 << 20, /* of one location; an upload is smaller */
};

static int corrupt(const char *section, const char *what, uint64_t item, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "section %s: %s of entry %llu is damaged", section, what,
                   (unsigned long long)item);
}

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "reading a segment needs more than %zu bytes of memory",
                   arena_limit(arena));
}

/* Item count and columns. The first column has at least one byte per item. */
static int take_columns(struct str raw, const char *section, struct bytes *cols, uint32_t count,
                        uint32_t *items, struct err *err)
{
    struct bytes b = bytes_of(raw);
    struct str column;

    check(count <= COLUMNS_MAX);
    if (!bytes_varint32(&b, UINT32_MAX - 1, items))
        return corrupt(section, "the count", 0, err);
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes_take_sized(&b, &column) || (i == 0 && column.len < *items))
            return corrupt(section, "a column's length", i, err);
        cols[i] = bytes_of(column);
    }
    return bytes_left(&b) == 0 ? 0 : corrupt(section, "the end", *items, err);
}

static int check_used_up(const struct bytes *cols, uint32_t count, const char *section,
                         struct err *err)
{
    for (uint32_t i = 0; i < count; i++)
        if (cols[i].bad || bytes_left(&cols[i]) != 0)
            return corrupt(section, "the length of a column", i, err);
    return 0;
}

/* last + a difference, inside [0, limit); wrapping is caught by the comparison. */
static bool step(struct bytes *b, uint32_t limit, uint32_t *last)
{
    int64_t d;

    if (!bytes_zigzag(b, &d) || d < -(int64_t)*last || d >= (int64_t)limit - (int64_t)*last)
        return bytes_fail(b);
    *last = (uint32_t)((int64_t)*last + d);
    return true;
}

static bool step_up(struct bytes *b, uint32_t limit, uint32_t *last)
{
    uint64_t d;

    if (!bytes_varint(b, &d) || *last >= limit || d >= limit - *last)
        return bytes_fail(b);
    *last += (uint32_t)d;
    return true;
}

struct string_block {
    uint32_t count;
    uint64_t raw, stored, checksum;
    uint8_t packed;
    struct str key;
};

static int add_strings(const struct string_block *blk, struct str raw, struct symbols *out,
                       struct err *err)
{
    struct bytes lengths = bytes_of(raw), texts = lengths;
    uint64_t length;
    int rc;

    for (uint32_t i = 0; i < blk->count; i++)
        if (!bytes_varint(&texts, &length))
            return corrupt("STR", "a length", i, err);
    for (uint32_t i = 0; i < blk->count; i++) {
        uint32_t id = symbols_counts(out).strings;
        struct str text;

        if (!bytes_varint(&lengths, &length) || length > bytes_left(&texts) ||
            !bytes_take(&texts, (size_t)length, &text) ||
            str_cmp(symbols_string(out, id - 1), text) >= 0 ||
            (i == 0 && !str_starts(text, blk->key)))
            return corrupt("STR", "the text", id, err);
        if ((rc = symbols_add_string(out, text, err)) != 0)
            return rc;
    }
    return bytes_left(&texts) == 0 ? 0 : corrupt("STR", "the end of a block", blk->count, err);
}

static int take_string_block(struct bytes *dir, struct bytes *rest, struct segment_pack *pack,
                             struct arena *scratch, struct symbols *out, struct err *err)
{
    struct arena_mark mark = arena_mark(scratch);
    struct string_block blk;
    struct str stored;
    void *raw;
    int rc;

    if (!bytes_varint32(dir, UINT32_MAX, &blk.count) || !bytes_varint(dir, &blk.raw) ||
        !bytes_varint(dir, &blk.stored) || !bytes_u8(dir, &blk.packed) ||
        !bytes_le64(dir, &blk.checksum) || !bytes_take_sized(dir, &blk.key) || blk.packed > 1 ||
        blk.count == 0 || blk.raw < blk.count || blk.stored > bytes_left(rest) ||
        (!blk.packed && blk.raw != blk.stored) || blk.raw > SIZE_MAX / 2)
        return corrupt("STR", "the block directory", blk.count, err);
    (void)bytes_take(rest, (size_t)blk.stored, &stored);
    if (!segment_checksum_ok(stored.p, stored.len, blk.checksum))
        return corrupt("STR", "the checksum of a block at string", symbols_counts(out).strings,
                       err);
    if (!blk.packed)
        return add_strings(&blk, stored, out, err);
    raw = arena_alloc(scratch, (size_t)blk.raw);
    if (!raw)
        return out_of_memory(scratch, err);
    if (segment_pack_get(pack, stored, raw, (size_t)blk.raw))
        rc = add_strings(&blk, (struct str){raw, (size_t)blk.raw}, out, err);
    else
        rc = corrupt("STR", "the compressed block at string", symbols_counts(out).strings, err);
    arena_rewind(scratch, mark);
    return rc;
}

int segment_strings_decode(struct str stored, struct segment_pack *pack, struct arena *scratch,
                           struct symbols *out, struct err *err)
{
    struct bytes b = bytes_of(stored), dir;
    uint32_t strings, blocks;
    struct str directory;
    int rc;

    if (!bytes_varint32(&b, UINT32_MAX - 1, &strings) || !bytes_varint32(&b, strings, &blocks) ||
        !bytes_take_sized(&b, &directory))
        return corrupt("STR", "the count", 0, err);
    dir = bytes_of(directory);
    for (uint32_t i = 0; i < blocks; i++)
        if ((rc = take_string_block(&dir, &b, pack, scratch, out, err)) != 0)
            return rc;
    if (bytes_left(&dir) != 0 || bytes_left(&b) != 0 || symbols_counts(out).strings != strings + 1)
        return corrupt("STR", "the end", strings, err);
    return 0;
}

static int compare_functions(const struct profile_function *a, const struct profile_function *b)
{
    if (a->name != b->name)
        return a->name < b->name ? -1 : 1;
    if (a->system_name != b->system_name)
        return a->system_name < b->system_name ? -1 : 1;
    if (a->filename != b->filename)
        return a->filename < b->filename ? -1 : 1;
    return (a->start_line > b->start_line) - (a->start_line < b->start_line);
}

int segment_functions_decode(struct str raw, struct symbols *out, struct err *err)
{
    uint32_t strings = symbols_counts(out).strings, count, name = 0, file = 0;
    struct profile_function last = {0};
    struct bytes cols[4];
    int rc = take_columns(raw, "FUN", cols, 4, &count, err);

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct profile_function f;
        uint32_t system;

        if (!step_up(&cols[0], strings, &name))
            return corrupt("FUN", "the name", i, err);
        system = name;
        if (!step(&cols[1], strings, &system) || !step(&cols[2], strings, &file) ||
            !bytes_zigzag(&cols[3], &f.start_line))
            return corrupt("FUN", "a field", i, err);
        f.name = name;
        f.system_name = system;
        f.filename = file;
        if (i > 0 && compare_functions(&last, &f) >= 0)
            return corrupt("FUN", "the order", i, err);
        last = f;
        rc = symbols_add_function(out, f, err);
    }
    return rc != 0 ? rc : check_used_up(cols, 4, "FUN", err);
}

static int compare_mappings(const struct profile_mapping *a, const struct profile_mapping *b)
{
    const uint64_t x[] = {a->filename,
                          a->build_id,
                          a->memory_start,
                          a->memory_limit,
                          a->file_offset,
                          (uint64_t)(a->has_functions | a->has_filenames << 1 |
                                     a->has_line_numbers << 2 | a->has_inline_frames << 3)};
    const uint64_t y[] = {b->filename,
                          b->build_id,
                          b->memory_start,
                          b->memory_limit,
                          b->file_offset,
                          (uint64_t)(b->has_functions | b->has_filenames << 1 |
                                     b->has_line_numbers << 2 | b->has_inline_frames << 3)};

    for (size_t i = 0; i < sizeof(x) / sizeof(x[0]); i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

int segment_mappings_decode(struct str raw, struct symbols *out, struct err *err)
{
    uint32_t strings = symbols_counts(out).strings, count, file = 0;
    struct profile_mapping last = {0};
    struct bytes cols[6];
    int rc = take_columns(raw, "MAP", cols, 6, &count, err);

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct profile_mapping m = {0};
        uint32_t flags;

        if (!step_up(&cols[0], strings, &file) ||
            !bytes_varint32(&cols[1], strings - 1, &m.build_id) ||
            !bytes_varint(&cols[2], &m.memory_start) || !bytes_varint(&cols[3], &m.memory_limit) ||
            !bytes_varint(&cols[4], &m.file_offset) || !bytes_varint32(&cols[5], 15, &flags))
            return corrupt("MAP", "a field", i, err);
        m.filename = file;
        m.has_functions = flags & 1;
        m.has_filenames = flags >> 1 & 1;
        m.has_line_numbers = flags >> 2 & 1;
        m.has_inline_frames = flags >> 3 & 1;
        if (i > 0 && compare_mappings(&last, &m) >= 0)
            return corrupt("MAP", "the order", i, err);
        last = m;
        rc = symbols_add_mapping(out, m, err);
    }
    return rc != 0 ? rc : check_used_up(cols, 6, "MAP", err);
}

static int compare_locations(const struct symbol_location *a, const struct symbol_location *b)
{
    uint32_t lines = a->line_count < b->line_count ? a->line_count : b->line_count;

    for (uint32_t i = 0; i < lines; i++) {
        if (a->lines[i].function != b->lines[i].function)
            return a->lines[i].function < b->lines[i].function ? -1 : 1;
        if (a->lines[i].line != b->lines[i].line)
            return a->lines[i].line < b->lines[i].line ? -1 : 1;
    }
    if (a->line_count != b->line_count)
        return a->line_count < b->line_count ? -1 : 1;
    /* PROFILE_NONE plus one is 0: without a mapping comes first. */
    if (a->mapping != b->mapping)
        return a->mapping + 1 < b->mapping + 1 ? -1 : 1;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    return a->is_folded - b->is_folded;
}

struct location_state {
    uint32_t function;
    uint64_t line, address;
};

static int take_location(struct bytes *cols, struct location_state *s, struct symbols *out,
                         struct arena *scratch, uint32_t item, struct err *err)
{
    struct symbols_counts counts = symbols_counts(out);
    struct symbol_location l = {0};
    struct profile_line *lines;
    uint64_t mapping;
    int64_t d;

    if (!bytes_varint32(&cols[0], LOCATION_LINES_MAX, &l.line_count) ||
        l.line_count > bytes_left(&cols[1]))
        return corrupt("LOC", "the number of lines", item, err);
    lines = arena_array(scratch, struct profile_line, l.line_count);
    if (!lines)
        return out_of_memory(scratch, err);
    for (uint32_t i = 0; i < l.line_count; i++) {
        if (!step(&cols[1], counts.functions, &s->function) || !bytes_zigzag(&cols[2], &d))
            return corrupt("LOC", "a line", item, err);
        s->line += (uint64_t)d;
        lines[i] = (struct profile_line){s->function, (int64_t)s->line};
    }
    if (!bytes_varint(&cols[3], &mapping) || mapping >> 1 > counts.mappings ||
        !bytes_zigzag(&cols[4], &d))
        return corrupt("LOC", "mapping or address", item, err);
    s->address += (uint64_t)d;
    l.lines = lines;
    l.address = s->address;
    l.is_folded = mapping & 1;
    l.mapping = mapping >> 1 ? (uint32_t)(mapping >> 1) - 1 : PROFILE_NONE;
    if (item > 0) {
        struct symbol_location last = symbols_location(out, item - 1);

        if (compare_locations(&last, &l) >= 0)
            return corrupt("LOC", "the order", item, err);
    }
    return symbols_add_location(out, &l, err);
}

int segment_locations_decode(struct str raw, struct arena *scratch, struct symbols *out,
                             struct err *err)
{
    struct location_state s = {0};
    struct bytes cols[5];
    uint32_t count;
    int rc = take_columns(raw, "LOC", cols, 5, &count, err);

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct arena_mark mark = arena_mark(scratch);

        rc = take_location(cols, &s, out, scratch, i, err);
        arena_rewind(scratch, mark);
    }
    return rc != 0 ? rc : check_used_up(cols, 5, "LOC", err);
}

int segment_stacks_decode(struct str raw, struct symbols *out, struct err *err)
{
    uint32_t locations = symbols_counts(out).locations, count, last = SYMBOLS_ROOT;
    struct bytes cols[2];
    int rc = take_columns(raw, "STK", cols, 2, &count, err);

    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        uint32_t pops, location, sibling = SYMBOLS_ROOT;

        if (!bytes_varint32(&cols[0], count, &pops) || locations == 0 ||
            !bytes_varint32(&cols[1], locations - 1, &location))
            return corrupt("STK", "a field", i, err);
        for (; pops > 0; pops--) {
            if (last == SYMBOLS_ROOT)
                return corrupt("STK", "the depth", i, err);
            sibling = last;
            last = symbols_node(out, last).parent;
        }
        if (sibling != SYMBOLS_ROOT && symbols_node(out, sibling).location >= location)
            return corrupt("STK", "the order", i, err);
        if ((rc = symbols_add_node(out, last, location, err)) == 0)
            last = symbols_counts(out).nodes - 1;
    }
    return rc != 0 ? rc : check_used_up(cols, 2, "STK", err);
}

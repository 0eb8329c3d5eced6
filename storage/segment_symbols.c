#include "storage/segment_symbols.h"

#include "storage/canonical.h"
#include "storage/segment_pack.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

enum {
    STRING_BLOCK_BYTES = 64 << 10,
    STRING_KEY_BYTES = 64, /* of a block's first string, kept beside the block */
    COLUMNS_MAX = 8,
};

/* Columns under construction; each is stored as a length and that many bytes. */
struct columns {
    struct buf col[COLUMNS_MAX];
    uint32_t count;
};

static void columns_init(struct columns *c, uint32_t count)
{
    c->count = count;
    for (uint32_t i = 0; i < count; i++)
        buf_init(&c->col[i], SIZE_MAX);
}

static void columns_put(struct columns *c, uint64_t items, struct buf *out)
{
    buf_put_varint(out, items);
    for (uint32_t i = 0; i < c->count; i++) {
        out->failed = out->failed || c->col[i].failed;
        buf_put_sized(out, buf_str(&c->col[i]));
        buf_release(&c->col[i]);
    }
}

static int64_t difference(uint32_t a, uint32_t b)
{
    return (int64_t)a - (int64_t)b;
}

void segment_functions_encode(const struct canonical *c, struct buf *out)
{
    struct columns cols;
    uint32_t last_name = 0, last_file = 0;

    columns_init(&cols, 4);
    for (uint32_t r = 0; r < c->counts.functions; r++) {
        struct profile_function f = symbols_function(c->symbols, c->functions[r]);
        uint32_t name = c->string_rank[f.name], file = c->string_rank[f.filename];

        buf_put_varint(&cols.col[0], name - last_name);
        buf_put_zigzag(&cols.col[1], difference(c->string_rank[f.system_name], name));
        buf_put_zigzag(&cols.col[2], difference(file, last_file));
        buf_put_zigzag(&cols.col[3], f.start_line);
        last_name = name;
        last_file = file;
    }
    columns_put(&cols, c->counts.functions, out);
}

void segment_mappings_encode(const struct canonical *c, struct buf *out)
{
    struct columns cols;
    uint32_t last_file = 0;

    columns_init(&cols, 6);
    for (uint32_t r = 0; r < c->counts.mappings; r++) {
        struct profile_mapping m = symbols_mapping(c->symbols, c->mappings[r]);
        uint32_t file = c->string_rank[m.filename];

        buf_put_varint(&cols.col[0], file - last_file);
        buf_put_varint(&cols.col[1], c->string_rank[m.build_id]);
        buf_put_varint(&cols.col[2], m.memory_start);
        buf_put_varint(&cols.col[3], m.memory_limit);
        buf_put_varint(&cols.col[4], m.file_offset);
        buf_put_varint(&cols.col[5], (unsigned int)m.has_functions |
                                         (unsigned int)m.has_filenames << 1 |
                                         (unsigned int)m.has_line_numbers << 2 |
                                         (unsigned int)m.has_inline_frames << 3);
        last_file = file;
    }
    columns_put(&cols, c->counts.mappings, out);
}

void segment_locations_encode(const struct canonical *c, struct buf *out)
{
    struct columns cols;
    uint32_t last_function = 0;
    uint64_t last_line = 0, last_address = 0;

    columns_init(&cols, 5);
    for (uint32_t r = 0; r < c->counts.locations; r++) {
        struct symbol_location l = symbols_location(c->symbols, c->locations[r]);
        uint32_t mapping = l.mapping == PROFILE_NONE ? 0 : c->mapping_rank[l.mapping] + 1;

        buf_put_varint(&cols.col[0], l.line_count);
        for (uint32_t i = 0; i < l.line_count; i++) {
            uint32_t function = c->function_rank[l.lines[i].function];
            uint64_t line = (uint64_t)l.lines[i].line;

            buf_put_zigzag(&cols.col[1], difference(function, last_function));
            buf_put_zigzag(&cols.col[2], (int64_t)(line - last_line));
            last_function = function;
            last_line = line;
        }
        buf_put_varint(&cols.col[3], (uint64_t)mapping << 1 | l.is_folded);
        buf_put_zigzag(&cols.col[4], (int64_t)(l.address - last_address));
        last_address = l.address;
    }
    columns_put(&cols, c->counts.locations, out);
}

void segment_stacks_encode(const struct canonical *c, struct buf *out)
{
    struct columns cols;

    columns_init(&cols, 2);
    for (uint32_t r = 1; r < c->counts.nodes; r++) {
        buf_put_varint(&cols.col[0], c->node_pops[r]);
        buf_put_varint(&cols.col[1], c->node_location[r]);
    }
    columns_put(&cols, c->counts.nodes - 1, out);
}

/* Raw bytes of the block that starts at rank `r`: lengths, then texts. Returns its end. */
static uint32_t string_block(const struct canonical *c, uint32_t r, struct buf *raw)
{
    uint32_t first = r, end;
    size_t size = 0;

    buf_reset(raw);
    for (end = r; end < c->counts.strings && (end == r || size < STRING_BLOCK_BYTES); end++) {
        struct str s = symbols_string(c->symbols, c->strings[end]);

        buf_put_varint(raw, s.len);
        size += s.len + 1;
    }
    for (r = first; r < end; r++)
        (void)buf_append_str(raw, symbols_string(c->symbols, c->strings[r]));
    return end;
}

uint64_t segment_strings_encode(const struct canonical *c, struct segment_pack *pack, int level,
                                struct buf *out)
{
    struct buf raw, dir, blocks;
    uint64_t raw_total = 0, block_count = 0;

    buf_init(&raw, SIZE_MAX);
    buf_init(&dir, SIZE_MAX);
    buf_init(&blocks, SIZE_MAX);
    /* Rank 0 is the empty string, which needs no place. */
    for (uint32_t r = 1, end; r < c->counts.strings; r = end, block_count++) {
        struct str key = symbols_string(c->symbols, c->strings[r]);
        size_t at = blocks.len;
        bool packed;

        end = string_block(c, r, &raw);
        raw_total += raw.len;
        packed = segment_pack_put(pack, buf_str(&raw), level, &blocks);
        if (!packed)
            (void)buf_append_str(&blocks, buf_str(&raw));
        buf_put_varint(&dir, end - r);
        buf_put_varint(&dir, raw.len);
        buf_put_varint(&dir, blocks.len - at);
        (void)buf_append_byte(&dir, packed);
        buf_put_le64(&dir, checksum64(blocks.data + at, blocks.len - at));
        buf_put_sized(&dir, str_slice(key, 0, STRING_KEY_BYTES));
        out->failed = out->failed || raw.failed;
    }
    out->failed = out->failed || dir.failed || blocks.failed;
    buf_put_varint(out, c->counts.strings - 1);
    buf_put_varint(out, block_count);
    buf_put_sized(out, buf_str(&dir));
    (void)buf_append_str(out, buf_str(&blocks));
    buf_release(&raw);
    buf_release(&dir);
    buf_release(&blocks);
    return raw_total;
}

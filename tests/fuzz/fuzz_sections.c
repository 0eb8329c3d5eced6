/*
 * fuzz_sections - the dictionary and the index of a service, without the packing around them.
 *
 * Input: le16 length of each of STR, FUN, MAP, LOC, STK, LBL, DIR, then the bytes of each. What
 * fuzz_agg finds behind zstd only by luck is here in the open. Whatever decodes is walked: no
 * reference leaves its table, the order is the canonical one, blocks lie where they may.
 */
#include "storage/segment_index.h"
#include "storage/segment_pack.h"
#include "storage/segment_symbols.h"

#include "storage/model/symbols.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SECTIONS = 7,
    MEMORY = 32 << 20,
    SMP_BYTES = 1 << 30,
};

static void walk_stacks(const struct symbols *s)
{
    struct symbols_counts n = symbols_counts(s);

    for (uint32_t i = 1; i < n.nodes; i++) {
        struct symbol_node node = symbols_node(s, i);

        check(node.parent < i && node.location < n.locations);
    }
}

static void walk_symbols(const struct symbols *s)
{
    struct symbols_counts n = symbols_counts(s);

    for (uint32_t i = 1; i < n.strings; i++)
        check(str_cmp(symbols_string(s, i - 1), symbols_string(s, i)) < 0);
    for (uint32_t i = 0; i < n.functions; i++) {
        struct profile_function f = symbols_function(s, i);

        check(f.name < n.strings && f.system_name < n.strings && f.filename < n.strings);
    }
    for (uint32_t i = 0; i < n.mappings; i++) {
        struct profile_mapping m = symbols_mapping(s, i);

        check(m.filename < n.strings && m.build_id < n.strings);
    }
    for (uint32_t i = 0; i < n.locations; i++) {
        struct symbol_location l = symbols_location(s, i);

        check(l.mapping == PROFILE_NONE || l.mapping < n.mappings);
        for (uint32_t j = 0; j < l.line_count; j++)
            check(l.lines[j].function < n.functions);
    }
    walk_stacks(s);
}

static void read_dictionary(const struct str *raw)
{
    struct symbols *s = symbols_new(MEMORY);
    struct segment_pack *pack = segment_pack_new();
    struct arena scratch;
    struct err err;

    check(s && pack);
    arena_init(&scratch, MEMORY);
    if (segment_strings_decode(raw[0], pack, &scratch, s, &err) == 0 &&
        segment_functions_decode(raw[1], s, &err) == 0 &&
        segment_mappings_decode(raw[2], s, &err) == 0 &&
        segment_locations_decode(raw[3], &scratch, s, &err) == 0 &&
        segment_stacks_decode(raw[4], s, &err) == 0)
        walk_symbols(s);
    arena_release(&scratch);
    segment_pack_free(pack);
    symbols_free(s);
}

static void walk_blocks(const struct segment_block *blocks, uint32_t count, uint64_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        check(blocks[i].offset == *at && blocks[i].rows > 0);
        *at += blocks[i].stored;
    }
}

static void walk_index(const struct segment_index *ix)
{
    const struct dataset_index *d = &ix->index;
    uint64_t rows = 0, at = ix->smp_first;

    for (uint32_t e = 0; e < d->entry_count; e++) {
        const struct dataset_entry *entry = &d->entries[e];

        check(entry->stream < d->stream_count && entry->typeset < d->typeset_count);
        check(entry->time.first_ns <= entry->time.last_ns && entry->row_count > 0);
        rows += entry->row_count;
    }
    check(rows == ix->rows && ix->samples >= ix->rows);
    walk_blocks(ix->chunks, ix->chunk_first[d->entry_count], &at);
    walk_blocks(ix->row_blocks, ix->row_block_first[d->entry_count], &at);
    check(at == ix->smp_end && at <= SMP_BYTES);
}

static void read_index(struct str labels, struct str directory)
{
    struct segment_index ix = {0};
    struct arena arena;
    struct err err;

    arena_init(&arena, MEMORY);
    if (segment_labels_decode(labels, &arena, &ix.index, &err) == 0) {
        for (uint32_t i = 1; i < ix.index.stream_count; i++)
            check(labels_cmp(&ix.index.streams[i - 1], &ix.index.streams[i]) < 0);
        if (segment_directory_decode(directory, SMP_BYTES, &arena, &ix, &err) == 0)
            walk_index(&ix);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, raw[SECTIONS];

    if (size < 2 * SECTIONS)
        return 0;
    rest = str_slice(rest, 2 * SECTIONS, size);
    for (int i = 0; i < SECTIONS; i++) {
        size_t length = get_le16(data + 2 * i);

        raw[i] = str_slice(rest, 0, length);
        rest = str_slice(rest, length, size);
    }
    read_dictionary(raw);
    read_index(raw[5], raw[6]);
    return 0;
}

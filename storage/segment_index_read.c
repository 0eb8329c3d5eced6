/* Reading LBL and DIR: sorted, in range, tiling, or refused. */
#include "storage/segment_index.h"

#include "storage/segment_rows.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

#include <string.h>

static int corrupt(const char *section, const char *what, uint64_t item, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "section %s: %s %llu is damaged", section, what,
                   (unsigned long long)item);
}

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "a segment's index needs more than %zu bytes of memory",
                   arena_limit(arena));
}

/* A count of things of at least `bytes_each` bytes. */
static bool take_count(struct bytes *b, size_t bytes_each, uint32_t *out)
{
    return bytes_varint32(b, UINT32_MAX - 1, out) &&
           (*out <= bytes_left(b) / bytes_each || bytes_fail(b));
}

struct texts {
    struct str *items;
    uint32_t count;
};

static int take_texts(struct bytes *b, struct arena *arena, struct texts *out, struct err *err)
{
    struct str *items;

    if (!take_count(b, 1, &out->count) || out->count == 0)
        return corrupt("LBL", "the count of strings", 0, err);
    items = arena_array(arena, struct str, out->count);
    if (!items)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < out->count; i++) {
        struct str raw;
        char *copy;

        if (!bytes_take_sized(b, &raw) || (i > 0 && str_cmp(items[i - 1], raw) >= 0))
            return corrupt("LBL", "string", i, err);
        copy = arena_strndup(arena, raw.p, raw.len);
        if (!copy)
            return out_of_memory(arena, err);
        items[i] = (struct str){copy, raw.len};
    }
    out->items = items;
    return 0;
}

static bool take_text(struct bytes *b, const struct texts *t, struct str *out)
{
    uint32_t i;

    if (!bytes_varint32(b, t->count - 1, &i))
        return false;
    *out = t->items[i];
    return true;
}

static int take_stream(struct bytes *b, const struct texts *t, struct arena *arena,
                       struct labels *out, uint32_t item, struct err *err)
{
    if (!take_count(b, 2, &out->count))
        return corrupt("LBL", "stream", item, err);
    out->pairs = arena_array(arena, struct label, out->count);
    if (!out->pairs)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < out->count; i++)
        if (!take_text(b, t, &out->pairs[i].name) || !take_text(b, t, &out->pairs[i].value) ||
            (i > 0 && str_cmp(out->pairs[i - 1].name, out->pairs[i].name) >= 0))
            return corrupt("LBL", "stream", item, err);
    return 0;
}

static int take_typeset(struct bytes *b, const struct texts *t, struct arena *arena,
                        struct typeset *out, uint32_t item, struct err *err)
{
    if (!take_text(b, t, &out->period_type) || !take_text(b, t, &out->period_unit) ||
        !bytes_varint32(b, PROFILE_TYPES_MAX, &out->count) || out->count == 0)
        return corrupt("LBL", "typeset", item, err);
    out->types = arena_array(arena, struct profile_value_type, out->count);
    if (!out->types)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < out->count; i++)
        if (!take_text(b, t, &out->types[i].type) || !take_text(b, t, &out->types[i].unit))
            return corrupt("LBL", "typeset", item, err);
    return 0;
}

int segment_labels_decode(struct str raw, struct arena *arena, struct dataset_index *out,
                          struct err *err)
{
    struct bytes b = bytes_of(raw);
    struct typeset *typesets;
    struct labels *streams;
    struct texts t;
    int rc = take_texts(&b, arena, &t, err);

    if (rc != 0)
        return rc;
    if (!take_count(&b, 1, &out->stream_count))
        return corrupt("LBL", "the count of streams", 0, err);
    streams = arena_array(arena, struct labels, out->stream_count);
    if (!streams)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < out->stream_count; i++) {
        if ((rc = take_stream(&b, &t, arena, &streams[i], i, err)) != 0)
            return rc;
        if (i > 0 && labels_cmp(&streams[i - 1], &streams[i]) >= 0)
            return corrupt("LBL", "the order of stream", i, err);
    }
    if (!take_count(&b, 5, &out->typeset_count))
        return corrupt("LBL", "the count of typesets", 0, err);
    typesets = arena_array(arena, struct typeset, out->typeset_count);
    if (!typesets)
        return out_of_memory(arena, err);
    for (uint32_t i = 0; i < out->typeset_count; i++) {
        if ((rc = take_typeset(&b, &t, arena, &typesets[i], i, err)) != 0)
            return rc;
        if (i > 0 && typeset_cmp(&typesets[i - 1], &typesets[i]) >= 0)
            return corrupt("LBL", "the order of typeset", i, err);
    }
    if (bytes_left(&b) != 0)
        return corrupt("LBL", "the end after typeset", out->typeset_count, err);
    out->streams = streams;
    out->typesets = typesets;
    return 0;
}

static bool entry_after(const struct dataset_entry *a, const struct dataset_entry *b)
{
    return a->stream < b->stream || (a->stream == b->stream && a->typeset < b->typeset);
}

/* One entry, and how many blocks it has. */
static bool take_entry(struct bytes *b, const struct dataset_index *ix,
                       const struct dataset_entry *last, struct dataset_entry *out,
                       uint32_t *chunks, uint32_t *row_blocks)
{
    uint64_t stream, span, types;
    int64_t first;

    if (!bytes_varint(b, &stream) || !bytes_varint32(b, UINT32_MAX, &out->typeset) ||
        !bytes_varint(b, &out->present) || !bytes_zigzag(b, &first) || !bytes_varint(b, &span) ||
        !bytes_varint32(b, UINT32_MAX, chunks) || !bytes_varint32(b, UINT32_MAX, row_blocks))
        return false;
    stream += last ? last->stream : 0;
    if (stream >= ix->stream_count || out->typeset >= ix->typeset_count || *chunks == 0 ||
        *row_blocks == 0)
        return false;
    out->stream = (uint32_t)stream;
    out->time.first_ns = (int64_t)((last ? (uint64_t)last->time.first_ns : 0) + (uint64_t)first);
    out->time.last_ns = (int64_t)((uint64_t)out->time.first_ns + span);
    types = ix->typesets[out->typeset].count;
    return out->time.last_ns >= out->time.first_ns && (!last || entry_after(last, out)) &&
           (types == 64 || out->present >> types == 0);
}

/* The blocks of all entries; `at` is where the first one lies. */
static bool take_chunks(struct bytes *b, struct segment_block *blocks, uint32_t count, uint64_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        blocks[i].offset = *at;
        if (!bytes_varint32(b, UINT32_MAX, &blocks[i].rows) ||
            !bytes_varint32(b, UINT32_MAX, &blocks[i].samples) ||
            !bytes_varint32(b, UINT32_MAX, &blocks[i].stored) || blocks[i].rows == 0 ||
            blocks[i].samples < blocks[i].rows)
            return false;
        *at += blocks[i].stored;
    }
    return true;
}

static bool take_row_blocks(struct bytes *b, struct segment_block *blocks, uint32_t count,
                            uint64_t *at)
{
    for (uint32_t i = 0; i < count; i++) {
        blocks[i].offset = *at;
        if (!bytes_varint32(b, ROW_BLOCK_ROWS, &blocks[i].rows) ||
            !bytes_varint32(b, UINT32_MAX, &blocks[i].raw) ||
            !bytes_varint32(b, blocks[i].raw, &blocks[i].stored) || blocks[i].rows == 0)
            return false;
        *at += blocks[i].stored;
    }
    return true;
}

/* Rows by chunks and rows by row blocks are the same rows. */
static bool count_rows(struct segment_index *ix, struct dataset_entry *entry, uint32_t e)
{
    uint64_t in_chunks = 0, in_blocks = 0;

    for (uint32_t i = ix->chunk_first[e]; i < ix->chunk_first[e + 1]; i++) {
        in_chunks += ix->chunks[i].rows;
        ix->samples += ix->chunks[i].samples;
    }
    for (uint32_t i = ix->row_block_first[e]; i < ix->row_block_first[e + 1]; i++)
        in_blocks += ix->row_blocks[i].rows;
    entry->row_count = in_blocks;
    ix->rows += in_blocks;
    return in_chunks == in_blocks && in_blocks <= UINT32_MAX;
}

static int take_entries(struct bytes *b, struct segment_index *ix, struct dataset_entry *entries,
                        struct err *err)
{
    uint64_t chunk_total = 0, row_block_total = 0, max = bytes_left(b);

    for (uint32_t e = 0; e < ix->index.entry_count; e++) {
        uint32_t chunks, row_blocks;

        if (!take_entry(b, &ix->index, e ? &entries[e - 1] : NULL, &entries[e], &chunks,
                        &row_blocks))
            return corrupt("DIR", "entry", e, err);
        chunk_total += chunks;
        row_block_total += row_blocks;
        if (chunk_total > max || row_block_total > max || max > UINT32_MAX)
            return corrupt("DIR", "the count of blocks of entry", e, err);
        ix->chunk_first[e + 1] = (uint32_t)chunk_total;
        ix->row_block_first[e + 1] = (uint32_t)row_block_total;
    }
    return 0;
}

static int take_blocks(struct bytes *b, struct segment_index *ix, struct arena *arena,
                       struct err *err)
{
    uint32_t chunks = ix->chunk_first[ix->index.entry_count];
    uint32_t row_blocks = ix->row_block_first[ix->index.entry_count];

    /* Three varints and a checksum each. */
    if (((uint64_t)chunks + row_blocks) * 11 > bytes_left(b))
        return corrupt("DIR", "the count of blocks", chunks, err);
    ix->chunks = arena_calloc(arena, chunks, sizeof(*ix->chunks));
    ix->row_blocks = arena_calloc(arena, row_blocks, sizeof(*ix->row_blocks));
    if (!ix->chunks || !ix->row_blocks)
        return out_of_memory(arena, err);
    ix->smp_end = ix->smp_first;
    if (!take_chunks(b, ix->chunks, chunks, &ix->smp_end) ||
        !take_row_blocks(b, ix->row_blocks, row_blocks, &ix->smp_end))
        return corrupt("DIR", "a block of", chunks, err);
    for (uint32_t i = 0; i < chunks; i++)
        if (!bytes_le64(b, &ix->chunks[i].checksum))
            return corrupt("DIR", "the checksum of chunk", i, err);
    for (uint32_t i = 0; i < row_blocks; i++)
        if (!bytes_le64(b, &ix->row_blocks[i].checksum))
            return corrupt("DIR", "the checksum of row block", i, err);
    return bytes_left(b) == 0 ? 0 : corrupt("DIR", "the end after block", chunks, err);
}

int segment_directory_decode(struct str raw, uint64_t smp_bytes, struct arena *arena,
                             struct segment_index *out, struct err *err)
{
    struct bytes b = bytes_of(raw);
    struct dataset_entry *entries;
    uint32_t count;
    int rc;

    if (!take_count(&b, 7, &count) || count == 0 || !bytes_varint(&b, &out->smp_first) ||
        out->smp_first > smp_bytes)
        return corrupt("DIR", "the count of entries", 0, err);
    out->index.entry_count = count;
    entries = arena_calloc(arena, count, sizeof(*entries));
    out->chunk_first = arena_calloc(arena, (size_t)count + 1, sizeof(*out->chunk_first));
    out->row_block_first = arena_calloc(arena, (size_t)count + 1, sizeof(*out->row_block_first));
    if (!entries || !out->chunk_first || !out->row_block_first)
        return out_of_memory(arena, err);
    if ((rc = take_entries(&b, out, entries, err)) != 0 ||
        (rc = take_blocks(&b, out, arena, err)) != 0)
        return rc;
    if (out->smp_end > smp_bytes)
        return err_set(err, ERR_CORRUPT, "section DIR: blocks end at %llu of %llu bytes in .smp",
                       (unsigned long long)out->smp_end, (unsigned long long)smp_bytes);
    out->rows = out->samples = 0;
    for (uint32_t e = 0; e < count; e++)
        if (!count_rows(out, &entries[e], e))
            return corrupt("DIR", "the count of rows of entry", e, err);
    out->index.entries = entries;
    return 0;
}

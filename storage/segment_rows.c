#include "storage/segment_rows.h"

#include "base/arena.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

enum {
    ROW_BYTES_MAX = 10 + 20 + 20 + 20 + 5 + 10 + 5, /* of all columns but totals */
};

bool segment_rows_init(struct segment_rows *rows, uint32_t cap, uint32_t type_count,
                       struct arena *arena)
{
    *rows = (struct segment_rows){
        .type_count = type_count,
        .times = arena_array(arena, int64_t, cap),
        .durations = arena_array(arena, int64_t, cap),
        .periods = arena_array(arena, int64_t, cap),
        .present = arena_array(arena, uint64_t, cap),
        .sequences = arena_array(arena, uint64_t, cap),
        .samples = arena_array(arena, uint32_t, cap),
        .sequence_indexes = arena_array(arena, uint32_t, cap),
        .totals = arena_alloc_array(arena, (size_t)cap * type_count, sizeof(value128)),
    };
    return rows->times && rows->durations && rows->periods && rows->present && rows->sequences &&
           rows->samples && rows->sequence_indexes && rows->totals;
}

void segment_rows_add(struct segment_rows *rows, const struct dataset_row *row)
{
    uint32_t i = rows->count++;

    rows->times[i] = row->time_ns;
    rows->durations[i] = row->duration_ns;
    rows->periods[i] = row->period;
    rows->present[i] = row->present;
    rows->samples[i] = row->sample_count;
    rows->sequences[i] = row->sequence;
    rows->sequence_indexes[i] = row->sequence_index;
    for (uint32_t t = 0; t < rows->type_count; t++)
        rows->totals[(size_t)i * rows->type_count + t] = row->totals[t];
}

/* Pairs of run length and value. */
static void put_runs(const uint64_t *values, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && values[end] == values[i];)
            end++;
        buf_put_varint(out, end - i);
        buf_put_varint(out, values[i]);
    }
}

static void put_signed_runs(const int64_t *values, uint32_t count, struct buf *out)
{
    for (uint32_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && values[end] == values[i];)
            end++;
        buf_put_varint(out, end - i);
        buf_put_zigzag(out, values[i]);
    }
}

void segment_rows_encode(const struct segment_rows *rows, struct buf *out)
{
    uint64_t last = 0, step = 0, sequence = 0;

    for (uint32_t i = 0; i < rows->count; i++) {
        uint64_t next = (uint64_t)rows->times[i] - last;

        check(i == 0 || rows->times[i] >= rows->times[i - 1]);
        buf_put_zigzag(out, (int64_t)(next - step));
        step = i == 0 ? 0 : next; /* the first difference is no interval */
        last = (uint64_t)rows->times[i];
    }
    put_signed_runs(rows->durations, rows->count, out);
    put_signed_runs(rows->periods, rows->count, out);
    put_runs(rows->present, rows->count, out);
    for (uint32_t i = 0; i < rows->count; i++)
        buf_put_varint(out, rows->samples[i]);
    for (uint32_t t = 0; t < rows->type_count; t++)
        for (uint32_t i = 0; i < rows->count; i++)
            buf_put_varint128(out, rows->totals[(size_t)i * rows->type_count + t]);
    for (uint32_t i = 0; i < rows->count; i++) {
        buf_put_zigzag(out, (int64_t)(rows->sequences[i] - sequence));
        sequence = rows->sequences[i];
    }
    for (uint32_t i = 0; i < rows->count; i++)
        buf_put_varint(out, rows->sequence_indexes[i]);
}

uint64_t segment_rows_raw_max(uint32_t count, uint32_t type_count)
{
    return (uint64_t)count * (ROW_BYTES_MAX + (uint64_t)VARINT128_BYTES_MAX * type_count);
}

static bool take_runs(struct bytes *b, uint64_t *values, uint32_t count, bool is_signed)
{
    for (uint32_t i = 0; i < count;) {
        uint32_t run;
        uint64_t v;

        if (!bytes_varint32(b, count - i, &run) || run == 0 || !bytes_varint(b, &v))
            return bytes_fail(b);
        if (is_signed)
            v = (uint64_t)zigzag_decode(v);
        for (; run > 0; run--)
            values[i++] = v;
    }
    return true;
}

static bool take_times(struct bytes *b, int64_t *times, uint32_t count)
{
    uint64_t last = 0, step = 0;

    for (uint32_t i = 0; i < count; i++) {
        int64_t d;

        if (!bytes_zigzag(b, &d))
            return false;
        step += (uint64_t)d;
        last += step;
        times[i] = (int64_t)last;
        if (i == 0)
            step = 0;
        else if (times[i] < times[i - 1])
            return bytes_fail(b);
    }
    return true;
}

static bool take_totals(struct bytes *b, struct segment_rows *rows, uint32_t first, uint32_t count)
{
    for (uint32_t t = 0; t < rows->type_count; t++)
        for (uint32_t i = first; i < first + count; i++)
            if (!bytes_varint128(b, &rows->totals[(size_t)i * rows->type_count + t]))
                return false;
    return true;
}

static bool take_sequences(struct bytes *b, struct segment_rows *rows, uint32_t first,
                           uint32_t count)
{
    uint64_t sequence = 0;

    for (uint32_t i = first; i < first + count; i++) {
        int64_t d;

        if (!bytes_zigzag(b, &d))
            return false;
        sequence += (uint64_t)d;
        rows->sequences[i] = sequence;
    }
    for (uint32_t i = first; i < first + count; i++)
        if (!bytes_varint32(b, UINT32_MAX, &rows->sequence_indexes[i]))
            return false;
    return true;
}

int segment_rows_decode(struct str raw, uint32_t count, struct segment_rows *rows, struct err *err)
{
    struct bytes b = bytes_of(raw);
    uint32_t first = rows->count;
    uint64_t types = rows->type_count < 64 ? (UINT64_C(1) << rows->type_count) - 1 : UINT64_MAX;
    bool ok = take_times(&b, rows->times + first, count) &&
              take_runs(&b, (uint64_t *)(rows->durations + first), count, true) &&
              take_runs(&b, (uint64_t *)(rows->periods + first), count, true) &&
              take_runs(&b, rows->present + first, count, false);

    for (uint32_t i = first; ok && i < first + count; i++)
        ok = bytes_varint32(&b, UINT32_MAX, &rows->samples[i]) && rows->samples[i] > 0 &&
             (rows->present[i] & ~types) == 0;
    ok = ok && take_totals(&b, rows, first, count) && take_sequences(&b, rows, first, count) &&
         bytes_left(&b) == 0 && (first == 0 || rows->times[first] >= rows->times[first - 1]);
    if (!ok)
        return err_set(err, ERR_CORRUPT, "row block: rows %u to %u are damaged", first,
                       first + count - 1);
    rows->count += count;
    return 0;
}

void segment_rows_get(const struct segment_rows *rows, uint32_t i, uint32_t stream,
                      uint32_t typeset, struct dataset_row *out)
{
    *out = (struct dataset_row){
        .stream = stream,
        .typeset = typeset,
        .time_ns = rows->times[i],
        .duration_ns = rows->durations[i],
        .period = rows->periods[i],
        .present = rows->present[i],
        .totals = rows->totals + (size_t)i * rows->type_count,
        .sample_count = rows->samples[i],
        .sequence = rows->sequences[i],
        .sequence_index = rows->sequence_indexes[i],
    };
}

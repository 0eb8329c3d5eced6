/* push_request - see push_request.h. */
#include "api/push_request.h"

#include "api/proto/push.pb-c.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_SIZED = 2,
    WIRE_32 = 5,
};

enum field {
    REQUEST_SERIES = 1,
    SERIES_LABELS = 1,
    SERIES_SAMPLES = 2,
    SAMPLE_PROFILE = 1,
    SAMPLE_ID = 2,
    PAIR_NAME = 1,
    PAIR_VALUE = 2,
};

struct decoder {
    const char *start; /* of the whole message, for offsets */
    struct arena *arena;
    struct err *err;
};

static int bad(const struct decoder *d, const char *message, const struct bytes *in)
{
    return err_set(d->err, ERR_INVALID, "%s: cannot parse invalid wire-format data at offset %zu",
                   message, (size_t)((const char *)in->p - d->start));
}

static int no_memory(const struct decoder *d)
{
    return err_set(d->err, ERR_TOO_LARGE, "push request needs more than %zu bytes of memory",
                   arena_limit(d->arena));
}

/*
 * The next field: its number, and its bytes when it is a sized one (otherwise value.p is
 * NULL). Skips nothing: unknown fields are the caller's to ignore. False at malformed input.
 */
static bool next_field(struct bytes *in, uint32_t *number, struct str *value)
{
    uint64_t tag, ignored;
    uint32_t half;

    value->p = NULL;
    if (!bytes_varint(in, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
        return false;
    *number = (uint32_t)tag >> 3;
    switch (tag & 7) {
    case WIRE_VARINT:
        return bytes_varint(in, &ignored);
    case WIRE_64:
        return bytes_le64(in, &ignored);
    case WIRE_32:
        return bytes_le32(in, &half);
    case WIRE_SIZED:
        return bytes_take_sized(in, value);
    default:
        return false;
    }
}

/* How often fields 1 and 2 occur, as sized ones. */
static int count_fields(const struct decoder *d, const char *message, struct str wire,
                        uint32_t counts[3])
{
    struct bytes in = bytes_of(wire);
    uint32_t number;
    struct str value;

    counts[1] = counts[2] = 0;
    while (bytes_left(&in) > 0) {
        if (!next_field(&in, &number, &value))
            return bad(d, message, &in);
        if (number <= 2) {
            if (value.p == NULL)
                return bad(d, message, &in);
            counts[number]++;
        }
    }
    return 0;
}

/* A message of two sized fields: the last of each wins. */
static int decode_two(const struct decoder *d, const char *message, struct str wire,
                      struct str *first, struct str *second)
{
    struct bytes in = bytes_of(wire);
    uint32_t number;
    struct str value;

    *first = *second = (struct str){0};
    while (bytes_left(&in) > 0) {
        if (!next_field(&in, &number, &value) || (number <= 2 && value.p == NULL))
            return bad(d, message, &in);
        if (number == 1)
            *first = value;
        else if (number == 2)
            *second = value;
    }
    return 0;
}

static int decode_series(const struct decoder *d, struct str wire, struct push_series *out)
{
    const char *name = "push.v1.RawProfileSeries";
    struct bytes in = bytes_of(wire);
    uint32_t counts[3], number = 0;
    struct str value;
    int rc = count_fields(d, name, wire, counts);

    if (rc != 0)
        return rc;
    *out = (struct push_series){0};
    out->labels.pairs = arena_array(d->arena, struct label, counts[SERIES_LABELS]);
    out->samples = arena_array(d->arena, struct push_sample, counts[SERIES_SAMPLES]);
    if (out->labels.pairs == NULL || out->samples == NULL)
        return no_memory(d);
    while (rc == 0 && bytes_left(&in) > 0) {
        (void)next_field(&in, &number, &value);
        if (number == SERIES_LABELS) {
            struct label *l = &out->labels.pairs[out->labels.count++];

            rc = decode_two(d, "types.v1.LabelPair", value, &l->name, &l->value);
        } else if (number == SERIES_SAMPLES) {
            struct push_sample *s = &out->samples[out->sample_count++];

            rc = decode_two(d, "push.v1.RawSample", value, &s->profile, &s->id);
        }
    }
    return rc;
}

int push_request_decode(struct str wire, struct arena *arena, struct push_request *out,
                        struct err *err)
{
    const struct decoder d = {wire.p, arena, err};
    struct push_request request = {0};
    struct bytes in = bytes_of(wire);
    uint32_t counts[3], number = 0;
    struct str value;
    int rc = count_fields(&d, "push.v1.PushRequest", wire, counts);

    if (rc != 0)
        return rc;
    request.series = arena_array(arena, struct push_series, counts[REQUEST_SERIES]);
    if (request.series == NULL)
        return no_memory(&d);
    while (rc == 0 && bytes_left(&in) > 0) {
        (void)next_field(&in, &number, &value);
        if (number == REQUEST_SERIES)
            rc = decode_series(&d, value, &request.series[request.series_count++]);
    }
    if (rc == 0)
        *out = request;
    return rc;
}

static int convert_series(const struct decoder *d, const Push__V1__RawProfileSeries *from,
                          struct push_series *out)
{
    *out = (struct push_series){0};
    out->labels.pairs = arena_array(d->arena, struct label, from->n_labels);
    out->samples = arena_array(d->arena, struct push_sample, from->n_samples);
    if (out->labels.pairs == NULL || out->samples == NULL)
        return no_memory(d);
    for (size_t i = 0; i < from->n_labels; i++)
        out->labels.pairs[out->labels.count++] =
            (struct label){str_from(from->labels[i]->name), str_from(from->labels[i]->value)};
    for (size_t i = 0; i < from->n_samples; i++) {
        const ProtobufCBinaryData *raw = &from->samples[i]->raw_profile;

        out->samples[out->sample_count++] = (struct push_sample){
            {(const char *)raw->data, raw->len}, str_from(from->samples[i]->id)};
    }
    return 0;
}

int push_request_from_message(const ProtobufCMessage *message, struct arena *arena,
                              struct push_request *out, struct err *err)
{
    const struct decoder d = {NULL, arena, err};
    const Push__V1__PushRequest *from = (const void *)message;
    struct push_request request = {
        .series = arena_array(arena, struct push_series, from->n_series),
    };
    int rc = 0;

    if (request.series == NULL)
        return no_memory(&d);
    for (size_t i = 0; rc == 0 && i < from->n_series; i++)
        rc = convert_series(&d, from->series[i], &request.series[request.series_count++]);
    if (rc == 0)
        *out = request;
    return rc;
}

uint64_t push_request_count(const struct push_request *request)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < request->series_count; i++)
        count += request->series[i].sample_count;
    return count;
}

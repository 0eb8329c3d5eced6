/*
 * push_request - a PushRequest from its wire form, without copying profiles.
 *
 * Labels may hold any bytes, so the strings keep their lengths; profiles point into the
 * body. Two linear passes: count, then fill; the arena bounds what they may take.
 *
 * Source: ../shared/spec/ingest-api.md, section 1.4. Pure functions.
 */
#ifndef API_PUSH_REQUEST_H
#define API_PUSH_REQUEST_H

#include "base/str.h"
#include "storage/model/labels.h"

#include <stdint.h>

struct ProtobufCMessage;
struct arena;
struct err;

struct push_sample {
    struct str profile; /* pprof, gzip or not */
    struct str id;
};

struct push_series {
    struct labels labels; /* as sent */
    struct push_sample *samples;
    uint32_t sample_count;
};

struct push_request {
    struct push_series *series;
    uint32_t series_count;
};

/* ERR_INVALID: not such a message, with the offset; ERR_TOO_LARGE: the arena is full. */
int push_request_decode(struct str wire, struct arena *arena, struct push_request *out,
                        struct err *err);

/* The same from a push.v1.PushRequest that was read from JSON. ERR_TOO_LARGE. */
int push_request_from_message(const struct ProtobufCMessage *message, struct arena *arena,
                              struct push_request *out, struct err *err);

/* Profiles in it. */
uint64_t push_request_count(const struct push_request *request);

#endif

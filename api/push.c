/*
 * push - push.v1.PusherService/Push: profiles with labels, by Connect.
 *
 * Every profile is taken or refused on its own; those that are taken are stored
 * together, and the answer, also one that refuses others, comes after that. The message
 * is that of the first refusal (../shared/spec/ingest-api.md, sections 1.4 and 1.5).
 */
#include "api/api.h"
#include "api/connect.h"
#include "api/intake.h"
#include "api/push_request.h"
#include "base/arena.h"
#include "base/err.h"
#include "server/http/request.h"
#include "storage/model/go_text.h"
#include "storage/model/limits.h"

#include "api/proto/push.pb-c.h"

/* The first refusal of a push; the text is in the call's arena. */
struct refusal {
    bool is_set;
    enum connect_code code;
    struct str text;
};

/* What outlives the handler while storage works. */
struct push_wait {
    struct connect_call *call;
    struct refusal refusal;
};

static int unmarshal(struct connect_call *call, struct push_request *out)
{
    ProtobufCMessage *message;
    struct err err;
    int rc;

    if (call->codec == CONNECT_PROTO) {
        rc = push_request_decode(call->message, call->arena, out, &err);
        if (rc != 0)
            return connect_fail(call, CONNECT_INVALID_ARGUMENT, "unmarshal message: %s", err.msg);
        return 0;
    }
    if (call->message.len > call->api->limits->push_json_bytes_max)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT,
                            "JSON message of %zu bytes is larger than the limit of %llu; send "
                            "application/proto",
                            call->message.len,
                            (unsigned long long)call->api->limits->push_json_bytes_max);
    rc = connect_unmarshal(call, &push__v1__push_request__descriptor, &message);
    if (rc != 0)
        return rc;
    if (push_request_from_message(message, call->arena, out, &err) != 0)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "unmarshal message: %s", err.msg);
    return 0;
}

static int tenant_of_push(struct connect_call *call)
{
    int rc = connect_tenants(call);

    if (rc == 0 && call->tenants.count > 1)
        rc = connect_fail(call, CONNECT_UNAUTHENTICATED, "multiple org IDs present");
    return rc;
}

static void remember(struct connect_call *call, struct refusal *r, enum connect_code code,
                     struct str text)
{
    if (r->is_set)
        return;
    r->is_set = true;
    r->code = code;
    r->text.p = arena_memdup(call->arena, text.p, text.len);
    r->text.len = r->text.p != NULL ? text.len : 0;
}

/* "uncompressed profile payload size exceeds limit of 4.2 MB" */
static struct str size_text(struct connect_call *call, const char *what, uint64_t limit)
{
    struct buf text;
    struct str out;

    buf_init(&text, 256);
    (void)buf_printf(&text, "uncompressed %sprofile payload size exceeds limit of ", what);
    go_bytes_si_append(&text, limit);
    out.p = arena_memdup(call->arena, text.data, text.len);
    out.len = out.p != NULL ? text.len : 0;
    buf_release(&text);
    return out;
}

static void take_profile(struct connect_call *call, struct intake *in,
                         const struct push_series *series, const struct push_sample *sample,
                         struct refusal *refusal)
{
    struct discard discard;
    struct pprof pprof;
    int rc = intake_open(in, sample->profile, &pprof, &discard);

    if (rc != 0) {
        if (discard.reason == DISCARD_PROFILE_SIZE_LIMIT)
            discard.text = size_text(call, "", discard.limit);
        intake_refuse(in, labels_get(&series->labels, STR(LABEL_SERVICE_NAME)), &discard);
    } else {
        rc = intake_add(in, &series->labels, sample->id, &pprof, &discard);
    }
    if (rc != 0)
        remember(call, refusal, connect_code_of_err(rc), discard.text);
}

/* Fails the call when the profiles together are too large: then nothing is stored. */
static int take_all(struct connect_call *call, struct intake *in,
                    const struct push_request *request, struct refusal *refusal)
{
    uint64_t bytes_max = call->api->limits->push_profiles_bytes_max;

    for (uint32_t i = 0; i < request->series_count; i++) {
        const struct push_series *series = &request->series[i];

        for (uint32_t j = 0; j < series->sample_count; j++) {
            take_profile(call, in, series, &series->samples[j], refusal);
            if (bytes_max > 0 && in->inflated_bytes > bytes_max) {
                struct discard discard = {.reason = DISCARD_BODY_SIZE_LIMIT,
                                          .actual = in->inflated_bytes,
                                          .limit = bytes_max,
                                          .text = size_text(call, "batched ", bytes_max)};

                intake_refuse(in, labels_get(&series->labels, STR(LABEL_SERVICE_NAME)), &discard);
                return connect_fail(call, CONNECT_INVALID_ARGUMENT, "%" STR_FMT,
                                    STR_ARG(discard.text));
            }
        }
    }
    return 0;
}

/* The answer once storage has decided. */
static int conclude(struct connect_call *call, const struct refusal *refusal, int rc,
                    const struct err *err)
{
    Push__V1__PushResponse response = PUSH__V1__PUSH_RESPONSE__INIT;

    if (rc != 0) {
        call->status = intake_store_status(rc);
        return connect_fail_err(call, err);
    }
    if (refusal->is_set) {
        call->code = refusal->code;
        call->error = refusal->text;
        return ERR_INVALID;
    }
    return connect_answer(call, &response.base);
}

static void stored(void *ctx, int rc, const struct err *err)
{
    struct push_wait *wait = ctx;

    connect_finish(wait->call, conclude(wait->call, &wait->refusal, rc, err));
}

static int store(struct connect_call *call, struct intake *in, const struct refusal *refusal)
{
    struct push_wait *wait = arena_new(call->arena, struct push_wait);
    bool pending;
    struct err err;
    int rc;

    if (wait == NULL)
        return connect_fail(call, CONNECT_UNAVAILABLE, "no memory for the request");
    *wait = (struct push_wait){call, *refusal};
    rc = intake_store(in, stored, wait, &pending, &err);
    /* When pending, the call may be answered and gone already. */
    return pending ? CONNECT_PENDING : conclude(call, refusal, rc, &err);
}

int push_rpc(struct connect_call *call)
{
    struct push_request request = {0};
    struct refusal refusal = {0};
    struct intake in;
    struct err err;
    int rc = unmarshal(call, &request);

    if (rc == 0)
        rc = tenant_of_push(call);
    if (rc != 0)
        return rc;
    if (push_request_count(&request) == 0)
        return connect_fail(call, CONNECT_INVALID_ARGUMENT, "no profiles received");
    rc = intake_begin(&in, call->api, call->tenants.ids[0], call->message.len,
                      arena_limit(call->arena), &err);
    if (rc != 0)
        return connect_fail_err(call, &err);
    rc = take_all(call, &in, &request, &refusal);
    if (rc == 0)
        rc = store(call, &in, &refusal);
    intake_end(&in);
    return rc;
}

/*
 * ingest - POST /ingest: one profile, its name and labels in the query string.
 *
 *   name, tenant -> format -> decode -> labels -> normalise -> store -> 200 without a body
 *
 * Three dialects of errors, by format (../shared/spec/ingest-api.md, sections 2.1 to
 * 2.11): text answers 400 in shape B, pprof 422 in shape A with its own prefixes. Storage
 * failures are 5xx for all: they are not the client's mistake.
 */
#include "api/api.h"
#include "api/decode/app_name.h"
#include "api/decode/folded.h"
#include "api/decode/multipart.h"
#include "api/decode/pprof_fixups.h"
#include "api/decode/sample_type_config.h"
#include "api/decode/text_kind.h"
#include "api/decode/time_form.h"
#include "api/error_shape.h"
#include "api/handlers.h"
#include "api/intake.h"
#include "api/tenant.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "storage/model/labels.h"
#include "storage/model/series_labels.h"
#include "storage/model/validate.h"

#include <stdarg.h>

#define LABEL_SPY "pyroscope_spy"
#define PARSING "parsing IngestInput-pprof failed "
#define PUSHING "pushing IngestInput-pprof failed "

enum {
    OWN_LABELS_MAX = 5, /* beside those of the name */
    RETRY_AFTER_S = 1,
};

enum ingest_format {
    FORMAT_GROUPS,
    FORMAT_LINES,
    FORMAT_PPROF,
    FORMAT_PPROF_FORM,
    FORMAT_UNSUPPORTED,
};

/* One request; in its arena. */
struct ingest {
    struct api *api;
    struct http_request *req;
    struct http_response *res;
    struct arena *arena;
    struct app_name name;
    struct str tenant, spy_name, format_name;
    enum tenant_verdict tenant_verdict;
    struct err tenant_err;
    enum ingest_format format;
    int64_t from_ns;
    uint32_t sample_rate;
    struct intake intake;
};

/* --- answers --- */

static enum http_result answer_a(struct ingest *g, int status, const char *prefix, struct str text)
{
    struct buf message;

    buf_init(&message, DISCARD_TEXT_MAX);
    (void)buf_append_cstr(&message, prefix);
    (void)buf_append_str(&message, text);
    error_shape_a(g->res, status, buf_str(&message));
    buf_release(&message);
    return HTTP_DONE;
}

static bool is_text(const struct ingest *g)
{
    return g->format == FORMAT_GROUPS || g->format == FORMAT_LINES ||
           g->format == FORMAT_UNSUPPORTED;
}

/* A refusal by the push pipeline. */
static enum http_result answer_refused(struct ingest *g, int rc, struct str text)
{
    enum connect_code code = connect_code_of_err(rc);
    struct buf prefix;

    if (is_text(g)) {
        error_shape_b(g->res, code, text);
        return HTTP_DONE;
    }
    buf_init(&prefix, 256);
    (void)buf_printf(
        &prefix, PUSHING "push series with index 0 and id  failed: %s: ", connect_code_name(code));
    (void)buf_append_byte(&prefix, '\0');
    answer_a(g, rc == ERR_RATE_LIMITED ? 429 : 422, (const char *)prefix.data, text);
    buf_release(&prefix);
    return HTTP_DONE;
}

static void answer_stored(struct ingest *g, int rc, const struct err *err)
{
    int status = intake_store_status(rc);

    if (rc == 0)
        return; /* 200, nothing to say */
    if (is_text(g)) {
        error_shape_b(g->res, connect_code_of_status(status), str_from(err->msg));
        http_response_status(g->res, status);
    } else {
        error_shape_a(g->res, status, str_from(err->msg));
    }
    if (status == 503)
        http_response_retry_after(g->res, RETRY_AFTER_S);
}

/* --- parameters --- */

static struct str query_or(const struct ingest *g, const char *name, struct str otherwise)
{
    struct str value;

    return http_request_query(g->req, name, &value) && value.len > 0 ? value : otherwise;
}

static bool has_type(struct str content_type, const char *part)
{
    return str_find(content_type, str_from(part)) != SIZE_MAX;
}

/* The first row of the table in section 2.5 that fits. */
static enum ingest_format find_format(struct ingest *g)
{
    static const char *const unsupported[] = {"trie", "tree", "jfr", "speedscope"};
    struct str type = {0}, format = query_or(g, "format", (struct str){0});

    (void)http_request_header(g->req, "Content-Type", &type);
    g->format_name = format;
    if (str_eq(type, STR("binary/octet-stream+trie")))
        g->format_name = STR("trie");
    else if (str_eq(type, STR("binary/octet-stream+tree")) && !str_eq(format, STR("trie")))
        g->format_name = STR("tree");
    for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
        if (str_eq(g->format_name, str_from(unsupported[i])))
            return FORMAT_UNSUPPORTED;
    if (str_eq(format, STR("lines")))
        return FORMAT_LINES;
    if (str_eq(format, STR("pprof")))
        return FORMAT_PPROF;
    return has_type(type, "multipart/form-data") ? FORMAT_PPROF_FORM : FORMAT_GROUPS;
}

static void read_parameters(struct ingest *g)
{
    struct str from = query_or(g, "from", (struct str){0});
    int64_t now_ns = clock_now_ns(g->api->clock), rate;

    g->spy_name = query_or(g, "spyName", STR("unknown"));
    g->from_ns = from.len > 0 ? time_form_ingest_ns(from, now_ns) : now_ns;
    g->sample_rate = TEXT_KIND_SAMPLE_RATE;
    if (str_parse_i64(query_or(g, "sampleRate", (struct str){0}), 0, INT64_MAX, &rate))
        g->sample_rate = (uint32_t)rate;
}

/* --- labels --- */

static void add_label(struct labels *labels, struct str name, struct str value)
{
    labels->pairs[labels->count++] = (struct label){name, value};
}

/*
 * The server's own labels, then those of the name: private ones are dropped, except the
 * session id. False when the arena is full.
 */
static bool make_labels(struct ingest *g, struct str metric_name, struct str app,
                        struct labels *out)
{
    const struct labels *given = &g->name.labels;
    bool has_service = labels_find(given, STR(LABEL_SERVICE_NAME)) != NULL;

    *out = (struct labels){
        .pairs = arena_array(g->arena, struct label, (size_t)given->count + OWN_LABELS_MAX)};
    if (out->pairs == NULL)
        return false;
    add_label(out, STR(LABEL_NAME), metric_name);
    add_label(out, STR("__delta__"), STR("false"));
    add_label(out, STR(LABEL_SPY), g->spy_name);
    for (uint32_t i = 0; i < given->count; i++)
        if (!str_starts(given->pairs[i].name, STR("__")) ||
            str_eq(given->pairs[i].name, STR("__session_id__")))
            out->pairs[out->count++] = given->pairs[i];
    if (!has_service)
        add_label(out, STR(LABEL_SERVICE_NAME), app);
    else if (is_text(g) && labels_find(given, STR("app_name")) == NULL)
        add_label(out, STR("app_name"), app);
    return true;
}

/* --- storing --- */

static void stored(void *ctx, int rc, const struct err *err)
{
    struct ingest *g = ctx;

    answer_stored(g, rc, err);
    http_reply_send(http_request_reply(g->req));
}

/* Normalises and stores an open intake's profile. */
static enum http_result push(struct ingest *g, struct str metric_name, struct str app,
                             struct pprof *p)
{
    struct discard discard;
    struct labels labels;
    struct err err;
    bool pending;
    int rc;

    if (!make_labels(g, metric_name, app, &labels))
        return answer_a(g, 413, "", STR("labels need too much memory"));
    rc = intake_add(&g->intake, &labels, (struct str){0}, p, &discard);
    if (rc != 0)
        return answer_refused(g, rc, discard.text);
    rc = intake_store(&g->intake, stored, g, &pending, &err);
    if (pending)
        return HTTP_PENDING; /* g may be gone */
    answer_stored(g, rc, &err);
    return HTTP_DONE;
}

/* Counts, logs and answers what the decoder refuses. */
static enum http_result refuse_body(struct ingest *g, const char *prefix,
                                    const struct discard *discard)
{
    intake_refuse(&g->intake, g->name.app, discard);
    return answer_a(g, 422, prefix, discard->text);
}

static enum http_result refuse_err(struct ingest *g, const char *prefix, const struct err *err)
{
    struct discard discard = {.reason = err->code == ERR_TOO_LARGE ? DISCARD_MEMORY_LIMIT
                                                                   : DISCARD_MALFORMED,
                              .text = str_from(err->msg)};

    return refuse_body(g, prefix, &discard);
}

/* --- text --- */

static enum http_result ingest_text(struct ingest *g)
{
    enum folded_form form = g->format == FORMAT_LINES ? FOLDED_LINES : FOLDED_GROUPS;
    struct text_kind kind;
    struct folded folded;
    struct err kind_err, err;
    int kind_rc = text_kind_of(g->name.app, g->sample_rate, &kind, &kind_err);

    /* A body that does not parse is reported before a type that nobody knows. */
    if (kind_rc != 0)
        (void)text_kind_of(STR("x"), g->sample_rate, &kind, NULL);
    if (folded_decode(http_request_body(g->req), form, &kind, g->from_ns, g->intake.arena, &folded,
                      &err) != 0)
        return refuse_err(g, "", &err);
    if (g->tenant_verdict != TENANT_OK) {
        error_shape_b(g->res, CONNECT_UNAUTHENTICATED, str_from(g->tenant_err.msg));
        return HTTP_DONE;
    }
    if (kind_rc != 0) {
        (void)err_prefix(&kind_err, "pyroscopeIngesterAdapter failed to convert metadata");
        error_shape_b(g->res, CONNECT_INVALID_ARGUMENT, str_from(kind_err.msg));
        return HTTP_DONE;
    }
    if (labels_get(&g->name.labels, STR("profile_id")).len > 0)
        return HTTP_DONE; /* exemplars of an old client: not kept, not an error */
    if (folded.unread_bytes > 0)
        metric_add(METRIC_folded_unread_bytes, folded.unread_bytes);
    return push(g, kind.metric_name, kind.app, &folded.pprof);
}

/* --- pprof --- */

static enum http_result ingest_profile(struct ingest *g, struct str raw,
                                       const struct sample_type_config *config)
{
    const struct pprof_fixups fixups = {g->spy_name, g->from_ns, config};
    struct discard discard;
    struct pprof p;
    struct err err;

    if (intake_open(&g->intake, raw, &p, &discard) != 0)
        return refuse_body(g, PARSING "invalid_argument: ", &discard);
    if (pprof_fixups_apply(&p, &fixups, g->intake.arena, &err) != 0)
        return refuse_err(g, PARSING, &err);
    return push(g, pprof_metric_name(&p, config), g->name.app, &p);
}

static enum http_result ingest_form(struct ingest *g)
{
    const char *prefix = PARSING "failed to parse pprof /ingest multipart form ";
    struct sample_type_config config = {0};
    struct multipart parts;
    struct str boundary, type = {0}, text;
    struct err err;

    (void)http_request_header(g->req, "Content-Type", &type);
    if (multipart_boundary(type, g->arena, &boundary, &err) != 0 ||
        multipart_parse(http_request_body(g->req), boundary, g->arena, &parts, &err) != 0)
        return refuse_err(g, prefix, &err);
    if (multipart_file(&parts, STR("prev_profile")).len > 0) {
        (void)err_set(&err, ERR_INVALID,
                      "unsupported client version. Please update "
                      "github.com/grafana/pyroscope-go to the latest version");
        return refuse_err(g, prefix, &err);
    }
    text = multipart_file(&parts, STR("sample_type_config"));
    if (text.len > 0 && sample_type_config_parse(text, g->arena, &config, &err) != 0)
        return refuse_err(g, prefix, &err);
    text = multipart_file(&parts, STR("profile"));
    return text.len > 0 ? ingest_profile(g, text, &config) : HTTP_DONE;
}

static enum http_result ingest_raw(struct ingest *g)
{
    const struct sample_type_config config = {0};
    struct str body = http_request_body(g->req);

    return body.len > 0 ? ingest_profile(g, body, &config) : HTTP_DONE;
}

/* --- the route --- */

/*
 * What can be said of a call tree without reading it: its type and its labels. True when
 * that is refused, which wins over the format.
 */
static bool refuse_tree(struct ingest *g)
{
    struct labels labels, request, joined;
    struct discard discard = {0};
    struct text_kind kind;
    struct err err;
    bool is_speedscope = str_eq(g->format_name, STR("speedscope"));

    if (str_eq(g->format_name, STR("jfr")))
        return false;
    if (text_kind_of(g->name.app, g->sample_rate, &kind, &err) != 0) {
        (void)err_prefix(&err, "%spyroscopeIngesterAdapter failed to convert metadata",
                         is_speedscope ? "invalid_argument: " : "");
        if (is_speedscope)
            error_shape_a(g->res, 422, str_from(err.msg));
        else
            error_shape_b(g->res, CONNECT_INVALID_ARGUMENT, str_from(err.msg));
        return true;
    }
    if (is_speedscope || !make_labels(g, kind.metric_name, kind.app, &labels) ||
        !series_labels_of_request(&labels, g->arena, &request) ||
        !series_labels_join(&request, NULL, 0, g->arena, &joined) ||
        validate_labels(&joined, g->api->limits, g->arena, &discard) == 0)
        return false;
    intake_refuse(&g->intake, g->name.app, &discard);
    error_shape_b(g->res, CONNECT_INVALID_ARGUMENT, discard.text);
    return true;
}

static enum http_result refuse_format(struct ingest *g)
{
    struct discard discard = {.reason = DISCARD_UNSUPPORTED_FORMAT};
    struct err err;

    if (refuse_tree(g))
        return HTTP_DONE;

    (void)err_set(&err, ERR_UNSUPPORTED,
                  "format '%" STR_FMT "' is not supported by this version; accepted are groups "
                  "(also called folded and collapsed), lines, and pprof (raw or multipart)",
                  STR_ARG(g->format_name));
    discard.text = str_from(err.msg);
    intake_refuse(&g->intake, g->name.app, &discard);
    error_shape_a(g->res, 415, discard.text);
    return HTTP_DONE;
}

static enum http_result dispatch(struct ingest *g)
{
    bool is_pprof = g->format == FORMAT_PPROF || g->format == FORMAT_PPROF_FORM;

    if (g->tenant_verdict != TENANT_OK && is_pprof)
        return answer_a(g, 422, PARSING, str_from(g->tenant_err.msg));
    switch (g->format) {
    case FORMAT_PPROF:
        return ingest_raw(g);
    case FORMAT_PPROF_FORM:
        return ingest_form(g);
    case FORMAT_UNSUPPORTED:
        return refuse_format(g);
    default:
        return ingest_text(g);
    }
}

enum http_result ingest_post(struct api *api, struct http_request *req, struct http_response *res)
{
    struct arena *arena = http_request_arena(req);
    struct ingest *g = arena_calloc(arena, 1, sizeof(*g));
    enum http_result result;
    struct intake intake;
    struct err err;

    if (g == NULL) {
        error_shape_a(res, 503, STR("no memory for the request"));
        return HTTP_DONE;
    }
    *g = (struct ingest){.api = api, .req = req, .res = res, .arena = arena};
    g->tenant_verdict = tenant_of_request(api, req, &g->tenant, &g->tenant_err);
    if (g->tenant_verdict == TENANT_MISSING)
        return answer_a(g, 401, "", str_from(g->tenant_err.msg));
    if (app_name_parse(query_or(g, "name", (struct str){0}), arena, &g->name, &err) != 0)
        return answer_a(g, 400, "name: ", str_from(err.msg));
    read_parameters(g);
    g->format = find_format(g);
    if (intake_begin(&g->intake, api, g->tenant, http_request_body(req).len, arena_limit(arena),
                     &err) != 0) {
        answer_stored(g, err.code, &err);
        return HTTP_DONE;
    }
    intake = g->intake; /* g goes with the reply, which may be sent before push() returns */
    result = dispatch(g);
    intake_end(&intake);
    return result;
}

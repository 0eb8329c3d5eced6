/* validate - see validate.h. */
#include "storage/model/validate.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "storage/model/discard.h"
#include "storage/model/go_text.h"
#include "storage/model/labels.h"
#include "storage/model/limits.h"
#include "storage/model/pprof.h"
#include "storage/model/profile.h"

#include <inttypes.h>
#include <string.h>

struct check {
    struct pprof *p;
    const struct labels *labels;
    const struct limits *limits;
    struct arena *arena;
    struct profile_facts *facts;
    struct discard *discard;
};

static int refuse(const struct check *c, const char *text)
{
    return discard_set(c->discard, ERR_INVALID, DISCARD_MALFORMED, c->arena, "%s", text);
}

/* --- texts that show the label set --- */

static void about_labels(struct buf *text, const char *before, const struct labels *labels)
{
    buf_init(text, DISCARD_TEXT_MAX);
    buf_append_cstr(text, before);
    labels_format(labels, text);
}

static int refuse_buf(struct discard *d, enum discard_reason reason, struct arena *arena,
                      struct buf *text)
{
    int rc = discard_set_buf(d, ERR_INVALID, reason, arena, text);

    buf_release(text);
    return rc;
}

static int refuse_limit(const struct check *c, enum discard_reason reason, const char *what,
                        const char *limit_name, uint64_t actual, uint64_t limit)
{
    struct buf text;

    c->discard->actual = actual;
    c->discard->limit = limit;
    about_labels(&text, "the profile with labels '", c->labels);
    buf_printf(&text, "' exceeds the %s limit (%s, actual: %" PRIu64 ", limit: %" PRIu64 ")", what,
               limit_name, actual, limit);
    return refuse_buf(c->discard, reason, c->arena, &text);
}

/* --- time --- */

static int refuse_window(const struct check *c, int64_t now_ns)
{
    int64_t age = c->limits->push_age_max_ns, ahead = c->limits->push_future_max_ns;
    struct buf text;

    about_labels(&text, "profile with labels '", c->labels);
    buf_append_cstr(&text, "' is outside of ingestion window (profile timestamp: ");
    go_time_append(&text, c->p->time_ns / 1000000);
    buf_append_cstr(&text, ", the ingestion window ");
    if (age > 0) {
        buf_append_cstr(&text, "starts at ");
        go_time_append(&text, (now_ns - age) / 1000000);
    }
    if (age > 0 && ahead > 0)
        buf_append_cstr(&text, " and ");
    if (ahead > 0) {
        buf_append_cstr(&text, "ends at ");
        go_time_append(&text, (now_ns + ahead) / 1000000);
    }
    buf_append_cstr(&text, ")");
    return refuse_buf(c->discard, DISCARD_NOT_IN_WINDOW, c->arena, &text);
}

static int check_time(const struct check *c, int64_t now_ns)
{
    int64_t age = c->limits->push_age_max_ns, ahead = c->limits->push_future_max_ns;
    int64_t now_ms = now_ns / 1000000, time_ms = c->p->time_ns / 1000000;

    if (c->p->time_ns <= 0) {
        c->p->time_ns = now_ns;
        c->facts->time_set = true;
        return 0;
    }
    if ((age > 0 && time_ms <= now_ms - age / 1000000) ||
        (ahead > 0 && time_ms >= now_ms + ahead / 1000000))
        return refuse_window(c, now_ns);
    if (ahead == 0 && c->p->time_ns > now_ns && c->p->time_ns - now_ns > VALIDATE_FUTURE_MAX_NS) {
        c->p->time_ns = now_ns;
        c->facts->time_set = true;
    }
    return 0;
}

/* --- sizes --- */

static int check_samples(const struct check *c)
{
    struct pprof *p = c->p;
    uint32_t depth_max = c->limits->stack_depth_max;
    uint32_t labels_max = c->limits->sample_labels_max;

    if (c->limits->samples_max > 0 && p->sample_count > c->limits->samples_max)
        return refuse_limit(c, DISCARD_SAMPLES_LIMIT, "samples count",
                            "max_profile_stacktrace_samples", p->sample_count,
                            c->limits->samples_max);
    for (uint32_t i = 0; i < p->sample_count; i++) {
        struct pprof_sample *s = &p->samples[i];

        /* The root side stays. */
        if (depth_max > 0 && s->location_count > depth_max) {
            s->location_first += s->location_count - depth_max;
            s->location_count = depth_max;
        }
        if (labels_max > 0 && s->label_count > labels_max)
            return refuse_limit(c, DISCARD_SAMPLE_LABELS_LIMIT, "sample labels",
                                "max_profile_stacktrace_sample_labels", s->label_count, labels_max);
    }
    return 0;
}

static void cut_strings(const struct check *c)
{
    uint32_t bytes_max = c->limits->string_bytes_max;

    if (bytes_max == 0)
        return;
    for (uint32_t i = 0; i < c->p->string_count; i++) {
        struct str *s = &c->p->strings[i];

        if (s->len > bytes_max)
            *s = (struct str){.p = s->p + (s->len - bytes_max), .len = bytes_max};
    }
}

/* --- references --- */

static int check_ids(const struct check *c)
{
    const struct pprof *p = c->p;

    for (uint32_t i = 0; i < p->location_count; i++)
        if (p->locations[i].id == 0)
            return refuse(c, "location id is 0");
    for (uint32_t i = 0; i < p->function_count; i++)
        if (p->functions[i].id == 0)
            return refuse(c, "function id is 0");
    for (uint32_t i = 0; i < p->sample_count; i++)
        if (p->samples[i].value_count != p->sample_type_count)
            return refuse(c, "sample value length mismatch");
    if (p->string_count == 0 || p->strings[0].len > 0)
        return refuse(c, "string 0 should be empty string");
    return 0;
}

static bool in_table(const struct pprof *p, int64_t index)
{
    return (uint64_t)index < p->string_count; /* negative ones are huge */
}

static int check_tables(const struct check *c)
{
    const struct pprof *p = c->p;

    for (uint32_t i = 0; i < p->sample_count; i++) {
        const struct pprof_sample *s = &p->samples[i];

        for (uint32_t j = 0; j < s->label_count; j++) {
            const struct pprof_label *l = &p->labels[s->label_first + j];

            if (!in_table(p, l->key) || !in_table(p, l->str))
                return refuse(c, "sample label string index out of range");
        }
    }
    for (uint32_t i = 0; i < p->function_count; i++) {
        const struct pprof_function *f = &p->functions[i];

        if (!in_table(p, f->name))
            return refuse(c, "function name string index out of range");
        if (!in_table(p, f->system_name))
            return refuse(c, "function system name index string out of range");
        if (!in_table(p, f->filename))
            return refuse(c, "function file name string index out of range");
    }
    for (uint32_t i = 0; i < p->mapping_count; i++) {
        if (!in_table(p, p->mappings[i].filename))
            return refuse(c, "mapping file name string index out of range");
        if (!in_table(p, p->mappings[i].build_id))
            return refuse(c, "mapping build id string index out of range");
    }
    return 0;
}

static int check_types(const struct check *c)
{
    const struct pprof *p = c->p;

    for (uint32_t i = 0; i < p->sample_type_count; i++) {
        if (!in_table(p, p->sample_types[i].type))
            return refuse(c, "sample type type string index out of range");
        if (p->sample_types[i].unit < 0)
            return refuse(c, "sample type unit string index out of range");
    }
    if (p->has_period_type && (p->period_type.type < 0 || p->period_type.unit < 0))
        return refuse(c, "period type string index out of range");
    return 0;
}

static int check_type_names(const struct check *c)
{
    const struct pprof *p = c->p;

    for (uint32_t i = 0; i < p->sample_type_count; i++) {
        struct str name = p->strings[p->sample_types[i].type];

        if (name.len > 0 && memchr(name.p, '-', name.len) != NULL)
            return refuse(c, "sample type contains -");
    }
    return 0;
}

/* --- strings --- */

/* Sixteen bytes at a time: in one register, where there is one that wide. */
typedef unsigned char bytes16 __attribute__((vector_size(16)));

struct scan {
    bytes16 high, bracket; /* a top bit that is set: some byte was not ASCII, or was a '[' */
};

static void scan_16(struct scan *s, const char *p)
{
    bytes16 v;

    memcpy(&v, p, sizeof(v));
    s->high |= v;
    s->bracket |= (bytes16)(v == '[');
}

static bool has_top_bit(bytes16 v)
{
    uint64_t half[2];

    memcpy(half, &v, sizeof(half));
    return ((half[0] | half[1]) & UINT64_C(0x8080808080808080)) != 0;
}

/* True when the bytes are ASCII; notes a '[' on the way. */
static bool scan_ascii(struct str s, bool *has_bracket)
{
    struct scan scan = {0};

    if (s.len >= 16) {
        for (size_t i = 0; i + 16 < s.len; i += 16)
            scan_16(&scan, s.p + i);
        scan_16(&scan, s.p + s.len - 16);
    } else {
        char padded[16] = {0};

        for (size_t i = 0; i < s.len; i++)
            padded[i] = s.p[i];
        scan_16(&scan, padded);
    }
    *has_bracket = has_top_bit(scan.bracket);
    return !has_top_bit(scan.high);
}

static int check_utf8(const struct check *c)
{
    const struct pprof *p = c->p;

    c->facts->brackets = arena_array(c->arena, uint32_t, p->string_count);
    if (c->facts->brackets == NULL)
        return discard_set(c->discard, ERR_TOO_LARGE, DISCARD_MEMORY_LIMIT, c->arena,
                           "profile needs more than %zu bytes of memory", arena_limit(c->arena));
    for (uint32_t i = 0; i < p->string_count; i++) {
        struct str s = p->strings[i];
        bool has_bracket;
        bool is_ascii = scan_ascii(s, &has_bracket);
        struct buf text;

        if (has_bracket)
            c->facts->brackets[c->facts->bracket_count++] = i;
        if (is_ascii || str_is_utf8(s))
            continue;
        buf_init(&text, DISCARD_TEXT_MAX);
        buf_append_cstr(&text, "invalid utf8 string hex: ");
        for (size_t j = 0; j < s.len; j++)
            buf_printf(&text, "%02x", (uint8_t)s.p[j]);
        return refuse_buf(c->discard, DISCARD_MALFORMED, c->arena, &text);
    }
    return 0;
}

int validate_profile(struct pprof *p, const struct labels *labels, const struct limits *limits,
                     int64_t now_ns, struct arena *arena, struct profile_facts *facts,
                     struct discard *discard)
{
    const struct check c = {p, labels, limits, arena, facts, discard};
    int rc;

    *facts = (struct profile_facts){0};
    if (p->sample_type_count == 0)
        return refuse(&c, "empty profile");
    if (p->sample_type_count > PROFILE_TYPES_MAX)
        return discard_set(discard, ERR_INVALID, DISCARD_MALFORMED, arena,
                           "profile has %u sample types; limit %d", p->sample_type_count,
                           PROFILE_TYPES_MAX);
    rc = check_time(&c, now_ns);
    if (rc != 0)
        return rc;
    if (limits->profile_bytes_max > 0 && p->encoded_bytes > limits->profile_bytes_max)
        return refuse_limit(&c, DISCARD_PROFILE_SIZE_LIMIT, "size", "max_profile_size_byte",
                            p->encoded_bytes, limits->profile_bytes_max);
    rc = check_samples(&c);
    if (rc != 0)
        return rc;
    cut_strings(&c);
    if ((rc = check_ids(&c)) != 0 || (rc = check_types(&c)) != 0 || (rc = check_tables(&c)) != 0 ||
        (rc = check_type_names(&c)) != 0)
        return rc;
    return check_utf8(&c);
}

/* --- labels --- */

static int refuse_set(const struct labels *labels, struct arena *arena, struct discard *d,
                      enum discard_reason reason, const char *before, const char *after,
                      const struct str *name)
{
    struct buf text;

    about_labels(&text, before, labels);
    buf_append_cstr(&text, after);
    if (name != NULL) {
        buf_append_str(&text, *name);
        buf_append_cstr(&text, "'");
    }
    return refuse_buf(d, reason, arena, &text);
}

static int check_label(const struct labels *labels, uint32_t i, const struct limits *limits,
                       struct arena *arena, struct discard *d)
{
    const struct label *l = &labels->pairs[i];

    if (l->name.len > limits->label_name_bytes_max) {
        d->actual = l->name.len;
        d->limit = limits->label_name_bytes_max;
        return refuse_set(labels, arena, d, DISCARD_LABEL_NAME_TOO_LONG, "profile with labels '",
                          "' has label name too long: '", &l->name);
    }
    if (l->value.len > limits->label_value_bytes_max) {
        d->actual = l->value.len;
        d->limit = limits->label_value_bytes_max;
        return refuse_set(labels, arena, d, DISCARD_LABEL_VALUE_TOO_LONG, "profile with labels '",
                          "' has label value too long: '", &l->value);
    }
    if (l->name.len == 0 || !str_is_utf8(l->name))
        return refuse_set(labels, arena, d, DISCARD_INVALID_LABELS, "invalid labels '",
                          "' with error: invalid label name '", &l->name);
    if (!str_is_utf8(l->value))
        return refuse_set(labels, arena, d, DISCARD_INVALID_LABELS, "invalid labels '",
                          "' with error: invalid label value '", &l->value);
    if (i > 0 && str_eq(l->name, labels->pairs[i - 1].name))
        return refuse_set(labels, arena, d, DISCARD_DUPLICATE_LABELS, "profile with labels '",
                          "' has duplicate label name: '", &l->name);
    return 0;
}

int validate_labels(const struct labels *labels, const struct limits *limits, struct arena *arena,
                    struct discard *discard)
{
    struct buf text;
    int rc = 0;

    if (labels->count == 0)
        return discard_set(discard, ERR_INVALID, DISCARD_MISSING_LABELS, arena,
                           "error at least one label pair is required per profile");
    if (labels->count > limits->labels_max) {
        discard->actual = labels->count;
        discard->limit = limits->labels_max;
        about_labels(&text, "profile series '", labels);
        buf_printf(&text, "' has %u label names; limit %u", labels->count, limits->labels_max);
        return refuse_buf(discard, DISCARD_TOO_MANY_LABELS, arena, &text);
    }
    if (labels_get(labels, STR(LABEL_NAME)).len == 0)
        return refuse_set(labels, arena, discard, DISCARD_INVALID_LABELS, "invalid labels '",
                          "' with error: invalid metric name", NULL);
    if (labels_get(labels, STR(LABEL_SERVICE_NAME)).len == 0)
        return refuse_set(labels, arena, discard, DISCARD_MISSING_LABELS, "invalid labels '",
                          "' with error: service name is not provided", NULL);
    for (uint32_t i = 0; i < labels->count && rc == 0; i++)
        rc = check_label(labels, i, limits, arena, discard);
    return rc;
}

/* series_labels - see series_labels.h. */
#include "storage/model/series_labels.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "storage/model/go_text.h"
#include "storage/model/labels.h"

#include <string.h>

enum {
    RELABEL_ADDED_MAX = 2, /* labels that the default rules may add: a name replaced, a delta */

    /* JSON around four label values of at most 64 KiB each. */
    BUILD_ID_BYTES_MAX = 1024 * 1024,
};

bool series_labels_of_request(const struct labels *sent, struct arena *arena, struct labels *out)
{
    struct label *pairs = arena_alloc(arena, (sent->count + 1) * sizeof(*pairs));

    if (pairs == NULL)
        return false;
    if (sent->count > 0)
        memcpy(pairs, sent->pairs, sent->count * sizeof(*pairs));
    *out = (struct labels){.pairs = pairs, .count = sent->count};
    if (labels_get(sent, STR(LABEL_SERVICE_NAME)).len == 0)
        pairs[out->count++] = (struct label){STR(LABEL_SERVICE_NAME), STR(LABEL_SERVICE_UNKNOWN)};
    labels_sort(out);
    return true;
}

/* --- editing a set that has room --- */

static void remove_name(struct labels *labels, struct str name)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < labels->count; i++)
        if (!str_eq(labels->pairs[i].name, name))
            labels->pairs[kept++] = labels->pairs[i];
    labels->count = kept;
}

/* An empty value removes the label. */
static void set_label(struct labels *labels, struct str name, struct str value)
{
    bool found = false;

    if (value.len == 0) {
        remove_name(labels, name);
        return;
    }
    for (uint32_t i = 0; i < labels->count && !found; i++) {
        if (str_eq(labels->pairs[i].name, name)) {
            labels->pairs[i].value = value;
            found = true;
        }
    }
    if (!found)
        labels->pairs[labels->count++] = (struct label){name, value};
}

/*
 * The rules every reference server applies (section 3.12): names of the delta profiler
 * lose their prefix, and wall profiles that a client calls cpu are process_cpu.
 */
static void relabel(struct labels *labels)
{
    const struct str prefix = STR("godeltaprof_");
    struct str name = labels_get(labels, STR(LABEL_NAME));

    if (str_starts(name, prefix))
        set_label(labels, STR(LABEL_NAME_REPLACED), name);
    if (str_starts(labels_get(labels, STR(LABEL_NAME_REPLACED)), prefix))
        set_label(labels, STR(LABEL_DELTA), STR("false"));
    if (str_starts(name, prefix)) {
        name = (struct str){.p = name.p + prefix.len, .len = name.len - prefix.len};
        set_label(labels, STR(LABEL_NAME), name);
    }
    if (str_eq(name, STR("wall")) && str_eq(labels_get(labels, STR(LABEL_TYPE)), STR("cpu"))) {
        set_label(labels, STR(LABEL_NAME_REPLACED), name);
        set_label(labels, STR(LABEL_NAME), STR("process_cpu"));
    }
}

static bool name_is_emptied(const struct labels *request, struct str name)
{
    for (uint32_t i = 0; i < request->count; i++)
        if (request->pairs[i].value.len == 0 && str_eq(request->pairs[i].name, name))
            return true;
    return false;
}

bool series_labels_join(const struct labels *request, const struct label *extra, uint32_t count,
                        struct arena *arena, struct labels *out)
{
    bool some_empty = false;

    out->count = 0;
    out->pairs = arena_alloc(arena, (request->count + (size_t)count + RELABEL_ADDED_MAX) *
                                        sizeof(out->pairs[0]));
    if (out->pairs == NULL)
        return false;
    for (uint32_t i = 0; i < request->count; i++)
        some_empty |= request->pairs[i].value.len == 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct label *l = &request->pairs[i];

        if (!str_eq(l->name, STR(LABEL_SESSION_ID)) &&
            !(some_empty && name_is_emptied(request, l->name)))
            out->pairs[out->count++] = *l;
    }
    for (uint32_t i = 0; i < count; i++)
        if (extra[i].value.len > 0 && labels_find(out, extra[i].name) == NULL)
            out->pairs[out->count++] = extra[i];
    relabel(out);
    labels_sort(out);
    return true;
}

void series_labels_strip(struct labels *labels)
{
    static const char *const names[] = {
        LABEL_DELTA,       LABEL_ORDER,       LABEL_TYPE,         LABEL_UNIT,
        LABEL_PERIOD_TYPE, LABEL_PERIOD_UNIT, LABEL_PROFILE_TYPE, LABEL_SERVICE_NAME_COPY,
    };
    uint32_t kept = 0;

    for (uint32_t i = 0; i < labels->count; i++) {
        struct str name = labels->pairs[i].name;
        bool drop = false;

        if (str_starts(name, STR("__")))
            for (unsigned int j = 0; j < sizeof(names) / sizeof(names[0]); j++)
                drop |= str_eq(name, str_from(names[j]));
        if (!drop)
            labels->pairs[kept++] = labels->pairs[i];
    }
    labels->count = kept;
}

bool series_labels_build_id(const struct labels *request, struct str build_id, struct arena *arena,
                            struct str *out)
{
    const struct {
        const char *key;
        struct str value;
    } members[] = {
        {"repository", labels_get(request, STR("service_repository"))},
        {"git_ref", labels_get(request, STR("service_git_ref"))},
        {"build_id", build_id},
        {"root_path", labels_get(request, STR("service_root_path"))},
    };
    struct buf text;
    bool ok;

    *out = build_id;
    if (members[0].value.len + members[1].value.len + members[3].value.len == 0)
        return true;
    buf_init(&text, BUILD_ID_BYTES_MAX);
    buf_append_cstr(&text, "{");
    for (unsigned int i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (members[i].value.len == 0)
            continue;
        buf_printf(&text, "%s\"%s\":", text.len > 1 ? "," : "", members[i].key);
        go_json_append(&text, members[i].value, true);
    }
    buf_append_cstr(&text, "}");
    out->len = text.len;
    out->p = arena_memdup(arena, text.data, text.len);
    ok = out->p != NULL;
    buf_release(&text);
    return ok;
}

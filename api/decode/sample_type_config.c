#include "api/decode/sample_type_config.h"

#include "base/arena.h"
#include "base/err.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

static int wrong_shape(const char *sample_type, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "sample_type_config: %s of '%s' has the wrong type", what,
                   sample_type);
}

/* The members of the struct that the reference reads into; it ignores the case of names. */
static int check_member(const char *sample_type, const char *key, const json_t *value,
                        const char **display_name, struct err *err)
{
    bool is_name = strcasecmp(key, "display-name") == 0;

    if (json_is_null(value))
        return 0;
    if (is_name || strcasecmp(key, "units") == 0 || strcasecmp(key, "aggregation") == 0) {
        if (!json_is_string(value))
            return wrong_shape(sample_type, key, err);
        if (is_name)
            *display_name = json_string_value(value);
    } else if (strcasecmp(key, "cumulative") == 0 || strcasecmp(key, "sampled") == 0) {
        if (!json_is_boolean(value))
            return wrong_shape(sample_type, key, err);
    }
    return 0;
}

static int copy(struct arena *arena, const char *text, struct str *out, struct err *err)
{
    size_t len = strlen(text);
    char *p = arena_strndup(arena, text, len);

    if (p == NULL)
        return err_set(err, ERR_TOO_LARGE, "sample_type_config: no memory for its names");
    *out = (struct str){p, len};
    return 0;
}

static int read_entry(const char *sample_type, json_t *members, struct arena *arena,
                      struct sample_type_config_entry *out, struct err *err)
{
    const char *key, *display_name = "";
    json_t *value;
    int rc;

    if (!json_is_object(members) && !json_is_null(members))
        return wrong_shape(sample_type, "the entry", err);
    json_object_foreach(members, key, value)
    {
        rc = check_member(sample_type, key, value, &display_name, err);
        if (rc != 0)
            return rc;
    }
    rc = copy(arena, sample_type, &out->sample_type, err);
    return rc != 0 ? rc : copy(arena, display_name, &out->display_name, err);
}

static int read_entries(json_t *root, struct arena *arena, struct sample_type_config *config,
                        struct err *err)
{
    const char *sample_type;
    json_t *members;

    if (json_is_null(root))
        return 0;
    if (!json_is_object(root))
        return err_set(err, ERR_INVALID, "sample_type_config: must be a JSON object");
    config->is_set = true;
    config->entries = arena_array(arena, struct sample_type_config_entry, json_object_size(root));
    if (config->entries == NULL)
        return err_set(err, ERR_TOO_LARGE, "sample_type_config: no memory for its %zu entries",
                       json_object_size(root));
    json_object_foreach(root, sample_type, members)
    {
        int rc = read_entry(sample_type, members, arena, &config->entries[config->count], err);

        if (rc != 0)
            return rc;
        config->count++;
    }
    return 0;
}

int sample_type_config_parse(struct str json, struct arena *arena, struct sample_type_config *out,
                             struct err *err)
{
    struct sample_type_config config = {0};
    json_error_t why;
    json_t *root;
    int rc;

    if (json.len > SAMPLE_TYPE_CONFIG_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "sample_type_config: %zu bytes, the limit is %d",
                       json.len, SAMPLE_TYPE_CONFIG_BYTES_MAX);
    root = json_loadb(json.len > 0 ? json.p : "", json.len, JSON_DECODE_ANY, &why);
    if (root == NULL)
        return err_set(err, ERR_INVALID, "sample_type_config: %s at byte %d", why.text,
                       why.position);
    rc = read_entries(root, arena, &config, err);
    json_decref(root);
    if (rc == 0)
        *out = config;
    return rc;
}

const struct sample_type_config_entry *
sample_type_config_find(const struct sample_type_config *config, struct str sample_type)
{
    for (uint32_t i = 0; i < config->count; i++)
        if (str_eq(config->entries[i].sample_type, sample_type))
            return &config->entries[i];
    return NULL;
}

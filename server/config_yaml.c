/*
 * config_yaml - the YAML source of the configuration, event by event.
 *
 * Only mappings of scalars: what a configuration needs and nothing that could
 * blow up (aliases), mislead (tags, duplicate keys) or recurse.
 */
#include "server/config_notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/err.h"

enum {
    DEPTH_MAX = 8,
    NAME_MAX_BYTES = 256,
    FILE_MAX_BYTES = 1 << 20, /* a configuration is a page or two */
};

struct reader {
    const char *path;
    struct config_notes *notes;
    struct err *err;
    char name[NAME_MAX_BYTES]; /* dotted prefix of the mappings we are in */
    size_t prefix[DEPTH_MAX];  /* its length at each depth */
    int depth;                 /* mappings open */
    bool have_key;             /* the next event is this key's value */
    size_t key_end;
};

static int fail(struct reader *r, const yaml_event_t *e, const char *what, const char *text)
{
    err_set(r->err, ERR_INVALID, "%s:%zu: %s%s", r->path, e->start_mark.line + 1, what, text);
    return EXIT_CONFIG;
}

static int take_key(struct reader *r, const yaml_event_t *e)
{
    const char *key = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length, at = r->prefix[r->depth - 1];
    if (len != strlen(key) || at + len + 2 > sizeof(r->name))
        return fail(r, e, "unknown option", "");
    if (at)
        r->name[at++] = '.';
    memcpy(r->name + at, key, len + 1);
    r->key_end = at + len;
    r->have_key = true;
    return EXIT_OK;
}

static int take_value(struct reader *r, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    char where[512];
    r->have_key = false;
    snprintf(where, sizeof(where), "%s:%zu", r->path, e->start_mark.line + 1);
    if (strncmp(r->name, "tenants.", 8) == 0)
        return config_tenant_note(r->notes->config, r->name, text, where, r->err);
    int option = config_option_find(r->name);
    if (option < 0) {
        err_set(r->err, ERR_INVALID, "%s:%zu: unknown option '%s'; did you mean '%s'?", r->path,
                e->start_mark.line + 1, r->name, config_option_nearest(r->name));
        return EXIT_CONFIG;
    }
    if (option == CONFIG_OPTION_config)
        return fail(r, e, "a configuration file cannot name another one", "");
    if (r->notes->list[option].text)
        return fail(r, e, "a second value for ", r->name);
    if (strlen(text) != e->data.scalar.length)
        return fail(r, e, "NUL in the value of ", r->name);
    return config_note(r->notes, option, text, CONFIG_FILE, where, r->err);
}

static int open_mapping(struct reader *r, const yaml_event_t *e)
{
    if (r->depth > 0 && !r->have_key)
        return fail(r, e, "a key must be text", "");
    if (r->depth == DEPTH_MAX)
        return fail(r, e, "nested too deeply", "");
    r->prefix[r->depth] = r->depth ? r->key_end : 0;
    r->depth++;
    r->have_key = false;
    return EXIT_OK;
}

static int take_event(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return fail(r, e, "aliases are not supported", "");
    case YAML_SEQUENCE_START_EVENT:
        return fail(r, e, "no option takes a list", "");
    case YAML_MAPPING_START_EVENT:
        return open_mapping(r, e);
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return EXIT_OK;
    case YAML_SCALAR_EVENT:
        /* An empty document is one empty scalar. */
        if (r->depth == 0)
            return e->data.scalar.length ? fail(r, e, "expected `option: value` lines", "")
                                         : EXIT_OK;
        return r->have_key ? take_value(r, e) : take_key(r, e);
    default:
        return EXIT_OK;
    }
}

static int read_events(struct reader *r, yaml_parser_t *parser)
{
    int documents = 0;
    for (;;) {
        yaml_event_t e;
        if (!yaml_parser_parse(parser, &e)) {
            err_set(r->err, ERR_INVALID, "%s:%zu: %s", r->path, parser->problem_mark.line + 1,
                    parser->problem ? parser->problem : "not YAML");
            return EXIT_CONFIG;
        }
        bool end = e.type == YAML_STREAM_END_EVENT;
        int rc = take_event(r, &e);
        if (rc == EXIT_OK && e.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            rc = fail(r, &e, "a second document", "");
        yaml_event_delete(&e);
        if (rc != EXIT_OK || end)
            return rc;
    }
}

int config_read_file(struct config_notes *notes, const char *path, struct err *err)
{
    struct reader r = {.path = path, .notes = notes, .err = err};
    yaml_parser_t parser;
    int rc = EXIT_CONFIG;
    char *text = NULL;
    size_t len = 0;

    FILE *file = fopen(path, "re");
    if (!file) {
        err_io(err, "open configuration", path);
        return EXIT_CONFIG;
    }
    text = malloc(FILE_MAX_BYTES);
    if (text)
        len = fread(text, 1, FILE_MAX_BYTES, file);
    if (!text || ferror(file))
        err_set(err, ERR_INVALID, "config: cannot read %s", path);
    else if (len == FILE_MAX_BYTES)
        err_set(err, ERR_INVALID, "config: %s is larger than 1 MiB", path);
    else if (!yaml_parser_initialize(&parser))
        err_set(err, ERR_NOMEM, "config: out of memory");
    else {
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
        rc = read_events(&r, &parser);
        yaml_parser_delete(&parser);
    }
    free(text);
    fclose(file);
    return rc;
}

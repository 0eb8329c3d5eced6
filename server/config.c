/*
 * config - collect texts from all sources, then parse them once.
 *
 * Every source only notes (option, text, where); the last note for an option
 * wins. Values are parsed afterwards, `limits` first because it sets the
 * defaults of the limits.
 */
#include "server/config.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "server/config_notes.h"
#include "server/config_value.h"

enum {
    NOTES_BYTES_MAX = 4 << 20,
    RETENTION_SAMPLES_FIRST = 1, /* of retention.policy */
    RETENTION_BYTES_MIN = 16 << 20,
};

enum option_type {
    TYPE_BOOL,
    TYPE_INT,
    TYPE_BYTES,
    TYPE_SPACE,
    TYPE_DURATION,
    TYPE_STRING,
    TYPE_CHOICE,
};

struct option {
    const char *name, *value, *help, *choices;
    enum option_type type;
    bool is_limit; /* default comes from the preset */
    size_t offset, size;
};

#define MEMBER_SIZE(member) sizeof(((struct config *)0)->member)

static const struct option options[CONFIG_OPTION_COUNT] = {
#define OPTION(type, member, name, value, help)                                                    \
    {name,                                                                                         \
     value,                                                                                        \
     help,                                                                                         \
     NULL,                                                                                         \
     TYPE_##type,                                                                                  \
     false,                                                                                        \
     offsetof(struct config, member),                                                              \
     MEMBER_SIZE(member)},
#define CHOICE(member, name, value, choices, help)                                                 \
    {name,                                                                                         \
     value,                                                                                        \
     help,                                                                                         \
     choices,                                                                                      \
     TYPE_CHOICE,                                                                                  \
     false,                                                                                        \
     offsetof(struct config, member),                                                              \
     MEMBER_SIZE(member)},
#define LIMIT(type, member, name, help)                                                            \
    {name,                                                                                         \
     "",                                                                                           \
     help,                                                                                         \
     NULL,                                                                                         \
     TYPE_##type,                                                                                  \
     true,                                                                                         \
     offsetof(struct config, limits.member),                                                       \
     MEMBER_SIZE(limits.member)},
#include "server/config.def"
#undef OPTION
#undef CHOICE
#undef LIMIT
};

int config_option_find(const char *name)
{
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++)
        if (strcmp(options[i].name, name) == 0)
            return i;
    return -1;
}

const char *config_option_nearest(const char *name)
{
    const char *best = options[0].name;
    unsigned int distance = UINT32_MAX;
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++) {
        unsigned int d = config_edit_distance(name, options[i].name);
        if (d < distance) {
            distance = d;
            best = options[i].name;
        }
    }
    return best;
}

/* "wal.sync" -> "FLAMEKEEP_WAL_SYNC". */
static void env_name(const char *name, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "FLAMEKEEP_");
    for (; *name && n + 1 < size; name++)
        out[n++] = *name == '.' || *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    out[n] = 0;
}

int config_note(struct config_notes *notes, int option, const char *text, enum config_source source,
                const char *where, struct err *err)
{
    const char *copy = arena_strndup(notes->arena, text, strlen(text));
    const char *place = arena_strndup(notes->arena, where, strlen(where));
    if (!copy || !place) {
        err_set(err, ERR_TOO_LARGE, "%s: more than %d bytes of configuration", where,
                NOTES_BYTES_MAX);
        return EXIT_CONFIG;
    }
    notes->list[option] = (struct config_note){copy, place, source};
    return EXIT_OK;
}

/* Names that Kubernetes sets in every pod beside a service called flamekeep. */
static bool injected(const char *name)
{
    return strncmp(name, "FLAMEKEEP_PORT", 14) == 0 || strncmp(name, "FLAMEKEEP_SERVICE_", 18) == 0;
}

static int read_env(struct config_notes *notes, char **envp, struct err *err)
{
    for (; *envp; envp++) {
        char name[128], known[128], nearest[128] = "";
        const char *eq = strchr(*envp, '=');
        if (strncmp(*envp, "FLAMEKEEP_", 10) != 0 || !eq || injected(*envp))
            continue;
        unsigned int distance = UINT32_MAX;
        int found = -1;
        snprintf(name, sizeof(name), "%.*s", (int)(eq - *envp), *envp);
        for (int i = 0; i < CONFIG_OPTION_COUNT && found < 0; i++) {
            env_name(options[i].name, known, sizeof(known));
            if (strcmp(known, name) == 0)
                found = i;
            unsigned int d = config_edit_distance(name, known);
            if (d < distance) {
                distance = d;
                snprintf(nearest, sizeof(nearest), "%s", known);
            }
        }
        if (found < 0) {
            err_set(err, ERR_INVALID, "unknown environment variable %s; did you mean %s?", name,
                    nearest);
            return EXIT_CONFIG;
        }
        int rc = config_note(notes, found, eq + 1, CONFIG_ENV, name, err);
        if (rc != EXIT_OK)
            return rc;
    }
    return EXIT_OK;
}

/* One flag at argv[*i]; moves *i to its last word. */
static int read_flag(struct config_notes *notes, int argc, char **argv, int *i, struct err *err)
{
    const char *arg = argv[*i], *value = NULL;
    char name[128], where[160];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == 0) {
        err_set(err, ERR_INVALID, "unexpected argument '%s'; options begin with --", arg);
        return EXIT_USAGE;
    }
    const char *eq = strchr(arg, '=');
    int len = eq ? (int)(eq - arg - 2) : (int)strlen(arg + 2);
    snprintf(name, sizeof(name), "%.*s", len, arg + 2);
    int option = config_option_find(name);
    if (option < 0) {
        err_set(err, ERR_INVALID, "unknown option --%s; did you mean --%s?", name,
                config_option_nearest(name));
        return EXIT_USAGE;
    }
    if (eq) {
        value = eq + 1;
    } else if (options[option].type == TYPE_BOOL) {
        value = "true";
    } else if (*i + 1 < argc) {
        value = argv[++*i];
    } else {
        err_set(err, ERR_INVALID, "option --%s needs a value", name);
        return EXIT_USAGE;
    }
    snprintf(where, sizeof(where), "--%s", name);
    return config_note(notes, option, value, CONFIG_FLAG, where, err);
}

static int read_flags(struct config_notes *notes, int argc, char **argv, struct err *err)
{
    for (int i = 0; i < argc; i++) {
        int rc = read_flag(notes, argc, argv, &i, err);
        if (rc != EXIT_OK)
            return rc;
    }
    return EXIT_OK;
}

/* Index of text among "a|b|c", or -1. */
static int choice_index(const char *choices, const char *text)
{
    size_t len = strlen(text);
    for (int i = 0; *choices; i++) {
        size_t n = strcspn(choices, "|");
        if (n == len && strncmp(choices, text, n) == 0)
            return i;
        choices += n + (choices[n] == '|');
    }
    return -1;
}

static const char *type_hint(const struct option *o)
{
    switch (o->type) {
    case TYPE_BOOL:
        return "true or false";
    case TYPE_INT:
        return "a whole number, not negative";
    case TYPE_BYTES:
        return "a size such as 4096, 64MiB or 1GB";
    case TYPE_SPACE:
        return "a size such as 64MiB or 200GB, or a part of the volume such as 80%";
    case TYPE_DURATION:
        return "a duration such as 20ms, 90s or 1h30m";
    case TYPE_STRING:
        return "text";
    case TYPE_CHOICE:
        return o->choices;
    }
    return "";
}

/* Stores an unsigned quantity in a member of 4 or 8 bytes; false when it does not fit. */
static bool store_number(void *member, size_t size, uint64_t value)
{
    uint32_t small = (uint32_t)value;
    if (size == sizeof(small) && small != value)
        return false;
    if (size == sizeof(small))
        memcpy(member, &small, sizeof(small));
    else
        memcpy(member, &value, sizeof(value));
    return true;
}

static bool store_value(struct config *c, const struct option *o, const char *text)
{
    void *member = (char *)c + o->offset;
    int64_t number = 0;
    uint64_t bytes = 0;
    bool flag = false;
    char *copy;
    switch (o->type) {
    case TYPE_BOOL:
        if (!config_parse_bool(text, &flag))
            return false;
        memcpy(member, &flag, sizeof(flag));
        return true;
    case TYPE_INT:
        return config_parse_int(text, &number) && number >= 0 &&
               store_number(member, o->size, (uint64_t)number);
    case TYPE_DURATION:
        return config_parse_duration(text, &number) &&
               store_number(member, o->size, (uint64_t)number);
    case TYPE_BYTES:
        return config_parse_bytes(text, &bytes) && store_number(member, o->size, bytes);
    case TYPE_SPACE:
        return config_parse_space(text, &bytes) && store_number(member, o->size, bytes);
    case TYPE_CHOICE:
        number = choice_index(o->choices, text);
        memcpy(member, &(int){(int)number}, sizeof(int));
        return number >= 0;
    case TYPE_STRING:
        copy = strdup(text);
        if (copy)
            memcpy(member, &copy, sizeof(copy));
        return copy != NULL;
    }
    return false;
}

static int apply(struct config *c, const struct config_notes *notes, int option, struct err *err)
{
    const struct option *o = &options[option];
    const struct config_note *note = &notes->list[option];
    const char *text = note->text ? note->text : o->value;
    c->source[option] = note->text ? note->source : CONFIG_DEFAULT;
    if (o->is_limit && !note->text)
        return EXIT_OK;
    if (store_value(c, o, text))
        return EXIT_OK;
    err_set(err, ERR_INVALID, "%s: '%s' is not a value for %s; it takes %s",
            note->where ? note->where : "default", text, o->name, type_hint(o));
    return note->source == CONFIG_FLAG ? EXIT_USAGE : EXIT_CONFIG;
}

static int check_retention(const struct config *c, struct err *err)
{
    if (c->retention_policy == RETENTION_SAMPLES_FIRST) {
        err_set(err, ERR_INVALID,
                "retention.policy: samples-first needs rollups that outlive samples, which this "
                "version does not write; use whole");
        return EXIT_CONFIG;
    }
    if (!(c->retention_max_bytes & CONFIG_PERCENT) && c->retention_max_bytes > 0 &&
        c->retention_max_bytes < RETENTION_BYTES_MIN) {
        err_set(err, ERR_INVALID,
                "retention.max_bytes: %" PRIu64 " bytes are too few to work with; at least %d",
                c->retention_max_bytes, RETENTION_BYTES_MIN);
        return EXIT_CONFIG;
    }
    return EXIT_OK;
}

/* What no single value can tell. */
static int check_whole(const struct config *c, struct err *err)
{
    size_t len = strlen(c->base_path);
    if (len && (c->base_path[0] != '/' || c->base_path[len - 1] == '/' ||
                strpbrk(c->base_path, "?#% \t\"<>\\"))) {
        err_set(err, ERR_INVALID,
                "base-path: '%s' must begin with a slash, not end with one, and hold no space, "
                "quote, '?', '#' or '%%'",
                c->base_path);
        return EXIT_CONFIG;
    }
    if (c->data[0] == 0) {
        err_set(err, ERR_INVALID, "data: an empty name is no directory");
        return EXIT_CONFIG;
    }
    if (c->limits.nodes_default > c->limits.nodes_max) {
        err_set(err, ERR_INVALID,
                "limits.nodes_default: %" PRId64 " is more than limits.nodes_max (%" PRId64 ")",
                c->limits.nodes_default, c->limits.nodes_max);
        return EXIT_CONFIG;
    }
    if (c->wal_file_min_bytes > c->wal_file_max_bytes) {
        err_set(err, ERR_INVALID, "wal.file.min_bytes is more than wal.file.max_bytes");
        return EXIT_CONFIG;
    }
    return check_retention(c, err);
}

/* The file named by flag or environment, read before them: they win. */
static int read_all(struct config_notes *notes, int argc, char **argv, char **envp, struct err *err)
{
    struct config_notes over = {.arena = notes->arena};
    int rc = read_env(&over, envp, err);
    if (rc == EXIT_OK)
        rc = read_flags(&over, argc, argv, err);
    const char *file = over.list[CONFIG_OPTION_config].text;
    if (rc == EXIT_OK && file && *file)
        rc = config_read_file(notes, file, err);
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++)
        if (over.list[i].text)
            notes->list[i] = over.list[i];
    return rc;
}

int config_load(struct config *c, int argc, char **argv, char **envp, struct err *err)
{
    struct arena arena;
    struct config_notes notes = {.arena = &arena, .config = c};
    memset(c, 0, sizeof(*c));
    arena_init(&arena, NOTES_BYTES_MAX);
    int rc = read_all(&notes, argc, argv, envp, err);
    if (rc == EXIT_OK)
        rc = apply(c, &notes, CONFIG_OPTION_limits_preset, err);
    if (rc == EXIT_OK)
        limits_init(&c->limits, (enum limits_preset)c->limits_preset);
    for (int i = 0; i < CONFIG_OPTION_COUNT && rc == EXIT_OK; i++)
        if (i != CONFIG_OPTION_limits_preset)
            rc = apply(c, &notes, i, err);
    if (rc == EXIT_OK)
        rc = check_whole(c, err);
    arena_release(&arena);
    return rc;
}

void config_release(struct config *c)
{
    config_tenants_release(c);
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++) {
        char *text;
        if (options[i].type != TYPE_STRING)
            continue;
        memcpy(&text, (char *)c + options[i].offset, sizeof(text));
        free(text);
        text = NULL;
        memcpy((char *)c + options[i].offset, &text, sizeof(text));
    }
}

/* The n-th of "a|b|c". */
static void choice_text(const char *choices, int n, char text[CONFIG_TEXT_MAX])
{
    for (; n > 0; n--)
        choices += strcspn(choices, "|") + 1;
    snprintf(text, CONFIG_TEXT_MAX, "%.*s", (int)strcspn(choices, "|"), choices);
}

static uint64_t load_number(const void *member, size_t size)
{
    uint32_t small = 0;
    uint64_t value = 0;
    if (size == sizeof(small))
        memcpy(&small, member, sizeof(small));
    else
        memcpy(&value, member, sizeof(value));
    return size == sizeof(small) ? small : value;
}

const char *config_text(const struct config *c, enum config_option option,
                        char text[CONFIG_TEXT_MAX])
{
    const struct option *o = &options[option];
    const void *member = (const char *)c + o->offset;
    bool flag = false;
    int choice = 0;
    char *string = NULL;
    switch (o->type) {
    case TYPE_BOOL:
        memcpy(&flag, member, sizeof(flag));
        return flag ? "true" : "false";
    case TYPE_INT:
        snprintf(text, CONFIG_TEXT_MAX, "%" PRIu64, load_number(member, o->size));
        break;
    case TYPE_BYTES:
        config_format_bytes(load_number(member, o->size), text, CONFIG_TEXT_MAX);
        break;
    case TYPE_SPACE:
        config_format_space(load_number(member, o->size), text, CONFIG_TEXT_MAX);
        break;
    case TYPE_DURATION:
        config_format_duration((int64_t)load_number(member, o->size), text, CONFIG_TEXT_MAX);
        break;
    case TYPE_STRING:
        memcpy(&string, member, sizeof(string));
        return string ? string : "";
    case TYPE_CHOICE:
        memcpy(&choice, member, sizeof(choice));
        choice_text(o->choices, choice, text);
        break;
    }
    return text;
}

/* A YAML double-quoted scalar. */
static void print_quoted(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

void config_print(const struct config *c, FILE *out)
{
    static const char *const sources[] = {"default", "file", "environment", "command line"};
    char text[CONFIG_TEXT_MAX];
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        /* Naming a file in the file itself would be refused. */
        fprintf(out, i == CONFIG_OPTION_config ? "# %s: " : "%s: ", o->name);
        if (o->type == TYPE_STRING)
            print_quoted(config_text(c, (enum config_option)i, text), out);
        else
            fputs(config_text(c, (enum config_option)i, text), out);
        if (c->source[i] != CONFIG_DEFAULT)
            fprintf(out, " # %s", sources[c->source[i]]);
        fputc('\n', out);
    }
    config_tenants_print(c, out);
}

void config_help(FILE *out)
{
    for (int i = 0; i < CONFIG_OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        char text[CONFIG_TEXT_MAX] = "";
        const char *value = o->value;
        if (o->is_limit) {
            struct config c = {0};
            limits_init(&c.limits, LIMITS_DEFAULT);
            value = config_text(&c, (enum config_option)i, text);
        }
        fprintf(out, "  --%s %s\n      %s", o->name,
                o->type == TYPE_BOOL     ? ""
                : o->type == TYPE_CHOICE ? o->choices
                                         : "VALUE",
                o->help);
        fprintf(out, value[0] ? " (%s)\n" : "\n", value);
    }
}

/*
 * config_notes - between the sources of the configuration and its parser.
 *
 * For config.c and config_yaml.c only.
 */
#ifndef SERVER_CONFIG_NOTES_H
#define SERVER_CONFIG_NOTES_H

#include "server/config.h"

struct arena;

/* What a source said about an option, unparsed; text NULL: nothing. */
struct config_note {
    const char *text, *where;
    enum config_source source;
};

struct config_notes {
    struct arena *arena;   /* holds the texts */
    struct config *config; /* only the file names tenants: what it says goes there at once */
    struct config_note list[CONFIG_OPTION_COUNT];
};

/* Index of an option, or -1. */
int config_option_find(const char *name);
const char *config_option_nearest(const char *name);

/* Copies text and where. EXIT_OK or EXIT_CONFIG. */
int config_note(struct config_notes *notes, int option, const char *text, enum config_source source,
                const char *where, struct err *err);

/* `name` begins with "tenants.". EXIT_OK or EXIT_CONFIG. */
int config_tenant_note(struct config *c, const char *name, const char *text, const char *where,
                       struct err *err);
void config_tenants_print(const struct config *c, FILE *out);
void config_tenants_release(struct config *c);

/*
 * Reads a YAML mapping; keys may be nested or dotted (`wal: {sync: group}` or
 * `wal.sync: group`), each once. No sequences, aliases, tags or second
 * documents. EXIT_OK, EXIT_CONFIG or EXIT_FAILED.
 */
int config_read_file(struct config_notes *notes, const char *path, struct err *err);

#endif

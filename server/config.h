/*
 * config - every option of the server, from every source.
 *
 * Sources, later wins: defaults < YAML file (--config) < FLAMEKEEP_* environment
 * < command line. The options are listed once, in config.def. An unknown name
 * is an error that says the nearest known one; nothing is ignored, except the
 * names that Kubernetes injects (FLAMEKEEP_PORT*, FLAMEKEEP_SERVICE_*).
 *
 * Threads: constant once loaded.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "storage/model/limits.h"

struct err;

/* Process exit codes. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CONFIG = 78,
};

#define CONFIG_TYPE_BOOL bool
#define CONFIG_TYPE_INT int64_t
#define CONFIG_TYPE_BYTES uint64_t
#define CONFIG_TYPE_SPACE uint64_t
#define CONFIG_TYPE_DURATION int64_t
#define CONFIG_TYPE_STRING char *

#define CONFIG_PERCENT (1ULL << 63) /* of a SPACE: the rest is a percentage */

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENV, CONFIG_FLAG };

enum config_option {
#define OPTION(type, member, name, value, help) CONFIG_OPTION_##member,
#define CHOICE(member, name, value, choices, help) CONFIG_OPTION_##member,
#define LIMIT(type, member, name, help) CONFIG_OPTION_##member,
#include "server/config.def"
#undef OPTION
#undef CHOICE
#undef LIMIT
    CONFIG_OPTION_COUNT
};

/*
 * What `tenants:` of the YAML file says about one:
 *
 *     tenants:
 *       team-a:
 *         retention: {max_bytes: 20GiB, max_age: 30d}
 */
struct config_tenant {
    char *name;
    uint64_t retention_max_bytes; /* 0: no limit of its own */
    int64_t retention_max_age;    /* 0: as everybody */
};

struct config {
#define OPTION(type, member, name, value, help) CONFIG_TYPE_##type member;
#define CHOICE(member, name, value, choices, help) int member;
#define LIMIT(type, member, name, help)
#include "server/config.def"
#undef OPTION
#undef CHOICE
#undef LIMIT
    struct limits limits;
    const char *operand; /* what a command is about, such as a directory; of argv, not owned */
    enum config_source source[CONFIG_OPTION_COUNT];
    struct config_tenant *tenants;
    uint32_t tenant_count;
};

/*
 * Reads all sources; argv holds only flags (no program name, no subcommand),
 * envp is as of main(). EXIT_OK, or EXIT_USAGE for a mistake on the command
 * line and EXIT_CONFIG for one elsewhere, with the reason in *err. Whatever it
 * returns, config_release() afterwards.
 */
int config_load(struct config *c, int argc, char **argv, char **envp, struct err *err);
void config_release(struct config *c);

/* Writes every option as YAML that config_load() reads back to the same values. */
void config_print(const struct config *c, FILE *out);

/* Lists every option with default and help. */
void config_help(FILE *out);

/* The value of an option as text, for tests and logs. Needs CONFIG_TEXT_MAX bytes for numbers. */
#define CONFIG_TEXT_MAX 64
const char *config_text(const struct config *c, enum config_option option,
                        char text[CONFIG_TEXT_MAX]);

#endif

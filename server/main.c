/*
 * main - subcommands and flags; everything else is app.c's.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "server/app.h"
#include "server/backup/backup.h"
#include "server/config.h"
#include "server/config_value.h"
#include "server/signals.h"
#include "server/version.h"

enum {
    MALLOC_MMAP_BYTES = 4 << 20,
    MALLOC_TRIM_BYTES = 16 << 20,
    MALLOC_ARENAS = 1,
};

static int serve_main(const struct config *config)
{
    signals_init();
    return app_serve(config);
}

static int config_print_main(const struct config *config)
{
    config_print(config, stdout);
    return EXIT_OK;
}

static int config_check_main(const struct config *config)
{
    (void)config;
    puts("configuration is valid");
    return EXIT_OK;
}

static int version_main(const struct config *config)
{
    (void)config;
    version_print(stdout);
    return EXIT_OK;
}

struct command {
    const char *name, *second; /* second word, or NULL */
    int (*run)(const struct config *config);
    bool configured;     /* takes options */
    const char *operand; /* what one more word names, or NULL */
    const char *help;
};

static int help_main(const struct config *config);

static const struct command commands[] = {
    {"serve", NULL, serve_main, true, NULL, "take profiles and answer questions until SIGTERM"},
    {"healthcheck", NULL, app_healthcheck, true, NULL,
     "ask the server on this machine whether it is ready"},
    {"verify", NULL, app_verify, true, NULL,
     "read every byte of the data directory and report damage"},
    {"repair", NULL, app_repair, true, NULL,
     "say what can be saved of damaged segments; with --apply: save it"},
    {"rebuild-catalog", NULL, app_rebuild_catalog, true, NULL,
     "make the catalog again from the segments"},
    {"retention", NULL, app_retention, true, NULL,
     "with --dry-run: say what retention would delete now"},
    {"backup", "verify", backup_verify, true, "DIR", "read everything in DIR and report damage"},
    {"backup", NULL, backup_take, true, "DIR",
     "copy the store as it is now into DIR, beside a running server or without one"},
    {"restore", NULL, backup_restore, true, "DIR",
     "make the newest backup in DIR the data directory, which must be empty"},
    {"config", "print", config_print_main, true, NULL,
     "show every option with its value and source"},
    {"config", "check", config_check_main, true, NULL, "say whether the configuration is valid"},
    {"version", NULL, version_main, false, NULL, "versions of this program and its libraries"},
    {"help", NULL, help_main, false, NULL, "this text"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
    fputs("usage: flamekeep COMMAND [--option value ...]\n\ncommands:\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *c = &commands[i];
        char name[32];
        snprintf(name, sizeof(name), "%s%s%s%s%s", c->name, c->second ? " " : "",
                 c->second ? c->second : "", c->operand ? " " : "", c->operand ? c->operand : "");
        fprintf(out, "  %-18s %s\n", name, c->help);
    }
}

static int help_main(const struct config *config)
{
    (void)config;
    print_usage(stdout);
    fputs("\noptions (also as FLAMEKEEP_NAME in the environment, '.' and '-' become '_',\n"
          "and as `name: value` in the file that --config names):\n",
          stdout);
    config_help(stdout);
    return EXIT_OK;
}

/* The command that argv names and how many words that took; NULL when unknown. */
static const struct command *find_command(int argc, char **argv, int *words)
{
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, name) != 0)
            continue;
        *words = 2;
        if (!c->second)
            return c;
        *words = 3;
        if (argc > 2 && strcmp(c->second, argv[2]) == 0)
            return c;
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *best = commands[0].name;
    unsigned int distance = UINT32_MAX;
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        unsigned int d = config_edit_distance(name, commands[i].name);
        if (d < distance) {
            distance = d;
            best = commands[i].name;
        }
    }
    if (distance == 0)
        fprintf(stderr, "flamekeep: '%s' needs a second word; see `flamekeep help`\n", name);
    else
        fprintf(stderr, "flamekeep: unknown command '%s'; did you mean '%s'?\n", name, best);
    return EXIT_USAGE;
}

static int missing_operand(const struct command *c)
{
    fprintf(stderr, "flamekeep: %s needs a %s: flamekeep %s%s%s %s [--option value ...]\n", c->name,
            c->operand, c->name, c->second ? " " : "", c->second ? c->second : "", c->operand);
    return EXIT_USAGE;
}

/*
 * What one push frees the next one needs: below these bounds memory stays with the process
 * (mapping and unmapping it costs a fifth of all CPU under load; sealing gives it back when
 * the load is over), and few arenas keep what threads free from piling up.
 */
static void tune_malloc(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, MALLOC_TRIM_BYTES);
    (void)mallopt(M_ARENA_MAX, MALLOC_ARENAS);
}

int main(int argc, char **argv, char **envp)
{
    struct config config;
    struct err err = {0};
    int words = 0;
    tune_malloc();
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    const struct command *command = find_command(argc, argv, &words);
    if (!command)
        return unknown_command(argv[1]);
    if (!command->configured)
        return command->run(NULL);
    for (int i = words; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return help_main(NULL);
    const char *operand =
        command->operand && words < argc && argv[words][0] != '-' ? argv[words++] : NULL;
    int rc = config_load(&config, argc - words, argv + words, envp, &err);
    config.operand = operand;
    if (rc == EXIT_OK && command->operand && !operand)
        rc = missing_operand(command);
    else if (rc == EXIT_OK)
        rc = command->run(&config);
    else
        fprintf(stderr, "flamekeep: %s\n", err.msg);
    config_release(&config);
    return rc;
}

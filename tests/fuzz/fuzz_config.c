/*
 * fuzz_config - any bytes as a configuration file.
 *
 * Refused with a text, or taken; what is taken prints a file that loads to the same.
 */
#include "server/config.h"

#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load(struct config *c, const void *text, size_t size)
{
    char flag[] = "--config", path[64], *words[] = {flag, path}, *no_env[] = {NULL};
    int fd = memfd_create("config", MFD_CLOEXEC), rc;
    struct err err = {0};

    check(fd >= 0 && write(fd, text, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    rc = config_load(c, 2, words, no_env, &err);
    check(rc == EXIT_OK || err.msg[0] != '\0');
    close(fd);
    return rc;
}

static char *print(const struct config *c, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    check(out);
    config_print(c, out);
    check(fclose(out) == 0 && text);
    return text;
}

/* A tenant without limits of its own is not printed. */
static const struct config_tenant *next_tenant(const struct config *c, uint32_t *at)
{
    while (*at < c->tenant_count) {
        const struct config_tenant *t = &c->tenants[(*at)++];

        if (t->retention_max_bytes != 0 || t->retention_max_age != 0)
            return t;
    }
    return NULL;
}

/* But for where they come from: a file cannot name a file. */
static void same(const struct config *a, const struct config *b)
{
    char x[CONFIG_TEXT_MAX], y[CONFIG_TEXT_MAX];
    const struct config_tenant *t, *u;
    uint32_t i = 0, j = 0;

    for (int o = 0; o < CONFIG_OPTION_COUNT; o++)
        if (o != CONFIG_OPTION_config)
            check(strcmp(config_text(a, (enum config_option)o, x),
                         config_text(b, (enum config_option)o, y)) == 0);
    do {
        t = next_tenant(a, &i);
        u = next_tenant(b, &j);
        check((t == NULL) == (u == NULL));
        check(!t ||
              (strcmp(t->name, u->name) == 0 && t->retention_max_bytes == u->retention_max_bytes &&
               t->retention_max_age == u->retention_max_age));
    } while (t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config first, second;
    size_t length;
    char *text;

    if (load(&first, data, size) == EXIT_OK) {
        text = print(&first, &length);
        check(load(&second, text, length) == EXIT_OK);
        same(&first, &second);
        free(text);
        config_release(&second);
    }
    config_release(&first);
    return 0;
}

/*
 * config_tenants - the `tenants` of the YAML file: settings of one tenant each.
 *
 * A tenant's name may hold dots, so it is what stands between "tenants." and the
 * name of a setting.
 */
#include "server/config_notes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/tenant.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "server/config_value.h"

#define PREFIX "tenants."
#define MAX_BYTES ".retention.max_bytes"
#define MAX_AGE ".retention.max_age"

enum { FILE_TENANTS_MAX = 10000 };

static struct config_tenant *find_or_add(struct config *c, struct str name)
{
    for (uint32_t i = 0; i < c->tenant_count; i++)
        if (str_eq(str_from(c->tenants[i].name), name))
            return &c->tenants[i];
    if (c->tenant_count == FILE_TENANTS_MAX)
        return NULL;
    c->tenants = realloc(c->tenants, (c->tenant_count + 1) * sizeof(*c->tenants));
    check(c->tenants);
    struct config_tenant *t = &c->tenants[c->tenant_count++];
    *t = (struct config_tenant){.name = malloc(name.len + 1)};
    check(t->name);
    memcpy(t->name, name.p, name.len);
    t->name[name.len] = 0;
    return t;
}

static int refuse(struct err *err, const char *where, const char *name, const char *why)
{
    err_set(err, ERR_INVALID, "%s: %s: %s", where, name, why);
    return EXIT_CONFIG;
}

int config_tenant_note(struct config *c, const char *name, const char *text, const char *where,
                       struct err *err)
{
    struct str whole = str_from(name);
    bool bytes = str_ends(whole, STR(MAX_BYTES)), age = str_ends(whole, STR(MAX_AGE));
    size_t end = whole.len - (bytes ? strlen(MAX_BYTES) : age ? strlen(MAX_AGE) : 0);
    if ((!bytes && !age) || end <= strlen(PREFIX))
        return refuse(err, where, name,
                      "a tenant has the options retention.max_bytes and retention.max_age");
    struct str id = str_slice(whole, strlen(PREFIX), end);
    struct err why;
    if (tenant_valid(id, &why) != 0)
        return refuse(err, where, name, why.msg);
    struct config_tenant *t = find_or_add(c, id);
    if (!t)
        return refuse(err, where, name, "more than 10000 tenants");
    if (bytes ? t->retention_max_bytes != 0 : t->retention_max_age != 0)
        return refuse(err, where, name, "a second value");
    if (bytes && !config_parse_bytes(text, &t->retention_max_bytes))
        return refuse(err, where, name, "takes a size such as 64MiB or 200GB");
    if (age && !config_parse_duration(text, &t->retention_max_age))
        return refuse(err, where, name, "takes a duration such as 30d");
    return EXIT_OK;
}

void config_tenants_print(const struct config *c, FILE *out)
{
    char text[CONFIG_TEXT_MAX];
    for (uint32_t i = 0; i < c->tenant_count; i++) {
        const struct config_tenant *t = &c->tenants[i];
        config_format_bytes(t->retention_max_bytes, text, sizeof(text));
        if (t->retention_max_bytes)
            fprintf(out, PREFIX "%s" MAX_BYTES ": %s # file\n", t->name, text);
        config_format_duration(t->retention_max_age, text, sizeof(text));
        if (t->retention_max_age)
            fprintf(out, PREFIX "%s" MAX_AGE ": %s # file\n", t->name, text);
    }
}

void config_tenants_release(struct config *c)
{
    for (uint32_t i = 0; i < c->tenant_count; i++)
        free(c->tenants[i].name);
    free(c->tenants);
    c->tenants = NULL;
    c->tenant_count = 0;
}

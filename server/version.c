/* version - see version.h. The Makefile defines the two macros for this file only. */
#include "server/version.h"

#include <yaml.h>

#include "api/library_versions.h"
#include "server/http/http.h"
#include "storage/library_versions.h"

#ifndef FLAMEKEEP_VERSION
#define FLAMEKEEP_VERSION "unknown"
#endif
#ifndef FLAMEKEEP_REVISION
#define FLAMEKEEP_REVISION ""
#endif
#ifndef FLAMEKEEP_DATE
#define FLAMEKEEP_DATE ""
#endif

const char *version_number(void)
{
    return FLAMEKEEP_VERSION;
}

const char *version_revision(void)
{
    return FLAMEKEEP_REVISION;
}

const char *version_date(void)
{
    return FLAMEKEEP_DATE;
}

static void print_library(void *ctx, const char *name, const char *version)
{
    fprintf(ctx, "%s %s\n", name, version);
}

void version_print(FILE *out)
{
    fprintf(out, "flamekeep %s (%s%s%s)\n", version_number(), version_revision(),
            version_date()[0] ? ", " : "", version_date());
    print_library(out, "libmicrohttpd", http_library_version());
    print_library(out, "libyaml", yaml_get_version_string());
    api_library_versions(print_library, out);
    storage_library_versions(print_library, out);
}

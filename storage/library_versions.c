/* library_versions - see library_versions.h. */
#include "storage/library_versions.h"

#include <sqlite3.h>
#include <zstd.h>

void storage_library_versions(void (*fn)(void *ctx, const char *name, const char *version),
                              void *ctx)
{
    fn(ctx, "sqlite", sqlite3_libversion());
    fn(ctx, "zstd", ZSTD_versionString());
}

/* library_versions - see library_versions.h. */
#include "api/library_versions.h"

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

void api_library_versions(void (*fn)(void *ctx, const char *name, const char *version), void *ctx)
{
    fn(ctx, "jansson", jansson_version_str());
    fn(ctx, "protobuf-c", protobuf_c_version());
}

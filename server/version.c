/* version - which build this is; see the header. */
#include "server/version.h"

#ifndef FLAMEKEEP_VERSION
#define FLAMEKEEP_VERSION "0.0.0"
#endif
#ifndef FLAMEKEEP_REVISION
#define FLAMEKEEP_REVISION "unknown"
#endif

const char *version_string(void)
{
    return FLAMEKEEP_VERSION;
}

const char *version_revision(void)
{
    return FLAMEKEEP_REVISION;
}

const char *version_compiler(void)
{
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

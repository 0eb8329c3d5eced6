/*
 * library_versions - which libraries this folder runs on; they differ between
 * distributions and matter for support.
 */
#ifndef API_LIBRARY_VERSIONS_H
#define API_LIBRARY_VERSIONS_H

#include <stddef.h>

/* Calls fn once per library, with static texts. */
void api_library_versions(void (*fn)(void *ctx, const char *name, const char *version), void *ctx);

#endif

/*
 * api - what every endpoint needs to know; one per process.
 *
 * Filled by server/app.c before the HTTP server starts, and constant from
 * then on. Everything in it is borrowed and outlives the HTTP server.
 */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>

struct clock;
struct err;
struct limits;
struct storage;

/* Who built this, for buildinfo, metrics and the page. */
struct api_build {
    const char *version, *revision, *date;
};

struct api {
    struct storage *storage; /* storage/storage.h */
    const struct limits *limits;
    const struct clock *clock;
    struct api_build build;
    const char *base_path; /* "" or "/x" */
    bool multitenancy;     /* X-Scope-OrgID is required and names the tenant */

    /*
     * A real write and read on the data directory, for /ready; 0, or negative
     * with the reason in *err. May take a while: the route is a worker's.
     */
    int (*ready)(void *ctx, struct err *err);
    void *ready_ctx;
};

#endif

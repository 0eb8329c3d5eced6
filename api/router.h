/*
 * router - picks the handler for a method and a path, from one table.
 *
 * The table is api/routes.def; adding an endpoint is one line there and one
 * function of this shape anywhere in api/:
 *
 *     enum http_result ingest_post(struct api *api, struct http_request *req,
 *                                  struct http_response *res);
 *
 * The router declares every handler named in the table (api/handlers.h), so
 * the defining file includes that header and gets its prototype checked. What
 * a handler may do, and how it answers later (HTTP_PENDING), is documented in
 * server/http/http.h, request.h and response.h.
 *
 * An unknown path is a plain 404, a known path with another method a 405 with
 * Allow and no body.
 *
 * Threads: immutable after router_init(); any.
 */
#ifndef API_ROUTER_H
#define API_ROUTER_H

#include "server/http/http.h"

struct api;

/* Builds the lookup table and fills *app, which then refers to api for good. */
void router_init(struct api *api, struct http_app *app);

/* Calls fn for every route, for the documentation test and `help routes`. */
void router_each(void (*fn)(void *ctx, const char *method, const char *path), void *ctx);

#endif

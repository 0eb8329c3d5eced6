/*
 * handlers - the prototype of every handler named in api/routes.def.
 *
 * Included by the router and by the files that define handlers, so that a
 * handler without a route, or with another shape, does not compile.
 */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "server/http/http.h"
#include "server/http/request.h"
#include "server/http/response.h"

struct api;

/* A handler may appear in several lines: repeated declarations are the same. */
#define ROUTE(method, path, handler, body_max, flags)                                              \
    enum http_result handler(struct api *api, struct http_request *req, struct http_response *res);
#include "api/routes.def"
#undef ROUTE

#endif

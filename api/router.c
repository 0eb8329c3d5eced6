/* router - see router.h. The table is small enough to be scanned. */
#include "api/router.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "api/error_shape.h"
#include "api/handlers.h"
#include "base/err.h"
#include "base/metrics.h"
#include "storage/model/limits.h"
#include "storage/storage.h"

typedef enum http_result (*api_handler)(struct api *api, struct http_request *req,
                                        struct http_response *res);

struct api_route {
    struct http_route http; /* first: what server/http gives back */
    api_handler handler;
    const char *handler_name;
    const char *method;
    struct str path; /* without the '*' of a prefix */
    bool prefix;
    bool stores;  /* takes profiles: not while the disk is full */
    size_t limit; /* offset of body_max in struct limits */
};

static enum http_result dispatch(void *ctx, const struct http_route *route,
                                 struct http_request *req, struct http_response *res)
{
    return ((const struct api_route *)route)->handler(ctx, req, res);
}

/* body_max is filled in by router_init(): the limits come from the configuration. */
static struct api_route routes[] = {
#define ROUTE(method_, path_, handler_, body_max_, flags_)                                         \
    {                                                                                              \
        .http = {.name = (path_), .flags = (flags_), .handler = dispatch},                         \
        .handler = (handler_),                                                                     \
        .handler_name = #handler_,                                                                 \
        .method = #method_,                                                                        \
        .path = {(path_), sizeof(path_) - 1},                                                      \
        .limit = offsetof(struct limits, body_max_),                                               \
    },
#include "api/routes.def"
#undef ROUTE
};

#define ROUTE_COUNT (sizeof(routes) / sizeof(routes[0]))

static bool path_fits(const struct api_route *r, struct str path)
{
    if (r->prefix)
        return path.len >= r->path.len && memcmp(path.p, r->path.p, r->path.len) == 0;
    return str_eq(path, r->path);
}

/* Exact paths win over prefixes; a path known with another method is a 405. */
static const struct http_route *find(void *ctx, struct str method, struct str path, int *status,
                                     const char **allow)
{
    (void)ctx;
    *status = 404;
    for (int prefix = 0; prefix < 2 && *status == 404; prefix++) {
        for (size_t i = 0; i < ROUTE_COUNT; i++) {
            const struct api_route *r = &routes[i];
            if ((int)r->prefix != prefix || !path_fits(r, path))
                continue;
            if (str_eq(method, str_from(r->method)))
                return &r->http;
            if (*status == 404)
                *allow = r->method;
            *status = 405;
        }
    }
    return NULL;
}

/*
 * What the server refuses by itself, in the shape that the route's clients read: an RPC
 * needs JSON, or clients send it again (../shared/spec/push-clients.md, section 6).
 */
static void fail(void *ctx, const struct http_route *route, int status, const char *message,
                 struct http_response *res)
{
    const struct api_route *r = (const struct api_route *)route;
    char text[512];
    (void)ctx;
    if (r && strcmp(r->handler_name, "rpc_post") == 0) {
        error_shape_b(res, connect_code_of_status(status), str_from(message));
        return;
    }
    int n = snprintf(text, sizeof(text), "%s%s",
                     r && status == 413 && strcmp(r->handler_name, "ingest_post") == 0
                         ? "request body too large: error reading request body bytes_read "
                           "over the limit: "
                         : "",
                     message);
    error_shape_a(res, status,
                  (struct str){text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1});
}

static bool is_store(const struct api_route *r)
{
    return strcmp(r->handler_name, "ingest_post") == 0 ||
           strcmp(r->http.name, "/push.v1.PusherService/Push") == 0;
}

static int admit(void *ctx, const struct http_route *route, char *text, size_t size)
{
    const struct api *api = ctx;
    struct err err;
    if (!((const struct api_route *)route)->stores || storage_admit(api->storage, &err) == 0)
        return 0;
    metric_add(METRIC_pushes_no_space, 1);
    snprintf(text, size, "%s", err.msg);
    return 507;
}

void router_init(struct api *api, struct http_app *app)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        struct api_route *r = &routes[i];
        r->prefix = r->http.name[strlen(r->http.name) - 1] == '*';
        r->stores = is_store(r);
        r->path.len = strlen(r->http.name) - r->prefix;
        memcpy(&r->http.body_max, (const char *)api->limits + r->limit, sizeof(r->http.body_max));
    }
    *app = (struct http_app){.ctx = api, .find = find, .admit = admit, .fail = fail};
}

void router_each(void (*fn)(void *ctx, const char *method, const char *path), void *ctx)
{
    for (size_t i = 0; i < ROUTE_COUNT; i++)
        fn(ctx, routes[i].method, routes[i].http.name);
}

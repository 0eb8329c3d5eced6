/*
 * tenant - whose data a request is about.
 *
 * Without multi-tenancy everything belongs to `anonymous` and the header is not
 * read. With it, X-Scope-OrgID names the tenant; a question may name several,
 * joined by '|'. A ":key=value" suffix is metadata and dropped. Ids become
 * directory names, so nothing but the characters of tenant_valid() passes.
 *
 * Texts and order of checks: ../shared/spec/ingest-api.md, section 5.1, and
 * query-api.md, section 3.1. Pure functions over a request.
 */
#ifndef API_TENANT_H
#define API_TENANT_H

#include "base/str.h"

#include <stdint.h>

struct api;
struct arena;
struct err;
struct http_request;

#define TENANT_HEADER "X-Scope-OrgID"
#define TENANT_ANONYMOUS "anonymous"

enum {
    TENANT_BYTES_MAX = 150, /* the reference's */
    TENANTS_MAX = 64,       /* of one question; the reference has no limit, nobody joins as many */
};

enum tenant_verdict {
    TENANT_OK,
    TENANT_MISSING, /* "no org id" */
    TENANT_BAD,     /* the text says why */
};

struct tenants {
    struct str *ids; /* sorted, unique, at least one */
    uint32_t count;
};

/* ERR_INVALID with the reference's text. */
int tenant_valid(struct str id, struct err *err);

/*
 * All tenants a question names. Strings live as long as the request; the
 * array is in `arena`. On a verdict other than TENANT_OK, *err has the text.
 */
enum tenant_verdict tenants_of_request(const struct api *api, struct http_request *req,
                                       struct arena *arena, struct tenants *out, struct err *err);

/*
 * The one tenant of a write. Different ids are refused before they are validated
 * ("multiple org IDs present"), equal ones count as one.
 */
enum tenant_verdict tenant_of_request(const struct api *api, struct http_request *req,
                                      struct str *out, struct err *err);

#endif

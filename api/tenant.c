/* tenant - see tenant.h. */
#include "api/tenant.h"

#include "api/api.h"
#include "base/arena.h"
#include "base/err.h"
#include "server/http/request.h"

#include <stdbool.h>

static bool is_allowed(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!-_.*'()", c) != NULL);
}

/* Bytes of the UTF-8 sequence at s[at]; 1 when it is none. */
static size_t rune_length(struct str s, size_t at)
{
    for (size_t n = 4; n > 1; n--)
        if (at + n <= s.len && str_is_utf8(str_slice(s, at, at + n)) &&
            ((uint8_t)s.p[at] & 0xc0) == 0xc0 &&
            (n == 4 || !str_is_utf8(str_slice(s, at, at + n - 1))))
            return n;
    return 1;
}

int tenant_valid(struct str id, struct err *err)
{
    if (id.len == 0)
        return err_set(err, ERR_INVALID, "no org id");
    for (size_t i = 0; i < id.len; i++)
        if (!is_allowed((uint8_t)id.p[i]))
            return err_set(err, ERR_INVALID,
                           "tenant ID '%" STR_FMT "' contains unsupported character '%" STR_FMT "'",
                           STR_ARG(id), STR_ARG(str_slice(id, i, i + rune_length(id, i))));
    if (id.len > TENANT_BYTES_MAX)
        return err_set(err, ERR_INVALID, "tenant ID is too long: max %d characters",
                       TENANT_BYTES_MAX);
    if (str_eq(id, STR(".")) || str_eq(id, STR("..")))
        return err_set(err, ERR_INVALID, "tenant ID is '.' or '..'");
    return 0;
}

static struct str without_metadata(struct str id)
{
    size_t colon = str_find_byte(id, ':');

    return colon == SIZE_MAX ? id : str_slice(id, 0, colon);
}

/* False: without multi-tenancy or without a header; then *verdict says which. */
static bool header_of_request(const struct api *api, struct http_request *req, struct str *header,
                              enum tenant_verdict *verdict, struct err *err)
{
    *verdict = TENANT_OK;
    if (!api->multitenancy)
        return false;
    if (!http_request_header(req, TENANT_HEADER, header) || header->len == 0) {
        *verdict = TENANT_MISSING;
        (void)err_set(err, ERR_UNAUTHENTICATED, "no org id");
        return false;
    }
    return true;
}

/* Keeps the ids sorted and unique. */
static void insert_id(struct tenants *tenants, struct str id)
{
    uint32_t at = 0;

    while (at < tenants->count && str_cmp(tenants->ids[at], id) < 0)
        at++;
    if (at < tenants->count && str_eq(tenants->ids[at], id))
        return;
    for (uint32_t i = tenants->count; i > at; i--)
        tenants->ids[i] = tenants->ids[i - 1];
    tenants->ids[at] = id;
    tenants->count++;
}

enum tenant_verdict tenants_of_request(const struct api *api, struct http_request *req,
                                       struct arena *arena, struct tenants *out, struct err *err)
{
    enum tenant_verdict verdict;
    struct str header, part;
    struct tenants found = {.ids = arena_array(arena, struct str, TENANTS_MAX + 1)};

    if (found.ids == NULL) {
        (void)err_set(err, ERR_TOO_LARGE, "no memory for tenant IDs");
        return TENANT_BAD;
    }
    found.ids[0] = STR(TENANT_ANONYMOUS);
    found.count = 1;
    if (header_of_request(api, req, &header, &verdict, err)) {
        http_request_set_tenant(req, header);
        found.count = 0;
        while (str_split(&header, '|', &part)) {
            part = without_metadata(part);
            if (tenant_valid(part, err) != 0)
                return TENANT_BAD;
            insert_id(&found, part);
            if (found.count > TENANTS_MAX) {
                (void)err_set(err, ERR_INVALID, "more than %d tenant IDs", TENANTS_MAX);
                return TENANT_BAD;
            }
        }
    }
    if (verdict == TENANT_OK)
        *out = found;
    return verdict;
}

enum tenant_verdict tenant_of_request(const struct api *api, struct http_request *req,
                                      struct str *out, struct err *err)
{
    enum tenant_verdict verdict;
    struct str header, part, first;

    *out = STR(TENANT_ANONYMOUS);
    if (!header_of_request(api, req, &header, &verdict, err))
        return verdict;
    http_request_set_tenant(req, header);
    (void)str_split(&header, '|', &part);
    first = without_metadata(part);
    while (str_split(&header, '|', &part)) {
        if (!str_eq(without_metadata(part), first)) {
            (void)err_set(err, ERR_INVALID, "multiple org IDs present");
            return TENANT_BAD;
        }
    }
    if (tenant_valid(first, err) != 0)
        return TENANT_BAD;
    *out = first;
    return TENANT_OK;
}

/*
 * backup - holding the store's files for the tool that copies them (server/backup/).
 *
 * Whoever asks proves that it can read the data directory, by the instance that FORMAT
 * names: what it asks for would let it read nothing that it cannot read already.
 */
#include <inttypes.h>
#include <stdio.h>

#include "api/api.h"
#include "api/error_shape.h"
#include "api/handlers.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "storage/storage.h"

static bool parse_id(struct str text, uint64_t *id)
{
    *id = 0;
    if (text.len != 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        *id = *id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static int run(struct api *api, struct http_request *req, struct buf *out, struct err *err)
{
    struct str what = {0}, text = {0};
    uint64_t id;
    (void)http_request_query(req, "do", &what);
    if (str_eq(what, STR("begin"))) {
        log_info("a backup is being taken", LOG_STR("peer", http_request_peer(req)));
        return storage_backup_begin(api->storage, out, err);
    }
    (void)http_request_query(req, "id", &text);
    if (!parse_id(text, &id))
        return err_set(err, ERR_INVALID, "id: 16 hex digits expected, as begin answered");
    if (str_eq(what, STR("renew")))
        return storage_backup_renew(api->storage, id, false, err);
    if (str_eq(what, STR("log_copied")))
        return storage_backup_renew(api->storage, id, true, err);
    if (str_eq(what, STR("end")))
        return storage_backup_end(api->storage, id, err);
    return err_set(err, ERR_INVALID, "do: begin, log_copied, renew or end expected");
}

static int status_of(int rc)
{
    switch (rc) {
    case ERR_INVALID:
        return 400;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_BUSY:
    case ERR_STALE:
        return 409;
    default:
        return 500;
    }
}

enum http_result backup_post(struct api *api, struct http_request *req, struct http_response *res)
{
    struct str instance = {0};
    struct err err = {0};
    (void)http_request_header(req, "X-Flamekeep-Instance", &instance);
    if (!storage_is_instance(api->storage, instance)) {
        error_shape_a(res, 403,
                      STR("X-Flamekeep-Instance is not the instance of the data "
                          "directory: use `flamekeep backup` beside it"));
        return HTTP_DONE;
    }
    http_response_type(res, "text/plain; charset=utf-8");
    int rc = run(api, req, http_response_body(res), &err);
    if (rc != 0) {
        buf_reset(http_response_body(res));
        error_shape_a(res, status_of(rc), str_from(err.msg));
    }
    return HTTP_DONE;
}

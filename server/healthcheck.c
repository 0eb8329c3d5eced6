/* healthcheck - see healthcheck.h. */
#include "server/healthcheck.h"

#include "base/buf.h"
#include "base/err.h"
#include "server/client.h"

enum { REPLY_MAX = 64 << 10 };

int healthcheck_run(const char *listen, const char *base_path, int timeout_ms, struct err *err)
{
    struct client_request request = {listen, base_path, "GET", "/ready", NULL, timeout_ms};
    struct buf body;
    buf_init(&body, REPLY_MAX);
    int rc = client_ask(&request, &body, err);
    if (rc > 0)
        rc = rc == 200 ? 0
                       : err_set(err, ERR_IO, "not ready: %d: %.*s", rc,
                                 body.len < 100 ? (int)body.len : 100, (const char *)body.data);
    buf_release(&body);
    return rc;
}

/*
 * unimplemented - RPCs that clients know and this version does not serve.
 *
 * They say so, after the same checks of transport and tenant as every other; a method
 * that nobody knows is a plain 404. The message is not read.
 */
#include "api/connect.h"
#include "server/http/request.h"

int unimplemented_rpc(struct connect_call *call)
{
    struct str path = http_request_path(call->req);
    int rc = connect_tenants(call);

    if (rc != 0)
        return rc;
    return connect_fail(call, CONNECT_UNIMPLEMENTED, "%" STR_FMT " is not built yet",
                        STR_ARG(str_slice(path, 1, path.len)));
}

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#undef err_set
#undef err_io

void err_init(struct err *err)
{
    err->code = ERR_OK;
    err->os_errno = 0;
    err->msg[0] = '\0';
}

int err_set(struct err *err, int code, const char *format, ...)
{
    va_list args;

    if (!err)
        return code;
    err->code = code;
    err->os_errno = 0;
    va_start(args, format);
    (void)vsnprintf(err->msg, sizeof(err->msg), format, args);
    va_end(args);
    return code;
}

static int code_of_errno(int os_errno)
{
    switch (os_errno) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

int err_io(struct err *err, const char *op, const char *path)
{
    int os_errno = errno, code = code_of_errno(os_errno);
    char reason[128];

    if (!err)
        return code;
    (void)err_set(err, code, "%s '%s': %s", op, path, strerror_r(os_errno, reason, sizeof(reason)));
    err->os_errno = os_errno;
    return code;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char message[ERR_MSG_MAX];
    va_list args;
    size_t len;

    if (!err)
        return ERR_INTERNAL;
    memcpy(message, err->msg, sizeof(message));
    va_start(args, format);
    (void)vsnprintf(err->msg, sizeof(err->msg), format, args);
    va_end(args);
    len = strlen(err->msg);
    (void)snprintf(err->msg + len, sizeof(err->msg) - len, ": %s", message);
    return err->code;
}

const char *err_code_name(int code)
{
    static const char *const names[] = {
        "ok",
        "invalid",
        "not_found",
        "too_large",
        "nomem",
        "corrupt",
        "io",
        "no_space",
        "busy",
        "canceled",
        "timeout",
        "exists",
        "unsupported",
        "stale",
        "unauthenticated",
        "rate_limited",
        "failed_precondition",
        "internal",
        "config",
    };

    if (code > 0 || -code >= (int)(sizeof(names) / sizeof(names[0])))
        return "unknown";
    return names[-code];
}

/*
 * err - what went wrong: a code to act on and a sentence to show.
 *
 * A function that can fail returns 0 or a negative enum err_code and takes a
 * `struct err *` as its last argument; err_set() fills it and returns the code,
 * so failing is one statement. The message names the thing, the place, the
 * value, the limit or expectation, and what to do. No allocation: it works when
 * memory is gone. `err` may be NULL where only the code matters.
 *
 * Threads: a struct err has one owner.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

/* The HTTP status in brackets is what api/ makes of it. */
enum err_code {
    ERR_OK = 0,
    ERR_INVALID = -1,              /* bad input (400) */
    ERR_NOT_FOUND = -2,            /* (404) */
    ERR_TOO_LARGE = -3,            /* over a limit that the operator or we set (400, 413) */
    ERR_NOMEM = -4,                /* (503) */
    ERR_CORRUPT = -5,              /* bytes on disk are not what was written (500) */
    ERR_IO = -6,                   /* the disk or network failed (500) */
    ERR_NO_SPACE = -7,             /* (507) */
    ERR_BUSY = -8,                 /* retry later (503) */
    ERR_CANCELED = -9,             /* nobody waits any more (499) */
    ERR_TIMEOUT = -10,             /* (504) */
    ERR_EXISTS = -11,              /* (409) */
    ERR_UNSUPPORTED = -12,         /* known, but not built (501) */
    ERR_STALE = -13,               /* the state changed meanwhile: do it again */
    ERR_UNAUTHENTICATED = -14,     /* (401) */
    ERR_RATE_LIMITED = -15,        /* (429) */
    ERR_FAILED_PRECONDITION = -16, /* (400) */
    ERR_INTERNAL = -17,            /* (500) */
    ERR_CONFIG = -18,              /* a setting is wrong: exit 78 */
};

enum {
    ERR_MSG_MAX = 512,
};

struct err {
    int code;
    int os_errno; /* 0 unless the system said so */
    char msg[ERR_MSG_MAX];
};

void err_init(struct err *err);

/* Returns `code`. A message that does not fit is cut. */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/*
 * From errno: "op 'path': No space left on device". ENOSPC and EDQUOT give
 * ERR_NO_SPACE, ENOENT ERR_NOT_FOUND, EEXIST ERR_EXISTS, the rest ERR_IO.
 */
int err_io(struct err *err, const char *op, const char *path) __attribute__((cold));

/* Puts "text: " in front of the message; returns err->code. */
int err_prefix(struct err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* "invalid", "corrupt", ...: for logs and metrics. Static. */
const char *err_code_name(int code);

/* The analyzer reads one file at a time: tell it that failing never returns 0. */
#ifdef __clang_analyzer__
#define err_set(err, code, ...) ((void)err_set(err, code, __VA_ARGS__), (code))
#define err_io(err, op, path) ((void)err_io(err, op, path), ERR_IO)
#endif

#endif

#include "base/check.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FRAMES_MAX = 64,
};

_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    void *frames[FRAMES_MAX];

    (void)fprintf(stderr, "flamekeep: broken invariant at %s:%d: %s\n", file, line, condition);
    (void)fflush(stderr);
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
    abort();
}

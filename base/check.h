/*
 * check - invariants: what we computed ourselves and must be true.
 *
 * A broken one stops the process, in release builds too, after printing the
 * condition, the place and a backtrace. Never for data from wire, disk or clock.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

_Noreturn void check_failed(const char *condition, const char *file, int line)
    __attribute__((cold));

#define check(condition)                                                                           \
    (__builtin_expect(!!(condition), 1) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))
#define check_unreachable() check_failed("unreachable", __FILE__, __LINE__)

#endif

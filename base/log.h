/*
 * log - logfmt lines on standard error.
 *
 *     log_info("segment published", LOG_STR("tenant", t), LOG_U64("rows", n));
 *     ts=2026-11-23T10:00:00.123Z level=info msg="segment published" tenant=a rows=12
 *
 * A library function returns its error; who handles it logs, once. Values are
 * quoted and escaped when needed: a client cannot forge a line. Never log
 * credentials or bodies. One write(2) per line; lines longer than
 * LOG_LINE_MAX are cut.
 *
 * Repeats: log_limit_pass() lets a line through once per interval and call site,
 * and tells the number of those that it held back.
 *
 * Threads: any. The level is the only global state.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
};

enum {
    LOG_LINE_MAX = 4096,
};

struct err;

enum log_kind {
    LOG_KIND_END,
    LOG_KIND_STR,
    LOG_KIND_I64,
    LOG_KIND_U64,
    LOG_KIND_F64,
    LOG_KIND_BOOL,
};

struct log_field {
    const char *key;
    enum log_kind kind;
    union {
        struct str s;
        int64_t i;
        uint64_t u;
        double f;
    } v;
};

#define LOG_STR(k, val) ((struct log_field){(k), LOG_KIND_STR, {.s = (val)}})
#define LOG_CSTR(k, val) ((struct log_field){(k), LOG_KIND_STR, {.s = str_from(val)}})
#define LOG_I64(k, val) ((struct log_field){(k), LOG_KIND_I64, {.i = (val)}})
#define LOG_U64(k, val) ((struct log_field){(k), LOG_KIND_U64, {.u = (val)}})
#define LOG_F64(k, val) ((struct log_field){(k), LOG_KIND_F64, {.f = (val)}})
#define LOG_BOOL(k, val) ((struct log_field){(k), LOG_KIND_BOOL, {.u = (val)}})
/* err=<message>, the message of a struct err. */
#define LOG_ERR(e) LOG_CSTR("err", (e)->msg)

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
bool log_level_parse(struct str name, enum log_level *out);

void log_write(enum log_level level, const char *msg, const struct log_field *fields);

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
#define LOG_AT(level, msg, ...)                                                                    \
    ((level) < log_get_level() ? (void)0 : log_write((level), (msg), LOG_FIELDS(__VA_ARGS__)))
#define log_debug(msg, ...) LOG_AT(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)
#define log_info(msg, ...) LOG_AT(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_warn(msg, ...) LOG_AT(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_error(msg, ...) LOG_AT(LOG_LEVEL_ERROR, msg, __VA_ARGS__)

/* One per call site: `static struct log_limit limit;`. */
struct log_limit {
    _Atomic int64_t next_ns;
    _Atomic uint64_t held_back;
};

/*
 * True when a line may be written now; *held_back is the number of those since
 * the last one. `interval_ns` between lines, on monotonic time.
 */
bool log_limit_pass(struct log_limit *l, int64_t mono_ns, int64_t interval_ns, uint64_t *held_back);

#endif

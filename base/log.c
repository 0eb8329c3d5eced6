#include "base/log.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static _Atomic int current_level = LOG_LEVEL_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct line {
    char text[LOG_LINE_MAX];
    size_t len; /* at most sizeof(text) - 1: room for the newline */
};

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int)level);
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool log_level_parse(struct str name, enum log_level *out)
{
    for (int i = 0; i <= LOG_LEVEL_ERROR; i++) {
        if (!str_eq(name, str_from(level_names[i])))
            continue;
        *out = (enum log_level)i;
        return true;
    }
    return false;
}

static void put(struct line *l, const char *text, size_t len)
{
    size_t room = sizeof(l->text) - 1 - l->len;

    if (len > room)
        len = room;
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

static void __attribute__((format(printf, 2, 3)))
put_format(struct line *l, const char *format, ...)
{
    char text[64];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len > 0)
        put(l, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

static bool needs_quotes(struct str s)
{
    if (s.len == 0 || !str_is_utf8(s))
        return true;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true;
    }
    return false;
}

/* Controls and bytes that are not text become escapes: a value cannot end its line. */
static void put_value(struct line *l, struct str s)
{
    bool text = str_is_utf8(s);

    if (!needs_quotes(s)) {
        put(l, s.p, s.len);
        return;
    }
    put(l, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\')
            put_format(l, "\\%c", c);
        else if (c == '\n')
            put(l, "\\n", 2);
        else if (c < ' ' || c == 0x7f || (c >= 0x80 && !text))
            put_format(l, "\\x%02x", c);
        else
            put(l, s.p + i, 1);
    }
    put(l, "\"", 1);
}

static void put_time(struct line *l)
{
    int64_t now = clock_now_ns(clock_system());
    time_t seconds = (time_t)(now / NS_PER_S);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm))
        return;
    put_format(l, "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now / NS_PER_MS % 1000));
}

static void put_field(struct line *l, const struct log_field *f)
{
    put(l, " ", 1);
    put(l, f->key, strlen(f->key));
    put(l, "=", 1);
    switch (f->kind) {
    case LOG_KIND_STR:
        put_value(l, f->v.s);
        break;
    case LOG_KIND_I64:
        put_format(l, "%" PRId64, f->v.i);
        break;
    case LOG_KIND_U64:
        put_format(l, "%" PRIu64, f->v.u);
        break;
    case LOG_KIND_F64:
        put_format(l, "%.6g", f->v.f);
        break;
    case LOG_KIND_BOOL:
        put_format(l, "%s", f->v.u ? "true" : "false");
        break;
    case LOG_KIND_END:
        break;
    }
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
    struct line l = {.len = 0};
    size_t done = 0;

    put_time(&l);
    put_format(&l, " level=%s msg=", level_names[level]);
    put_value(&l, str_from(msg));
    for (; fields->kind != LOG_KIND_END; fields++)
        put_field(&l, fields);
    l.text[l.len++] = '\n';
    while (done < l.len) {
        ssize_t n = write(STDERR_FILENO, l.text + done, l.len - done);

        if (n <= 0)
            return; /* nobody can be told that standard error is gone */
        done += (size_t)n;
    }
}

bool log_limit_pass(struct log_limit *l, int64_t mono_ns, int64_t interval_ns, uint64_t *held_back)
{
    int64_t next = atomic_load(&l->next_ns);

    /* One thread wins the exchange and writes; the others are held back. */
    if (mono_ns < next ||
        !atomic_compare_exchange_strong(&l->next_ns, &next, mono_ns + interval_ns)) {
        (void)atomic_fetch_add(&l->held_back, 1);
        return false;
    }
    *held_back = atomic_exchange(&l->held_back, 0);
    return true;
}

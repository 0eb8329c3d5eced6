#include "base/log.h"

#include "base/clock.h"
#include "base/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static _Atomic int current_level = LOG_LEVEL_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

enum {
    VALUE_END_BYTES = 4, /* ..." fits always: a cut line is still logfmt */
};

struct line {
    char text[LOG_LINE_MAX];
    size_t len;
    bool cut; /* nothing more goes in */
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

static size_t room_of(const struct line *l)
{
    size_t end = sizeof(l->text) - VALUE_END_BYTES - 1;

    return l->len < end ? end - l->len : 0;
}

static void put(struct line *l, const char *text, size_t len)
{
    l->cut = l->cut || len > room_of(l);
    if (l->cut)
        return;
    memcpy(l->text + l->len, text, len);
    l->len += len;
}

/* The end of a quoted value fits always. */
static void put_quote(struct line *l)
{
    const char *end = l->cut ? "...\"" : "\"";
    size_t len = strlen(end);

    memcpy(l->text + l->len, end, len);
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
    if (s.len == 0)
        return true;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return true;
    }
    return false;
}

/* Bytes of the UTF-8 sequence that begins with `c`. */
static size_t sequence_size(unsigned char c)
{
    return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Controls (C1 too) and bytes that are not text become escapes: a value cannot end its line. */
static void put_quoted(struct line *l, struct str s)
{
    bool text = str_is_utf8(s);

    put(l, "\"", 1);
    if (l->cut)
        return;
    for (size_t i = 0, n; i < s.len && !l->cut; i += n) {
        unsigned char c = (unsigned char)s.p[i];

        n = text ? sequence_size(c) : 1;
        if (c == '"' || c == '\\')
            put_format(l, "\\%c", c);
        else if (c == '\n')
            put(l, "\\n", 2);
        else if (c < ' ' || c == 0x7f || (c >= 0x80 && !text))
            put_format(l, "\\x%02x", c);
        else if (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
            put_format(l, "\\u00%02x", (unsigned char)s.p[i + 1]);
        else
            put(l, s.p + i, n);
    }
    put_quote(l);
}

static void put_value(struct line *l, struct str s)
{
    /* A long one is quoted, so that it can be seen to be cut. */
    if (needs_quotes(s) || s.len > room_of(l))
        put_quoted(l, s);
    else
        put(l, s.p, s.len);
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

/* A field that does not fit is left out; a text that does not is cut. */
static void put_field(struct line *l, const struct log_field *f)
{
    size_t start = l->len, value;

    put(l, " ", 1);
    put(l, f->key, strlen(f->key));
    put(l, "=", 1);
    value = l->len;
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
    if (l->cut && l->len == value)
        l->len = start; /* a key without its value helps nobody */
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
    struct line l = {.len = 0};
    size_t done = 0;

    put_time(&l);
    put_format(&l, " level=%s msg=", level_names[level]);
    put_value(&l, str_from(msg));
    for (; fields->kind != LOG_KIND_END && !l.cut; fields++)
        put_field(&l, fields);
    l.text[l.len++] = '\n';
    metric_family_add(METRIC_log_lines, str_from(level_names[level]), 1);
    while (done < l.len) {
        ssize_t n = write(STDERR_FILENO, l.text + done, l.len - done);

        if (n < 0 && errno == EINTR)
            continue;
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

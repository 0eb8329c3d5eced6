#include "api/encode/json_text.h"

#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DIGITS_MAX = 20,
    DOUBLE_DIGITS_MAX = 17, /* enough for every double to read back exactly */
};

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c != '"' && c != '\\';
}

static void put_escape(struct buf *out, unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        (void)buf_append_byte(out, '\\');
        (void)buf_append_byte(out, c);
        return;
    case '\n':
        (void)buf_append_cstr(out, "\\n");
        return;
    case '\r':
        (void)buf_append_cstr(out, "\\r");
        return;
    case '\t':
        (void)buf_append_cstr(out, "\\t");
        return;
    default:
        (void)buf_printf(out, "\\u%04x", c);
    }
}

void json_text_put(struct buf *out, struct str s)
{
    size_t start = 0;

    (void)buf_append_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (is_plain((unsigned char)s.p[i]))
            continue;
        (void)buf_append(out, s.p + start, i - start);
        put_escape(out, (unsigned char)s.p[i]);
        start = i + 1;
    }
    if (s.len > start)
        (void)buf_append(out, s.p + start, s.len - start);
    (void)buf_append_byte(out, '"');
}

void json_text_put_i64(struct buf *out, int64_t v, int quoted)
{
    char text[DIGITS_MAX + 3];
    char *p = text + sizeof(text);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    if (quoted)
        *--p = '"';
    do
        *--p = (char)('0' + u % 10);
    while ((u /= 10) > 0);
    if (v < 0)
        *--p = '-';
    if (quoted)
        *--p = '"';
    (void)buf_append(out, p, (size_t)(text + sizeof(text) - p));
}

void json_text_put_double(struct buf *out, double v)
{
    char text[40];

    if (isnan(v)) {
        (void)buf_append_cstr(out, "\"NaN\"");
        return;
    }
    if (isinf(v)) {
        (void)buf_append_cstr(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    for (int digits = 15; digits <= DOUBLE_DIGITS_MAX; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    (void)buf_append_cstr(out, text);
}

/* go_text - see go_text.h. */
#include "storage/model/go_text.h"

#include "base/buf.h"

#include <inttypes.h>
#include <time.h>

/*
 * Decodes one code point of well-formed UTF-8. Returns its length, or 0 for a byte that
 * begins none.
 */
static size_t decode_utf8(const uint8_t *p, size_t left, uint32_t *out)
{
    uint8_t c = p[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : (c & 0xf0) == 0xe0    ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    uint32_t v = n == 1 ? c : n == 2 ? c & 0x1fu : n == 3 ? c & 0x0fu : c & 0x07u;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    if ((n == 3 && v < 0x800) || (n == 4 && (v < 0x10000 || v > 0x10ffff)) ||
        (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *out = v;
    return n;
}

/*
 * What Go would print as it is. The full table is Unicode's; this leaves out what clients
 * may meet: controls, format and separator characters, private use, non-characters.
 */
static bool is_printable(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0xad)
        return false;
    if (c == 0x1680 || c == 0x180e || (c >= 0x2000 && c <= 0x200f) ||
        (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f) || c == 0x3000 || c == 0xfeff)
        return false;
    if ((c >= 0xe000 && c <= 0xf8ff) || c >= 0xf0000 || (c & 0xfffe) == 0xfffe ||
        (c >= 0xe0000 && c <= 0xe0fff && !(c >= 0xe0100 && c <= 0xe01ef)))
        return false;
    return true;
}

static void quote_rune(struct buf *out, uint32_t c, const uint8_t *p, size_t n)
{
    static const char letters[] = "abtnvfr"; /* for 7 to 13 */

    if (c == '"' || c == '\\')
        (void)buf_printf(out, "\\%c", (char)c);
    else if (c >= 7 && c <= 13)
        (void)buf_printf(out, "\\%c", letters[c - 7]);
    else if (is_printable(c))
        (void)buf_append(out, p, n);
    else if (c < 0x80)
        (void)buf_printf(out, "\\x%02x", c);
    else if (c < 0x10000)
        (void)buf_printf(out, "\\u%04x", c);
    else
        (void)buf_printf(out, "\\U%08x", c);
}

void go_quote_append(struct buf *out, struct str text)
{
    const uint8_t *p = (const uint8_t *)text.p;

    (void)buf_append_byte(out, '"');
    for (size_t i = 0; i < text.len;) {
        uint32_t c = 0;
        size_t n = decode_utf8(p + i, text.len - i, &c);

        if (n == 0) {
            (void)buf_printf(out, "\\x%02x", p[i]);
            i++;
            continue;
        }
        quote_rune(out, c, p + i, n);
        i += n;
    }
    (void)buf_append_byte(out, '"');
}

/* --- JSON --- */

static bool json_plain(uint8_t c, bool html)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' &&
           !(html && (c == '<' || c == '>' || c == '&'));
}

static void json_ascii(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        (void)buf_append_byte(out, '\\');
        (void)buf_append_byte(out, c);
        break;
    case '\b':
        (void)buf_append_cstr(out, "\\b");
        break;
    case '\f':
        (void)buf_append_cstr(out, "\\f");
        break;
    case '\n':
        (void)buf_append_cstr(out, "\\n");
        break;
    case '\r':
        (void)buf_append_cstr(out, "\\r");
        break;
    case '\t':
        (void)buf_append_cstr(out, "\\t");
        break;
    case 0x7f:
        (void)buf_append_byte(out, c);
        break;
    default:
        (void)buf_printf(out, "\\u%04x", c);
    }
}

void go_json_append(struct buf *out, struct str text, bool html)
{
    const uint8_t *p = (const uint8_t *)text.p;

    (void)buf_append_byte(out, '"');
    for (size_t i = 0; i < text.len;) {
        size_t plain = i, n;
        uint32_t c = 0;

        while (i < text.len && json_plain(p[i], html))
            i++;
        if (i > plain)
            (void)buf_append(out, p + plain, i - plain);
        if (i == text.len)
            break;
        n = decode_utf8(p + i, text.len - i, &c);
        if (n == 0)
            (void)buf_append_cstr(out, "\xef\xbf\xbd"); /* U+FFFD */
        else if (n == 1)
            json_ascii(out, p[i]);
        else if (c == 0x2028 || c == 0x2029)
            (void)buf_printf(out, "\\u%04x", c);
        else
            (void)buf_append(out, p + i, n);
        i += n == 0 ? 1 : n;
    }
    (void)buf_append_byte(out, '"');
}

/* --- times and sizes --- */

void go_time_append(struct buf *out, int64_t unix_ms)
{
    int64_t ms = unix_ms % 1000;
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;

    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    if (gmtime_r(&seconds, &tm) == NULL) {
        (void)buf_printf(out, "%" PRId64 " ms", unix_ms);
        return;
    }
    (void)buf_printf(out, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (ms % 100 != 0)
        (void)buf_printf(out, ms % 10 == 0 ? ".%02d" : ".%03d", (int)(ms % 10 == 0 ? ms / 10 : ms));
    else if (ms != 0)
        (void)buf_printf(out, ".%d", (int)(ms / 100));
    (void)buf_append_cstr(out, " +0000 UTC");
}

static void append_bytes(struct buf *out, uint64_t bytes, double base, const char *const *units)
{
    double value = (double)bytes;

    if (bytes < 10) {
        (void)buf_printf(out, "%" PRIu64 " B", bytes);
        return;
    }
    while (value >= base) {
        value /= base;
        units++;
    }
    value = (double)(uint64_t)(value * 10 + 0.5) / 10;
    (void)buf_printf(out, value < 10 ? "%.1f %s" : "%.0f %s", value, *units);
}

void go_bytes_si_append(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};

    append_bytes(out, bytes, 1000, units);
}

void go_bytes_iec_append(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

    append_bytes(out, bytes, 1024, units);
}

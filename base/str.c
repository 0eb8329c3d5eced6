#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

bool str_eq_case(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.p, b.p, a.len) == 0);
}

int str_cmp(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.p, b.p, len) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq((struct str){s.p, prefix.len}, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) == 0);
}

size_t str_find(struct str s, struct str part)
{
    const char *at;

    if (part.len == 0)
        return 0;
    at = s.len > 0 ? memmem(s.p, s.len, part.p, part.len) : NULL;
    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t str_find_byte(struct str s, char byte)
{
    const char *at = s.len > 0 ? memchr(s.p, byte, s.len) : NULL;

    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t str_rfind_byte(struct str s, char byte)
{
    const char *at = s.len > 0 ? memrchr(s.p, byte, s.len) : NULL;

    return at ? (size_t)(at - s.p) : SIZE_MAX;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.len)
        to = s.len;
    if (from > to)
        from = to;
    return from == 0 ? (struct str){s.p, to} : (struct str){s.p + from, to - from};
}

bool str_split(struct str *rest, char separator, struct str *part)
{
    size_t at;

    if (rest->len == SIZE_MAX)
        return false;
    at = str_find_byte(*rest, separator);
    if (at == SIZE_MAX) {
        *part = *rest;
        *rest = (struct str){NULL, SIZE_MAX};
        return true;
    }
    *part = (struct str){rest->p, at};
    *rest = (struct str){rest->p + at + 1, rest->len - at - 1};
    return true;
}

bool str_parse_u64(struct str s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned int digit = (unsigned int)(s.p[i] - '0');

        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

bool str_parse_i64(struct str s, int64_t min, int64_t max, int64_t *out)
{
    bool negative = s.len > 0 && s.p[0] == '-';
    bool sign = negative || (s.len > 0 && s.p[0] == '+');
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, v;
    int64_t value;

    if (!str_parse_u64(str_slice(s, sign, s.len), limit, &v))
        return false;
    value = negative ? (int64_t)(0 - v) : (int64_t)v;
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool str_parse_double(struct str s, double *out)
{
    char text[STR_DOUBLE_MAX + 1];
    char *end;
    double v;

    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    /* strtod() knows hexadecimal, "inf" and leading blanks too. */
    for (size_t i = 0; i < s.len; i++)
        if (!s.p[i] || !strchr("0123456789+-.eE", s.p[i]))
            return false;
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    errno = 0;
    v = strtod(text, &end);
    if (end != text + s.len || (errno == ERANGE && (v >= HUGE_VAL || v <= -HUGE_VAL)))
        return false;
    *out = v;
    return true;
}

static bool is_continuation(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the well formed sequence at p, 0 when there is none (Unicode, table 3-7). */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xe0)
        return left >= 2 && is_continuation(p[1]) ? 2 : 0;
    if (p[0] < 0xf0) {
        if (left < 3 || !is_continuation(p[1]) || !is_continuation(p[2]))
            return 0;
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (left < 4 || !is_continuation(p[1]) || !is_continuation(p[2]) || !is_continuation(p[3]))
        return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return 4;
}

bool str_is_utf8(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    size_t i = 0;

    while (i < s.len) {
        uint64_t word;
        size_t n;

        if (s.len - i >= sizeof(word)) {
            memcpy(&word, p + i, sizeof(word));
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        n = utf8_sequence(p + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* The parser of matcher.h's selector_parse(): PromQL's vector selector, nothing else of it. */
#include "storage/model/matcher.h"

#include "storage/model/labels.h"

#include "base/arena.h"
#include "base/err.h"

#include <string.h>

struct parser {
    struct str text;
    size_t at;
    struct arena *arena;
    struct matchers *out;
    struct err *err;
};

static int expected(const struct parser *p, const char *what)
{
    if (p->at >= p->text.len)
        return err_set(p->err, ERR_INVALID, "unexpected end of input at offset %zu, expected %s",
                       p->at, what);
    return err_set(p->err, ERR_INVALID, "unexpected character at offset %zu, expected %s", p->at,
                   what);
}

static int peek(const struct parser *p)
{
    return p->at < p->text.len ? (unsigned char)p->text.p[p->at] : -1;
}

static void skip_space(struct parser *p)
{
    for (; p->at < p->text.len; p->at++) {
        int c = peek(p);

        if (c == '#')
            while (p->at + 1 < p->text.len && p->text.p[p->at + 1] != '\n')
                p->at++;
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
    }
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* A metric name may hold colons, a label name may not. */
static struct str identifier(struct parser *p, bool colons)
{
    size_t start = p->at;

    for (; p->at < p->text.len; p->at++) {
        int c = peek(p);
        bool digit = c >= '0' && c <= '9' && p->at > start;

        if (!is_letter(c) && !digit && !(colons && c == ':'))
            break;
    }
    return (struct str){p->text.p + start, p->at - start};
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | (c >> 12));
        out[1] = (char)(0x80 | ((c >> 6) & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18));
    out[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    out[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* `digits` digits of `base` after the escape's letter. Returns false on anything else. */
static bool number(struct parser *p, int digits, int base, uint32_t *out)
{
    uint32_t v = 0;

    for (int i = 0; i < digits; i++, p->at++) {
        int d = hex_digit(peek(p));

        if (d < 0 || d >= base)
            return false;
        v = v * (uint32_t)base + (uint32_t)d;
    }
    *out = v;
    return true;
}

/* The escapes of Go's string literals; p->at is behind the backslash. Returns bytes written. */
static int escape(struct parser *p, int quote, char *out, size_t *size)
{
    static const char names[] = "abfnrtv\\", bytes[] = "\a\b\f\n\r\t\v\\";
    int c = peek(p);
    const char *simple = c > 0 ? strchr(names, c) : NULL;
    uint32_t v;

    *size = 1;
    if (simple || (c == quote)) {
        *out = simple ? bytes[simple - names] : (char)c;
        p->at++;
        return 0;
    }
    if (c >= '0' && c <= '7') {
        if (!number(p, 3, 8, &v) || v > 255)
            return expected(p, "three octal digits up to 377");
        *out = (char)v;
        return 0;
    }
    p->at++;
    if (c == 'x') {
        if (!number(p, 2, 16, &v))
            return expected(p, "two hexadecimal digits");
        *out = (char)v;
        return 0;
    }
    if (c != 'u' && c != 'U') {
        p->at--;
        return expected(p, "an escape (a b f n r t v \\ quote x u U or octal)");
    }
    if (!number(p, c == 'u' ? 4 : 8, 16, &v) || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return expected(p, "the digits of a Unicode code point");
    *size = put_utf8(out, v);
    return 0;
}

/* Bytes up to the closing quote; no escape is shorter than what it stands for. */
static size_t quoted_bytes_max(const struct parser *p, int quote)
{
    size_t end = p->at + 1;

    for (; end < p->text.len && p->text.p[end] != quote; end++)
        if (p->text.p[end] == '\\' && quote != '`')
            end++;
    return end - p->at;
}

/* A string in " ' or `; p->at is at the quote. */
static int quoted(struct parser *p, struct str *out)
{
    int quote = peek(p), rc;
    char *text = arena_alloc(p->arena, quoted_bytes_max(p, quote));
    size_t len = 0, size;

    if (!text)
        return err_set(p->err, ERR_TOO_LARGE, "the selector needs more than %zu bytes of memory",
                       arena_limit(p->arena));
    p->at++;
    while (peek(p) != quote) {
        int c = peek(p);

        if (c < 0 || (c == '\n' && quote != '`'))
            return expected(p, "the closing quote");
        p->at++;
        if (c != '\\' || quote == '`') {
            text[len++] = (char)c;
            continue;
        }
        if ((rc = escape(p, quote, text + len, &size)) != 0)
            return rc;
        len += size;
    }
    p->at++;
    *out = (struct str){text, len};
    return 0;
}

static bool is_quote(int c)
{
    return c == '"' || c == '\'' || c == '`';
}

static int operator(struct parser *p, enum matcher_op *op)
{
    int first = peek(p), second = p->at + 1 < p->text.len ? p->text.p[p->at + 1] : -1;

    if (first == '=' && second == '~')
        *op = MATCH_RE;
    else if (first == '!' && second == '~')
        *op = MATCH_NRE;
    else if (first == '!' && second == '=')
        *op = MATCH_NE;
    else if (first == '=')
        *op = MATCH_EQ;
    else
        return expected(p, "one of = != =~ !~");
    p->at += *op == MATCH_EQ ? 1 : 2;
    return 0;
}

/* label op string | string op string | string */
static int one_matcher(struct parser *p)
{
    bool is_string = is_quote(peek(p));
    struct str name, value;
    enum matcher_op op = MATCH_EQ;
    int rc;

    if (is_string) {
        if ((rc = quoted(p, &name)) != 0)
            return rc;
    } else {
        name = identifier(p, false);
        if (name.len == 0)
            return expected(p, "a label name or '}'");
    }
    skip_space(p);
    if (is_string && (peek(p) == ',' || peek(p) == '}'))
        return matchers_add(p->out, MATCH_EQ, STR(LABEL_NAME), name, p->arena, p->err);
    if ((rc = operator(p, &op)) != 0)
        return rc;
    skip_space(p);
    if (!is_quote(peek(p)))
        return expected(p, "a quoted string");
    if ((rc = quoted(p, &value)) != 0)
        return rc;
    return matchers_add(p->out, op, name, value, p->arena, p->err);
}

static int braces(struct parser *p)
{
    int rc;

    p->at++;
    skip_space(p);
    while (peek(p) != '}') {
        if ((rc = one_matcher(p)) != 0)
            return rc;
        skip_space(p);
        if (peek(p) == ',') {
            p->at++;
            skip_space(p);
        } else if (peek(p) != '}') {
            return expected(p, "',' or '}'");
        }
    }
    p->at++;
    return 0;
}

int selector_parse(struct str text, struct arena *arena, struct matchers *out, struct err *err)
{
    struct parser p = {.text = text, .arena = arena, .out = out, .err = err};
    struct str metric;
    int rc = 0;

    skip_space(&p);
    metric = identifier(&p, true);
    if (metric.len == 0 && peek(&p) != '{')
        return expected(&p, "'{' or a metric name");
    if (metric.len > 0)
        rc = matchers_add(out, MATCH_EQ, STR(LABEL_NAME), metric, arena, err);
    skip_space(&p);
    if (rc == 0 && peek(&p) == '{')
        rc = braces(&p);
    if (rc != 0)
        return rc;
    skip_space(&p);
    if (p.at < text.len)
        return expected(&p, "the end of the selector");
    return 0;
}

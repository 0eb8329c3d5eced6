/* accept - see accept.h. The grammar and the texts are those of Go's mime package. */
#include "server/http/accept.h"

#include <string.h>

/* One entry: what is left of it to read. */
struct cursor {
    const char *p, *end;
};

static bool token_byte(unsigned char c)
{
    return c > 0x20 && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static bool space_byte(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && space_byte(*c->p))
        c->p++;
}

static struct str take_token(struct cursor *c)
{
    const char *start = c->p;
    while (c->p < c->end && token_byte((unsigned char)*c->p))
        c->p++;
    return (struct str){start, (size_t)(c->p - start)};
}

/*
 * A token or a quoted string. For a quoted one *out is the text between the
 * quotes with its escapes still in: no value we compare with has any.
 */
static bool take_value(struct cursor *c, struct str *out)
{
    if (c->p == c->end)
        return false;
    if (*c->p != '"') {
        *out = take_token(c);
        return out->len > 0;
    }
    const char *start = ++c->p;
    for (; c->p < c->end; c->p++) {
        if (*c->p == '\\' && c->p + 1 < c->end)
            c->p++;
        else if (*c->p == '"') {
            *out = (struct str){start, (size_t)(c->p - start)};
            c->p++;
            return true;
        }
    }
    return false;
}

/* `; name=value`, and only a whole one moves the cursor. */
static bool take_param(struct cursor *c, struct str *name, struct str *value)
{
    struct cursor at = *c;
    skip_space(&at);
    if (at.p == at.end || *at.p != ';')
        return false;
    at.p++;
    skip_space(&at);
    *name = take_token(&at);
    if (name->len == 0)
        return false;
    skip_space(&at);
    if (at.p == at.end || *at.p != '=')
        return false;
    at.p++;
    skip_space(&at);
    if (!take_value(&at, value))
        return false;
    *c = at;
    return true;
}

/* `type` or `type/subtype`, up to the first ';'; NULL or the reason. */
static const char *take_type(struct cursor *c, struct str *type)
{
    struct cursor base = *c;
    const char *semicolon = memchr(c->p, ';', (size_t)(c->end - c->p));
    if (semicolon)
        base.end = semicolon;
    c->p = base.end;
    skip_space(&base);
    while (base.end > base.p && space_byte(base.end[-1]))
        base.end--;
    *type = (struct str){base.p, (size_t)(base.end - base.p)};
    if (take_token(&base).len == 0)
        return "mime: no media type";
    if (base.p == base.end)
        return NULL;
    if (*base.p++ != '/')
        return "mime: expected slash after first token";
    if (take_token(&base).len == 0)
        return "mime: expected token after slash";
    if (base.p != base.end)
        return "mime: unexpected content after media subtype";
    return NULL;
}

/* Gives the next entry of the list; false at the end. An empty list has one. */
static bool next_entry(struct str value, size_t *at, struct cursor *entry)
{
    if (*at > value.len || value.len == 0)
        return false;
    const char *start = value.p + *at, *end = value.p + value.len;
    const char *comma = memchr(start, ',', (size_t)(end - start));
    *entry = (struct cursor){start, comma ? comma : end};
    *at = comma ? (size_t)(comma - value.p) + 1 : value.len + 1;
    return true;
}

/* A parameter of this name stands before `limit` in the entry's parameters. */
static bool seen_before(struct cursor c, const char *limit, struct str name)
{
    struct str n, v;
    while (c.p < limit && take_param(&c, &n, &v))
        if (c.p <= limit && str_eq_case(n, name))
            return true;
    return false;
}

static const char *check_entry(struct cursor c)
{
    struct str type, name, value;
    const char *reason = take_type(&c, &type);
    if (reason)
        return reason;
    struct cursor first = c;
    for (unsigned int n = 0;; n++) {
        const char *before = c.p;
        skip_space(&c);
        if (c.p == c.end)
            return NULL;
        c.p = before;
        if (!take_param(&c, &name, &value)) {
            /* A lone trailing ';' is forgiven. */
            skip_space(&c);
            if (c.p < c.end && *c.p == ';') {
                c.p++;
                skip_space(&c);
                if (c.p == c.end)
                    return NULL;
            }
            return "mime: invalid media parameter";
        }
        /* Every parameter is compared with all before it: bound the work. */
        if (n >= 64)
            return "mime: too many parameters";
        if (seen_before(first, before, name))
            return "mime: duplicate parameter name";
    }
}

const char *http_accept_check(struct str value)
{
    struct cursor entry;
    size_t at = 0;
    while (next_entry(value, &at, &entry)) {
        const char *reason = check_entry(entry);
        if (reason)
            return reason;
    }
    return NULL;
}

bool http_accept_has_param(struct str value, struct str name, struct str want)
{
    struct cursor entry;
    struct str type, n, v;
    size_t at = 0;
    while (next_entry(value, &at, &entry)) {
        if (take_type(&entry, &type))
            continue;
        while (take_param(&entry, &n, &v))
            if (str_eq_case(n, name) && str_eq(v, want))
                return true;
    }
    return false;
}

bool http_accept_has_type(struct str value, struct str type)
{
    struct cursor entry;
    struct str t;
    size_t at = 0;
    while (next_entry(value, &at, &entry))
        if (!take_type(&entry, &t) && str_eq_case(t, type))
            return true;
    return false;
}

bool http_list_has_token(struct str value, struct str token)
{
    size_t i = 0;
    while (i < value.len) {
        size_t start = i;
        while (i < value.len && value.p[i] != ',' && value.p[i] != ' ' && value.p[i] != '\t')
            i++;
        if (str_eq_case((struct str){value.p + start, i - start}, token))
            return true;
        i++;
    }
    return false;
}

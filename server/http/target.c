/* target - see target.h. */
#include "server/http/target.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool http_percent_decode(struct str in, bool plus, char *out, size_t *out_len)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.p[i];
        if (c == '%') {
            int hi = i + 1 < in.len ? hex_digit(in.p[i + 1]) : -1;
            int lo = i + 2 < in.len ? hex_digit(in.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return false;
            c = (char)(hi * 16 + lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    *out_len = n;
    return true;
}

/* Drops "http://authority"; what is left begins with '/' or '?' or is empty. */
static bool strip_authority(struct str *raw)
{
    const struct str schemes[] = {STR("http://"), STR("https://")};
    for (size_t i = 0; i < 2; i++) {
        if (raw->len < schemes[i].len ||
            !str_eq_case((struct str){raw->p, schemes[i].len}, schemes[i]))
            continue;
        const char *p = raw->p + schemes[i].len, *end = raw->p + raw->len;
        const char *authority = p;
        while (p < end && *p != '/' && *p != '?')
            p++;
        *raw = (struct str){p, (size_t)(end - p)};
        return p > authority;
    }
    return false;
}

static bool control_byte(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

int http_target_parse(struct str raw, struct arena *arena, struct http_target *out, struct err *err)
{
    if (control_byte(raw))
        return err_set(err, ERR_INVALID, "control character in the request target");
    if ((raw.len == 0 || raw.p[0] != '/') && !strip_authority(&raw))
        return err_set(err, ERR_INVALID, "unsupported request target");

    const char *mark = memchr(raw.p, '?', raw.len);
    struct str path = {raw.p, mark ? (size_t)(mark - raw.p) : raw.len};
    struct str query = {raw.p + raw.len, 0};
    if (mark)
        query = (struct str){mark + 1, (size_t)(raw.p + raw.len - mark - 1)};
    if (path.len == 0)
        path = STR("/");

    char *decoded = arena_alloc(arena, path.len);
    size_t len = 0;
    if (!decoded)
        return err_set(err, ERR_TOO_LARGE, "request target of %zu bytes", raw.len);
    if (!http_percent_decode(path, false, decoded, &len))
        return err_set(err, ERR_INVALID, "broken percent escape in the path");
    if (memchr(decoded, 0, len))
        return err_set(err, ERR_INVALID, "NUL in the path");
    out->path = (struct str){decoded, len};
    out->query_raw = query;
    return 0;
}

static size_t count_pairs(struct str raw)
{
    size_t n = raw.len > 0;
    for (size_t i = 0; i < raw.len; i++)
        n += raw.p[i] == '&';
    return n;
}

/* Decodes one "name=value" into text, which has room for it. False: leave it out. */
static bool parse_pair(struct str piece, char *text, struct http_pair *out)
{
    const char *eq = memchr(piece.p, '=', piece.len);
    struct str name = {piece.p, eq ? (size_t)(eq - piece.p) : piece.len};
    struct str value = {piece.p + piece.len, 0};
    if (eq)
        value = (struct str){eq + 1, piece.len - name.len - 1};
    size_t name_len, value_len;
    if (memchr(piece.p, ';', piece.len) || !http_percent_decode(name, true, text, &name_len) ||
        !http_percent_decode(value, true, text + name_len, &value_len))
        return false;
    out->name = (struct str){text, name_len};
    out->value = (struct str){text + name_len, value_len};
    return true;
}

int http_query_parse(struct str raw, struct arena *arena, struct http_pair **pairs, size_t *count,
                     struct err *err)
{
    size_t n = 0, max = count_pairs(raw);
    *pairs = NULL;
    *count = 0;
    if (max == 0)
        return 0;
    struct http_pair *list = arena_alloc(arena, max * sizeof(*list));
    char *text = arena_alloc(arena, raw.len);
    if (!list || !text)
        return err_set(err, ERR_TOO_LARGE, "query string of %zu bytes", raw.len);

    for (size_t at = 0; at <= raw.len;) {
        const char *start = raw.p + at;
        const char *amp = memchr(start, '&', raw.len - at);
        struct str piece = {start, amp ? (size_t)(amp - start) : raw.len - at};
        at += piece.len + 1;
        if (piece.len == 0 || !parse_pair(piece, text, &list[n]))
            continue;
        size_t used = list[n].name.len + list[n].value.len;
        if (memchr(text, 0, used))
            return err_set(err, ERR_INVALID, "NUL in the query string");
        text += used;
        n++;
    }
    *pairs = list;
    *count = n;
    return 0;
}

#include "api/decode/multipart.h"

#include "base/arena.h"
#include "base/err.h"

#include <string.h>

/*
 *   preamble                     ignored
 *   --boundary [blanks] NL       NL is what ends this line: CRLF, or LF alone
 *   Header: value NL  ...  NL
 *   content                      up to NL--boundary, which begins the next part
 *   --boundary--                 the end; what follows is ignored
 */
struct scanner {
    struct str rest;
    struct str delimiter; /* CRLF--boundary, or LF--boundary */
    struct str dashes;    /* --boundary */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct str *s)
{
    while (s->len > 0 && is_blank(s->p[0]))
        *s = str_slice(*s, 1, s->len);
}

static bool is_token_byte(char c)
{
    return c > ' ' && c < 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static struct str take_token(struct str *s)
{
    size_t n = 0;
    struct str token;

    while (n < s->len && is_token_byte(s->p[n]))
        n++;
    token = str_slice(*s, 0, n);
    *s = str_slice(*s, n, s->len);
    return token;
}

/* Does the backslash at `i` escape what follows? Only what could not stand alone. */
static bool is_escape(struct str s, size_t i)
{
    return s.p[i] == '\\' && i + 1 < s.len && s.p[i + 1] > ' ' && !is_token_byte(s.p[i + 1]);
}

static bool unescape(struct str quoted, struct arena *arena, struct str *out)
{
    char *text = arena_alloc(arena, quoted.len);
    size_t n = 0;

    if (text == NULL)
        return false;
    for (size_t i = 0; i < quoted.len; i++) {
        if (is_escape(quoted, i))
            i++;
        text[n++] = quoted.p[i];
    }
    *out = (struct str){text, n};
    return true;
}

/* After the opening quote, up to the closing one. */
static bool take_quoted(struct str *s, struct arena *arena, struct str *out)
{
    size_t i = 0;
    bool has_escapes = false;

    for (; i < s->len && s->p[i] != '"'; i++) {
        if (is_escape(*s, i)) {
            has_escapes = true;
            i++;
        }
    }
    if (i >= s->len)
        return false;
    *out = str_slice(*s, 0, i);
    *s = str_slice(*s, i + 1, s->len);
    return !has_escapes || unescape(*out, arena, out);
}

/* Takes `; name=value` off *s. False: nothing left that looks like one. */
static bool take_parameter(struct str *s, struct arena *arena, struct str *name, struct str *value)
{
    skip_blanks(s);
    if (s->len == 0 || s->p[0] != ';')
        return false;
    *s = str_slice(*s, 1, s->len);
    skip_blanks(s);
    *name = take_token(s);
    skip_blanks(s);
    if (name->len == 0 || s->len == 0 || s->p[0] != '=')
        return false;
    *s = str_slice(*s, 1, s->len);
    skip_blanks(s);
    if (s->len > 0 && s->p[0] == '"') {
        *s = str_slice(*s, 1, s->len);
        return take_quoted(s, arena, value);
    }
    *value = take_token(s);
    return true;
}

int multipart_boundary(struct str content_type, struct arena *arena, struct str *out,
                       struct err *err)
{
    struct str rest = content_type, name, value;
    size_t semicolon = str_find_byte(rest, ';');

    rest = semicolon == SIZE_MAX ? STR("") : str_slice(rest, semicolon, rest.len);
    while (take_parameter(&rest, arena, &name, &value)) {
        if (!str_eq_case(name, STR("boundary")) || value.len == 0 ||
            value.len > MULTIPART_BOUNDARY_MAX)
            continue;
        *out = value;
        return 0;
    }
    return err_set(err, ERR_INVALID, "malformed multipart content type header");
}

/* RFC 2231: charset'language'text. The text keeps its percent signs; only presence matters. */
static struct str extended_value(struct str value)
{
    size_t quote = str_rfind_byte(value, '\'');

    return quote == SIZE_MAX ? value : str_slice(value, quote + 1, value.len);
}

static void read_disposition(struct str value, struct arena *arena, struct multipart_part *part)
{
    struct str name, text;

    skip_blanks(&value);
    if (!str_eq_case(take_token(&value), STR("form-data")))
        return;
    while (take_parameter(&value, arena, &name, &text)) {
        if (str_eq_case(name, STR("name")))
            part->name = text;
        else if (str_eq_case(name, STR("filename")))
            part->filename = text;
        else if (str_eq_case(name, STR("filename*")))
            part->filename = extended_value(text);
    }
}

/* Length of the line at the front of `s`, its LF included; 0: none ends. */
static size_t line_length(struct str s)
{
    size_t newline = str_find_byte(s, '\n');

    return newline == SIZE_MAX ? 0 : newline + 1;
}

/* A header with its continuation lines; 0: it does not end. */
static size_t header_length(struct str s)
{
    size_t n = line_length(s);

    while (n > 0 && n < s.len && (s.p[n] == ' ' || s.p[n] == '\t')) {
        size_t more = line_length(str_slice(s, n, s.len));

        if (more == 0)
            return 0;
        n += more;
    }
    return n;
}

static int read_headers(struct scanner *s, struct arena *arena, struct multipart_part *part,
                        struct err *err)
{
    size_t used = 0;

    for (;;) {
        size_t n = header_length(str_slice(s->rest, 0, MULTIPART_HEADER_BYTES_MAX - used));
        struct str line = str_trim(str_slice(s->rest, 0, n));
        size_t colon = str_find_byte(line, ':');

        if (n == 0 && s->rest.len >= MULTIPART_HEADER_BYTES_MAX - used)
            return err_set(err, ERR_TOO_LARGE, "multipart: the header of a part is over %d bytes",
                           MULTIPART_HEADER_BYTES_MAX);
        if (n == 0)
            return err_set(err, ERR_INVALID, "multipart: the body ends in the header of a part");
        s->rest = str_slice(s->rest, n, s->rest.len);
        used += n;
        if (line.len == 0)
            return 0;
        if (colon == SIZE_MAX || colon == 0)
            return err_set(err, ERR_INVALID, "multipart: malformed header line in a part");
        if (str_eq_case(str_trim(str_slice(line, 0, colon)), STR("Content-Disposition")))
            read_disposition(str_slice(line, colon + 1, line.len), arena, part);
    }
}

/* What stands behind a `--boundary` in the text. */
enum delimiter_kind {
    NOT_A_DELIMITER,
    NEXT_PART,
    LAST,
};

static enum delimiter_kind delimiter_kind(struct str after)
{
    bool is_last = str_starts(after, STR("--"));
    size_t i = is_last ? 2 : 0;

    while (i < after.len && (after.p[i] == ' ' || after.p[i] == '\t'))
        i++;
    if (i < after.len && after.p[i] == '\r')
        i++;
    if (i == after.len)
        return is_last ? LAST : NOT_A_DELIMITER;
    if (after.p[i] != '\n')
        return NOT_A_DELIMITER;
    return is_last ? LAST : NEXT_PART;
}

static struct str join(struct arena *arena, const char *prefix, struct str boundary)
{
    size_t n = strlen(prefix);
    char *text = arena_alloc(arena, n + boundary.len);

    if (text == NULL)
        return (struct str){0};
    memcpy(text, prefix, n);
    memcpy(text + n, boundary.p, boundary.len);
    return (struct str){text, n + boundary.len};
}

/* Goes behind the line of the first delimiter, and learns from it what ends a line. */
static int find_first(struct scanner *s, struct arena *arena, struct str boundary,
                      enum delimiter_kind *kind, struct err *err)
{
    s->dashes = join(arena, "--", boundary);
    s->delimiter = join(arena, "\r\n--", boundary);
    if (s->dashes.len == 0 || s->delimiter.len == 0)
        return err_set(err, ERR_TOO_LARGE, "multipart: no memory for the boundary");
    while (s->rest.len > 0) {
        size_t n = line_length(s->rest);

        if (str_starts(s->rest, s->dashes)) {
            *kind = delimiter_kind(str_slice(s->rest, s->dashes.len, s->rest.len));
            if (*kind != NOT_A_DELIMITER) {
                if (n >= 2 && s->rest.p[n - 2] != '\r')
                    s->delimiter = str_slice(s->delimiter, 1, s->delimiter.len);
                s->rest = str_slice(s->rest, n, s->rest.len);
                return 0;
            }
        }
        if (n == 0)
            break;
        s->rest = str_slice(s->rest, n, s->rest.len);
    }
    return err_set(err, ERR_INVALID, "multipart: the boundary '%" STR_FMT "' does not occur",
                   STR_ARG(boundary));
}

/* The content of a part, and what follows it; leaves rest behind the delimiter's line. */
static int read_content(struct scanner *s, struct str *content, enum delimiter_kind *kind,
                        struct err *err)
{
    size_t at = 0;
    bool is_empty = str_starts(s->rest, s->dashes);

    for (;;) {
        struct str tail = str_slice(s->rest, at, s->rest.len);
        size_t found = is_empty ? 0 : str_find(tail, s->delimiter);
        size_t width = is_empty ? s->dashes.len : s->delimiter.len;

        if (found == SIZE_MAX)
            return err_set(err, ERR_INVALID,
                           "multipart: the body ends without the closing boundary");
        tail = str_slice(tail, found + width, tail.len);
        *kind = delimiter_kind(tail);
        if (*kind != NOT_A_DELIMITER) {
            *content = str_slice(s->rest, 0, at + found);
            s->rest = str_slice(tail, line_length(tail), tail.len);
            return 0;
        }
        at += is_empty ? 0 : found + 1;
        is_empty = false;
    }
}

static int add_part(struct multipart *m, uint32_t *capacity, const struct multipart_part *part,
                    struct arena *arena, struct err *err)
{
    if (m->count == MULTIPART_PARTS_MAX)
        return err_set(err, ERR_TOO_LARGE, "multipart: more than %d parts", MULTIPART_PARTS_MAX);
    if (m->count == *capacity) {
        uint32_t grown = *capacity == 0 ? 8 : *capacity * 2;
        struct multipart_part *parts = arena_array(arena, struct multipart_part, grown);

        if (parts == NULL)
            return err_set(err, ERR_TOO_LARGE, "multipart: no memory for %u parts", grown);
        if (m->count > 0)
            memcpy(parts, m->parts, m->count * sizeof(*parts));
        m->parts = parts;
        *capacity = grown;
    }
    m->parts[m->count++] = *part;
    return 0;
}

int multipart_parse(struct str body, struct str boundary, struct arena *arena,
                    struct multipart *out, struct err *err)
{
    struct scanner s = {.rest = body};
    struct multipart m = {0};
    uint32_t capacity = 0;
    enum delimiter_kind kind = LAST;
    int rc = find_first(&s, arena, boundary, &kind, err);

    while (rc == 0 && kind == NEXT_PART) {
        struct multipart_part part = {0};

        rc = read_headers(&s, arena, &part, err);
        if (rc == 0)
            rc = read_content(&s, &part.body, &kind, err);
        if (rc == 0)
            rc = add_part(&m, &capacity, &part, arena, err);
    }
    if (rc == 0)
        *out = m;
    return rc;
}

struct str multipart_file(const struct multipart *m, struct str name)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->parts[i].filename.len > 0 && str_eq(m->parts[i].name, name))
            return m->parts[i].body;
    return STR("");
}

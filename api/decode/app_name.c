#include "api/decode/app_name.h"

#include "base/arena.h"
#include "base/err.h"

#include <string.h>

/*
 *            {                =                , or }
 *   NAME ---------> KEY ------------> VALUE -----------> KEY
 *                    | }
 *                    v
 *                   DONE          a value that the end cuts off is dropped
 */
enum name_state {
    IN_NAME,
    IN_KEY,
    IN_VALUE,
    DONE,
};

struct name_parser {
    struct arena *arena;
    struct label *pairs;
    uint32_t count, capacity;
    struct str app, key;
};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The first code point of `s`; a byte that begins none stands for itself. */
static struct str first_code_point(struct str s)
{
    for (size_t n = 1; n <= 4 && n <= s.len; n++)
        if (str_is_utf8(str_slice(s, 0, n)))
            return str_slice(s, 0, n);
    return STR("\xef\xbf\xbd"); /* U+FFFD */
}

/* Letters, digits and `others`, nothing else. */
static int check_characters(const char *what, struct str s, const char *others, struct err *err)
{
    if (s.len == 0)
        return err_set(err, ERR_INVALID, "%s name is required", what);
    for (size_t i = 0; i < s.len; i++) {
        struct str c;

        if (is_alnum(s.p[i]) || (s.p[i] != '\0' && strchr(others, s.p[i]) != NULL))
            continue;
        c = first_code_point(str_slice(s, i, s.len));
        return err_set(err, ERR_INVALID,
                       "invalid %s name: %" STR_FMT ": character is not allowed: '%" STR_FMT "'",
                       what, STR_ARG(s), STR_ARG(c));
    }
    return 0;
}

static int add_pair(struct name_parser *p, struct str value, struct err *err)
{
    struct str key = str_trim(p->key);
    int rc;

    value = str_trim(value);
    if (str_eq(key, STR(LABEL_NAME))) {
        p->app = value;
        return 0;
    }
    rc = check_characters("label", key, "_.", err);
    if (rc != 0)
        return rc;
    if (p->count == p->capacity) {
        uint32_t capacity = p->capacity == 0 ? 16 : p->capacity * 2;
        struct label *pairs = arena_array(p->arena, struct label, capacity);

        if (pairs == NULL)
            return err_set(err, ERR_TOO_LARGE, "%u labels are too many", p->count + 1);
        if (p->count > 0)
            memcpy(pairs, p->pairs, p->count * sizeof(*pairs));
        p->pairs = pairs;
        p->capacity = capacity;
    }
    p->pairs[p->count++] = (struct label){key, value};
    return 0;
}

/* Keeps the last pair of every name: the sort is stable. */
static void keep_last(struct name_parser *p)
{
    uint32_t kept = 0;
    struct labels labels = {p->pairs, p->count};

    labels_sort(&labels);
    for (uint32_t i = 0; i < p->count; i++) {
        if (i + 1 < p->count && str_eq(p->pairs[i].name, p->pairs[i + 1].name))
            continue;
        p->pairs[kept++] = p->pairs[i];
    }
    p->count = kept;
}

static int finish_name(struct name_parser *p, struct str text, size_t end, struct err *err)
{
    p->app = str_trim(str_slice(text, 0, end));
    return check_characters("service", p->app, "_.-/", err);
}

int app_name_parse(struct str text, struct arena *arena, struct app_name *out, struct err *err)
{
    struct name_parser p = {.arena = arena};
    enum name_state state = IN_NAME;
    size_t start = 0;
    int rc = 0;

    /* All delimiters are ASCII, so bytes do as well as code points. */
    for (size_t i = 0; i < text.len && state != DONE && rc == 0; i++) {
        char c = text.p[i];

        if (state == IN_NAME && c == '{') {
            rc = finish_name(&p, text, i, err);
            state = IN_KEY;
            start = i + 1;
        } else if (state == IN_KEY && c == '}') {
            state = DONE;
        } else if (state == IN_KEY && c == '=') {
            p.key = str_slice(text, start, i);
            state = IN_VALUE;
            start = i + 1;
        } else if (state == IN_VALUE && (c == ',' || c == '}')) {
            rc = add_pair(&p, str_slice(text, start, i), err);
            state = IN_KEY;
            start = i + 1;
        }
    }
    if (state == IN_NAME)
        rc = finish_name(&p, text, text.len, err);
    if (rc != 0)
        return rc;
    keep_last(&p);
    out->app = p.app;
    out->labels = (struct labels){p.pairs, p.count};
    return 0;
}

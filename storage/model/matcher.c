#include "storage/model/matcher.h"

#include "storage/model/regex.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <string.h>

enum {
    MATCHERS_INITIAL = 8,
    REASON_MAX = 160,
};

/* Every byte that means something to RE2. */
static bool is_literal(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (memchr("\\.+*?()|[]{}^$", s.p[i], 14))
            return false;
    return true;
}

static struct str cut_str(struct str s, size_t front, size_t back)
{
    return (struct str){s.p + front, s.len - front - back};
}

static bool starts_dot_star(struct str s)
{
    return s.len >= 2 && s.p[0] == '.' && s.p[1] == '*';
}

static bool ends_dot_star(struct str s)
{
    return s.len >= 2 && s.p[s.len - 2] == '.' && s.p[s.len - 1] == '*';
}

static int too_large(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "the selector needs more than %zu bytes of memory",
                   arena_limit(arena));
}

static int set_one(struct matcher *m, enum matcher_form form, struct str literal,
                   struct arena *arena, struct err *err)
{
    m->set = arena_new(arena, struct str);
    if (!m->set)
        return too_large(arena, err);
    m->set[0] = literal;
    m->set_count = 1;
    m->form = form;
    return 0;
}

/* a|b|c with plain parts. Returns 1 when recognised, 0 when not. */
static int literal_set(struct matcher *m, struct arena *arena, struct err *err)
{
    uint32_t count = 1;
    size_t start = 0;

    for (size_t i = 0; i < m->value.len; i++) {
        if (m->value.p[i] == '|')
            count++;
        else if (!is_literal((struct str){m->value.p + i, 1}))
            return 0;
    }
    m->set = arena_array(arena, struct str, count);
    if (!m->set)
        return too_large(arena, err);
    for (size_t i = 0; i <= m->value.len; i++) {
        if (i < m->value.len && m->value.p[i] != '|')
            continue;
        m->set[m->set_count++] = (struct str){m->value.p + start, i - start};
        start = i + 1;
    }
    m->form = MATCHER_LITERAL;
    return 1;
}

/* Recognises what needs no regular expression. 1 recognised, 0 not, negative failed. */
static int recognise(struct matcher *m, struct arena *arena, struct err *err)
{
    struct str v = m->value;
    bool front = starts_dot_star(v), back = ends_dot_star(v);
    int rc = 0;

    if (str_eq(v, STR(".*")) || str_eq(v, STR(".+"))) {
        m->form = v.p[1] == '*' ? MATCHER_ANY : MATCHER_NON_EMPTY;
        return 1;
    }
    if (front && back && v.len >= 4 && is_literal(cut_str(v, 2, 2)))
        rc = set_one(m, MATCHER_CONTAINS, cut_str(v, 2, 2), arena, err);
    else if (back && is_literal(cut_str(v, 0, 2)))
        rc = set_one(m, MATCHER_PREFIX, cut_str(v, 0, 2), arena, err);
    else if (front && is_literal(cut_str(v, 2, 0)))
        rc = set_one(m, MATCHER_SUFFIX, cut_str(v, 2, 0), arena, err);
    else
        return literal_set(m, arena, err);
    return rc != 0 ? rc : 1;
}

static int compile(struct matcher *m, struct arena *arena, struct err *err)
{
    char reason[REASON_MAX];
    int rc = recognise(m, arena, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    m->form = MATCHER_REGEX;
    if (!regex_compile(m->value.p, m->value.len, &m->regex, reason, sizeof(reason)))
        return err_set(err, ERR_INVALID, "label \"%.*s\": regular expression: %s",
                       (int)(m->name.len > 64 ? 64 : m->name.len), m->name.p, reason);
    return 0;
}

int matchers_add(struct matchers *m, enum matcher_op op, struct str name, struct str value,
                 struct arena *arena, struct err *err)
{
    struct matcher *item;
    int rc;

    if (m->count == m->cap) {
        uint32_t cap = m->cap ? m->cap * 2 : MATCHERS_INITIAL;
        struct matcher *items = arena_array(arena, struct matcher, cap);

        if (!items)
            return too_large(arena, err);
        if (m->count > 0)
            memcpy(items, m->items, m->count * sizeof(*items));
        m->items = items;
        m->cap = cap;
    }
    item = &m->items[m->count];
    *item = (struct matcher){.op = op, .name = name, .value = value};
    if ((op == MATCH_RE || op == MATCH_NRE) && (rc = compile(item, arena, err)) != 0)
        return rc;
    m->count++;
    return 0;
}

void matchers_release(struct matchers *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        regex_free(m->items[i].regex);
    m->count = 0;
}

static bool in_set(const struct matcher *m, struct str value)
{
    for (uint32_t i = 0; i < m->set_count; i++)
        if (str_eq(m->set[i], value))
            return true;
    return false;
}

static bool form_matches(const struct matcher *m, struct str value)
{
    switch (m->form) {
    case MATCHER_LITERAL:
        return in_set(m, value);
    case MATCHER_PREFIX:
        return str_starts(value, m->set[0]);
    case MATCHER_SUFFIX:
        return str_ends(value, m->set[0]);
    case MATCHER_CONTAINS:
        return m->set[0].len == 0 ||
               (value.len > 0 && memmem(value.p, value.len, m->set[0].p, m->set[0].len));
    case MATCHER_ANY:
        return true;
    case MATCHER_NON_EMPTY:
        return value.len > 0;
    case MATCHER_REGEX:
        return regex_matches(m->regex, value.p ? value.p : "", value.len);
    }
    check_unreachable();
}

bool matcher_matches(const struct matcher *m, struct str value)
{
    switch (m->op) {
    case MATCH_EQ:
        return str_eq(m->value, value);
    case MATCH_NE:
        return !str_eq(m->value, value);
    case MATCH_RE:
        return form_matches(m, value);
    case MATCH_NRE:
        return !form_matches(m, value);
    }
    check_unreachable();
}

bool matchers_equal_value(const struct matchers *m, struct str name, struct str *value)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->items[i].op != MATCH_EQ || !str_eq(m->items[i].name, name))
            continue;
        *value = m->items[i].value;
        return true;
    }
    return false;
}

/*
 * matcher - one condition on a label, and the selector text that lists them.
 *
 * Semantics are Prometheus': a missing label is the empty string, regular
 * expressions are RE2, anchored at both ends, dot matches newline
 * (query-api.md, sections 4.1 and 4.2). Literals, sets of literals, prefixes
 * and suffixes are recognised and never reach RE2.
 *
 * Ownership: selector_parse() allocates from the arena, but compiled regular
 * expressions are freed by matchers_release(). Threads: read-only after parse.
 */
#ifndef STORAGE_MODEL_MATCHER_H
#define STORAGE_MODEL_MATCHER_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;
struct regex;

enum matcher_op {
    MATCH_EQ,
    MATCH_NE,
    MATCH_RE,
    MATCH_NRE,
};

/* How a regular expression is evaluated. */
enum matcher_form {
    MATCHER_LITERAL, /* one of `set` */
    MATCHER_PREFIX,  /* set[0] then anything */
    MATCHER_SUFFIX,
    MATCHER_CONTAINS,
    MATCHER_ANY,       /* .* */
    MATCHER_NON_EMPTY, /* .+ */
    MATCHER_REGEX,
};

struct matcher {
    enum matcher_op op;
    struct str name, value;
    enum matcher_form form;
    struct str *set;
    uint32_t set_count;
    struct regex *regex;
};

struct matchers {
    struct matcher *items;
    uint32_t count, cap;
};

/*
 * Parses a selector such as `cpu{a="b", c=~"d.*",}` and appends its matchers
 * to *out (ANDed with those there). An empty text is an error; `{}` is not.
 * ERR_INVALID with the offset and what was expected.
 */
int selector_parse(struct str text, struct arena *arena, struct matchers *out, struct err *err);

/* Appends one compiled matcher. */
int matchers_add(struct matchers *m, enum matcher_op op, struct str name, struct str value,
                 struct arena *arena, struct err *err);
void matchers_release(struct matchers *m);

bool matcher_matches(const struct matcher *m, struct str value);

/* The value that `name` must equal because of an = matcher, if there is one. */
bool matchers_equal_value(const struct matchers *m, struct str name, struct str *value);

#endif

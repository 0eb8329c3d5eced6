/*
 * str - a string as pointer and length; bytes, not necessarily text.
 *
 * A struct str owns nothing. It may hold NUL and need not end in one; p may be
 * NULL when len is 0. Pure functions.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t len;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* printf("%" STR_FMT, STR_ARG(s)) */
#define STR_FMT ".*s"
#define STR_ARG(s) ((int)(s).len), ((s).len ? (s).p : "")

static inline struct str str_from(const char *text)
{
    return (struct str){text, strlen(text)};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* ASCII letters in any case. */
bool str_eq_case(struct str a, struct str b);
/* Bytewise, a prefix comes first: < 0, 0, > 0. */
int str_cmp(struct str a, struct str b);

/* Without ASCII blanks (space, \t, \n, \v, \f, \r) at both ends. */
struct str str_trim(struct str s);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Offset of the first occurrence, or SIZE_MAX. */
size_t str_find(struct str s, struct str part);
size_t str_find_byte(struct str s, char byte);
size_t str_rfind_byte(struct str s, char byte);
/* s[from, to); both are cut to the length. */
struct str str_slice(struct str s, size_t from, size_t to);

/*
 * Takes the part up to the next `separator` off *rest. False when *rest was
 * used up; "a,,b" gives a, "", b. Start with rest = s.
 */
bool str_split(struct str *rest, char separator, struct str *part);

/* Decimal, whole string, no blanks, optional sign (i64 only). False: not that, or out of range. */
bool str_parse_i64(struct str s, int64_t min, int64_t max, int64_t *out);
bool str_parse_u64(struct str s, uint64_t max, uint64_t *out);
enum {
    STR_DOUBLE_MAX = 127, /* characters of a number that str_parse_double() takes */
};

/*
 * Decimal with optional sign, point and exponent; too small becomes 0; too large, or longer than
 * STR_DOUBLE_MAX, is false.
 */
bool str_parse_double(struct str s, double *out);

/* Well formed, no surrogates, no overlong forms, up to U+10FFFF. */
bool str_is_utf8(struct str s);

#endif

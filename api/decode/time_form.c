#include "api/decode/time_form.h"

#include <stdbool.h>

/*
 * A time is at most a few dozen characters. What is longer is not understood, so
 * it means now.
 */
enum {
    TIME_FORM_MAX = 256,
    NS_PER_SECOND = 1000000000,
};

struct unit {
    const char *prefix;
    int64_t seconds;
};

/* Tested in this order: "mon" before "m", which is minutes. */
static const struct unit units[] = {
    {"s", 1},       {"mon", 30 * 86400}, {"M", 30 * 86400}, {"min", 60},        {"m", 60},
    {"h", 60 * 60}, {"d", 86400},        {"w", 7 * 86400},  {"y", 365 * 86400},
};

static int64_t multiply(int64_t a, int64_t b)
{
    int64_t product;

    if (!__builtin_mul_overflow(a, b, &product))
        return product;
    return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
}

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return a < 0 ? INT64_MIN : INT64_MAX;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Copies what matters: without blanks at the ends, and without `_`, `,` and spaces. */
static struct str strip(struct str text, char *out)
{
    size_t n = 0;

    text = str_trim(text);
    for (size_t i = 0; i < text.len && n < TIME_FORM_MAX; i++) {
        char c = text.p[i];

        if (c != '_' && c != ',' && c != ' ')
            out[n++] = c;
    }
    return (struct str){out, n};
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.p[i]))
            return false;
    return s.len > 0;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Days from 1970-01-01 to that date of the Gregorian calendar. */
static int64_t days_since_epoch(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* years begin in March, leap days end them */
    int64_t m = (month + 9) % 12;             /* March is 0 */
    int64_t day_of_year = (153 * m + 2) / 5 + day - 1;
    int64_t leap_days = y / 4 - y / 100 + y / 400; /* y is positive here */

    return y * 365 + leap_days + day_of_year - 719468;
}

static bool parse_date(int64_t number, int64_t *ns)
{
    int64_t year = number / 10000, month = number / 100 % 100, day = number % 100;

    if (year <= 1900 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ns = multiply(days_since_epoch(year, month, day) * 86400, NS_PER_SECOND);
    return true;
}

static int64_t absolute_ns(struct str digits, int64_t now_ns)
{
    int64_t number, ns;

    if (!str_parse_i64(digits, 0, INT64_MAX, &number))
        return now_ns; /* more than 19 digits, or nearly */
    if (digits.len == 8 && parse_date(number, &ns))
        return ns;
    switch (digits.len) {
    case 13:
        return multiply(number, 1000000);
    case 16:
        return multiply(number, 1000);
    case 19:
        return number;
    default:
        return multiply(number, NS_PER_SECOND);
    }
}

static int64_t unit_seconds(struct str unit)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_starts(unit, str_from(units[i].prefix)))
            return units[i].seconds;
    return 0;
}

/* Takes a number and its unit off *rest: letters up to the next digit, or all there is. */
static int64_t take_offset_s(struct str *rest, bool is_chain)
{
    size_t digits = 0, end;
    int64_t number = 0;

    while (digits < rest->len && is_digit(rest->p[digits]))
        digits++;
    if (digits > 0 && !str_parse_i64(str_slice(*rest, 0, digits), 0, INT64_MAX, &number))
        number = INT64_MAX;
    end = digits;
    while (end < rest->len && !(is_chain && is_digit(rest->p[end])))
        end++;
    number = multiply(number, unit_seconds(str_slice(*rest, digits, end)));
    *rest = str_slice(*rest, end, rest->len);
    return number;
}

static int64_t parse(struct str text, int64_t now_ns, bool is_chain)
{
    char stripped[TIME_FORM_MAX];
    struct str s = strip(text, stripped);
    size_t sign;
    int64_t offset_s = 0;
    bool is_minus;

    if (all_digits(s))
        return absolute_ns(s, now_ns);
    sign = str_find_byte(s, '+');
    is_minus = sign == SIZE_MAX;
    if (is_minus)
        sign = str_find_byte(s, '-');
    if (sign == SIZE_MAX)
        return now_ns;
    s = str_slice(s, sign + 1, s.len);
    do {
        offset_s = add(offset_s, take_offset_s(&s, is_chain));
    } while (is_chain && s.len > 0);
    return add(now_ns, multiply(is_minus ? -offset_s : offset_s, NS_PER_SECOND));
}

int64_t time_form_ingest_ns(struct str text, int64_t now_ns)
{
    return parse(text, now_ns, false);
}

int64_t time_form_query_ns(struct str text, int64_t now_ns)
{
    return parse(text, now_ns, true);
}

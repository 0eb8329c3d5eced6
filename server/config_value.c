/* config_value - see config_value.h. */
#include "server/config_value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "server/config.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"TiB", (uint64_t)1 << 40},
    {"GiB", (uint64_t)1 << 30},
    {"MiB", (uint64_t)1 << 20},
    {"KiB", (uint64_t)1 << 10},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"kB", 1000},
    {"B", 1},
};

/* Longest first where one is a prefix of another: "ms" before "m". */
static const struct unit time_units[] = {
    {"d", UINT64_C(86400000000000)},
    {"h", UINT64_C(3600000000000)},
    {"ms", 1000000},
    {"m", UINT64_C(60000000000)},
    {"s", 1000000000},
    {"us", 1000},
    {"ns", 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool config_parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < COUNT(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

bool config_parse_int(const char *text, int64_t *out)
{
    char *end;
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return false;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return false;
    *out = n;
    return true;
}

/*
 * Reads "12" or "1.5" and leaves *text behind it. The value is whole + part /
 * scale; at most six digits follow the point.
 */
static bool take_number(const char **text, uint64_t *whole, uint64_t *part, uint64_t *scale)
{
    const char *p = *text;
    *whole = *part = 0;
    *scale = 1;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (*whole > (uint64_t)INT64_MAX / 10 - 1)
            return false;
        *whole = *whole * 10 + (uint64_t)(*p - '0');
    }
    if (*p == '.') {
        p++;
        if (*p < '0' || *p > '9')
            return false;
        for (; *p >= '0' && *p <= '9'; p++) {
            if (*scale >= 1000000)
                return false;
            *part = *part * 10 + (uint64_t)(*p - '0');
            *scale *= 10;
        }
    }
    *text = p;
    return true;
}

/* value = (whole + part / scale) * factor, or false when it does not fit an int64_t. */
static bool scaled(uint64_t whole, uint64_t part, uint64_t scale, uint64_t factor, uint64_t *value)
{
    uint64_t a, b;
    if (__builtin_mul_overflow(whole, factor, &a) || __builtin_mul_overflow(part, factor, &b) ||
        __builtin_add_overflow(a, b / scale, &a) || a > (uint64_t)INT64_MAX)
        return false;
    *value = a;
    return true;
}

bool config_parse_bytes(const char *text, uint64_t *out)
{
    uint64_t whole, part, scale;
    if (!take_number(&text, &whole, &part, &scale))
        return false;
    while (*text == ' ')
        text++;
    if (*text == 0)
        return part == 0 && scaled(whole, part, scale, 1, out);
    for (size_t i = 0; i < COUNT(byte_units); i++)
        if (strcasecmp(text, byte_units[i].name) == 0)
            return scaled(whole, part, scale, byte_units[i].factor, out);
    return false;
}

bool config_parse_space(const char *text, uint64_t *out)
{
    size_t len = strlen(text);
    uint64_t percent;
    if (len == 0 || text[len - 1] != '%')
        return config_parse_bytes(text, out) && !(*out & CONFIG_PERCENT);
    if (!str_parse_u64((struct str){text, len - 1}, 100, &percent) || percent == 0)
        return false;
    *out = CONFIG_PERCENT | percent;
    return true;
}

void config_format_space(uint64_t value, char *out, size_t size)
{
    if (value & CONFIG_PERCENT)
        snprintf(out, size, "%u%%", (unsigned int)(value & ~CONFIG_PERCENT));
    else
        config_format_bytes(value, out, size);
}

bool config_parse_duration(const char *text, int64_t *out)
{
    uint64_t total = 0;
    if (strcmp(text, "0") == 0) {
        *out = 0;
        return true;
    }
    if (*text == 0)
        return false;
    while (*text) {
        uint64_t whole, part, scale, value = 0;
        size_t i;
        if (!take_number(&text, &whole, &part, &scale))
            return false;
        for (i = 0; i < COUNT(time_units); i++)
            if (strncmp(text, time_units[i].name, strlen(time_units[i].name)) == 0)
                break;
        if (i == COUNT(time_units) || !scaled(whole, part, scale, time_units[i].factor, &value))
            return false;
        text += strlen(time_units[i].name);
        total += value;
        if (total > (uint64_t)INT64_MAX)
            return false;
    }
    *out = (int64_t)total;
    return true;
}

void config_format_bytes(uint64_t value, char *out, size_t size)
{
    for (size_t i = 0; value && i < 4; i++) {
        if (value % byte_units[i].factor == 0) {
            snprintf(out, size, "%" PRIu64 "%s", value / byte_units[i].factor, byte_units[i].name);
            return;
        }
    }
    snprintf(out, size, "%" PRIu64, value);
}

void config_format_duration(int64_t ns, char *out, size_t size)
{
    static const size_t order[] = {0, 1, 3, 4, 2, 5, 6}; /* d h m s ms us ns */
    uint64_t left = (uint64_t)ns;
    size_t used = 0;
    snprintf(out, size, "0");
    for (size_t i = 0; i < COUNT(order) && used < size; i++) {
        const struct unit *u = &time_units[order[i]];
        if (left < u->factor)
            continue;
        int n = snprintf(out + used, size - used, "%" PRIu64 "%s", left / u->factor, u->name);
        used += n > 0 ? (size_t)n : 0;
        left %= u->factor;
    }
}

unsigned int config_edit_distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    size_t an = strnlen(a, MAX), bn = strnlen(b, MAX);
    unsigned int row[3][MAX + 1];
    for (size_t j = 0; j <= bn; j++)
        row[0][j] = (unsigned int)j;
    for (size_t i = 1; i <= an; i++) {
        unsigned int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned int)i;
        for (size_t j = 1; j <= bn; j++) {
            unsigned int best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[an % 3][bn];
}

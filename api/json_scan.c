/* json_scan - see json_scan.h. */
#include "api/json_scan.h"

#include "base/err.h"

enum {
    /* Measured of jansson 2.14, rounded up. */
    OBJECT_BYTES = 288,
    ARRAY_BYTES = 160,
    VALUE_BYTES = 64,
    MEMBER_BYTES = 96,
    STRING_FACTOR = 4, /* the lexer's buffer doubles, the value is a copy */
};

/* Past the closing quote of a string whose opening one is at i. */
static size_t skip_string(struct str text, size_t i)
{
    for (i++; i < text.len && text.p[i] != '"'; i++)
        if (text.p[i] == '\\')
            i++;
    return i + 1;
}

int json_scan(struct str text, uint32_t depth_max, size_t memory_max, struct err *err)
{
    uint64_t memory = VALUE_BYTES;
    uint32_t depth = 0;

    for (size_t i = 0; i < text.len;) {
        size_t start = i;

        switch (text.p[i++]) {
        case '"':
            i = skip_string(text, start);
            memory += (i - start) * STRING_FACTOR;
            break;
        case '{':
        case '[':
            memory += text.p[start] == '{' ? OBJECT_BYTES : ARRAY_BYTES;
            if (++depth > depth_max)
                return err_set(err, ERR_INVALID, "JSON nested deeper than %u at offset %zu",
                               depth_max, start);
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            break;
        case ',':
            memory += VALUE_BYTES;
            break;
        case ':':
            memory += MEMBER_BYTES;
            break;
        default:
            break;
        }
    }
    if (memory > memory_max)
        return err_set(err, ERR_TOO_LARGE,
                       "JSON of %zu bytes needs %llu bytes of memory to parse; limit %zu", text.len,
                       (unsigned long long)memory, memory_max);
    return 0;
}

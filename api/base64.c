/* base64 - see base64.h. */
#include "api/base64.h"

#include "base/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum {
    BAD = 64, /* no digit of either alphabet */
};

static void fill_digits(uint8_t digits[256])
{
    memset(digits, BAD, 256);
    for (uint8_t i = 0; i < 64; i++)
        digits[(uint8_t)alphabet[i]] = i;
    digits['-'] = 62;
    digits['_'] = 63;
}

/* Without "=" or "==" at the end; false when there is more or they are out of place. */
static bool strip_padding(struct str *text)
{
    size_t padded = text->len, padding = 0;

    while (padding < 2 && text->len > 0 && text->p[text->len - 1] == '=') {
        text->len--;
        padding++;
    }
    return text->len % 4 != 1 && (padding == 0 || padded % 4 == 0);
}

bool base64_decode(struct str text, uint8_t *out, size_t *length)
{
    uint8_t digits[256];
    uint8_t *start = out;
    uint32_t bits = 0, bad = 0;
    size_t i = 0;

    fill_digits(digits);
    if (!strip_padding(&text))
        return false;
    for (; i + 4 <= text.len; i += 4) {
        const uint8_t *p = (const uint8_t *)text.p + i;
        uint32_t a = digits[p[0]], b = digits[p[1]], c = digits[p[2]], d = digits[p[3]];

        bad |= a | b | c | d;
        bits = a << 18 | b << 12 | c << 6 | d;
        *out++ = (uint8_t)(bits >> 16);
        *out++ = (uint8_t)(bits >> 8);
        *out++ = (uint8_t)bits;
    }
    bits = 0;
    for (size_t j = i; j < text.len; j++) {
        bad |= digits[(uint8_t)text.p[j]];
        bits = bits << 6 | digits[(uint8_t)text.p[j]];
    }
    if (text.len - i == 2) {
        *out++ = (uint8_t)(bits >> 4);
    } else if (text.len - i == 3) {
        *out++ = (uint8_t)(bits >> 10);
        *out++ = (uint8_t)(bits >> 2);
    }
    *length = (size_t)(out - start);
    return (bad & BAD) == 0;
}

void base64_append(struct buf *out, const uint8_t *data, size_t length)
{
    char quad[4];

    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? data[i + 2] : 0u);

        quad[0] = alphabet[bits >> 18];
        quad[1] = alphabet[bits >> 12 & 63];
        quad[2] = '=';
        quad[3] = '=';
        if (left > 1)
            quad[2] = alphabet[bits >> 6 & 63];
        if (left > 2)
            quad[3] = alphabet[bits & 63];
        (void)buf_append(out, quad, sizeof(quad));
    }
}

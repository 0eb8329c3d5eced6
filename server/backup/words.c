#include "server/backup/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool words_take_key(struct str *line, const char *key)
{
    if (!str_starts(*line, str_from(key)))
        return false;
    *line = str_slice(*line, strlen(key), line->len);
    return true;
}

bool words_take_number(struct str *line, int base, uint64_t *out)
{
    char text[32], *end;
    size_t space = str_find_byte(*line, ' ');
    struct str word = space == SIZE_MAX ? *line : str_slice(*line, 0, space);
    if (word.len == 0 || word.len >= sizeof(text) || word.p[0] == '-' || word.p[0] == '+')
        return false;
    memcpy(text, word.p, word.len);
    text[word.len] = 0;
    errno = 0;
    *out = strtoull(text, &end, base);
    *line = str_slice(*line, space == SIZE_MAX ? line->len : space + 1, line->len);
    return *end == 0 && errno == 0;
}

bool words_take_line(struct str *text, struct str *line)
{
    size_t len = str_find_byte(*text, '\n');
    if (len == SIZE_MAX)
        return false;
    *line = str_slice(*text, 0, len);
    *text = str_slice(*text, len + 1, text->len);
    return true;
}

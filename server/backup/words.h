/* words - reading lines of words and numbers. Pure functions. */
#ifndef SERVER_BACKUP_WORDS_H
#define SERVER_BACKUP_WORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* False, with nothing taken, when `line` does not begin with `key`. */
bool words_take_key(struct str *line, const char *key);
/* The number in front and the space behind it; false when there is none, or one beyond 64 bits. */
bool words_take_number(struct str *line, int base, uint64_t *out);
/* Up to the next newline, which is taken too; false when there is none. */
bool words_take_line(struct str *text, struct str *line);

#endif

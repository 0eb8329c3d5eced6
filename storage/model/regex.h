/*
 * regex - RE2 behind plain C: the only C++ in the tree is regex.cc.
 *
 * Linear time in pattern and text, bounded memory (docs/adr). A pattern is
 * matched against the whole text and dot matches newline.
 *
 * Threads: a compiled expression may be used by several.
 */
#ifndef STORAGE_MODEL_REGEX_H
#define STORAGE_MODEL_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

/*
 * On success *out is owned: regex_free(). Otherwise returns false and writes
 * RE2's reason, cut to `size`, into `reason`.
 */
bool regex_compile(const char *pattern, size_t length, struct regex **out, char *reason,
                   size_t size);
bool regex_matches(const struct regex *r, const char *text, size_t length);
void regex_free(struct regex *r); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif

/*
 * config_value - the text forms of option values: numbers, sizes, durations.
 *
 * Pure functions. What is formatted parses back to the same value.
 */
#ifndef SERVER_CONFIG_VALUE_H
#define SERVER_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "true", "false", "yes", "no", "on", "off", "1", "0". */
bool config_parse_bool(const char *text, bool *out);
bool config_parse_int(const char *text, int64_t *out);
/* "4096", "64KiB", "1.5GB"; at most 2^63 - 1. */
bool config_parse_bytes(const char *text, uint64_t *out);
/* "20ms", "1h30m", "7d", "0"; nanoseconds, not negative. */
bool config_parse_duration(const char *text, int64_t *out);

/* As bytes, or "80%": CONFIG_PERCENT of config.h and the percentage. */
bool config_parse_space(const char *text, uint64_t *out);
void config_format_space(uint64_t value, char *out, size_t size);
void config_format_bytes(uint64_t value, char *out, size_t size);
void config_format_duration(int64_t ns, char *out, size_t size);

/* How many edits (insert, delete, replace, swap) make a into b; at most 64 bytes of each count. */
unsigned int config_edit_distance(const char *a, const char *b);

#endif

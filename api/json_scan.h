/*
 * json_scan - looks at a JSON text before the parser may.
 *
 * The parser builds a tree that takes up to eighty times the text, and recurses. This
 * scan counts what the tree would hold, in one pass without recursion, and refuses what
 * would take more than `memory_max` or is nested deeper than `depth_max`. It does not
 * decide whether the text is JSON.
 *
 * Pure function, linear.
 */
#ifndef API_JSON_SCAN_H
#define API_JSON_SCAN_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct err;

/* ERR_TOO_LARGE (memory) or ERR_INVALID (depth). */
int json_scan(struct str text, uint32_t depth_max, size_t memory_max, struct err *err);

#endif

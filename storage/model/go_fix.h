/*
 * go_fix - what Go's runtime does to symbols and stacks, undone.
 *
 * 1. Type parameters that the compiler invents, pkg.(*T[go.shape.int]).M, are cut out
 *    of every string, so that instances of one function are one function.
 * 2. Stacks that the runtime cut (at 64 frames, 32 for heap) are completed at the root
 *    from other stacks of the same profile that show the missing callers.
 *
 * Both as the reference does, ../shared/spec/ingest-api.md, section 3.6.
 * Pure functions over a struct pprof; new strings and stacks are in the arena. Linear.
 */
#ifndef STORAGE_MODEL_GO_FIX_H
#define STORAGE_MODEL_GO_FIX_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;
struct pprof;

/*
 * Repairs in place; completed samples name their callers, no stack is copied. `brackets` are the
 * indexes of strings that hold a '[' (validation knows them). ERR_TOO_LARGE when the arena is full.
 */
int go_fix(struct pprof *p, const uint32_t *brackets, uint32_t bracket_count, uint64_t seed,
           struct arena *arena, struct err *err);

/*
 * Removes the bracketed groups that start with [go.shape. from a symbol. *out is `symbol`
 * itself when there is none. Returns false when the arena is full.
 */
bool go_fix_symbol(struct str symbol, struct arena *arena, struct str *out);

#endif

/*
 * flamegraph_out - flame graphs, diffs and trees as the clients read them.
 *
 * Three texts of one struct flamegraph: Connect protobuf, Connect JSON
 * (64-bit numbers in quotes, defaults left out) and the flamebearer JSON of
 * the legacy routes (plain numbers). Written by hand because they are large:
 * one pass, no tree of messages. Layouts: ../shared/spec/query-api.md, 5.0, 6.
 *
 * All append to a buf and rely on its sticky `failed`.
 */
#ifndef API_ENCODE_FLAMEGRAPH_OUT_H
#define API_ENCODE_FLAMEGRAPH_OUT_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct buf;
struct err;
struct flamegraph;
struct tree;

/* Field 1 of the answer of SelectMergeStacktraces, SelectMergeSpanProfile and Diff. */
void flamegraph_out_proto(const struct flamegraph *g, bool diff, struct buf *out);
void flamegraph_out_json(const struct flamegraph *g, bool diff, struct buf *out);

/* {"names":[…],"levels":[[…]],"numTicks":n,"maxSelf":n} */
void flamegraph_out_flamebearer(const struct flamegraph *g, struct buf *out);

/*
 * The TREE format (section 6.3) of a finished tree; nothing for an empty one.
 * Values that do not fit int64 saturate and set *saturated.
 */
int tree_out(const struct tree *tree, struct arena *scratch, struct buf *out, bool *saturated,
             struct err *err);

#endif

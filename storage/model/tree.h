/*
 * tree - a call tree by function name: what flame graphs are made of.
 *
 * Built in two phases. While *growing*, children are found by (parent, name)
 * and values are added in any order. tree_finish() sorts every node's children
 * bytewise by name, computes totals and lays children out in one array; from
 * then on the tree is read-only.
 *
 * Node 0 is the virtual root, without name and value. Ids of parents are below
 * those of their children. Values are 128-bit sums: exact for any number of
 * 64-bit addends; encoders saturate, and say so.
 *
 * Names are interned per *set of trees* (struct tree_names), so that two trees
 * can be compared by id.
 *
 * Ownership: everything comes from the arena given and lives as long as it.
 * Every failure is ERR_TOO_LARGE: the arena's limit. Threads: one owner.
 */
#ifndef STORAGE_MODEL_TREE_H
#define STORAGE_MODEL_TREE_H

#include "base/str.h"
#include "storage/model/value.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct err;
struct tree;
struct tree_names;

enum {
    TREE_ROOT = 0,
};

struct tree_node {
    uint32_t parent, name;
    uint32_t child_first, child_count; /* in tree_children(), after tree_finish() */
    value128 self, total;              /* total: after tree_finish() */
};

/* Name ids are dense; id 0 is the empty name. NULL at the arena's limit. */
struct tree_names *tree_names_new(struct arena *arena);
/* The text is copied. */
int tree_names_intern(struct tree_names *names, struct str text, uint32_t *id, struct err *err);
struct str tree_names_text(const struct tree_names *names, uint32_t id);
uint32_t tree_names_count(const struct tree_names *names);

/* Several trees may share `names`, which must outlive them. NULL at the arena's limit. */
struct tree *tree_new(struct arena *arena, struct tree_names *names);
struct tree_names *tree_names_of(const struct tree *tree);

/* The child of `parent` called `name`, made if missing. */
int tree_child(struct tree *tree, uint32_t parent, uint32_t name, uint32_t *node, struct err *err);
/* The same; `guess`, any number, is looked at first. */
int tree_child_near(struct tree *tree, uint32_t parent, uint32_t name, uint32_t guess,
                    uint32_t *node, struct err *err);
void tree_add(struct tree *tree, uint32_t node, value128 value);

int tree_finish(struct tree *tree, struct err *err);

uint32_t tree_node_count(const struct tree *tree); /* the root included */
const struct tree_node *tree_nodes(const struct tree *tree);
/* Node ids; node n's children are child_first .. child_first + child_count, sorted by name. */
const uint32_t *tree_children(const struct tree *tree);
static inline bool tree_is_empty(const struct tree *tree)
{
    return tree_node_count(tree) == 1;
}

/*
 * The smallest total that survives a cut to `max_nodes` (query-api.md, section
 * 6.2): the max_nodes-th largest, root not counted; 0 when nothing is cut.
 */
int tree_cut_value(const struct tree *tree, int64_t max_nodes, struct arena *scratch, value128 *out,
                   struct err *err);

/* What a cut makes of a real child called `other`. */
enum tree_other_rule {
    /*
     * A child like any; but where it survives, what is cut beside it is gone. So does the
     * reference where it reads blocks; the only case in which a sum is not kept.
     */
    TREE_OTHER_WINS,
    /* Kept with its subtree, the cut values added: the TREE format's rule (section 6.3). */
    TREE_OTHER_KEPT,
};

/*
 * A finished copy in which every node below `cut` is replaced by one child
 * `other` per parent.
 */
int tree_truncate(const struct tree *tree, value128 cut, enum tree_other_rule rule,
                  struct arena *arena, struct tree **out, struct err *err);

#endif

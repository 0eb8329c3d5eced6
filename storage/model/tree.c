#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    NAMES_INITIAL = 64,
    NODES_INITIAL = 256,
};

/* Slots hold id + 1, so that 0 means free; the table is kept at most half full. */
struct tree_names {
    struct arena *arena;
    uint64_t seed;
    struct str *texts;
    uint64_t *hashes;
    uint32_t count, cap;
    uint32_t *slots;
    uint32_t slot_mask;
};

struct tree {
    struct arena *arena;
    struct tree_names *names;
    uint64_t seed;
    struct tree_node *nodes;
    uint32_t count, cap;
    uint32_t *slots; /* by (parent, name); a node id, 0 is free: the root is no child */
    uint32_t slot_mask;
    uint32_t *children;
};

static int out_of_memory(const struct arena *arena, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE,
                   "the answer needs more than %zu bytes of working memory; ask for a shorter "
                   "range or raise limits.query_memory_bytes_max",
                   arena_limit(arena));
}

struct tree_names *tree_names_new(struct arena *arena)
{
    struct tree_names *n = arena_new(arena, struct tree_names);
    uint32_t id;

    if (!n)
        return NULL;
    memset(n, 0, sizeof(*n));
    n->arena = arena;
    n->seed = hash_seed_random();
    if (tree_names_intern(n, (struct str){"", 0}, &id, NULL) != 0)
        return NULL;
    check(id == 0);
    return n;
}

static int names_grow(struct tree_names *n, struct err *err)
{
    uint32_t cap = n->cap ? n->cap * 2 : NAMES_INITIAL;
    struct str *texts = arena_array(n->arena, struct str, cap);
    uint64_t *hashes = arena_array(n->arena, uint64_t, cap);
    uint32_t *slots = arena_array(n->arena, uint32_t, (size_t)cap * 2);

    if (!texts || !hashes || !slots)
        return out_of_memory(n->arena, err);
    memset(slots, 0, (size_t)cap * 2 * sizeof(*slots));
    if (n->count > 0) {
        memcpy(texts, n->texts, n->count * sizeof(*texts));
        memcpy(hashes, n->hashes, n->count * sizeof(*hashes));
    }
    n->texts = texts;
    n->hashes = hashes;
    n->slots = slots;
    n->slot_mask = cap * 2 - 1;
    n->cap = cap;
    for (uint32_t id = 0; id < n->count; id++) {
        uint32_t at = (uint32_t)hashes[id] & n->slot_mask;

        while (slots[at] != 0)
            at = (at + 1) & n->slot_mask;
        slots[at] = id + 1;
    }
    return 0;
}

int tree_names_intern(struct tree_names *n, struct str text, uint32_t *id, struct err *err)
{
    uint64_t hash = hash64(n->seed, text.p, text.len);
    uint32_t at;
    char *copy;
    int rc;

    if (n->count == n->cap && (rc = names_grow(n, err)) != 0)
        return rc;
    for (at = (uint32_t)hash & n->slot_mask; n->slots[at] != 0; at = (at + 1) & n->slot_mask) {
        uint32_t found = n->slots[at] - 1;

        if (n->hashes[found] == hash && str_eq(n->texts[found], text)) {
            *id = found;
            return 0;
        }
    }
    copy = arena_strndup(n->arena, text.p, text.len);
    if (!copy)
        return out_of_memory(n->arena, err);
    n->texts[n->count] = (struct str){copy, text.len};
    n->hashes[n->count] = hash;
    n->slots[at] = n->count + 1;
    *id = n->count++;
    return 0;
}

struct str tree_names_text(const struct tree_names *names, uint32_t id)
{
    check(id < names->count);
    return names->texts[id];
}

uint32_t tree_names_count(const struct tree_names *names)
{
    return names->count;
}

static uint32_t slot_hash(const struct tree *t, uint32_t parent, uint32_t name)
{
    uint64_t x = (((uint64_t)parent << 32) | name) ^ t->seed;

    x *= 0x9e3779b97f4a7c15u; /* Fibonacci hashing: the high half is well mixed */
    return (uint32_t)(x >> 32);
}

static int nodes_grow(struct tree *t, struct err *err)
{
    uint32_t cap = t->cap ? t->cap * 2 : NODES_INITIAL;
    struct tree_node *nodes = arena_array(t->arena, struct tree_node, cap);
    uint32_t *slots = arena_array(t->arena, uint32_t, (size_t)cap * 2);

    if (!nodes || !slots)
        return out_of_memory(t->arena, err);
    memset(slots, 0, (size_t)cap * 2 * sizeof(*slots));
    if (t->count > 0)
        memcpy(nodes, t->nodes, t->count * sizeof(*nodes));
    t->nodes = nodes;
    t->slots = slots;
    t->slot_mask = cap * 2 - 1;
    t->cap = cap;
    for (uint32_t id = 1; id < t->count; id++) {
        uint32_t at = slot_hash(t, nodes[id].parent, nodes[id].name) & t->slot_mask;

        while (slots[at] != 0)
            at = (at + 1) & t->slot_mask;
        slots[at] = id;
    }
    return 0;
}

struct tree *tree_new(struct arena *arena, struct tree_names *names)
{
    struct tree *t = arena_new(arena, struct tree);

    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->arena = arena;
    t->names = names;
    t->seed = hash_seed_random();
    if (nodes_grow(t, NULL) != 0)
        return NULL;
    t->nodes[TREE_ROOT] = (struct tree_node){0};
    t->count = 1;
    return t;
}

struct tree_names *tree_names_of(const struct tree *tree)
{
    return tree->names;
}

int tree_child(struct tree *t, uint32_t parent, uint32_t name, uint32_t *node, struct err *err)
{
    uint32_t at;
    int rc;

    check(parent < t->count);
    if (t->count == t->cap && (rc = nodes_grow(t, err)) != 0)
        return rc;
    for (at = slot_hash(t, parent, name) & t->slot_mask; t->slots[at] != 0;
         at = (at + 1) & t->slot_mask) {
        const struct tree_node *n = &t->nodes[t->slots[at]];

        if (n->parent == parent && n->name == name) {
            *node = t->slots[at];
            return 0;
        }
    }
    t->nodes[t->count] = (struct tree_node){.parent = parent, .name = name};
    t->slots[at] = t->count;
    *node = t->count++;
    return 0;
}

int tree_child_near(struct tree *t, uint32_t parent, uint32_t name, uint32_t guess, uint32_t *node,
                    struct err *err)
{
    if (guess > TREE_ROOT && guess < t->count && t->nodes[guess].parent == parent &&
        t->nodes[guess].name == name) {
        *node = guess;
        return 0;
    }
    return tree_child(t, parent, name, node, err);
}

void tree_add(struct tree *t, uint32_t node, value128 value)
{
    check(node < t->count);
    t->nodes[node].self += value;
}

struct rank_key {
    struct str text;
    uint32_t name;
};

static int rank_cmp(const void *a, const void *b)
{
    return str_cmp(((const struct rank_key *)a)->text, ((const struct rank_key *)b)->text);
}

/* rank[name] = the name's place when all names are sorted bytewise. */
static uint32_t *name_ranks(const struct tree *t)
{
    uint32_t count = t->names->count;
    struct rank_key *keys = arena_array(t->arena, struct rank_key, count);
    uint32_t *rank = arena_array(t->arena, uint32_t, count);

    if (!keys || !rank)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        keys[i] = (struct rank_key){t->names->texts[i], i};
    qsort(keys, count, sizeof(*keys), rank_cmp);
    for (uint32_t i = 0; i < count; i++)
        rank[keys[i].name] = i;
    return rank;
}

/*
 * Two counting sorts: nodes by the rank of their name, then, in that order, to
 * their parents. Each parent's children end up sorted without comparing.
 */
static void sort_children(struct tree *t, const uint32_t *rank, uint32_t *by_rank, uint32_t *bucket)
{
    uint32_t at = 0;

    memset(bucket, 0, ((size_t)t->names->count + 1) * sizeof(*bucket));
    for (uint32_t n = 1; n < t->count; n++)
        bucket[rank[t->nodes[n].name] + 1]++;
    for (uint32_t r = 0; r < t->names->count; r++)
        bucket[r + 1] += bucket[r];
    for (uint32_t n = 1; n < t->count; n++)
        by_rank[bucket[rank[t->nodes[n].name]]++] = n;

    for (uint32_t n = 0; n < t->count; n++) {
        t->nodes[n].child_first = at;
        at += t->nodes[n].child_count;
        t->nodes[n].child_count = 0;
    }
    for (uint32_t i = 0; i + 1 < t->count; i++) {
        struct tree_node *p = &t->nodes[t->nodes[by_rank[i]].parent];

        t->children[p->child_first + p->child_count++] = by_rank[i];
    }
}

int tree_finish(struct tree *t, struct err *err)
{
    uint32_t *rank = name_ranks(t);
    uint32_t *by_rank = arena_array(t->arena, uint32_t, t->count);
    uint32_t *bucket = arena_array(t->arena, uint32_t, (size_t)t->names->count + 1);

    t->children = arena_array(t->arena, uint32_t, t->count);
    if (!rank || !by_rank || !bucket || !t->children)
        return out_of_memory(t->arena, err);
    for (uint32_t n = 0; n < t->count; n++) {
        t->nodes[n].total = t->nodes[n].self;
        t->nodes[n].child_count = 0;
    }
    for (uint32_t n = t->count - 1; n > 0; n--) {
        struct tree_node *p = &t->nodes[t->nodes[n].parent];

        check(t->nodes[n].parent < n);
        p->total += t->nodes[n].total;
        p->child_count++;
    }
    sort_children(t, rank, by_rank, bucket);
    return 0;
}

uint32_t tree_node_count(const struct tree *tree)
{
    return tree->count;
}

const struct tree_node *tree_nodes(const struct tree *tree)
{
    return tree->nodes;
}

const uint32_t *tree_children(const struct tree *tree)
{
    check(tree->children);
    return tree->children;
}

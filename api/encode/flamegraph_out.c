#include "api/encode/flamegraph_out.h"

#include "api/encode/json_text.h"

#include "storage/model/flamegraph.h"
#include "storage/model/tree.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

/* Wire types and field numbers of querier.v1.FlameGraph and FlameGraphDiff. */
enum {
    LENGTH_DELIMITED = 2,
    VARINT = 0,
    ANSWER_FLAMEGRAPH = 1,
    GRAPH_NAMES = 1,
    GRAPH_LEVELS = 2,
    GRAPH_TOTAL = 3,
    GRAPH_MAX_SELF = 4,
    GRAPH_LEFT_TICKS = 5,
    GRAPH_RIGHT_TICKS = 6,
    LEVEL_VALUES = 1,
};

static void put_tag(struct buf *out, uint32_t field, uint32_t wire_type)
{
    buf_put_varint(out, field << 3 | wire_type);
}

static void put_number(struct buf *out, uint32_t field, int64_t v)
{
    if (v == 0)
        return;
    put_tag(out, field, VARINT);
    buf_put_varint(out, (uint64_t)v);
}

static size_t values_size(const struct flamegraph_level *level)
{
    size_t size = 0;

    for (uint32_t i = 0; i < level->value_count; i++)
        size += varint_size((uint64_t)level->values[i]);
    return size;
}

static void put_level(struct buf *out, const struct flamegraph_level *level)
{
    size_t size = values_size(level);

    put_tag(out, GRAPH_LEVELS, LENGTH_DELIMITED);
    buf_put_varint(out, 1 + varint_size(size) + size);
    put_tag(out, LEVEL_VALUES, LENGTH_DELIMITED);
    buf_put_varint(out, size);
    for (uint32_t i = 0; i < level->value_count; i++)
        buf_put_varint(out, (uint64_t)level->values[i]);
}

static size_t number_size(int64_t v)
{
    return v == 0 ? 0 : 1 + varint_size((uint64_t)v);
}

static size_t graph_size(const struct flamegraph *g, bool diff)
{
    size_t size = number_size(g->total) + number_size(g->max_self);

    if (diff)
        size += number_size(g->left_ticks) + number_size(g->right_ticks);
    for (uint32_t i = 0; i < g->name_count; i++)
        size += 1 + varint_size(g->names[i].len) + g->names[i].len;
    for (uint32_t i = 0; i < g->level_count; i++) {
        size_t values = values_size(&g->levels[i]);
        size_t level = 1 + varint_size(values) + values;

        size += 1 + varint_size(level) + level;
    }
    return size;
}

void flamegraph_out_proto(const struct flamegraph *g, bool diff, struct buf *out)
{
    size_t size = graph_size(g, diff), end;

    (void)buf_reserve(out, size + 1 + VARINT_BYTES_MAX);
    put_tag(out, ANSWER_FLAMEGRAPH, LENGTH_DELIMITED);
    buf_put_varint(out, size);
    end = out->len + size;
    for (uint32_t i = 0; i < g->name_count; i++) {
        put_tag(out, GRAPH_NAMES, LENGTH_DELIMITED);
        buf_put_sized(out, g->names[i]);
    }
    for (uint32_t i = 0; i < g->level_count; i++)
        put_level(out, &g->levels[i]);
    put_number(out, GRAPH_TOTAL, g->total);
    put_number(out, GRAPH_MAX_SELF, g->max_self);
    if (diff) {
        put_number(out, GRAPH_LEFT_TICKS, g->left_ticks);
        put_number(out, GRAPH_RIGHT_TICKS, g->right_ticks);
    }
    check(out->failed || out->len == end);
}

static void put_names(const struct flamegraph *g, struct buf *out)
{
    (void)buf_append_cstr(out, "\"names\":[");
    for (uint32_t i = 0; i < g->name_count; i++) {
        if (i > 0)
            (void)buf_append_byte(out, ',');
        json_text_put(out, g->names[i]);
    }
    (void)buf_append_byte(out, ']');
}

static void put_values(const struct flamegraph_level *level, int quoted, struct buf *out)
{
    (void)buf_append_byte(out, '[');
    for (uint32_t i = 0; i < level->value_count; i++) {
        if (i > 0)
            (void)buf_append_byte(out, ',');
        json_text_put_i64(out, level->values[i], quoted);
    }
    (void)buf_append_byte(out, ']');
}

static void put_member(struct buf *out, const char *name, int64_t v)
{
    if (v == 0)
        return;
    (void)buf_append_byte(out, ',');
    (void)buf_append_cstr(out, name);
    json_text_put_i64(out, v, 1);
}

void flamegraph_out_json(const struct flamegraph *g, bool diff, struct buf *out)
{
    (void)buf_append_cstr(out, "{\"flamegraph\":{");
    put_names(g, out);
    (void)buf_append_cstr(out, ",\"levels\":[");
    for (uint32_t i = 0; i < g->level_count; i++) {
        (void)buf_append_cstr(out, i > 0 ? ",{\"values\":" : "{\"values\":");
        put_values(&g->levels[i], 1, out);
        (void)buf_append_byte(out, '}');
    }
    (void)buf_append_byte(out, ']');
    put_member(out, "\"total\":", g->total);
    put_member(out, "\"maxSelf\":", g->max_self);
    if (diff) {
        put_member(out, "\"leftTicks\":", g->left_ticks);
        put_member(out, "\"rightTicks\":", g->right_ticks);
    }
    (void)buf_append_cstr(out, "}}");
}

void flamegraph_out_flamebearer(const struct flamegraph *g, struct buf *out)
{
    (void)buf_append_byte(out, '{');
    put_names(g, out);
    (void)buf_append_cstr(out, ",\"levels\":[");
    for (uint32_t i = 0; i < g->level_count; i++) {
        if (i > 0)
            (void)buf_append_byte(out, ',');
        put_values(&g->levels[i], 0, out);
    }
    (void)buf_append_cstr(out, "],\"numTicks\":");
    json_text_put_i64(out, g->total, 0);
    (void)buf_append_cstr(out, ",\"maxSelf\":");
    json_text_put_i64(out, g->max_self, 0);
    (void)buf_append_byte(out, '}');
}

int tree_out(const struct tree *tree, struct arena *scratch, struct buf *out, bool *saturated,
             struct err *err)
{
    const struct tree_node *nodes = tree_nodes(tree);
    const uint32_t *children = tree_children(tree);
    uint32_t *stack, count = 0;

    if (tree_is_empty(tree))
        return 0;
    stack = arena_array(scratch, uint32_t, tree_node_count(tree));
    if (!stack)
        return err_set(err, ERR_TOO_LARGE, "tree of %u nodes: out of working memory",
                       tree_node_count(tree));
    stack[count++] = TREE_ROOT;
    /* Children are pushed in order, so the last one comes out first: the format's order. */
    while (count > 0) {
        uint32_t id = stack[--count];
        const struct tree_node *n = &nodes[id];
        struct str name = id == TREE_ROOT ? STR("") : tree_names_text(tree_names_of(tree), n->name);

        buf_put_sized(out, name);
        buf_put_varint(out, (uint64_t)value_saturate(n->self, saturated));
        buf_put_varint(out, n->child_count);
        for (uint32_t i = 0; i < n->child_count; i++)
            stack[count++] = children[n->child_first + i];
    }
    return 0;
}

/* symbols: equal things have one id, different things never share one. */
#include "storage/model/symbols.h"

#include "base/err.h"

#include "tests/support/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    LOCATIONS = 500,
    STACKS = 6000,
    DEPTH_MAX = 70,
    FRAMES = STACKS * DEPTH_MAX,
};

static uint32_t string_id(struct symbols *s, const char *text)
{
    uint32_t id = UINT32_MAX;

    assert_int_equal(symbols_intern_string(s, str_from(text), &id, NULL), 0);
    return id;
}

/* Locations 0..count-1 that differ in address alone. */
static struct symbols *with_locations(uint32_t count)
{
    struct symbols *s = symbols_new(SIZE_MAX);

    for (uint32_t i = 0; i < count; i++) {
        struct symbol_location l = {.mapping = PROFILE_NONE, .address = i};
        uint32_t id;

        assert_int_equal(symbols_intern_location(s, &l, &id, NULL), 0);
        assert_int_equal(id, i);
    }
    return s;
}

static void test_every_field_makes_a_difference(void **state)
{
    struct symbols *s = symbols_new(SIZE_MAX);
    struct profile_function f[] = {{1, 2, 3, 4}, {2, 2, 3, 4}, {1, 1, 3, 4},
                                   {1, 2, 1, 4}, {1, 2, 3, 5}, {1, 2, 3, -4}};
    struct profile_mapping m[] = {{1, 2, 3, 1, 2, 0, 0, 0, 0}, {2, 2, 3, 1, 2, 0, 0, 0, 0},
                                  {1, 3, 3, 1, 2, 0, 0, 0, 0}, {1, 2, 4, 1, 2, 0, 0, 0, 0},
                                  {1, 2, 3, 2, 2, 0, 0, 0, 0}, {1, 2, 3, 1, 1, 0, 0, 0, 0},
                                  {1, 2, 3, 1, 2, 1, 0, 0, 0}, {1, 2, 3, 1, 2, 0, 1, 0, 0},
                                  {1, 2, 3, 1, 2, 0, 0, 1, 0}, {1, 2, 3, 1, 2, 0, 0, 0, 1}};
    const struct profile_line lines[] = {{0, 1}, {1, 1}, {0, 2}};
    struct symbol_location l[] = {
        {0, 1, 7, lines, false}, {1, 1, 7, lines, false},     {PROFILE_NONE, 1, 7, lines, false},
        {0, 1, 8, lines, false}, {0, 1, 7, lines + 1, false}, {0, 1, 7, lines + 2, false},
        {0, 2, 7, lines, false}, {0, 3, 7, lines, false},     {0, 0, 7, lines, false},
        {0, 1, 7, lines, true},
    };

    (void)state;
    assert_int_equal(string_id(s, ""), 0);
    assert_int_equal(string_id(s, "a"), 1);
    assert_int_equal(string_id(s, "b"), 2);
    assert_int_equal(string_id(s, "ab"), 3);
    for (int round = 0; round < 2; round++) {
        uint32_t id;

        for (uint32_t i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
            assert_int_equal(symbols_intern_function(s, f[i], &id, NULL), 0);
            assert_int_equal(id, i);
        }
        for (uint32_t i = 0; i < sizeof(m) / sizeof(m[0]); i++) {
            assert_int_equal(symbols_intern_mapping(s, m[i], &id, NULL), 0);
            assert_int_equal(id, i);
        }
        for (uint32_t i = 0; i < sizeof(l) / sizeof(l[0]); i++) {
            assert_int_equal(symbols_intern_location(s, &l[i], &id, NULL), 0);
            assert_int_equal(id, i);
        }
    }
    assert_string_equal(symbols_string(s, 3).p, "ab");
    symbols_free(s);
}

/* Random stacks that share long parts towards the root, some of them equal. */
static void draw_stacks(struct rng *rng, uint32_t *frames, struct stack_span *spans)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < STACKS; i++) {
        uint32_t depth = (uint32_t)rng_below(rng, DEPTH_MAX), shared = 0;
        const struct stack_span *other = i ? &spans[rng_below(rng, i)] : NULL;

        if (other && !rng_one_in(rng, 8)) {
            shared = (uint32_t)rng_below(rng, other->count + 1);
            if (depth < shared || rng_one_in(rng, 4))
                depth = shared;
        }
        spans[i] = (struct stack_span){at, depth};
        for (uint32_t k = 0; k < depth; k++)
            frames[at + depth - 1 - k] = k < shared ? frames[other->first + other->count - 1 - k]
                                                    : (uint32_t)rng_below(rng, LOCATIONS);
        at += depth;
    }
}

static void assert_is_stack(const struct symbols *s, uint32_t node, const uint32_t *frames,
                            uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        struct symbol_node n;

        assert_int_not_equal(node, SYMBOLS_ROOT);
        n = symbols_node(s, node);
        assert_int_equal(n.location, frames[k]);
        assert_true(n.parent < node);
        node = n.parent;
    }
    assert_int_equal(node, SYMBOLS_ROOT);
}

static void test_a_stack_is_its_frames_however_it_was_found(void **state)
{
    static uint32_t frames[FRAMES], nodes[STACKS], again[STACKS];
    static struct stack_span spans[STACKS];
    struct rng rng = rng_of(test_seed(1));
    struct symbols *s = with_locations(LOCATIONS);
    uint32_t count;

    (void)state;
    draw_stacks(&rng, frames, spans);
    for (uint32_t i = 0; i < STACKS;) {
        uint32_t n = 1 + (uint32_t)rng_below(&rng, 700);

        n = n < STACKS - i ? n : STACKS - i;
        assert_int_equal(symbols_intern_stacks(s, frames, spans + i, n, nodes + i, NULL), 0);
        i += n;
    }
    count = symbols_counts(s).nodes;
    for (uint32_t i = 0; i < STACKS; i++) {
        uint32_t node = SYMBOLS_ROOT;

        assert_is_stack(s, nodes[i], frames + spans[i].first, spans[i].count);
        for (uint32_t k = spans[i].count; k-- > 0;)
            assert_int_equal(symbols_intern_node(s, node, frames[spans[i].first + k], &node, NULL),
                             0);
        assert_int_equal(node, nodes[i]);
    }
    assert_int_equal(symbols_intern_stacks(s, frames, spans, STACKS, again, NULL), 0);
    assert_memory_equal(nodes, again, sizeof(nodes));
    assert_int_equal(symbols_counts(s).nodes, count); /* nothing was added twice */
    symbols_free(s);
}

static void test_a_noted_location_is_found_by_its_content(void **state)
{
    struct symbols *s = with_locations(3);
    struct hash128 a = symbols_hash(s, "a", 1), b = symbols_hash(s, "b", 1);
    uint32_t id;

    (void)state;
    assert_false(symbols_find_location(s, a, &id));
    assert_int_equal(symbols_note_location(s, a, 2, NULL), 0);
    assert_int_equal(symbols_note_location(s, a, 2, NULL), 0);
    assert_true(symbols_find_location(s, a, &id));
    assert_int_equal(id, 2);
    assert_false(symbols_find_location(s, b, &id));
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(symbols_note_location(s, symbols_hash(s, &i, sizeof(i)), i % 3, NULL), 0);
    assert_true(symbols_find_location(s, a, &id));
    assert_int_equal(id, 2);
    symbols_free(s);
}

static void test_a_full_dictionary_refuses_and_keeps_what_it_has(void **state)
{
    struct symbols *s = symbols_new(200 << 10);
    struct err err = {0};
    uint32_t id, count = 0;
    char text[32];
    int rc;

    (void)state;
    do {
        (void)memset(text, 'x', sizeof(text));
        memcpy(text, &count, sizeof(count));
        rc = symbols_intern_string(s, (struct str){text, sizeof(text)}, &id, &err);
        count++;
    } while (rc == 0);
    assert_int_equal(rc, ERR_TOO_LARGE);
    assert_true(symbols_bytes(s) <= 200 << 10);
    assert_true(count > 500);
    assert_int_equal(symbols_counts(s).strings, count);
    for (uint32_t i = 1; i < count; i++) {
        uint32_t n = i - 1;

        assert_memory_equal(symbols_string(s, i).p, &n, sizeof(n));
    }
    symbols_free(s);
}

static void test_definitions_from_a_file_are_checked(void **state)
{
    struct symbols *s = symbols_new(SIZE_MAX);
    const struct profile_line line = {0, 1};
    const struct symbol_location bad = {PROFILE_NONE, 1, 0, &line, false};
    struct err err = {0};

    (void)state;
    assert_int_equal(symbols_add_function(s, (struct profile_function){.name = 1}, &err),
                     ERR_CORRUPT);
    assert_int_equal(symbols_add_mapping(s, (struct profile_mapping){.build_id = 1}, &err),
                     ERR_CORRUPT);
    assert_int_equal(symbols_add_location(s, &bad, &err), ERR_CORRUPT);
    assert_int_equal(symbols_add_node(s, 0, 0, &err), ERR_CORRUPT);
    assert_int_equal(symbols_counts(s).nodes, 1);
    symbols_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_makes_a_difference),
        cmocka_unit_test(test_a_stack_is_its_frames_however_it_was_found),
        cmocka_unit_test(test_a_noted_location_is_found_by_its_content),
        cmocka_unit_test(test_a_full_dictionary_refuses_and_keeps_what_it_has),
        cmocka_unit_test(test_definitions_from_a_file_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* retention: what goes, in which order, and that nothing goes unless a rule says so. */
#include "storage/retention.h"

#include "storage/evict_record.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MIB = 1 << 20,
    PICKS = 8,
};

static const struct str team_a = {"team-a", 6}, team_b = {"team-b", 6};

/* A segment of 1 MiB whose newest row is `day` days after the epoch. */
static struct retention_item item(struct str tenant, int day)
{
    return (struct retention_item){
        .id = {0, (uint64_t)day},
        .tenant = tenant,
        .time = {day * NS_PER_DAY, day * NS_PER_DAY + 1},
        .created_ns = 100,
        .bytes = MIB,
    };
}

struct world {
    struct retention_rules rules;
    struct retention_item items[6];
    struct retention_space space;
    struct retention_pick picks[PICKS];
    uint32_t count;
};

/* Six days, newest first, of two tenants in turn; ten MiB of which six are segments. */
static void init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    for (int i = 0; i < 6; i++)
        w->items[i] = item(i % 2 ? team_b : team_a, 15 - i);
    w->space = (struct retention_space){
        .used = 10 * MIB, .available = 100 * MIB, .now_ns = 16 * NS_PER_DAY};
}

static void plan(struct world *w)
{
    if (w->space.limit == 0)
        w->space.limit = retention_limit(&w->rules, 0);
    w->count = retention_plan(&w->rules, w->items, 6, &w->space, w->picks, PICKS);
}

static void assert_picks(const struct world *w, const char *expected, enum retention_reason reason)
{
    assert_int_equal(w->count, strlen(expected));
    for (uint32_t i = 0; i < w->count; i++) {
        assert_int_equal(w->picks[i].item, expected[i] - '0');
        assert_int_equal(w->picks[i].reason, reason);
    }
}

static void test_without_a_rule_nothing_goes_however_full_it_is(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.space.available = 0;
    w.space.must_free = MIB;
    plan(&w);
    assert_int_equal(w.count, 0);
    assert_false(retention_has_bytes(&w.rules));
    w.rules.max_age_ns = 100 * NS_PER_DAY;
    plan(&w);
    assert_int_equal(w.count, 0);
}

static void test_over_the_limit_the_oldest_go_until_there_is_headroom(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.rules.max_bytes = 10 * MIB;
    plan(&w);
    assert_int_equal(w.count, 0);
    w.space.headroom = 2 * MIB - 1;
    plan(&w);
    assert_picks(&w, "54", RETENTION_MAX_BYTES);
    w.items[5].fixed = true;
    plan(&w);
    assert_picks(&w, "43", RETENTION_MAX_BYTES);
}

static void test_everything_goes_rather_than_pass_the_limit(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.rules.max_bytes = MIB;
    plan(&w);
    assert_picks(&w, "543210", RETENTION_MAX_BYTES);
}

static void test_age_is_that_of_the_newest_row(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.rules.max_age_ns = 4 * NS_PER_DAY;
    w.items[5].time.last_ns = 15 * NS_PER_DAY; /* a late row keeps it */
    plan(&w);
    assert_picks(&w, "4", RETENTION_AGE);
}

static void test_a_tenant_has_a_limit_and_an_age_of_its_own(void **state)
{
    struct retention_tenant tenants[] = {{team_b, 2 * MIB, 0}, {team_a, 0, 2 * NS_PER_DAY}};
    struct world w;

    (void)state;
    init(&w);
    w.rules.tenants = &tenants[0];
    w.rules.tenant_count = 1;
    plan(&w);
    assert_picks(&w, "5", RETENTION_TENANT_BYTES);
    w.rules.tenants = &tenants[1];
    plan(&w);
    assert_picks(&w, "42", RETENTION_AGE);
}

static void test_free_space_on_the_volume_is_kept(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.rules.min_free_bytes = 102 * MIB;
    plan(&w);
    assert_picks(&w, "54", RETENTION_MIN_FREE);
}

static void test_a_write_that_met_a_full_disk_gets_what_it_asks_for(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.rules.max_bytes = 100 * MIB;
    w.space.must_free = 2 * MIB + 1;
    plan(&w);
    assert_picks(&w, "543", RETENTION_MAX_BYTES);
}

static void test_equals_go_by_creation_and_id(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    for (int i = 0; i < 6; i++)
        w.items[i].time = w.items[0].time;
    w.items[3].created_ns = 99;
    w.rules.max_bytes = 8 * MIB;
    plan(&w);
    assert_picks(&w, "35", RETENTION_MAX_BYTES);
}

static void test_a_percentage_is_of_the_volume(void **state)
{
    struct retention_rules rules = {.max_bytes = 5, .max_percent = 80};

    (void)state;
    assert_int_equal(retention_limit(&rules, 1000), 800);
    rules.max_percent = 0;
    assert_int_equal(retention_limit(&rules, 1000), 5);
}

static void test_an_evict_record_reads_back_and_another_length_is_refused(void **state)
{
    const struct segment_source sources[] = {{7, 1, 2}, {UINT64_MAX, 3, 4}};
    const struct segment_meta meta = {.id = {1, 2}, .sources = sources, .source_count = 2};
    struct evict_record r;
    struct err err;
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    evict_record_put(&meta, &out);
    assert_int_equal(evict_record_get(buf_str(&out), &r, &err), 0);
    assert_int_equal(r.id.hi, 1);
    assert_int_equal(r.id.lo, 2);
    assert_int_equal(r.head_count, 2);
    assert_int_equal(r.heads[0], 7);
    assert_true(r.heads[1] == UINT64_MAX);
    free(r.heads);
    for (size_t len = 0; len < out.len; len++)
        if (len != 16 && len != 24)
            assert_int_equal(evict_record_get((struct str){(char *)out.data, len}, &r, &err),
                             ERR_CORRUPT);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_rule_nothing_goes_however_full_it_is),
        cmocka_unit_test(test_over_the_limit_the_oldest_go_until_there_is_headroom),
        cmocka_unit_test(test_everything_goes_rather_than_pass_the_limit),
        cmocka_unit_test(test_age_is_that_of_the_newest_row),
        cmocka_unit_test(test_a_tenant_has_a_limit_and_an_age_of_its_own),
        cmocka_unit_test(test_free_space_on_the_volume_is_kept),
        cmocka_unit_test(test_a_write_that_met_a_full_disk_gets_what_it_asks_for),
        cmocka_unit_test(test_equals_go_by_creation_and_id),
        cmocka_unit_test(test_a_percentage_is_of_the_volume),
        cmocka_unit_test(test_an_evict_record_reads_back_and_another_length_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

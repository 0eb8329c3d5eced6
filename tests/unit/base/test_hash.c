/* Seeds differ in memory; the disk's checksum never changes. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_the_checksum_of_the_disk_format_is_fixed(void **state)
{
    (void)state;
    /* A different number here means that no existing file can be read. */
    assert_true(checksum64("flamekeep", 9) == UINT64_C(0x43e4a1ae726e7916));
}

static void test_a_checksum_over_parts_is_that_of_the_whole(void **state)
{
    static const char text[] = "one checksum over two parts, as if they followed each other";

    (void)state;
    for (size_t cut = 0; cut < sizeof(text); cut++)
        assert_true(checksum64_parts(text, cut, text + cut, sizeof(text) - cut) ==
                    checksum64(text, sizeof(text)));
}

static void test_a_seed_changes_the_hash_and_no_two_seeds_are_equal(void **state)
{
    uint64_t a = hash_seed_random(), b = hash_seed_random();
    struct hash128 wide = hash128(a, "x", 1), again = hash128(a, "x", 1);

    (void)state;
    assert_true(a != b);
    assert_true(hash64(a, "x", 1) != hash64(b, "x", 1));
    assert_true(hash64(a, "x", 1) == hash64(a, "x", 1));
    assert_true(wide.lo == again.lo && wide.hi == again.hi);
    assert_true(hash128(b, "x", 1).lo != wide.lo);
}

static void test_random_bytes_fill_it_all(void **state)
{
    unsigned char a[4096] = {0};
    size_t zeroes = 0;

    (void)state;
    random_bytes(a, sizeof(a));
    for (size_t i = 0; i < sizeof(a); i++)
        zeroes += a[i] == 0;
    assert_true(zeroes < 100);
    random_bytes(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_checksum_of_the_disk_format_is_fixed),
        cmocka_unit_test(test_a_checksum_over_parts_is_that_of_the_whole),
        cmocka_unit_test(test_a_seed_changes_the_hash_and_no_two_seeds_are_equal),
        cmocka_unit_test(test_random_bytes_fill_it_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

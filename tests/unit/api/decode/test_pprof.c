#include "api/decode/pprof.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- writing protobuf ---- */

static void put_tag(struct buf *b, uint32_t field, uint32_t type)
{
    buf_put_varint(b, (uint64_t)field << 3 | type);
}

static void put_number(struct buf *b, uint32_t field, uint64_t value)
{
    put_tag(b, field, 0);
    buf_put_varint(b, value);
}

static void put_bytes(struct buf *b, uint32_t field, const void *data, size_t len)
{
    put_tag(b, field, 2);
    buf_put_varint(b, len);
    buf_append(b, data, len);
}

static void put_message(struct buf *b, uint32_t field, struct buf *message)
{
    put_bytes(b, field, message->data, message->len);
    buf_reset(message);
}

struct fixture {
    struct buf body, part, inner;
    struct pprof_decoder *decoder;
    struct pprof p;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    buf_init(&f->body, 64 << 20);
    buf_init(&f->part, 64 << 20);
    buf_init(&f->inner, 64 << 20);
    f->decoder = pprof_decoder_new();
    assert_non_null(f->decoder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    buf_release(&f->body);
    buf_release(&f->part);
    buf_release(&f->inner);
    pprof_decoder_free(f->decoder);
    free(f);
    return 0;
}

static int decode(struct fixture *f)
{
    return pprof_decode(f->decoder, buf_str(&f->body), 0, &f->p, &f->err);
}

/* The body must be refused as malformed with a text that holds `part`. */
static void assert_refused(struct fixture *f, const char *part)
{
    assert_int_equal(decode(f), ERR_INVALID);
    assert_non_null(strstr(f->err.msg, part));
}

/* A body with every field of every message set. */
static void put_whole_profile(struct fixture *f)
{
    put_number(&f->part, 1, 1);
    put_number(&f->part, 2, 2);
    put_message(&f->body, 1, &f->part);
    put_bytes(&f->part, 1, "\x01\x82\x01\x03", 4);
    put_bytes(&f->part, 2, "\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    for (uint32_t field = 1; field <= 4; field++)
        put_number(&f->inner, field, 10 + field);
    put_message(&f->part, 3, &f->inner);
    put_message(&f->body, 2, &f->part);
    for (uint32_t field = 1; field <= 10; field++)
        put_number(&f->part, field, field < 7 ? 20 + field : 1);
    put_message(&f->body, 3, &f->part);
    put_number(&f->part, 1, 31);
    put_number(&f->part, 2, 32);
    put_number(&f->part, 3, 0x7fffffffffff);
    put_number(&f->inner, 1, 33);
    put_number(&f->inner, 2, 34);
    put_message(&f->part, 4, &f->inner);
    put_number(&f->inner, 1, 35);
    put_message(&f->part, 4, &f->inner);
    put_number(&f->part, 5, 1);
    put_message(&f->body, 4, &f->part);
    for (uint32_t field = 1; field <= 5; field++)
        put_number(&f->part, field, 40 + field);
    put_message(&f->body, 5, &f->part);
    put_bytes(&f->body, 6, "", 0);
    put_bytes(&f->body, 6, "cpu", 3);
    put_number(&f->body, 7, 51);
    put_number(&f->body, 8, 52);
    put_number(&f->body, 9, 1700000000000000000);
    put_number(&f->body, 10, 53);
    put_number(&f->part, 1, 54);
    put_number(&f->part, 2, 55);
    put_message(&f->body, 11, &f->part);
    put_number(&f->body, 12, 56);
    put_bytes(&f->body, 13, "\x39\x3a", 2);
    put_number(&f->body, 13, 59);
    put_number(&f->body, 14, 60);
}

static void assert_whole_profile(const struct pprof *p)
{
    assert_int_equal(p->sample_type_count, 1);
    assert_int_equal(p->sample_types[0].type, 1);
    assert_int_equal(p->sample_types[0].unit, 2);
    assert_int_equal(p->sample_count, 1);
    assert_int_equal(p->samples[0].location_count, 3);
    assert_int_equal(p->location_ids[0], 1);
    assert_int_equal(p->location_ids[1], 130);
    assert_int_equal(p->location_ids[2], 3);
    assert_int_equal(p->samples[0].value_count, 2);
    assert_int_equal(p->values[0], 7);
    assert_int_equal(p->values[1], -1);
    assert_int_equal(p->samples[0].label_count, 1);
    assert_int_equal(p->labels[0].key, 11);
    assert_int_equal(p->labels[0].str, 12);
    assert_int_equal(p->labels[0].num, 13);
    assert_int_equal(p->labels[0].num_unit, 14);
    assert_int_equal(p->mapping_count, 1);
    assert_int_equal(p->mappings[0].id, 21);
    assert_int_equal(p->mappings[0].memory_start, 22);
    assert_int_equal(p->mappings[0].memory_limit, 23);
    assert_int_equal(p->mappings[0].file_offset, 24);
    assert_int_equal(p->mappings[0].filename, 25);
    assert_int_equal(p->mappings[0].build_id, 26);
    assert_true(p->mappings[0].has_functions && p->mappings[0].has_filenames &&
                p->mappings[0].has_line_numbers && p->mappings[0].has_inline_frames);
    assert_int_equal(p->location_count, 1);
    assert_int_equal(p->locations[0].id, 31);
    assert_int_equal(p->locations[0].mapping_id, 32);
    assert_int_equal(p->locations[0].address, 0x7fffffffffff);
    assert_int_equal(p->locations[0].line_count, 2);
    assert_true(p->locations[0].is_folded);
    assert_int_equal(p->lines[0].function_id, 33);
    assert_int_equal(p->lines[0].line, 34);
    assert_int_equal(p->lines[1].function_id, 35);
    assert_int_equal(p->lines[1].line, 0);
    assert_int_equal(p->functions[0].id, 41);
    assert_int_equal(p->functions[0].name, 42);
    assert_int_equal(p->functions[0].system_name, 43);
    assert_int_equal(p->functions[0].filename, 44);
    assert_int_equal(p->functions[0].start_line, 45);
    assert_int_equal(p->string_count, 2);
    assert_true(str_eq(p->strings[1], STR("cpu")));
    assert_int_equal(p->drop_frames, 51);
    assert_int_equal(p->keep_frames, 52);
    assert_int_equal(p->time_ns, 1700000000000000000);
    assert_int_equal(p->duration_ns, 53);
    assert_true(p->has_period_type);
    assert_int_equal(p->period_type.type, 54);
    assert_int_equal(p->period_type.unit, 55);
    assert_int_equal(p->period, 56);
    assert_int_equal(p->comment_count, 3);
    assert_int_equal(p->comments[0], 57);
    assert_int_equal(p->comments[2], 59);
    assert_int_equal(p->default_sample_type, 60);
}

static void test_every_field_arrives(void **state)
{
    struct fixture *f = *state;

    put_whole_profile(f);
    assert_int_equal(decode(f), 0);
    assert_whole_profile(&f->p);
}

/* The last messages are read from a copy: whatever comes last, nothing changes. */
static void test_a_body_of_exact_size_is_not_read_past_its_end(void **state)
{
    struct fixture *f = *state;
    uint8_t *exact;

    put_whole_profile(f);
    exact = malloc(f->body.len);
    assert_non_null(exact);
    memcpy(exact, f->body.data, f->body.len);
    for (size_t len = 0; len <= f->body.len; len++) {
        uint8_t *cut = malloc(len + 1); /* sanitizers see a read past `len` of this */

        assert_non_null(cut);
        memcpy(cut + 1, exact, len);
        (void)pprof_decode(f->decoder, (struct str){(char *)cut + 1, len}, 0, &f->p, &f->err);
        free(cut);
    }
    assert_int_equal(
        pprof_decode(f->decoder, (struct str){(char *)exact, f->body.len}, 0, &f->p, &f->err), 0);
    assert_whole_profile(&f->p);
    free(exact);
}

static void test_an_empty_body_is_an_empty_profile(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.sample_type_count, 0);
    assert_int_equal(pprof_encoded_bytes(&f->p), 0);
}

static void test_repeated_numbers_may_be_packed_or_not_or_both(void **state)
{
    struct fixture *f = *state;

    put_number(&f->part, 1, 300);
    put_bytes(&f->part, 1, "\x01\x02", 2);
    put_number(&f->part, 2, (uint64_t)-3);
    put_number(&f->part, 1, 9);
    put_bytes(&f->part, 1, "", 0);
    put_message(&f->body, 2, &f->part);
    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.samples[0].location_count, 4);
    assert_int_equal(f->p.location_ids[0], 300);
    assert_int_equal(f->p.location_ids[3], 9);
    assert_int_equal(f->p.values[0], -3);
}

static void test_empty_packed_fields_are_nothing(void **state)
{
    struct fixture *f = *state;

    put_bytes(&f->part, 1, "", 0);
    put_bytes(&f->part, 2, "", 0);
    put_message(&f->body, 2, &f->part);
    put_bytes(&f->body, 13, "", 0);
    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.samples[0].location_count, 0);
    assert_int_equal(f->p.samples[0].value_count, 0);
    assert_int_equal(pprof_encoded_bytes(&f->p), 2);
}

static void test_a_second_period_type_is_merged_and_the_last_number_wins(void **state)
{
    struct fixture *f = *state;

    put_number(&f->part, 1, 5);
    put_message(&f->body, 11, &f->part);
    put_number(&f->part, 2, 6);
    put_message(&f->body, 11, &f->part);
    put_number(&f->body, 12, 7);
    put_number(&f->body, 12, 8);
    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.period_type.type, 5);
    assert_int_equal(f->p.period_type.unit, 6);
    assert_int_equal(f->p.period, 8);
}

static void test_unknown_fields_and_groups_are_skipped_everywhere(void **state)
{
    struct fixture *f = *state;
    struct buf *all[] = {&f->inner, &f->part, &f->body};

    for (size_t i = 0; i < 3; i++) {
        put_number(all[i], 100, 1);
        put_bytes(all[i], 101, "xyz", 3);
        put_tag(all[i], 102, 1);
        buf_append(all[i], "12345678", 8);
        put_tag(all[i], 103, 5);
        buf_append(all[i], "1234", 4);
        put_tag(all[i], 104, 3); /* a group in a group, closed by a foreign number */
        put_tag(all[i], 1, 3);
        put_number(all[i], 1, 1);
        put_tag(all[i], 99, 4);
        put_tag(all[i], 104, 4);
        if (i < 2)
            put_message(all[i + 1], i == 0 ? 3 : 2, all[i]);
    }
    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.sample_count, 1);
    assert_int_equal(f->p.label_count, 1);
}

static void test_long_forms_of_numbers_and_tags_are_accepted(void **state)
{
    struct fixture *f = *state;

    buf_append(&f->body, "\xe0\x80\x00\x85\x80\x80\x00", 7); /* field 12 = 5 */
    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.period, 5);
    buf_append(&f->body, "\x60\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11); /* 70 bits */
    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.period, -1);
}

static void test_malformed_bytes_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"\x0a\x02\x08\x01\x0a\x02\x08", 7, "at byte 4 of 7"}, /* length past the end */
        {"\x0a\x01\x08", 3, "malformed number at byte 2"},     /* number cut by its message */
        {"\x60\xff", 2, "malformed number at byte 0"},
        {"\x60\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "malformed number"},
        {"\x12\x03\x0a\x01\xff", 5, "malformed packed numbers at byte 2"},
        {"\x00\x01", 2, "illegal field number at byte 0"},
        {"\x14", 1, "end of a group"},
        {"\x10\x01", 2, "wrong wire type of a known field"},
        {"\x12\x02\x08\xff", 4, "malformed number"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, "malformed tag"},
        {"\xa3\x06\x08\x01", 4, "malformed unknown field"}, /* group without an end */
        {"\xa6\x06", 2, "malformed unknown field"},         /* wire type 6 */
        {"\xa1\x06\x01", 3, "malformed unknown field"},
        {"certainly not a profile", 23, "at byte"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_reset(&f->body);
        buf_append(&f->body, cases[i].bytes, cases[i].len);
        assert_refused(f, cases[i].text);
    }
}

static void test_deep_groups_need_no_stack(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 1000000; i++)
        put_tag(&f->body, 20, 3);
    assert_refused(f, "malformed unknown field at byte 0");
}

/* Two bytes that ask for 56: allowed while small, refused when it would add up. */
static void test_empty_messages_cannot_blow_up_memory(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 1000; i++)
        put_bytes(&f->body, 3, "", 0);
    assert_int_equal(decode(f), 0);
    assert_int_equal(f->p.mapping_count, 1000);
    for (int i = 0; i < 4000000; i++)
        put_bytes(&f->body, 3, "", 0);
    assert_int_equal(decode(f), ERR_TOO_LARGE);
    assert_true(pprof_decoder_bytes(f->decoder) < f->body.len * 40);
}

/* The answer must not depend on what the decoder has seen before. */
static void test_a_warm_decoder_refuses_what_a_cold_one_refuses(void **state)
{
    struct fixture *f = *state;

    buf_append_zeroes(&f->inner, 1 << 20);
    for (int i = 0; i < 100000; i++)
        put_bytes(&f->body, 3, "", 0);
    assert_int_equal(pprof_decode(f->decoder, buf_str(&f->body), 1 << 20, &f->p, &f->err),
                     ERR_TOO_LARGE);
    put_bytes(&f->body, 6, f->inner.data, f->inner.len); /* a long string earns the room */
    assert_int_equal(decode(f), 0);
    assert_int_equal(pprof_decode(f->decoder, buf_str(&f->body), 1 << 20, &f->p, &f->err),
                     ERR_TOO_LARGE);
}

static void test_trim_gives_the_arrays_back(void **state)
{
    struct fixture *f = *state;

    put_whole_profile(f);
    assert_int_equal(decode(f), 0);
    pprof_decoder_trim(f->decoder, 1 << 20);
    assert_true(pprof_decoder_bytes(f->decoder) > 1000);
    pprof_decoder_trim(f->decoder, 1000);
    assert_true(pprof_decoder_bytes(f->decoder) < 1000);
    assert_int_equal(decode(f), 0);
    assert_whole_profile(&f->p);
}

static void test_encoded_size_of_a_canonical_body_is_its_length(void **state)
{
    struct fixture *f = *state;

    put_whole_profile(f);
    assert_int_equal(decode(f), 0);
    /* The fixture splits its comments: one packed field of three takes two bytes less. */
    assert_int_equal(pprof_encoded_bytes(&f->p), f->body.len - 1);
}

static void test_encoded_size_leaves_out_zeros_and_packs(void **state)
{
    struct fixture *f = *state;

    put_number(&f->part, 1, 5); /* unpacked: two bytes, packed: three */
    put_number(&f->part, 2, 0);
    put_message(&f->body, 2, &f->part);
    put_number(&f->body, 12, 0);
    put_number(&f->body, 77, 1);
    put_bytes(&f->body, 6, "", 0);
    assert_int_equal(decode(f), 0);
    /* sample: 2 + (0a 01 05) + (12 01 00); string: 2 */
    assert_int_equal(pprof_encoded_bytes(&f->p), 2 + 3 + 3 + 2);
}

static void test_a_body_is_taken_bare(void **state)
{
    struct fixture *f = *state;
    struct str out;

    assert_int_equal(pprof_inflate(STR("0123456789"), 10, &f->part, &out, &f->err), 0);
    assert_true(str_eq(out, STR("0123456789")));
    assert_int_equal(pprof_inflate(STR("0123456789a"), 10, &f->part, &out, &f->err), ERR_TOO_LARGE);
    assert_string_equal(f->err.msg, "decompressed size exceeds maximum allowed size of 10 bytes");
}

static void test_gzip_members_are_inflated_and_joined(void **state)
{
    struct fixture *f = *state;
    struct str out;

    assert_int_equal(gzip_deflate(STR("hello "), 6, &f->body, &f->err), 0);
    assert_int_equal(gzip_deflate(STR("world"), 6, &f->body, &f->err), 0);
    assert_int_equal(pprof_inflate(buf_str(&f->body), 100, &f->part, &out, &f->err), 0);
    assert_true(str_eq(out, STR("hello world")));
    assert_int_equal(pprof_inflate(buf_str(&f->body), 10, &f->part, &out, &f->err), ERR_TOO_LARGE);
    f->body.len -= 3;
    assert_int_equal(pprof_inflate(buf_str(&f->body), 100, &f->part, &out, &f->err), ERR_INVALID);
}

static void test_a_bomb_is_refused_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct str out;

    buf_append_zeroes(&f->inner, 32 << 20);
    assert_int_equal(gzip_deflate(buf_str(&f->inner), 1, &f->body, &f->err), 0);
    memset(f->body.data + f->body.len - 4, 0, 4); /* the trailer's size lies */
    assert_int_equal(pprof_inflate(buf_str(&f->body), 1 << 20, &f->part, &out, &f->err),
                     ERR_TOO_LARGE);
    assert_true(f->part.cap <= 2 << 20);
}

static void test_a_body_shorter_than_a_gzip_header_is_refused(void **state)
{
    struct fixture *f = *state;
    struct str out;

    assert_int_equal(pprof_inflate(STR(""), 0, &f->part, &out, &f->err), ERR_INVALID);
    assert_string_equal(f->err.msg, "gzip reset: EOF");
    assert_int_equal(pprof_inflate(STR("123456789"), 0, &f->part, &out, &f->err), ERR_INVALID);
    assert_string_equal(f->err.msg, "gzip reset: unexpected EOF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_every_field_arrives),
        TEST(test_a_body_of_exact_size_is_not_read_past_its_end),
        TEST(test_an_empty_body_is_an_empty_profile),
        TEST(test_repeated_numbers_may_be_packed_or_not_or_both),
        TEST(test_empty_packed_fields_are_nothing),
        TEST(test_a_second_period_type_is_merged_and_the_last_number_wins),
        TEST(test_unknown_fields_and_groups_are_skipped_everywhere),
        TEST(test_long_forms_of_numbers_and_tags_are_accepted),
        TEST(test_malformed_bytes_are_refused_with_their_place),
        TEST(test_deep_groups_need_no_stack),
        TEST(test_empty_messages_cannot_blow_up_memory),
        TEST(test_a_warm_decoder_refuses_what_a_cold_one_refuses),
        TEST(test_trim_gives_the_arrays_back),
        TEST(test_encoded_size_of_a_canonical_body_is_its_length),
        TEST(test_encoded_size_leaves_out_zeros_and_packs),
        TEST(test_a_body_is_taken_bare),
        TEST(test_gzip_members_are_inflated_and_joined),
        TEST(test_a_bomb_is_refused_at_the_limit),
        TEST(test_a_body_shorter_than_a_gzip_header_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

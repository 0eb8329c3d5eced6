/*
 * fuzz_multipart - the first line is the content type, the rest is the body.
 *
 * Parts lie in the body, in order and apart; one named sample_type_config goes on
 * to its own parser.
 */
#include "api/decode/multipart.h"
#include "api/decode/sample_type_config.h"
#include "base/arena.h"
#include "base/check.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const struct multipart *m, struct str body)
{
    const char *end = body.p;

    for (uint32_t i = 0; i < m->count; i++) {
        check(m->parts[i].body.p >= end);
        end = m->parts[i].body.p + m->parts[i].body.len;
    }
    check(end <= body.p + body.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, content_type = {0}, boundary;
    struct multipart form;
    struct sample_type_config config;
    struct arena arena;
    size_t newline = str_find_byte(rest, '\n');

    if (newline == SIZE_MAX)
        return 0;
    content_type = str_slice(rest, 0, newline);
    rest = str_slice(rest, newline + 1, rest.len);
    arena_init(&arena, 4 << 20);
    if (multipart_boundary(content_type, &arena, &boundary, NULL) == 0 &&
        multipart_parse(rest, boundary, &arena, &form, NULL) == 0) {
        struct str json = multipart_file(&form, STR("sample_type_config"));

        check_parts(&form, rest);
        if (sample_type_config_parse(json, &arena, &config, NULL) == 0)
            for (uint32_t i = 0; i < config.count; i++)
                check(sample_type_config_find(&config, config.entries[i].sample_type) != NULL);
    }
    arena_release(&arena);
    return 0;
}

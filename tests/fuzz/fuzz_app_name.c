/*
 * fuzz_app_name - any text as a name, as the suffix of one, and as a time.
 *
 * A name that is accepted has an application and a sorted set of labels with names
 * of the allowed characters; times never fail.
 */
#include "api/decode/app_name.h"
#include "api/decode/text_kind.h"
#include "api/decode/time_form.h"
#include "base/arena.h"
#include "base/check.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_labels(const struct labels *labels)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";

    for (uint32_t i = 0; i < labels->count; i++) {
        struct str name = labels->pairs[i].name;

        check(i == 0 || str_cmp(labels->pairs[i - 1].name, name) < 0);
        check(name.len > 0);
        for (size_t k = 0; k < name.len; k++)
            check(name.p[k] != '\0' && strchr(allowed, name.p[k]) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct arena arena;
    struct app_name name;
    struct text_kind kind;

    arena_init(&arena, 16 << 20);
    if (app_name_parse(text, &arena, &name, NULL) == 0) {
        check_labels(&name.labels);
        (void)text_kind_of(name.app, TEXT_KIND_SAMPLE_RATE, &kind, NULL);
    }
    (void)time_form_ingest_ns(text, INT64_MAX / 2);
    (void)time_form_query_ns(text, INT64_MIN / 2);
    arena_release(&arena);
    return 0;
}

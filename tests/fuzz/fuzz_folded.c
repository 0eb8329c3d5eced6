/*
 * fuzz_folded - any text as groups and as lines.
 *
 * The first byte picks form, kind and sample rate. Every reference of the profile
 * that comes out is good, every value positive unless the scale is zero.
 */
#include "api/decode/folded.h"
#include "api/decode/text_kind.h"
#include "base/arena.h"
#include "base/check.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MEMORY_MAX = 64 << 20,
};

static void check_profile(const struct pprof *p, const struct text_kind *kind)
{
    uint32_t ids = 0;

    check(p->sample_type_count == 1 && p->mapping_count == 1);
    check(p->sample_count == p->value_count);
    for (uint32_t i = 0; i < p->sample_count; i++) {
        check(p->samples[i].location_first == ids && p->samples[i].value_count == 1);
        ids += p->samples[i].location_count;
        check(p->values[i] > 0 || kind->scale == 0);
    }
    check(ids == p->location_id_count);
    for (uint32_t i = 0; i < ids; i++)
        check(p->location_ids[i] >= 1 && p->location_ids[i] <= p->location_count);
    for (uint32_t i = 0; i < p->function_count; i++)
        check(p->functions[i].name >= 0 && p->functions[i].name < (int64_t)p->string_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const apps[] = {"app", "app.wall", "app.alloc_space", "app.goroutines"};
    static const uint32_t rates[] = {100, 0, 1, UINT32_MAX};
    struct arena arena;
    struct text_kind kind;
    struct folded folded;

    if (size == 0)
        return 0;
    check(text_kind_of(str_from(apps[data[0] >> 1 & 3]), rates[data[0] >> 3 & 3], &kind, NULL) ==
          0);
    arena_init(&arena, MEMORY_MAX);
    if (folded_decode((struct str){(const char *)data + 1, size - 1},
                      data[0] & 1 ? FOLDED_LINES : FOLDED_GROUPS, &kind, 1, &arena, &folded,
                      NULL) == 0) {
        check(folded.unread_bytes < size);
        check_profile(&folded.pprof, &kind);
    }
    arena_release(&arena);
    return 0;
}

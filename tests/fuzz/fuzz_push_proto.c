/* Any bytes as the protobuf of a push: refused or read, every string inside the body. */
#include "api/push_request.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str s, const uint8_t *data, size_t size)
{
    check(s.len == 0 ||
          ((const uint8_t *)s.p >= data && (const uint8_t *)s.p + s.len <= data + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct push_request request;
    struct arena arena;
    struct err err;

    arena_init(&arena, 16 << 20);
    if (push_request_decode((struct str){(const char *)data, size}, &arena, &request, &err) == 0) {
        for (uint32_t i = 0; i < request.series_count; i++) {
            const struct push_series *series = &request.series[i];

            for (uint32_t j = 0; j < series->labels.count; j++) {
                inside(series->labels.pairs[j].name, data, size);
                inside(series->labels.pairs[j].value, data, size);
            }
            for (uint32_t j = 0; j < series->sample_count; j++) {
                inside(series->samples[j].profile, data, size);
                inside(series->samples[j].id, data, size);
            }
        }
    } else {
        check(err.msg[0] != '\0');
    }
    arena_release(&arena);
    return 0;
}

/* Selectors from anywhere: parsed or refused, never more; what parses can be asked. */
#include "storage/model/matcher.h"

#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct matchers m = {0};
    struct arena arena;

    arena_init(&arena, 1 << 20);
    if (selector_parse((struct str){(const char *)data, size}, &arena, &m, NULL) == 0) {
        for (uint32_t i = 0; i < m.count; i++) {
            (void)matcher_matches(&m.items[i], STR(""));
            (void)matcher_matches(&m.items[i], m.items[i].value);
        }
    }
    matchers_release(&m);
    arena_release(&arena);
    return 0;
}

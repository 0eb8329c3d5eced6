/*
 * Selectors and profile types from anywhere: parsed or refused, never more; what parses can be
 * asked, and a profile type is written as it was read, less a sixth part.
 */
#include "storage/model/matcher.h"
#include "storage/model/profile_type.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_type(struct str id)
{
    struct profile_type type;
    struct buf out;

    if (profile_type_parse(id, &type, NULL) != 0)
        return;
    buf_init(&out, id.len + 1);
    profile_type_format(&type, &out);
    check(!out.failed && str_starts(id, buf_str(&out)));
    check(out.len == id.len || id.p[out.len] == ':');
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct matchers m = {0};
    struct arena arena;

    read_type((struct str){(const char *)data, size});
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

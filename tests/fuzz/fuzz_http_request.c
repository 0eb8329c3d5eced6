/*
 * Whatever a client can put in a request line and headers: the target, its query, Accept, and
 * the gate's view of the headers. The first line is the target, each further line a header.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"
#include "server/http/accept.h"
#include "server/http/gate.h"
#include "server/http/target.h"

enum { HEADERS_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_target(struct str line, struct arena *arena)
{
    struct http_target target;
    struct http_pair *pairs = NULL;
    size_t count = 0;
    struct err err = {0};
    if (http_target_parse(line, arena, &target, &err) != 0)
        return;
    check(target.path.len > 0 && target.path.p[0] == '/');
    if (http_query_parse(target.query_raw, arena, &pairs, &count, &err) != 0)
        return;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += pairs[i].name.len + pairs[i].value.len;
    check(bytes <= target.query_raw.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size}, line = {0};
    struct http_pair headers[HEADERS_MAX];
    size_t count = 0;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    if (str_split(&rest, '\n', &line))
        fuzz_target(line, &arena);
    while (count < HEADERS_MAX && str_split(&rest, '\n', &line)) {
        size_t colon = str_find_byte(line, ':');
        headers[count].name = str_slice(line, 0, colon);
        headers[count].value = str_slice(line, colon < line.len ? colon + 1 : colon, line.len);
        struct str value = headers[count++].value;
        if (!http_accept_check(value)) {
            http_accept_has_param(value, STR("q"), STR("1"));
            http_accept_has_type(value, STR("text/plain"));
        }
        http_list_has_token(value, STR("gzip"));
    }
    struct gate_verdict v = gate_check(&(struct gate_input){STR("POST"), false, headers, count});
    check(v.status != 0 || !(v.has_length && v.chunked));
    arena_release(&arena);
    return 0;
}

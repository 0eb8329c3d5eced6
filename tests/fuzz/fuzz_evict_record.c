/* Evict records from anywhere: read or refused, and what is read is what was written. */
#include "storage/evict_record.h"

#include "base/buf.h"
#include "base/check.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct segment_source *sources;
    struct evict_record r;
    struct buf again;

    if (evict_record_get(in, &r, NULL) != 0)
        return 0;
    sources = calloc((size_t)r.head_count + 1, sizeof(*sources));
    check(sources);
    for (uint32_t i = 0; i < r.head_count; i++)
        sources[i].head_id = r.heads[i];
    buf_init(&again, SIZE_MAX);
    evict_record_put(
        &(struct segment_meta){.id = r.id, .sources = sources, .source_count = r.head_count},
        &again);
    check(str_eq(buf_str(&again), in));
    buf_release(&again);
    free(sources);
    free(r.heads);
    return 0;
}

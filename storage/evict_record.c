#include "storage/evict_record.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

enum {
    ID_BYTES = 16,
    HEAD_BYTES = 8,
};

void evict_record_put(const struct segment_meta *m, struct buf *out)
{
    uint8_t bytes[ID_BYTES];

    put_le64(bytes, m->id.hi);
    put_le64(bytes + 8, m->id.lo);
    (void)buf_append(out, bytes, ID_BYTES);
    for (uint32_t i = 0; i < m->source_count; i++) {
        put_le64(bytes, m->sources[i].head_id);
        (void)buf_append(out, bytes, HEAD_BYTES);
    }
}

int evict_record_get(struct str payload, struct evict_record *out, struct err *err)
{
    if (payload.len < ID_BYTES || (payload.len - ID_BYTES) % HEAD_BYTES != 0)
        return err_set(err, ERR_CORRUPT, "evict record of %zu bytes: expected %d and 8 per head",
                       payload.len, ID_BYTES);
    out->id = (struct segment_id){get_le64(payload.p), get_le64(payload.p + 8)};
    out->head_count = (uint32_t)((payload.len - ID_BYTES) / HEAD_BYTES);
    out->heads = malloc(payload.len);
    check(out->heads);
    for (uint32_t i = 0; i < out->head_count; i++)
        out->heads[i] = get_le64(payload.p + ID_BYTES + (size_t)i * HEAD_BYTES);
    return 0;
}

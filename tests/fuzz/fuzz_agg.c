/*
 * A segment of anybody's bytes: opened, verified and read whole, checksums not compared.
 * Input: le32 length of .agg, .agg, then .smp.
 */
#include "tests/support/blob_memory.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    size_t agg;

    if (size < 4)
        return 0;
    agg = get_le32(data);
    rest = str_slice(rest, 4, size);
    (void)blob_memory_read_segment(str_slice(rest, 0, agg), str_slice(rest, agg, size));
    return 0;
}

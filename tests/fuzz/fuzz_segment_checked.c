/*
 * As fuzz_agg, with checksums compared: a file that passes verify can be read to the end.
 * Input: le32 length of .agg, .agg, then .smp.
 */
#include "tests/support/blob_memory.h"

#include "storage/segment_format.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    size_t agg;

    segment_checksums_in_fuzzing = true;
    if (size < 4)
        return 0;
    agg = get_le32(data);
    rest = str_slice(rest, 4, size);
    (void)blob_memory_read_segment(str_slice(rest, 0, agg), str_slice(rest, agg, size));
    return 0;
}

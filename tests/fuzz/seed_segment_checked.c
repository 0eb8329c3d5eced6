/* Seeds of fuzz_segment_checked: segments from the writer. */
#include "tests/support/blob_memory.h"

#include "base/check.h"

int main(int argc, char **argv)
{
    check(argc == 2);
    blob_memory_write_seeds(argv[1]);
    return 0;
}

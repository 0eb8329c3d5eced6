/* FORMAT from anywhere: read or refused, and what is read with a checksum is what is written. */
#include "storage/format_file.h"

#include "base/check.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FORMAT_FILE_BYTES_MAX];
    struct format_file f, again;

    if (!format_file_parse((struct str){(const char *)data, size}, &f))
        return 0;
    check(format_file_parse((struct str){text, format_file_print(&f, text)}, &again));
    check(memcmp(&f, &again, sizeof(f)) == 0);
    return 0;
}

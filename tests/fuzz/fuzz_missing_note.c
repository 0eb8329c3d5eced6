/* Missing notes and names of quarantined files from anywhere: read or refused. */
#include "storage/missing.h"
#include "storage/missing_note.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/fs.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};
    struct missing_part *parts, *again;
    char path[FS_PATH_MAX];
    struct arena arena;
    struct buf out;
    uint32_t count, n;

    (void)missing_path_of(in, path, sizeof(path));
    arena_init(&arena, 16 << 20);
    if (missing_note_decode(in, &arena, &parts, &count, NULL) == 0) {
        buf_init(&out, SIZE_MAX);
        missing_note_encode(parts, count, &out);
        check(missing_note_decode(buf_str(&out), &arena, &again, &n, NULL) == 0 && n == count);
        buf_release(&out);
    }
    arena_release(&arena);
    return 0;
}

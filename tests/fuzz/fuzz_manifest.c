/* A backup's manifest from anywhere: refused, or printed back the same. */
#include "server/backup/manifest.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing gets past the checksum by chance: it is added to what is there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest m, again;
    struct buf text, printed;

    manifest_init(&m);
    manifest_init(&again);
    buf_init(&text, SIZE_MAX);
    buf_init(&printed, SIZE_MAX);
    (void)manifest_parse(&m, (struct str){(const char *)data, size}, NULL);
    manifest_release(&m);
    manifest_init(&m);
    (void)buf_append(&text, data, size);
    (void)buf_printf(&text, "checksum %016llx\n", (unsigned long long)checksum64(data, size));
    if (manifest_parse(&m, buf_str(&text), NULL) == 0) {
        manifest_print(&m, &printed);
        check(manifest_parse(&again, buf_str(&printed), NULL) == 0);
        check(again.count == m.count && again.lsn == m.lsn && again.time_ns == m.time_ns);
        for (uint32_t i = 0; i < m.count; i++)
            check(manifest_find(&m, m.files[i].name) != NULL);
    }
    buf_release(&text);
    buf_release(&printed);
    manifest_release(&m);
    manifest_release(&again);
    return 0;
}

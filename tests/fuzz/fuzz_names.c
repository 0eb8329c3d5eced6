/*
 * fuzz_names - any text as the name of a file of a segment and as a tenant's id.
 *
 * A name that is taken for a segment's is the one that this segment has; an id that is taken
 * is one component of a path.
 */
#include "api/tenant.h"
#include "storage/segment_format.h"

#include "base/check.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_path(struct str text)
{
    char path[SEGMENT_PATH_MAX], again[SEGMENT_PATH_MAX];
    struct segment_name n;

    if (text.len >= sizeof(path))
        return;
    memcpy(path, text.p, text.len);
    path[text.len] = '\0';
    if (!segment_path_parse(path, &n))
        return;
    segment_path(n.tenant, n.day, n.id, n.level, SEGMENT_FILE_AGG, again);
    check(strcmp(path, again) == 0);
}

static void read_tenant(struct str id)
{
    struct err err = {0};

    if (tenant_valid(id, &err) != 0) {
        check(err.msg[0] != '\0');
        return;
    }
    check(id.len > 0 && id.len <= TENANT_BYTES_MAX && id.p[0] != '\0');
    check(str_find_byte(id, '/') == SIZE_MAX && !str_eq(id, STR(".")) && !str_eq(id, STR("..")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};

    if (size > 0) {
        read_path(text);
        read_tenant(text);
    }
    return 0;
}

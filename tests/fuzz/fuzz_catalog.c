/*
 * fuzz_catalog - any bytes where the catalog should be.
 *
 * Whatever lies there, the catalog opens, set aside or believed, and lists segments or says
 * that it is damaged; a catalog that was made new takes a segment and shows it.
 */
#include "storage/catalog.h"

#include "base/check.h"
#include "base/err.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void remove_folder(void)
{
    (void)rmdir(folder);
}

static void make_folder(void)
{
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)snprintf(folder, sizeof(folder), "%s/flamekeep-fuzz-XXXXXX", where);
    check(mkdtemp(folder) && atexit(remove_folder) == 0);
}

static void empty_folder(void)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    check(dir);
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            check(unlinkat(dirfd(dir), entry->d_name, 0) == 0);
    closedir(dir);
}

static int see(void *ctx, const struct segment_meta *m, enum catalog_state state, struct err *err)
{
    uint64_t *sum = ctx;

    (void)err;
    check(state == CATALOG_LIVE || state == CATALOG_DELETING || state == CATALOG_QUARANTINED);
    for (size_t i = 0; i < m->tenant.len; i++)
        *sum += (uint8_t)m->tenant.p[i];
    for (uint32_t i = 0; i < m->source_count; i++)
        *sum += m->sources[i].head_id;
    return 0;
}

static void use(struct catalog *c, bool fresh)
{
    struct segment_meta meta = {.id = {1, 2}, .tenant = STR("t"), .created_ns = 1};
    uint64_t sum = 0;
    struct err err;

    if (fresh) {
        check(c->ops->add(c, &meta, &err) == 0);
        check(c->ops->load(c, see, &sum, &err) == 0 && sum == 't');
    } else {
        (void)c->ops->load(c, see, &sum, &err);
        (void)c->ops->set_state(c, meta.id, CATALOG_DELETING, &err);
    }
    c->ops->close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[96];
    struct catalog *c;
    struct err err;
    bool fresh;
    FILE *f;

    if (folder[0] == '\0')
        make_folder();
    (void)snprintf(path, sizeof(path), "%s/catalog.sqlite", folder);
    f = fopen(path, "wb");
    check(f && (size == 0 || fwrite(data, size, 1, f) == 1) && fclose(f) == 0);
    (void)catalog_sqlite_check(path, &err);
    if (catalog_sqlite_open(path, &c, &fresh, &err) != 0) {
        fprintf(stderr, "catalog: %s\n", err.msg);
        abort();
    }
    use(c, fresh);
    empty_folder();
    return 0;
}

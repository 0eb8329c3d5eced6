#include "server/backup/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/fs.h"
#include "server/backup/copy.h"
#include "server/backup/manifest.h"
#include "server/config.h"

static int compare(const struct manifest_file *want, const struct copied *have, struct err *err)
{
    if (have->bytes != want->bytes)
        return err_set(err, ERR_CORRUPT, "'%s' has %" PRIu64 " bytes, its manifest says %" PRIu64,
                       want->name, have->bytes, want->bytes);
    if (have->hash != want->hash)
        return err_set(err, ERR_CORRUPT,
                       "'%s' is damaged: hash %016" PRIx64 ", its manifest says %016" PRIx64,
                       want->name, have->hash, want->hash);
    return 0;
}

static int open_backup(const struct config *config, struct fs **fs, struct arena *memory,
                       const char ***names, uint32_t *count, struct err *err)
{
    int rc = fs_posix_new(config->operand, fs, err);
    if (rc == 0)
        rc = manifest_list(*fs, memory, names, count, err);
    return rc == 0 ? 0 : err_prefix(err, "'%s'", config->operand);
}

/* --- verify --- */

/* What is new in each manifest: the same file is read once. How many are damaged, or negative. */
static int verify_one(struct fs *fs, const struct manifest *m, const struct manifest *before,
                      uint64_t *bytes)
{
    int damaged = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct manifest_file *f = &m->files[i], *seen = manifest_find(before, f->name);
        struct copied copied;
        struct err err;
        if (seen && seen->hash == f->hash && seen->bytes == f->bytes)
            continue;
        int rc = copy_hash(fs, f->name, &copied, &err);
        if (rc == 0)
            rc = compare(f, &copied, &err);
        if (rc != 0) {
            damaged++;
            printf("%s\n", err.msg);
        }
        *bytes += f->bytes;
    }
    return damaged;
}

static int verify_all(const struct config *config, struct err *err)
{
    struct manifest list, before, m;
    const char **names;
    uint32_t count = 0, damaged = 0;
    uint64_t bytes = 0;
    struct fs *fs = NULL;
    manifest_init(&list);
    manifest_init(&before);
    int rc = open_backup(config, &fs, &list.memory, &names, &count, err);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        manifest_init(&m);
        rc = manifest_read(&m, fs, names[i], err);
        if (rc == ERR_CORRUPT) {
            printf("%s\n", err->msg);
            damaged++;
            rc = 0;
        } else if (rc == 0) {
            damaged += (uint32_t)verify_one(fs, &m, &before, &bytes);
        }
        manifest_release(&before);
        before = m;
    }
    if (rc == 0)
        printf("%u backups, %" PRIu64 " bytes read, %u damaged\n", count, bytes, damaged);
    if (rc == 0 && damaged > 0)
        rc = err_set(err, ERR_CORRUPT, "'%s': %u files are damaged or missing", config->operand,
                     damaged);
    manifest_release(&before);
    manifest_release(&list);
    fs_free(fs);
    return rc;
}

/* --- restore --- */

/* Where a file of a backup belongs in a data directory. */
static void place_of(const char *name, char out[FS_PATH_MAX])
{
    const char *base = strrchr(name, '/');
    if (strncmp(name, "log/", 4) != 0)
        (void)snprintf(out, FS_PATH_MAX, "%s", name);
    else if (strcmp(base + 1, "FORMAT") == 0)
        (void)snprintf(out, FS_PATH_MAX, "FORMAT");
    else
        (void)snprintf(out, FS_PATH_MAX, "wal%s", base);
}

/* Segments never change, so a second name will do; what the server writes to is copied. */
static int restore_file(struct fs *from, const struct manifest_file *f, struct fs *to,
                        const char *name, struct err *err)
{
    struct copied copied;
    int rc = strncmp(f->name, "seg/", 4) == 0 ? copy_or_link(from, f->name, to, name, &copied, err)
                                              : copy_file(from, f->name, to, name, &copied, err);
    return rc == 0 ? compare(f, &copied, err) : rc;
}

/* FORMAT last: without it the directory is no store yet. */
static int restore_files(struct fs *from, const struct manifest *m, struct fs *to, struct err *err)
{
    const struct manifest_file *format = NULL;
    char name[FS_PATH_MAX];
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < m->count; i++) {
        place_of(m->files[i].name, name);
        if (strcmp(name, "FORMAT") == 0)
            format = &m->files[i];
        else
            rc = restore_file(from, &m->files[i], to, name, err);
    }
    if (rc == 0 && !format)
        rc = err_set(err, ERR_CORRUPT, "the manifest names no FORMAT");
    return rc == 0 ? restore_file(from, format, to, "FORMAT", err) : rc;
}

static int any_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    (void)st;
    if (strcmp(name, "lost+found") == 0)
        return 0;
    return err_set(err, ERR_EXISTS, "'%s' is not empty: it holds '%s'", (const char *)ctx, name);
}

static int restore_newest(const struct config *config, struct err *err)
{
    struct manifest list, m;
    const char **names;
    uint32_t count;
    struct fs *from = NULL, *to = NULL;
    manifest_init(&list);
    manifest_init(&m);
    int rc = open_backup(config, &from, &list.memory, &names, &count, err);
    if (rc == 0 && (rc = manifest_read(&m, from, names[count - 1], err)) == 0 &&
        (rc = fs_posix_new(config->data, &to, err)) == 0 &&
        (rc = fs_list(to, ".", any_entry, config->data, err)) == 0)
        rc = restore_files(from, &m, to, err);
    if (rc == 0)
        printf("%s: %u files of %s, up to LSN %" PRIu64 "\n", config->data, m.count,
               names[count - 1], m.lsn);
    manifest_release(&m);
    manifest_release(&list);
    fs_free(from);
    fs_free(to);
    return rc;
}

static int finish(const char *name, int rc, const struct err *err)
{
    if (rc != 0)
        fprintf(stderr, "flamekeep: %s: %s\n", name, err->msg);
    return rc == 0 ? EXIT_OK : EXIT_FAILED;
}

int backup_verify(const struct config *config)
{
    struct err err = {0};
    return finish("backup verify", verify_all(config, &err), &err);
}

int backup_restore(const struct config *config)
{
    struct err err = {0};
    return finish("restore", restore_newest(config, &err), &err);
}

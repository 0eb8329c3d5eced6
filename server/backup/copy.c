#include "server/backup/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"

enum { CHUNK_BYTES = 1 << 20 };

/* The directory of a path. */
static void parent_of(const char *path, char out[FS_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(out, FS_PATH_MAX, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static void temporary_of(const char *path, char out[FS_PATH_MAX])
{
    check(snprintf(out, FS_PATH_MAX, "%s.part", path) < FS_PATH_MAX);
}

/* Reads a file to its end; `to` gets what is read, when there is one. */
static int pump(struct fs_file *from, struct fs_file *to, struct copied *out, struct err *err)
{
    uint8_t *chunk = malloc(CHUNK_BYTES);
    struct checksum sum;
    size_t got = CHUNK_BYTES;
    int rc = 0;
    check(chunk);
    checksum_begin(&sum);
    for (out->bytes = 0; rc == 0 && got == CHUNK_BYTES; out->bytes += got) {
        rc = fs_pread(from, chunk, CHUNK_BYTES, out->bytes, &got, err);
        if (rc != 0)
            break;
        checksum_add(&sum, chunk, got);
        if (to && got > 0)
            rc = fs_pwrite(to, chunk, got, out->bytes, err);
    }
    out->hash = checksum_end(&sum);
    free(chunk);
    return rc;
}

/* The temporary file is complete: gives it its name. */
static int place(struct fs *to, struct fs_file *f, const char *temporary, const char *name,
                 struct err *err)
{
    char directory[FS_PATH_MAX];
    int rc = fs_datasync(f, err);
    parent_of(name, directory);
    if (rc == 0 && (rc = fs_rename(to, temporary, name, err)) == 0)
        rc = fs_sync_dir(to, directory, err);
    return rc;
}

static int create(struct fs *to, const char *name, char temporary[FS_PATH_MAX],
                  struct fs_file **out, struct err *err)
{
    char directory[FS_PATH_MAX];
    parent_of(name, directory);
    temporary_of(name, temporary);
    int rc = strcmp(directory, ".") == 0 ? 0 : fs_make_dirs(to, directory, err);
    if (rc == 0 && (rc = fs_open(to, temporary, FS_WRITE | FS_CREATE, out, err)) == 0 &&
        (rc = fs_truncate(*out, 0, err)) != 0)
        fs_close(*out);
    return rc;
}

int copy_file(struct fs *from, const char *path, struct fs *to, const char *name,
              struct copied *out, struct err *err)
{
    char temporary[FS_PATH_MAX];
    struct fs_file *source, *target;
    int rc = fs_open(from, path, FS_READ, &source, err);
    if (rc != 0)
        return rc;
    if ((rc = create(to, name, temporary, &target, err)) == 0) {
        rc = pump(source, target, out, err);
        if (rc == 0)
            rc = place(to, target, temporary, name, err);
        fs_close(target);
        if (rc != 0)
            (void)fs_unlink(to, temporary, NULL);
    }
    fs_close(source);
    return rc;
}

int copy_hash(struct fs *fs, const char *path, struct copied *out, struct err *err)
{
    struct fs_file *f;
    int rc = fs_open(fs, path, FS_READ, &f, err);
    if (rc != 0)
        return rc;
    rc = pump(f, NULL, out, err);
    fs_close(f);
    return rc;
}

int copy_or_link(struct fs *from, const char *path, struct fs *to, const char *name,
                 struct copied *out, struct err *err)
{
    char directory[FS_PATH_MAX], temporary[FS_PATH_MAX];
    parent_of(name, directory);
    temporary_of(name, temporary);
    int rc = fs_make_dirs(to, directory, err);
    if (rc != 0)
        return rc;
    (void)fs_unlink(to, temporary, NULL);
    rc = fs_link_from(to, from, path, temporary, err);
    if (rc == ERR_UNSUPPORTED)
        return copy_file(from, path, to, name, out, err);
    if (rc == 0 && (rc = fs_rename(to, temporary, name, err)) == 0)
        rc = fs_sync_dir(to, directory, err);
    (void)fs_unlink(to, temporary,
                    NULL); /* renaming to another name of the same file does nothing */
    return rc == 0 ? copy_hash(to, name, out, err) : rc;
}

int copy_text_to(struct str text, struct fs *to, const char *name, struct err *err)
{
    char temporary[FS_PATH_MAX];
    struct fs_file *f;
    int rc = create(to, name, temporary, &f, err);
    if (rc != 0)
        return rc;
    rc = fs_pwrite(f, text.p, text.len, 0, err);
    if (rc == 0)
        rc = place(to, f, temporary, name, err);
    fs_close(f);
    return rc;
}

int copy_text_from(struct fs *from, const char *name, struct buf *out, struct err *err)
{
    struct fs_file *f;
    uint64_t size;
    size_t got = 0;
    int rc = fs_open(from, name, FS_READ, &f, err);
    if (rc != 0)
        return rc;
    if ((rc = fs_file_size(f, &size, err)) == 0 && (rc = buf_reserve(out, size)) != 0)
        rc = err_set(err, ERR_TOO_LARGE, "'%s': %llu bytes, more than %zu", name,
                     (unsigned long long)size, out->max);
    if (rc == 0 && (rc = fs_pread(f, out->data, size, 0, &got, err)) == 0)
        out->len = got;
    fs_close(f);
    return rc;
}

#include "storage/missing_note.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAGIC_BYTES = 8,
    CHECKSUM_BYTES = 8,
    NOTE_BYTES_MAX = 64 << 20, /* a million services with short names */
    PART_BYTES_MIN = 4,
};

static const char magic[MAGIC_BYTES] = {'f', 'k', 'm', 'i', 's', 's', '\n', 0};

void missing_note_encode(const struct missing_part *parts, uint32_t count, struct buf *out)
{
    size_t first = out->len;
    uint8_t sum[CHECKSUM_BYTES];

    (void)buf_append(out, magic, sizeof(magic));
    buf_put_varint(out, count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t span = (uint64_t)parts[i].time.last_ns - (uint64_t)parts[i].time.first_ns;

        buf_put_varint(out, parts[i].service.len);
        (void)buf_append_str(out, parts[i].service);
        buf_put_zigzag(out, parts[i].time.first_ns);
        buf_put_varint(out, span);
        buf_put_varint(out, parts[i].bytes);
    }
    if (out->failed)
        return;
    put_le64(sum, checksum64(out->data + first, out->len - first));
    (void)buf_append(out, sum, sizeof(sum));
}

static bool take_part(struct bytes *b, struct missing_part *part)
{
    uint64_t span;

    if (!bytes_take_sized(b, &part->service) || !bytes_zigzag(b, &part->time.first_ns) ||
        !bytes_varint(b, &span) || !bytes_varint(b, &part->bytes))
        return false;
    part->time.last_ns = (int64_t)((uint64_t)part->time.first_ns + span);
    return part->time.last_ns >= part->time.first_ns;
}

static bool checksum_ok(struct str raw)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    return raw.len >= MAGIC_BYTES + CHECKSUM_BYTES;
#else
    return raw.len >= MAGIC_BYTES + CHECKSUM_BYTES &&
           get_le64(raw.p + raw.len - CHECKSUM_BYTES) ==
               checksum64(raw.p, raw.len - CHECKSUM_BYTES);
#endif
}

int missing_note_decode(struct str raw, struct arena *arena, struct missing_part **parts,
                        uint32_t *count, struct err *err)
{
    struct bytes b;
    uint64_t n;

    if (!checksum_ok(raw) || memcmp(raw.p, magic, sizeof(magic)) != 0)
        return err_set(err, ERR_CORRUPT, "a missing note of %zu bytes: no magic or checksum",
                       raw.len);
    b = bytes_of(str_slice(raw, MAGIC_BYTES, raw.len - CHECKSUM_BYTES));
    if (!bytes_varint(&b, &n) || n > bytes_left(&b) / PART_BYTES_MIN)
        return err_set(err, ERR_CORRUPT, "a missing note of %zu bytes: a wrong count", raw.len);
    *parts = arena_array(arena, struct missing_part, (size_t)n);
    if (n > 0 && !*parts)
        return err_set(err, ERR_TOO_LARGE, "a missing note of %" PRIu64 " services: no memory", n);
    for (uint64_t i = 0; i < n; i++)
        if (!take_part(&b, &(*parts)[i]))
            return err_set(err, ERR_CORRUPT, "a missing note: service %" PRIu64 " is damaged", i);
    if (bytes_left(&b) != 0)
        return err_set(err, ERR_CORRUPT, "a missing note has %zu bytes too many", bytes_left(&b));
    *count = (uint32_t)n;
    return 0;
}

/* quarantine/seg_..._<level>-<id>.missing */
static void note_path(const char *path, char out[FS_PATH_MAX])
{
    size_t stem = strlen("quarantine/");

    (void)snprintf(out, FS_PATH_MAX, "quarantine/%.*s.missing", (int)(strlen(path) - 4), path);
    for (char *c = out + stem; *c; c++)
        if (*c == '/')
            *c = '_';
}

int missing_note_read(struct fs *fs, const char *path, struct arena *arena,
                      struct missing_part **parts, uint32_t *count, struct err *err)
{
    char note[FS_PATH_MAX];
    struct fs_file *f;
    uint64_t size;
    size_t got = 0;
    char *raw;
    int rc;

    note_path(path, note);
    if ((rc = fs_open(fs, note, FS_READ, &f, err)) != 0)
        return rc;
    rc = fs_file_size(f, &size, err);
    if (rc == 0 && size > NOTE_BYTES_MAX)
        rc = err_set(err, ERR_CORRUPT, "'%s' has %" PRIu64 " bytes", note, size);
    raw = rc == 0 ? arena_alloc(arena, (size_t)size) : NULL;
    if (rc == 0)
        rc = raw ? fs_pread(f, raw, (size_t)size, 0, &got, err)
                 : err_set(err, ERR_TOO_LARGE, "'%s': no memory to read it", note);
    fs_close(f);
    return rc != 0 ? rc : missing_note_decode((struct str){raw, got}, arena, parts, count, err);
}

int missing_note_write(struct fs *fs, const char *path, const struct missing_part *parts,
                       uint32_t count, struct err *err)
{
    char note[FS_PATH_MAX];
    struct fs_file *f;
    struct buf raw;
    int rc;

    note_path(path, note);
    buf_init(&raw, NOTE_BYTES_MAX);
    missing_note_encode(parts, count, &raw);
    rc = raw.failed ? err_set(err, ERR_TOO_LARGE, "'%s': more than %d bytes", note, NOTE_BYTES_MAX)
                    : fs_open(fs, "tmp/missing", FS_WRITE | FS_CREATE, &f, err);
    if (rc == 0) {
        if ((rc = fs_truncate(f, 0, err)) == 0 &&
            (rc = fs_pwrite(f, raw.data, raw.len, 0, err)) == 0)
            rc = fs_datasync(f, err);
        fs_close(f);
    }
    buf_release(&raw);
    if (rc != 0 || (rc = fs_rename(fs, "tmp/missing", note, err)) != 0)
        return rc;
    return fs_sync_dir(fs, "quarantine", err);
}

#include "storage/format_file.h"

#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    INSTANCE_HEX = 32,
    CHECKSUM_HEX = 16,
};

static bool hex_digit(char c, uint8_t *out)
{
    if (c >= '0' && c <= '9')
        *out = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *out = (uint8_t)(c - 'a' + 10);
    else
        return false;
    return true;
}

static bool parse_instance(struct str hex, uint8_t instance[16])
{
    if (hex.len != INSTANCE_HEX)
        return false;
    for (size_t i = 0; i < INSTANCE_HEX; i += 2) {
        uint8_t high, low;

        if (!hex_digit(hex.p[i], &high) || !hex_digit(hex.p[i + 1], &low))
            return false;
        instance[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool take_line(struct str *rest, struct str prefix, struct str *value)
{
    struct str line;
    size_t end = str_find_byte(*rest, '\n');

    if (end == SIZE_MAX)
        return false;
    line = str_slice(*rest, 0, end);
    *rest = str_slice(*rest, end + 1, rest->len);
    if (!str_starts(line, prefix))
        return false;
    *value = str_slice(line, prefix.len, line.len);
    return true;
}

static bool checksum_ok(struct str text, struct str hex)
{
    char want[CHECKSUM_HEX + 1];

    (void)snprintf(want, sizeof(want), "%016" PRIx64, checksum64(text.p, text.len));
    return str_eq(hex, str_from(want));
}

bool format_file_parse(struct str text, struct format_file *out)
{
    struct str rest = text, value, number, checked;
    size_t dot;

    memset(out, 0, sizeof(*out));
    if (!take_line(&rest, STR("flamekeep data directory"), &value) || value.len != 0 ||
        !take_line(&rest, STR("format "), &value) || (dot = str_find_byte(value, '.')) == SIZE_MAX)
        return false;
    number = str_slice(value, dot + 1, value.len);
    if (!str_parse_u64(str_slice(value, 0, dot), UINT32_MAX, &out->major) ||
        !str_parse_u64(number, UINT32_MAX, &out->minor) ||
        !take_line(&rest, STR("instance "), &value) || !parse_instance(value, out->instance))
        return false;
    if (rest.len == 0)
        return true;
    checked = str_slice(text, 0, text.len - rest.len);
    return take_line(&rest, STR("checksum "), &value) && checksum_ok(checked, value) &&
           rest.len == 0;
}

size_t format_file_print(const struct format_file *f, char out[FORMAT_FILE_BYTES_MAX])
{
    char hex[INSTANCE_HEX + 1];
    int len, more;

    for (size_t i = 0; i < sizeof(f->instance); i++)
        (void)snprintf(hex + i * 2, 3, "%02x", f->instance[i]);
    len = snprintf(out, FORMAT_FILE_BYTES_MAX,
                   "flamekeep data directory\nformat %" PRIu64 ".%" PRIu64 "\ninstance %s\n",
                   f->major, f->minor, hex);
    more = snprintf(out + len, FORMAT_FILE_BYTES_MAX - (size_t)len, "checksum %016" PRIx64 "\n",
                    checksum64(out, (size_t)len));
    return (size_t)len + (size_t)more;
}

int format_file_read(struct fs *fs, struct format_file *out, struct err *err)
{
    char text[FORMAT_FILE_BYTES_MAX];
    struct fs_file *f;
    size_t got = 0;
    int rc = fs_open(fs, "FORMAT", FS_READ, &f, err);

    if (rc != 0)
        return rc;
    rc = fs_pread(f, text, sizeof(text), 0, &got, err);
    fs_close(f);
    if (rc != 0)
        return rc;
    if (!format_file_parse((struct str){text, got}, out))
        return err_set(err, ERR_UNSUPPORTED,
                       "'FORMAT' (%zu bytes) is not that of a flamekeep data directory, or "
                       "damaged; point --data at an empty directory, or restore the file",
                       got);
    if (out->major > FORMAT_FILE_MAJOR)
        return err_set(err, ERR_UNSUPPORTED,
                       "the data directory has format %" PRIu64 ", this version reads up to %d; "
                       "run a newer flamekeep",
                       out->major, FORMAT_FILE_MAJOR);
    return 0;
}

int format_file_write(struct fs *fs, const struct format_file *f, struct err *err)
{
    char text[FORMAT_FILE_BYTES_MAX];
    size_t len = format_file_print(f, text);
    struct fs_file *file;
    int rc = fs_open(fs, "tmp/FORMAT", FS_WRITE | FS_CREATE, &file, err);

    if (rc != 0)
        return rc;
    if ((rc = fs_truncate(file, 0, err)) == 0 && (rc = fs_pwrite(file, text, len, 0, err)) == 0)
        rc = fs_datasync(file, err);
    fs_close(file);
    if (rc != 0 || (rc = fs_rename(fs, "tmp/FORMAT", "FORMAT", err)) != 0)
        return rc;
    return fs_sync_dir(fs, ".", err);
}

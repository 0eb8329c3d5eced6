/*
 * format_file - FORMAT, the file that makes a directory ours: format version and instance.
 *
 * Text, written once when the directory is new; docs/storage-format.md, "FORMAT". A log file
 * of another instance is not replayed, so a damaged instance would cost the log: the text ends with
 * a checksum, and anything that does not match is refused. Texts without that line are from before
 * there was one.
 *
 * Pure functions of one file; the caller holds LOCK where it writes.
 */
#ifndef STORAGE_FORMAT_FILE_H
#define STORAGE_FORMAT_FILE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct fs;

enum {
    FORMAT_FILE_MAJOR = 0,
    FORMAT_FILE_MINOR = 0,
    FORMAT_FILE_BYTES_MAX = 256,
};

struct format_file {
    uint64_t major, minor;
    uint8_t instance[16];
};

/* False: not the text of a FORMAT file. */
bool format_file_parse(struct str text, struct format_file *out);
/* Returns the length. */
size_t format_file_print(const struct format_file *f, char out[FORMAT_FILE_BYTES_MAX]);

/* ERR_NOT_FOUND: there is none; ERR_UNSUPPORTED: damaged, not ours, or of a newer version. */
int format_file_read(struct fs *fs, struct format_file *out, struct err *err);
/* Temp, sync, rename, directory; tmp/ must exist. */
int format_file_write(struct fs *fs, const struct format_file *f, struct err *err);

#endif

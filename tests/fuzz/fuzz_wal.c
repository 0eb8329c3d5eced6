/*
 * fuzz_wal - any bytes as the records of two files of the log.
 *
 * The first two bytes say where the second file begins. Headers are made here, because their
 * checksum would keep everything else out; records need none in a fuzzing build. Whatever is
 * in the files: the log opens, shows LSNs in order, and takes a record.
 */
#include "storage/wal.h"

#include "storage/wal_format.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"

#include "tests/support/fs_fault.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    FILE_BYTES = 4096,
};

static void write_file(struct fs *fs, uint32_t epoch, uint64_t first_lsn, const uint8_t *data,
                       size_t size)
{
    const struct wal_header header = {.version = WAL_VERSION,
                                      .epoch = epoch,
                                      .first_lsn = first_lsn,
                                      .previous_last_lsn = first_lsn - 1};
    uint8_t raw[WAL_HEADER_BYTES];
    char path[WAL_PATH_MAX];
    struct fs_file *f;

    wal_path(epoch, path);
    wal_header_put(&header, raw);
    check(fs_open(fs, path, FS_WRITE | FS_CREATE, &f, NULL) == 0);
    check(fs_pwrite(f, raw, sizeof(raw), 0, NULL) == 0);
    if (size > 0)
        check(fs_pwrite(f, data, size, sizeof(raw), NULL) == 0);
    fs_close(f);
}

static int replayed(void *ctx, const struct wal_replay_record *record, struct err *err)
{
    uint64_t *last = ctx;

    (void)err;
    check(record->lsn > *last);
    *last = record->lsn;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fs *fs = fs_fault_new();
    struct wal_options o = {.fs = fs,
                            .clock = clock_system(),
                            .file_bytes_min = FILE_BYTES,
                            .file_bytes_max = FILE_BYTES,
                            .bytes_max = 1 << 24,
                            .group_bytes_max = 1 << 20};
    struct wal_replay_report report;
    struct wal *wal = NULL;
    uint64_t last = 0, lsn;
    size_t first;
    int rc;

    if (size >= 2) {
        first = data[0] | (size_t)data[1] << 8;
        first = first < size - 2 ? first : size - 2;
        check(fs_mkdir(fs, "wal", NULL) == 0);
        write_file(fs, 1, 1, data + 2, first);
        write_file(fs, 2, 4, data + 2 + first, size - 2 - first);
        check(wal_open(&o, replayed, &last, &report, &wal, NULL) == 0);
        do
            rc = wal_append(wal, wal_epoch(wal), WAL_PUSH, STR("record"), &lsn, NULL);
        while (rc == ERR_STALE);
        check(rc == 0);
        check(lsn > last);
        check(wal_commit_group(wal, true, NULL) == 1);
        check(wal_durable_lsn(wal) == lsn);
        (void)wal_close(wal, NULL);
    }
    fs_free(fs);
    return 0;
}

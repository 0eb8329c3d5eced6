/*
 * wal_format - the bytes of a WAL file; docs/storage-format.md, "WAL".
 *
 *   file    header (64 bytes), then records, each starting at a multiple of 8
 *   header  magic 8 | version 4 | epoch 4 | instance 16 | first LSN 8 |
 *           previous last LSN 8 | reserved 8 | checksum 8 (of the 56 bytes before)
 *   record  payload bytes 4 | type 1 | zero 3 | encode epoch 4 | zero 4 | LSN 8 |
 *           durable LSN 8 | checksum 8 | payload, padded with zeroes
 *
 * The record's checksum covers the file's epoch, the 32 bytes before it and the
 * payload: what an earlier life of a recycled file left behind never validates.
 * "Previous last LSN" is the last LSN that counts in earlier files: records
 * there beyond it are void (a torn tail, or a group that was written again).
 * "Encode epoch" is the file whose definitions the payload relies on: this one,
 * or the one before when a group had to be written again after a failed sync.
 * "Durable LSN" is the last one known durable when the record was written.
 */
#ifndef STORAGE_WAL_FORMAT_H
#define STORAGE_WAL_FORMAT_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WAL_HEADER_BYTES = 64,
    WAL_RECORD_BYTES = 40,
    WAL_ALIGN = 8,
    WAL_VERSION = 0,
    WAL_PATH_MAX = 48,
};

struct wal_header {
    uint32_t version, epoch;
    uint8_t instance[16];
    uint64_t first_lsn, previous_last_lsn;
};

struct wal_record {
    uint8_t type;
    uint32_t encode_epoch;
    uint64_t lsn, durable_lsn;
    struct str payload;
};

static inline uint64_t wal_record_size(uint64_t payload_bytes)
{
    return (WAL_RECORD_BYTES + payload_bytes + WAL_ALIGN - 1) & ~(uint64_t)(WAL_ALIGN - 1);
}

void wal_header_put(const struct wal_header *h, uint8_t out[WAL_HEADER_BYTES]);
/* False: not a header. */
bool wal_header_get(const uint8_t in[WAL_HEADER_BYTES], struct wal_header *out);

/*
 * Writes header, payload and padding at `out`, which has wal_record_size() bytes;
 * durable LSN and checksum come with wal_record_seal().
 */
void wal_record_put(const struct wal_record *r, uint8_t *out);
/* Makes the record at `at` valid for a file; again for another file. */
void wal_record_seal(uint8_t *at, uint32_t epoch, uint64_t durable_lsn);
/* The record that starts at data[offset] of a file of this epoch; false when there is none. */
bool wal_record_get(struct str data, uint64_t offset, uint32_t epoch, struct wal_record *out);

/* "wal/0000000012.wal" and "wal/spare-3". */
void wal_path(uint32_t epoch, char out[WAL_PATH_MAX]);
void wal_spare_path(uint32_t number, char out[WAL_PATH_MAX]);

#endif

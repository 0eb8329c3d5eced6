#include "storage/wal_format.h"

#include "base/bytes.h"
#include "base/hash.h"

#include <stdio.h>
#include <string.h>

static const char magic[8] = {'f', 'k', 'w', 'a', 'l', '\r', '\n', 0};

/* Offsets in the header and in a record's. */
enum {
    H_VERSION = 8,
    H_EPOCH = 12,
    H_INSTANCE = 16,
    H_FIRST_LSN = 32,
    H_PREVIOUS = 40,
    H_CHECKSUM = 56,
    R_TYPE = 4,
    R_ENCODE_EPOCH = 8,
    R_LSN = 16,
    R_DURABLE = 24,
    R_CHECKSUM = 32,
};

_Static_assert(H_CHECKSUM + 8 == WAL_HEADER_BYTES, "docs/storage-format.md, WAL");
_Static_assert(R_CHECKSUM + 8 == WAL_RECORD_BYTES, "docs/storage-format.md, WAL");

void wal_header_put(const struct wal_header *h, uint8_t out[WAL_HEADER_BYTES])
{
    memset(out, 0, WAL_HEADER_BYTES);
    memcpy(out, magic, sizeof(magic));
    put_le32(out + H_VERSION, h->version);
    put_le32(out + H_EPOCH, h->epoch);
    memcpy(out + H_INSTANCE, h->instance, sizeof(h->instance));
    put_le64(out + H_FIRST_LSN, h->first_lsn);
    put_le64(out + H_PREVIOUS, h->previous_last_lsn);
    put_le64(out + H_CHECKSUM, checksum64(out, H_CHECKSUM));
}

bool wal_header_get(const uint8_t in[WAL_HEADER_BYTES], struct wal_header *out)
{
    if (memcmp(in, magic, sizeof(magic)) != 0 ||
        get_le64(in + H_CHECKSUM) != checksum64(in, H_CHECKSUM))
        return false;
    out->version = get_le32(in + H_VERSION);
    out->epoch = get_le32(in + H_EPOCH);
    memcpy(out->instance, in + H_INSTANCE, sizeof(out->instance));
    out->first_lsn = get_le64(in + H_FIRST_LSN);
    out->previous_last_lsn = get_le64(in + H_PREVIOUS);
    return true;
}

static uint64_t record_checksum(const uint8_t *at, uint32_t epoch)
{
    uint8_t head[4 + R_CHECKSUM];

    put_le32(head, epoch);
    memcpy(head + 4, at, R_CHECKSUM);
    return checksum64_parts(head, sizeof(head), at + WAL_RECORD_BYTES, get_le32(at));
}

void wal_record_put(const struct wal_record *r, uint8_t *out)
{
    uint64_t size = wal_record_size(r->payload.len);

    memset(out, 0, WAL_RECORD_BYTES);
    put_le32(out, (uint32_t)r->payload.len);
    out[R_TYPE] = r->type;
    put_le32(out + R_ENCODE_EPOCH, r->encode_epoch);
    put_le64(out + R_LSN, r->lsn);
    memcpy(out + WAL_RECORD_BYTES, r->payload.p, r->payload.len);
    memset(out + WAL_RECORD_BYTES + r->payload.len, 0, size - WAL_RECORD_BYTES - r->payload.len);
}

void wal_record_seal(uint8_t *at, uint32_t epoch, uint64_t durable_lsn)
{
    put_le64(at + R_DURABLE, durable_lsn);
    put_le64(at + R_CHECKSUM, record_checksum(at, epoch));
}

bool wal_record_get(struct str data, uint64_t offset, uint32_t epoch, struct wal_record *out)
{
    const uint8_t *at = (const uint8_t *)data.p + offset;
    uint32_t payload_bytes;

    if (offset + WAL_RECORD_BYTES > data.len)
        return false;
    payload_bytes = get_le32(at);
    if (at[R_TYPE] == 0 || wal_record_size(payload_bytes) > data.len - offset)
        return false;
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (get_le64(at + R_CHECKSUM) != record_checksum(at, epoch))
        return false;
#else
    (void)epoch;
#endif
    *out = (struct wal_record){
        .type = at[R_TYPE],
        .encode_epoch = get_le32(at + R_ENCODE_EPOCH),
        .lsn = get_le64(at + R_LSN),
        .durable_lsn = get_le64(at + R_DURABLE),
        .payload = {(const char *)at + WAL_RECORD_BYTES, payload_bytes},
    };
    return true;
}

void wal_path(uint32_t epoch, char out[WAL_PATH_MAX])
{
    (void)snprintf(out, WAL_PATH_MAX, "wal/%010u.wal", epoch);
}

void wal_spare_path(uint32_t number, char out[WAL_PATH_MAX])
{
    (void)snprintf(out, WAL_PATH_MAX, "wal/spare-%u", number);
}

#include "storage/segment_format.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    MAGIC_BYTES = 8,
    ID_HEX = 32,
    DAY_DIGITS = 8,

    H_MAJOR = 8,
    H_MINOR = 10,
    H_LEVEL = 12,
    H_ID = 16,
    H_DAY = 32,
    H_INCOMPATIBLE = 36,
    H_COMPATIBLE = 40,
    H_TENANT = 48,
    H_CHECKSUM = 56,

    F_TABLE_OFFSET = 0,
    F_TABLE_CHECKSUM = 8,
    F_TABLE_COUNT = 16,
    F_SERVICES = 20,
    F_SOURCES = 24,
    F_AGG_BYTES = 32,
    F_SMP_BYTES = 40,
    F_SMP_CHECKSUM = 48,
    F_ROWS = 56,
    F_SAMPLES = 64,
    F_FIRST = 72,
    F_LAST = 80,
    F_CREATED = 88,
    F_ZEROES = 96,
    F_CHECKSUM = 112,
    F_MAGIC = 120,
};

_Static_assert(SEGMENT_HEADER_BYTES == H_CHECKSUM + 8, "docs/storage-format.md, Header");
_Static_assert(SEGMENT_FOOTER_BYTES == F_MAGIC + MAGIC_BYTES, "docs/storage-format.md, Footer");

static const char magics[][MAGIC_BYTES + 1] = {
    [SEGMENT_FILE_AGG] = "FLKPAGG\n",
    [SEGMENT_FILE_SMP] = "FLKPSMP\n",
};
static const char footer_magic[] = "FLKPEND\n";

bool segment_checksums_in_fuzzing;

bool segment_checksum_ok(const void *data, size_t size, uint64_t want)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    if (!segment_checksums_in_fuzzing)
        return true;
#endif
    return checksum64(data, size) == want;
}

void segment_path(struct str tenant, int32_t day, struct segment_id id, uint8_t level,
                  enum segment_file file, char out[SEGMENT_PATH_MAX])
{
    time_t t = (time_t)day * 86400;
    struct tm tm;
    int len;

    check(gmtime_r(&t, &tm) != NULL);
    len = snprintf(out, SEGMENT_PATH_MAX,
                   "seg/%" STR_FMT "/%04d%02d%02d/%u-%016" PRIx64 "%016" PRIx64 ".%s",
                   STR_ARG(tenant), tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, level, id.hi,
                   id.lo, file == SEGMENT_FILE_AGG ? "agg" : "smp");
    check(len > 0 && len < SEGMENT_PATH_MAX);
}

void segment_header_put(const struct segment_header *h, enum segment_file file,
                        uint8_t out[SEGMENT_HEADER_BYTES])
{
    memset(out, 0, SEGMENT_HEADER_BYTES);
    memcpy(out, magics[file], MAGIC_BYTES);
    put_le16(out + H_MAJOR, SEGMENT_MAJOR);
    put_le16(out + H_MINOR, SEGMENT_MINOR);
    out[H_LEVEL] = h->level;
    put_le64(out + H_ID, h->id.hi);
    put_le64(out + H_ID + 8, h->id.lo);
    put_le32(out + H_DAY, (uint32_t)h->day);
    put_le64(out + H_TENANT, h->tenant_hash);
    put_le64(out + H_CHECKSUM, checksum64(out, H_CHECKSUM));
}

/* yyyymmdd to days since 1970; false when it is no date. */
static bool parse_day(struct str text, int32_t *day)
{
    uint64_t v;
    struct tm tm = {0}, back;
    time_t t;

    if (text.len != DAY_DIGITS || !str_parse_u64(text, 99999999, &v))
        return false;
    tm.tm_year = (int)(v / 10000) - 1900;
    tm.tm_mon = (int)(v / 100 % 100) - 1;
    tm.tm_mday = (int)(v % 100);
    t = timegm(&tm);
    if (!gmtime_r(&t, &back) || back.tm_mday != (int)(v % 100) ||
        back.tm_mon != (int)(v / 100 % 100) - 1 || t % 86400 != 0)
        return false;
    *day = (int32_t)(t / 86400);
    return true;
}

static bool parse_hex64(struct str text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = strchr("0123456789abcdef", text.p[i]);

        if (!at || !text.p[i])
            return false;
        *out = *out << 4 | (uint64_t)(at - "0123456789abcdef");
    }
    return text.len == ID_HEX / 2;
}

bool segment_path_parse(const char *path, struct segment_name *out)
{
    struct str rest = str_from(path), part, file;
    uint64_t level;
    size_t dash;

    if (!str_split(&rest, '/', &part) || !str_eq(part, STR("seg")) ||
        !str_split(&rest, '/', &out->tenant) || !str_split(&rest, '/', &part) ||
        !parse_day(part, &out->day) || !str_split(&rest, '/', &file) || rest.len != SIZE_MAX ||
        !str_ends(file, STR(".agg")))
        return false;
    dash = str_find_byte(file, '-');
    if (dash == SIZE_MAX || file.len != dash + 1 + ID_HEX + 4 || (dash > 1 && file.p[0] == '0') ||
        !str_parse_u64(str_slice(file, 0, dash), UINT8_MAX, &level))
        return false;
    out->level = (uint8_t)level;
    return parse_hex64(str_slice(file, dash + 1, dash + 1 + ID_HEX / 2), &out->id.hi) &&
           parse_hex64(str_slice(file, dash + 1 + ID_HEX / 2, dash + 1 + ID_HEX), &out->id.lo);
}

static bool are_zero(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i] != 0)
            return false;
    return true;
}

int segment_header_check(const uint8_t in[SEGMENT_HEADER_BYTES], const struct segment_header *want,
                         enum segment_file file, const char *name, struct err *err)
{
    if (memcmp(in, magics[file], MAGIC_BYTES) != 0)
        return err_set(err, ERR_CORRUPT, "'%s': header at offset 0 has no magic %.7s", name,
                       magics[file]);
    if (get_le16(in + H_MAJOR) != SEGMENT_MAJOR)
        return err_set(err, ERR_UNSUPPORTED,
                       "'%s': format %u.%u, this version reads %d.x; run a newer flamekeep", name,
                       get_le16(in + H_MAJOR), get_le16(in + H_MINOR), SEGMENT_MAJOR);
    if (!segment_checksum_ok(in, H_CHECKSUM, get_le64(in + H_CHECKSUM)))
        return err_set(err, ERR_CORRUPT, "'%s': header at offset 0 has a wrong checksum", name);
    if (get_le32(in + H_INCOMPATIBLE) != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "'%s': uses features %#x that this version does not know; run a newer "
                       "flamekeep",
                       name, get_le32(in + H_INCOMPATIBLE));
    if (get_le64(in + H_ID) != want->id.hi || get_le64(in + H_ID + 8) != want->id.lo ||
        get_le32(in + H_DAY) != (uint32_t)want->day || in[H_LEVEL] != want->level ||
        get_le64(in + H_TENANT) != want->tenant_hash || !are_zero(in + H_LEVEL + 1, 3))
        return err_set(err, ERR_CORRUPT,
                       "'%s': header at offset 0 is of segment %016" PRIx64 "%016" PRIx64
                       ", level %u, day %u or of another tenant",
                       name, get_le64(in + H_ID), get_le64(in + H_ID + 8), in[H_LEVEL],
                       get_le32(in + H_DAY));
    return 0;
}

void segment_section_put(const struct segment_section *s, uint8_t out[SEGMENT_ENTRY_BYTES])
{
    memset(out, 0, SEGMENT_ENTRY_BYTES);
    put_le32(out, s->kind);
    put_le32(out + 4, s->service);
    put_le64(out + 8, s->offset);
    put_le64(out + 16, s->stored);
    put_le64(out + 24, s->raw);
    put_le64(out + 32, s->checksum);
    out[40] = s->compression;
    out[41] = s->version;
}

void segment_section_get(const uint8_t in[SEGMENT_ENTRY_BYTES], struct segment_section *out)
{
    *out = (struct segment_section){
        .kind = get_le32(in),
        .service = get_le32(in + 4),
        .offset = get_le64(in + 8),
        .stored = get_le64(in + 16),
        .raw = get_le64(in + 24),
        .checksum = get_le64(in + 32),
        .compression = in[40],
        .version = in[41],
    };
}

void segment_footer_put(const struct segment_footer *f, uint8_t out[SEGMENT_FOOTER_BYTES])
{
    memset(out, 0, SEGMENT_FOOTER_BYTES);
    put_le64(out + F_TABLE_OFFSET, f->table_offset);
    put_le64(out + F_TABLE_CHECKSUM, f->table_checksum);
    put_le32(out + F_TABLE_COUNT, f->table_count);
    put_le32(out + F_SERVICES, f->services);
    put_le32(out + F_SOURCES, f->sources);
    put_le64(out + F_AGG_BYTES, f->agg_bytes);
    put_le64(out + F_SMP_BYTES, f->smp_bytes);
    put_le64(out + F_SMP_CHECKSUM, f->smp_checksum);
    put_le64(out + F_ROWS, f->rows);
    put_le64(out + F_SAMPLES, f->samples);
    put_le64(out + F_FIRST, (uint64_t)f->time.first_ns);
    put_le64(out + F_LAST, (uint64_t)f->time.last_ns);
    put_le64(out + F_CREATED, (uint64_t)f->created_ns);
    put_le64(out + F_CHECKSUM, checksum64(out, F_CHECKSUM));
    memcpy(out + F_MAGIC, footer_magic, MAGIC_BYTES);
}

int segment_footer_get(const uint8_t in[SEGMENT_FOOTER_BYTES], const char *name,
                       struct segment_footer *out, struct err *err)
{
    if (memcmp(in + F_MAGIC, footer_magic, MAGIC_BYTES) != 0)
        return err_set(err, ERR_CORRUPT, "'%s': the last 8 bytes are not a footer's magic", name);
    if (!segment_checksum_ok(in, F_CHECKSUM, get_le64(in + F_CHECKSUM)))
        return err_set(err, ERR_CORRUPT, "'%s': the footer has a wrong checksum", name);
    *out = (struct segment_footer){
        .table_offset = get_le64(in + F_TABLE_OFFSET),
        .table_checksum = get_le64(in + F_TABLE_CHECKSUM),
        .table_count = get_le32(in + F_TABLE_COUNT),
        .services = get_le32(in + F_SERVICES),
        .sources = get_le32(in + F_SOURCES),
        .agg_bytes = get_le64(in + F_AGG_BYTES),
        .smp_bytes = get_le64(in + F_SMP_BYTES),
        .smp_checksum = get_le64(in + F_SMP_CHECKSUM),
        .rows = get_le64(in + F_ROWS),
        .samples = get_le64(in + F_SAMPLES),
        .time = {(int64_t)get_le64(in + F_FIRST), (int64_t)get_le64(in + F_LAST)},
        .created_ns = (int64_t)get_le64(in + F_CREATED),
    };
    if (out->time.first_ns > out->time.last_ns || out->services == 0 ||
        out->services > SEGMENT_SERVICES_MAX || out->sources > SEGMENT_SOURCES_MAX ||
        out->table_count > SEGMENT_SECTIONS_MAX || !are_zero(in + F_SOURCES + 4, 4) ||
        !are_zero(in + F_ZEROES, F_CHECKSUM - F_ZEROES))
        return err_set(err, ERR_CORRUPT,
                       "'%s': the footer says %u services, %u sources, %u sections, rows from "
                       "%" PRId64 " to %" PRId64,
                       name, out->services, out->sources, out->table_count, out->time.first_ns,
                       out->time.last_ns);
    return 0;
}

const char *segment_kind_name(uint32_t kind, char out[4])
{
    for (int i = 0; i < 3; i++) {
        char c = (char)(kind >> (8 * i) & 0xff);

        out[i] = c >= 'A' && c <= 'Z' ? c : '?';
    }
    out[3] = '\0';
    return out;
}

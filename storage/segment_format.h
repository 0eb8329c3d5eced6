/*
 * segment_format - the fixed parts of segment files; mirrors docs/storage-format.md, "Segment".
 *
 * Header, section table and footer are bytes at fixed places; what lies inside
 * sections is in segment_symbols.h, segment_index.h, segment_rows.h and
 * segment_chunk.h. Everything is little endian and goes through get/put.
 *
 * Reading checks all it can without other bytes: magic, version, feature bits,
 * checksum, zeroes. Errors are ERR_CORRUPT (ERR_UNSUPPORTED for a newer format)
 * and name file, place, expectation and what was found. Pure functions.
 */
#ifndef STORAGE_SEGMENT_FORMAT_H
#define STORAGE_SEGMENT_FORMAT_H

#include "storage/segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum {
    SEGMENT_MAJOR = 0,
    SEGMENT_MINOR = 0,
    SEGMENT_HEADER_BYTES = 64,
    SEGMENT_ENTRY_BYTES = 48, /* of the section table */
    SEGMENT_FOOTER_BYTES = 128,
    SEGMENT_ALIGN = 8, /* of sections in .agg; blocks in .smp are packed */
    SEGMENT_SERVICES_MAX = 1 << 20,
    SEGMENT_SOURCES_MAX = 1 << 20,
    SEGMENT_SECTIONS_MAX = 1 << 24,
    SEGMENT_PATH_MAX = 512,
};

/* The service field of a section that belongs to the file. */
#define SEGMENT_WHOLE_FILE UINT32_MAX

#define SECTION_KIND(a, b, c) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16)

enum segment_section_kind {
    SECTION_STR = SECTION_KIND('S', 'T', 'R'), /* strings */
    SECTION_FUN = SECTION_KIND('F', 'U', 'N'), /* functions */
    SECTION_MAP = SECTION_KIND('M', 'A', 'P'), /* mappings */
    SECTION_LOC = SECTION_KIND('L', 'O', 'C'), /* locations */
    SECTION_STK = SECTION_KIND('S', 'T', 'K'), /* stack tree */
    SECTION_LBL = SECTION_KIND('L', 'B', 'L'), /* streams and typesets */
    SECTION_DIR = SECTION_KIND('D', 'I', 'R'), /* entries and their blocks */
    SECTION_DSD = SECTION_KIND('D', 'S', 'D'), /* services of the file */
    SECTION_MTA = SECTION_KIND('M', 'T', 'A'), /* tenant and sources */
    /* Sums of rows; a service may lack any of them. */
    SECTION_TOT = SECTION_KIND('T', 'O', 'T'), /* totals per window */
    SECTION_RLD = SECTION_KIND('R', 'L', 'D'), /* where the parts of AGG and FLM are */
    SECTION_AGG = SECTION_KIND('A', 'G', 'G'), /* rollup vectors */
    SECTION_FLM = SECTION_KIND('F', 'L', 'M'), /* function-level tree */
    /* Reserved; not written yet, ignored when met. */
    SECTION_RNK = SECTION_KIND('R', 'N', 'K'), /* popularity rank -> node; absent: identity */
    SECTION_TMB = SECTION_KIND('T', 'M', 'B'), /* lineage, applied deletions */
};

enum segment_compression {
    SEGMENT_PLAIN = 0,
    SEGMENT_ZSTD = 1,
    SEGMENT_ZSTD_BLOCKS = 2, /* STR: a directory of blocks, each a zstd frame */
};

enum segment_file {
    SEGMENT_FILE_AGG,
    SEGMENT_FILE_SMP,
};

struct segment_header {
    uint8_t level;
    struct segment_id id;
    int32_t day;
    uint64_t tenant_hash; /* checksum64 of the tenant */
};

struct segment_section {
    uint32_t kind, service;
    uint64_t offset; /* multiple of SEGMENT_ALIGN */
    uint64_t stored; /* bytes; zeroes up to the next multiple of SEGMENT_ALIGN follow */
    uint64_t raw;
    uint64_t checksum; /* over the stored bytes and those zeroes */
    uint8_t compression, version;
};

struct segment_footer {
    uint64_t table_offset, table_checksum;
    uint32_t table_count;
    uint32_t services, sources;
    uint64_t agg_bytes, smp_bytes, smp_checksum; /* of the whole .smp */
    uint64_t rows, samples;
    struct time_span time;
    int64_t created_ns;
};

/* seg/<tenant>/<yyyymmdd>/<level>-<32 hex digits>.agg, or .smp */
void segment_path(struct str tenant, int32_t day, struct segment_id id, uint8_t level,
                  enum segment_file file, char out[SEGMENT_PATH_MAX]);

/* The other way; false when it is the path of no .agg. out->tenant points into `path`. */
struct segment_name {
    struct str tenant;
    int32_t day;
    uint8_t level;
    struct segment_id id;
};
bool segment_path_parse(const char *path, struct segment_name *out);

void segment_header_put(const struct segment_header *h, enum segment_file file,
                        uint8_t out[SEGMENT_HEADER_BYTES]);
/* Also compares with what the name promised. */
int segment_header_check(const uint8_t in[SEGMENT_HEADER_BYTES], const struct segment_header *want,
                         enum segment_file file, const char *name, struct err *err);

void segment_section_put(const struct segment_section *s, uint8_t out[SEGMENT_ENTRY_BYTES]);
void segment_section_get(const uint8_t in[SEGMENT_ENTRY_BYTES], struct segment_section *out);

void segment_footer_put(const struct segment_footer *f, uint8_t out[SEGMENT_FOOTER_BYTES]);
int segment_footer_get(const uint8_t in[SEGMENT_FOOTER_BYTES], const char *name,
                       struct segment_footer *out, struct err *err);

/* "STR" for messages; static buffer is the caller's. */
const char *segment_kind_name(uint32_t kind, char out[4]);

/*
 * Compares checksum64(data) with `want`. Fuzz builds leave it out unless
 * segment_checksums_in_fuzzing is set, so that what lies behind is reached.
 */
bool segment_checksum_ok(const void *data, size_t size, uint64_t want);
extern bool segment_checksums_in_fuzzing;

#endif

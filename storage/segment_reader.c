#include "storage/segment_reader.h"

#include "storage/blob_store.h"
#include "storage/segment_pack.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(const struct arena *arena, const char *path, struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "'%s': reading it needs more than %zu bytes of memory", path,
                   arena_limit(arena));
}

static uint64_t align_up(uint64_t v)
{
    return (v + SEGMENT_ALIGN - 1) & ~(uint64_t)(SEGMENT_ALIGN - 1);
}

int segment_reading_open(const struct segment *s, enum segment_file file,
                         struct segment_reading *out, struct err *err)
{
    int rc;

    *out = (struct segment_reading){.segment = s};
    segment_path(s->meta.tenant, s->meta.day, s->meta.id, s->meta.level, file, out->path);
    rc = s->blobs->ops->open(s->blobs, out->path, &out->blob, err);
    if (rc == ERR_NOT_FOUND && atomic_load(&s->doomed))
        return err_set(err, ERR_BUSY, "'%s' was removed while it was being read: ask again",
                       out->path);
    return rc;
}

void segment_reading_close(struct segment_reading *r)
{
    if (r->blob)
        r->segment->blobs->ops->close(r->blob);
    r->blob = NULL;
}

static int read_at(struct segment_reading *r, uint64_t offset, void *into, size_t size,
                   struct err *err)
{
    return r->segment->blobs->ops->read(r->blob, offset, into, size, err);
}

static int check_header(struct segment_reading *r, enum segment_file file, struct err *err)
{
    const struct segment_meta *m = &r->segment->meta;
    struct segment_header want = {m->level, m->id, m->day, checksum64(m->tenant.p, m->tenant.len)};
    uint8_t header[SEGMENT_HEADER_BYTES];
    int rc = read_at(r, 0, header, sizeof(header), err);

    return rc != 0 ? rc : segment_header_check(header, &want, file, r->path, err);
}

/* By service, then kind; nothing twice; every byte between header and table is somebody's. */
static int check_section(const struct segment_reading *r, const struct segment_section *s,
                         const struct segment_section *last, uint64_t expected, uint32_t i,
                         struct err *err)
{
    uint64_t end = r->segment->footer.table_offset;
    char name[4];

    if (s->offset != expected || s->offset > end || s->stored > end - s->offset ||
        align_up(s->stored) > end - s->offset)
        return err_set(err, ERR_CORRUPT,
                       "'%s': section %u (%s) at %" PRIu64 " + %" PRIu64 ", expected at %" PRIu64
                       " and before %" PRIu64,
                       r->path, i, segment_kind_name(s->kind, name), s->offset, s->stored, expected,
                       end);
    if (s->compression > SEGMENT_ZSTD_BLOCKS || (last && last->service > s->service) ||
        (s->service != SEGMENT_WHOLE_FILE && s->service >= r->segment->footer.services))
        return err_set(err, ERR_CORRUPT, "'%s': section %u (%s) is of service %u, packed as %u",
                       r->path, i, segment_kind_name(s->kind, name), s->service, s->compression);
    return 0;
}

int segment_sections(struct segment_reading *agg, struct arena *arena, struct segment_section **out,
                     struct err *err)
{
    const struct segment_footer *f = &agg->segment->footer;
    size_t size = (size_t)f->table_count * SEGMENT_ENTRY_BYTES;
    struct segment_section *sections = arena_array(arena, struct segment_section, f->table_count);
    uint8_t *raw = arena_alloc(arena, size);
    uint64_t at = SEGMENT_HEADER_BYTES;
    int rc;

    if (!sections || !raw)
        return out_of_memory(arena, agg->path, err);
    if ((rc = read_at(agg, f->table_offset, raw, size, err)) != 0)
        return rc;
    if (!segment_checksum_ok(raw, size, f->table_checksum))
        return err_set(err, ERR_CORRUPT,
                       "'%s': section table at offset %" PRIu64 " has a wrong checksum", agg->path,
                       f->table_offset);
    for (uint32_t i = 0; i < f->table_count; i++) {
        segment_section_get(raw + (size_t)i * SEGMENT_ENTRY_BYTES, &sections[i]);
        if ((rc = check_section(agg, &sections[i], i ? &sections[i - 1] : NULL, at, i, err)) != 0)
            return rc;
        at += align_up(sections[i].stored);
    }
    if (at != f->table_offset)
        return err_set(err, ERR_CORRUPT,
                       "'%s': sections end at offset %" PRIu64 ", the table begins at %" PRIu64,
                       agg->path, at, f->table_offset);
    *out = sections;
    return 0;
}

int segment_section_find(const struct segment_reading *agg, const struct segment_section *sections,
                         uint32_t kind, uint32_t service, const struct segment_section **out,
                         struct err *err)
{
    char name[4];

    *out = NULL;
    for (uint32_t i = 0; i < agg->segment->footer.table_count; i++)
        if (sections[i].kind == kind && sections[i].service == service) {
            if (*out)
                return err_set(err, ERR_CORRUPT, "'%s': section %s of service %u is there twice",
                               agg->path, segment_kind_name(kind, name), service);
            *out = &sections[i];
        }
    if (!*out)
        return err_set(err, ERR_CORRUPT, "'%s': section %s of service %u is missing", agg->path,
                       segment_kind_name(kind, name), service);
    if ((*out)->version != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "'%s': section %s has version %u, this version reads 0; run a newer "
                       "flamekeep",
                       agg->path, segment_kind_name(kind, name), (*out)->version);
    return 0;
}

int segment_section_read(struct segment_reading *agg, const struct segment_section *s,
                         struct arena *arena, struct str *stored, struct err *err)
{
    uint64_t size = align_up(s->stored);
    char name[4];
    void *bytes;
    int rc;

    bytes = size <= SIZE_MAX / 2 ? arena_alloc(arena, (size_t)size) : NULL;
    if (!bytes)
        return out_of_memory(arena, agg->path, err);
    if ((rc = read_at(agg, s->offset, bytes, (size_t)size, err)) != 0)
        return rc;
    if (!segment_checksum_ok(bytes, (size_t)size, s->checksum))
        return err_set(err, ERR_CORRUPT,
                       "'%s': section %s of service %u at offset %" PRIu64
                       " has checksum %016" PRIx64 ", expected %016" PRIx64,
                       agg->path, segment_kind_name(s->kind, name), s->service, s->offset,
                       checksum64(bytes, (size_t)size), s->checksum);
    *stored = (struct str){bytes, (size_t)s->stored};
    return 0;
}

int segment_section_unpack(struct segment_reading *agg, const struct segment_section *s,
                           struct segment_pack *pack, struct arena *arena, struct str *raw,
                           struct err *err)
{
    struct str stored;
    char name[4];
    void *bytes;
    int rc;

    /* Before any memory: columns are at most some hundred times smaller when packed. */
    if (s->compression == SEGMENT_PLAIN ? s->raw != s->stored : s->raw > SEGMENT_SERVICE_BYTES_MAX)
        return err_set(err, ERR_CORRUPT,
                       "'%s': section %s of service %u says %" PRIu64 " bytes out of %" PRIu64,
                       agg->path, segment_kind_name(s->kind, name), s->service, s->raw, s->stored);
    if ((rc = segment_section_read(agg, s, arena, &stored, err)) != 0)
        return rc;
    if (s->compression != SEGMENT_ZSTD) {
        *raw = stored;
        return 0;
    }
    bytes = arena_alloc(arena, (size_t)s->raw);
    if (!bytes)
        return out_of_memory(arena, agg->path, err);
    if (!segment_pack_get(pack, stored, bytes, (size_t)s->raw))
        return err_set(err, ERR_CORRUPT,
                       "'%s': section %s of service %u at offset %" PRIu64
                       " does not unpack to %" PRIu64 " bytes",
                       agg->path, segment_kind_name(s->kind, name), s->service, s->offset, s->raw);
    *raw = (struct str){bytes, (size_t)s->raw};
    return 0;
}

int segment_block_read(struct segment_reading *smp, uint64_t offset, uint32_t size,
                       uint64_t checksum, struct arena *arena, struct str *out, struct err *err)
{
    void *bytes = arena_alloc(arena, size);
    int rc;

    if (!bytes)
        return out_of_memory(arena, smp->path, err);
    if ((rc = read_at(smp, offset, bytes, size, err)) != 0)
        return rc;
    if (!segment_checksum_ok(bytes, size, checksum))
        return err_set(err, ERR_CORRUPT,
                       "'%s': block at offset %" PRIu64 " + %u has checksum %016" PRIx64
                       ", expected %016" PRIx64,
                       smp->path, offset, size, checksum64(bytes, size), checksum);
    *out = (struct str){bytes, size};
    return 0;
}

/* ---- opening ---- */

static int parse_services(struct segment *s, struct str raw, const char *path, struct err *err)
{
    struct bytes b = bytes_of(raw);

    s->services = arena_calloc(&s->memory, s->footer.services, sizeof(*s->services));
    if (!s->services)
        return out_of_memory(&s->memory, path, err);
    for (uint32_t i = 0; i < s->footer.services; i++) {
        struct segment_service *v = &s->services[i];
        struct str name;
        uint64_t span;

        if (!bytes_take_sized(&b, &name) || !bytes_zigzag(&b, &v->time.first_ns) ||
            !bytes_varint(&b, &span) || !bytes_varint(&b, &v->rows) ||
            !bytes_varint(&b, &v->samples) ||
            (i > 0 && str_cmp(s->services[i - 1].name, name) >= 0))
            return err_set(err, ERR_CORRUPT, "'%s': section DSD: service %u is damaged", path, i);
        v->time.last_ns = (int64_t)((uint64_t)v->time.first_ns + span);
        v->name = (struct str){arena_strndup(&s->memory, name.p, name.len), name.len};
        if (!v->name.p)
            return out_of_memory(&s->memory, path, err);
        if (v->time.last_ns < v->time.first_ns)
            return err_set(err, ERR_CORRUPT, "'%s': section DSD: service %u has no time", path, i);
    }
    if (bytes_left(&b) != 0)
        return err_set(err, ERR_CORRUPT, "'%s': section DSD has %zu bytes too many", path,
                       bytes_left(&b));
    return 0;
}

static int parse_meta(struct segment *s, struct str raw, const char *path, struct err *err)
{
    struct bytes b = bytes_of(raw);
    struct segment_source *sources;
    struct str tenant;

    if (!bytes_take_sized(&b, &tenant) || !str_eq(tenant, s->meta.tenant))
        return err_set(err, ERR_CORRUPT, "'%s': section MTA is of another tenant", path);
    sources = arena_calloc(&s->memory, s->footer.sources, sizeof(*sources));
    if (!sources)
        return out_of_memory(&s->memory, path, err);
    for (uint32_t i = 0; i < s->footer.sources; i++)
        if (!bytes_varint(&b, &sources[i].head_id) || !bytes_varint(&b, &sources[i].lsn_first) ||
            !bytes_varint(&b, &sources[i].lsn_last))
            return err_set(err, ERR_CORRUPT, "'%s': section MTA: source %u is damaged", path, i);
    if (bytes_left(&b) != 0)
        return err_set(err, ERR_CORRUPT, "'%s': section MTA has %zu bytes too many", path,
                       bytes_left(&b));
    s->meta.sources = sources;
    s->meta.source_count = s->footer.sources;
    return 0;
}

static int read_footer(struct segment *s, struct segment_reading *agg, struct err *err)
{
    uint64_t size = s->blobs->ops->size(agg->blob);
    uint8_t footer[SEGMENT_FOOTER_BYTES];
    struct segment_footer *f = &s->footer;
    int rc;

    if (size < SEGMENT_HEADER_BYTES + SEGMENT_FOOTER_BYTES)
        return err_set(err, ERR_CORRUPT, "'%s': %" PRIu64 " bytes, less than header and footer",
                       agg->path, size);
    if ((rc = read_at(agg, size - sizeof(footer), footer, sizeof(footer), err)) != 0 ||
        (rc = segment_footer_get(footer, agg->path, f, err)) != 0)
        return rc;
    if (f->agg_bytes != size || f->table_offset > size ||
        size - f->table_offset !=
            (uint64_t)f->table_count * SEGMENT_ENTRY_BYTES + SEGMENT_FOOTER_BYTES)
        return err_set(err, ERR_CORRUPT,
                       "'%s': the footer says %" PRIu64 " bytes with %u sections in a table at "
                       "%" PRIu64 ", there are %" PRIu64 " bytes",
                       agg->path, f->agg_bytes, f->table_count, f->table_offset, size);
    s->meta.time = f->time;
    s->meta.rows = f->rows;
    s->meta.samples = f->samples;
    s->meta.agg_bytes = f->agg_bytes;
    s->meta.smp_bytes = f->smp_bytes;
    s->meta.services = f->services;
    s->meta.created_ns = f->created_ns;
    return 0;
}

static int read_file_sections(struct segment *s, struct segment_reading *agg, struct arena *scratch,
                              struct segment_pack *pack, struct err *err)
{
    const struct segment_section *dsd, *mta;
    struct segment_section *sections;
    struct str raw;
    int rc;

    if ((rc = segment_sections(agg, scratch, &sections, err)) != 0 ||
        (rc = segment_section_find(agg, sections, SECTION_DSD, SEGMENT_WHOLE_FILE, &dsd, err)) !=
            0 ||
        (rc = segment_section_find(agg, sections, SECTION_MTA, SEGMENT_WHOLE_FILE, &mta, err)) !=
            0 ||
        (rc = segment_section_unpack(agg, dsd, pack, scratch, &raw, err)) != 0 ||
        (rc = parse_services(s, raw, agg->path, err)) != 0 ||
        (rc = segment_section_unpack(agg, mta, pack, scratch, &raw, err)) != 0)
        return rc;
    return parse_meta(s, raw, agg->path, err);
}

static int check_smp(const struct segment *s, bool salvage, struct err *err)
{
    struct segment_reading smp;
    int rc = segment_reading_open(s, SEGMENT_FILE_SMP, &smp, err);

    if (rc == 0 && s->blobs->ops->size(smp.blob) != s->footer.smp_bytes)
        rc = err_set(err, ERR_CORRUPT, "'%s': %" PRIu64 " bytes, .agg says %" PRIu64, smp.path,
                     s->blobs->ops->size(smp.blob), s->footer.smp_bytes);
    if (rc == 0 && !salvage)
        rc = check_header(&smp, SEGMENT_FILE_SMP, err);
    segment_reading_close(&smp);
    return rc;
}

static int load(struct segment *s, bool salvage, struct err *err)
{
    struct segment_pack *pack = segment_pack_new();
    struct segment_reading agg;
    struct arena scratch;
    int rc;

    arena_init(&scratch, SEGMENT_SERVICE_BYTES_MAX);
    rc = segment_reading_open(s, SEGMENT_FILE_AGG, &agg, err);
    if (rc == 0 && !salvage)
        rc = check_header(&agg, SEGMENT_FILE_AGG, err);
    if (rc == 0 && (rc = read_footer(s, &agg, err)) == 0 &&
        (rc = read_file_sections(s, &agg, &scratch, pack, err)) == 0)
        rc = check_smp(s, salvage, err);
    segment_reading_close(&agg);
    arena_release(&scratch);
    segment_pack_free(pack);
    return rc;
}

static int open_segment(struct blob_store *blobs, struct segment_cache *cache, struct str tenant,
                        int32_t day, struct segment_id id, uint8_t level, bool salvage,
                        struct segment **out, struct err *err)
{
    struct segment *s = calloc(1, sizeof(*s));
    int rc;

    check(s);
    atomic_init(&s->refs, 1);
    arena_init(&s->memory, SEGMENT_SERVICE_BYTES_MAX);
    s->blobs = blobs;
    s->cache = cache;
    s->meta.id = id;
    s->meta.day = day;
    s->meta.level = level;
    s->meta.tenant = (struct str){arena_strndup(&s->memory, tenant.p, tenant.len), tenant.len};
    rc = load(s, salvage, err);
    if (rc != 0) {
        segment_unref(s);
        return rc;
    }
    *out = s;
    return 0;
}

int segment_open(struct blob_store *blobs, struct segment_cache *cache, struct str tenant,
                 int32_t day, struct segment_id id, uint8_t level, struct segment **out,
                 struct err *err)
{
    return open_segment(blobs, cache, tenant, day, id, level, false, out, err);
}

int segment_open_salvage(struct blob_store *blobs, struct str tenant, int32_t day,
                         struct segment_id id, uint8_t level, struct segment **out, struct err *err)
{
    return open_segment(blobs, NULL, tenant, day, id, level, true, out, err);
}

static int peek(struct segment *s, struct segment_reading *agg, struct arena *scratch,
                struct segment_pack *pack, struct err *err)
{
    const struct segment_section *mta;
    struct segment_section *sections;
    struct str raw;
    int rc;

    if ((rc = s->blobs->ops->open(s->blobs, agg->path, &agg->blob, err)) != 0 ||
        (rc = read_footer(s, agg, err)) != 0 ||
        (rc = segment_sections(agg, scratch, &sections, err)) != 0 ||
        (rc = segment_section_find(agg, sections, SECTION_MTA, SEGMENT_WHOLE_FILE, &mta, err)) !=
            0 ||
        (rc = segment_section_unpack(agg, mta, pack, scratch, &raw, err)) != 0)
        return rc;
    return parse_meta(s, raw, agg->path, err);
}

int segment_peek(struct blob_store *blobs, const char *path, struct str tenant, struct arena *arena,
                 struct segment_meta *out, struct err *err)
{
    struct segment s = {.blobs = blobs, .meta = *out};
    struct segment_reading agg = {.segment = &s};
    struct segment_pack *pack = segment_pack_new();
    struct segment_source *sources;
    struct arena scratch;
    int rc;

    s.meta.tenant = tenant;
    arena_init(&scratch, SEGMENT_SERVICE_BYTES_MAX);
    arena_init(&s.memory, SEGMENT_SERVICE_BYTES_MAX);
    (void)snprintf(agg.path, sizeof(agg.path), "%s", path);
    if ((rc = peek(&s, &agg, &scratch, pack, err)) == 0) {
        *out = s.meta;
        out->tenant = (struct str){arena_strndup(arena, tenant.p, tenant.len), tenant.len};
        sources = arena_array(arena, struct segment_source, s.meta.source_count);
        if (!sources || !out->tenant.p)
            rc = out_of_memory(arena, path, err);
        else if (s.meta.source_count > 0)
            memcpy(sources, s.meta.sources, s.meta.source_count * sizeof(*sources));
        out->sources = sources;
    }
    segment_reading_close(&agg);
    arena_release(&s.memory);
    arena_release(&scratch);
    segment_pack_free(pack);
    return rc;
}

struct segment *segment_ref(struct segment *s)
{
    (void)atomic_fetch_add(&s->refs, 1);
    return s;
}

void segment_unref(struct segment *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    arena_release(&s->memory);
    free(s);
}

bool segment_is_shared(const struct segment *s)
{
    return atomic_load(&s->refs) > 1 + atomic_load(&s->watchers);
}

void segment_doom(struct segment *s)
{
    atomic_store(&s->doomed, true);
}

const struct segment_meta *segment_meta(const struct segment *s)
{
    return &s->meta;
}

uint32_t segment_service_count(const struct segment *s)
{
    return s->footer.services;
}

struct segment_share segment_service_share(const struct segment *s, uint32_t i)
{
    const struct segment_service *service = &s->services[i];

    return (struct segment_share){service->name, service->rows, service->samples};
}

uint64_t segment_share_bytes(const struct segment *s, uint32_t i)
{
    double all = (double)(s->meta.agg_bytes + s->meta.smp_bytes);

    check(i < s->footer.services);
    return (uint64_t)(all * (double)(s->services[i].samples + 1) /
                      ((double)s->meta.samples + (double)s->footer.services));
}

struct str segment_service_name(const struct segment *s, uint32_t i, struct time_span *time)
{
    check(i < s->footer.services);
    *time = s->services[i].time;
    return s->services[i].name;
}

/* The sums of a service: directory and flame tree through the cache, vectors and totals by pread.
 */
#include "storage/segment_dataset.h"

#include "storage/segment_pack.h"

#include "base/check.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdlib.h>

static struct segment_dataset *of(struct dataset *ds)
{
    return (struct segment_dataset *)(void *)ds;
}

/* What one reading of .agg needs. */
struct reading {
    struct segment_reading agg;
    struct segment_pack *pack;
    struct arena *scratch;
};

static int reading_begin(struct segment_dataset *d, struct arena *scratch, struct reading *r,
                         struct err *err)
{
    r->scratch = scratch;
    r->pack = segment_pack_new();
    return segment_reading_open(d->segment, SEGMENT_FILE_AGG, &r->agg, err);
}

static void reading_end(struct reading *r)
{
    segment_reading_close(&r->agg);
    segment_pack_free(r->pack);
}

static int blame(const struct reading *r, const struct segment_dataset *d, int rc, struct err *err)
{
    return rc == ERR_CORRUPT ? err_prefix(err, "'%s': service %u", r->agg.path, d->service) : rc;
}

/* A part of AGG or FLM, unpacked. */
static int read_part(struct reading *r, const struct segment_section *s, uint64_t offset,
                     uint64_t checksum, uint32_t stored_size, uint32_t raw_size, struct str *raw,
                     struct err *err)
{
    struct str stored;
    void *bytes;
    int rc;

    rc = segment_block_read(&r->agg, s->offset + offset, stored_size, checksum, r->scratch, &stored,
                            err);
    if (rc != 0)
        return rc;
    *raw = stored;
    if (raw_size == stored_size)
        return 0;
    bytes = arena_alloc(r->scratch, raw_size);
    if (!bytes)
        return err_set(err, ERR_TOO_LARGE, "'%s': sums need more than %zu bytes of memory",
                       r->agg.path, arena_limit(r->scratch));
    if (!segment_pack_get(r->pack, stored, bytes, raw_size))
        return err_set(err, ERR_CORRUPT,
                       "'%s': sums at offset %" PRIu64 " do not unpack to %u bytes", r->agg.path,
                       s->offset + offset, raw_size);
    *raw = (struct str){bytes, raw_size};
    return 0;
}

/* ---- directory ---- */

static void free_rollups(struct segment_cached *item)
{
    struct cached_rollups *c = (struct cached_rollups *)(void *)item;

    arena_release(&c->memory);
    free(c);
}

/* Sections of a later version are as good as none: the rows say the same. */
static int find_sections(struct reading *r, const struct segment_dataset *d,
                         struct cached_rollups *c, struct segment_section *rld, struct err *err)
{
    const struct {
        uint32_t kind;
        struct segment_section *to;
    } wanted[] = {
        {SECTION_RLD, rld}, {SECTION_AGG, &c->agg}, {SECTION_FLM, &c->flm}, {SECTION_TOT, &c->tot}};
    struct segment_section *sections;
    int rc = segment_sections(&r->agg, r->scratch, &sections, err);

    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < d->segment->footer.table_count; i++)
        for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++) {
            char name[4];

            if (sections[i].kind != wanted[k].kind || sections[i].service != d->service ||
                sections[i].version != 0)
                continue;
            if (wanted[k].to->kind != 0)
                return err_set(err, ERR_CORRUPT, "section %s is there twice",
                               segment_kind_name(wanted[k].kind, name));
            *wanted[k].to = sections[i];
        }
    return 0;
}

static int load_directory(struct reading *r, const struct segment_dataset *d,
                          struct cached_rollups *c, const struct segment_section *rld,
                          struct err *err)
{
    const struct dataset_index *index = &d->index->ix.index;
    uint32_t *family_of = arena_array(&c->memory, uint32_t, index->entry_count);
    struct str raw;
    int rc;

    if (!family_of)
        return err_set(err, ERR_TOO_LARGE, "'%s': sums need more than %zu bytes of memory",
                       r->agg.path, arena_limit(&c->memory));
    c->rollups.entry_count = index->entry_count;
    c->rollups.family_of = family_of;
    c->rollups.family_count = rollup_families(index, family_of);
    c->rollups.has_totals = c->tot.kind != 0;
    if (rld->kind == 0)
        return 0;
    if ((rc = segment_section_unpack(&r->agg, rld, r->pack, r->scratch, &raw, err)) != 0 ||
        (rc = rollup_directory_decode(raw, index, c->rollups.family_count, c->agg.stored,
                                      c->flm.stored, &c->memory, &c->directory, err)) != 0)
        return rc;
    c->rollups.vectors = c->directory.vectors;
    c->rollups.vector_count = c->directory.vector_count;
    return 0;
}

static int load_rollups(struct segment_dataset *d, struct cached_rollups *c, struct err *err)
{
    struct segment_section rld = {0};
    struct arena scratch;
    struct reading r;
    int rc;

    arena_init(&scratch, SEGMENT_SERVICE_BYTES_MAX);
    if ((rc = reading_begin(d, &scratch, &r, err)) == 0 &&
        (rc = find_sections(&r, d, c, &rld, err)) == 0)
        rc = load_directory(&r, d, c, &rld, err);
    rc = blame(&r, d, rc, err);
    reading_end(&r);
    arena_release(&scratch);
    return rc;
}

static int need_rollups(struct segment_dataset *d, struct err *err)
{
    struct segment_cache_key key = {d->segment->meta.id, d->service, SEGMENT_PART_ROLLUPS};
    struct cached_rollups *c;
    int rc;

    if (d->rollups)
        return 0;
    d->rollups = (struct cached_rollups *)(void *)segment_cache_get(d->segment->cache, &key);
    if (d->rollups)
        return 0;
    if ((rc = segment_dataset_need_index(d, err)) != 0 ||
        (rc = segment_cache_room(d->segment->cache, err)) != 0)
        return rc;
    c = calloc(1, sizeof(*c));
    check(c);
    arena_init(&c->memory, SEGMENT_SERVICE_BYTES_MAX);
    if ((rc = load_rollups(d, c, err)) != 0) {
        free_rollups(&c->cached);
        return rc;
    }
    c->cached.bytes = arena_used(&c->memory) + sizeof(*c);
    c->cached.free = free_rollups;
    d->rollups =
        (struct cached_rollups *)(void *)segment_cache_add(d->segment->cache, &key, &c->cached);
    return 0;
}

static int find(struct dataset *ds, const struct rollups **out, struct err *err)
{
    int rc = need_rollups(of(ds), err);

    if (rc != 0)
        return rc;
    *out = &of(ds)->rollups->rollups;
    if (!(*out)->has_totals && (*out)->vector_count == 0)
        *out = NULL;
    return 0;
}

/* ---- vectors ---- */

static uint32_t types_of(const struct segment_dataset *d, const struct rollup_vector *v)
{
    const struct dataset_index *index = &d->index->ix.index;
    uint32_t e = v->owner;

    if (v->kind != ROLLUP_STREAM)
        for (e = 0; d->rollups->rollups.family_of[e] != v->owner;)
            e++;
    return index->typesets[index->entries[e].typeset].count;
}

static int add(struct dataset *ds, const struct rollup_vector *v, uint64_t types, uint32_t id_count,
               struct arena *scratch, value128 *const *sums, uint64_t *touched, struct err *err)
{
    struct segment_dataset *d = of(ds);
    struct arena_mark mark = arena_mark(scratch);
    struct rollup_shape shape;
    struct reading r;
    struct str raw;
    int rc;

    if ((rc = need_rollups(d, err)) != 0 || (rc = segment_dataset_need_index(d, err)) != 0)
        return rc;
    check(id_count > 0);
    shape = (struct rollup_shape){v->items, types_of(d, v), id_count - 1};
    if ((rc = reading_begin(d, scratch, &r, err)) == 0) {
        if (v->items > id_count || v->raw > rollup_vector_raw_max(&shape))
            rc = err_set(err, ERR_CORRUPT, "section RLD: a vector of %u stacks and %u bytes",
                         v->items, v->raw);
        else if ((rc = read_part(&r, &d->rollups->agg, v->offset, v->checksum, v->stored, v->raw,
                                 &raw, err)) == 0)
            rc = rollup_vector_add(raw, &shape, types, scratch, sums, touched, err);
    }
    rc = blame(&r, d, rc, err);
    reading_end(&r);
    arena_rewind(scratch, mark);
    return rc;
}

/* ---- flame tree ---- */

static void free_flame(struct segment_cached *item)
{
    struct cached_flame *c = (struct cached_flame *)(void *)item;

    arena_release(&c->memory);
    free(c);
}

static int load_flame(struct segment_dataset *d, struct cached_flame *c, struct err *err)
{
    const struct rollup_directory *dir = &d->rollups->directory;
    struct arena scratch;
    struct reading r;
    struct str raw;
    int rc;

    arena_init(&scratch, SEGMENT_SERVICE_BYTES_MAX);
    c->flame.node_count = dir->flame_nodes;
    c->flame.name_count = dir->flame_names;
    if ((rc = reading_begin(d, &scratch, &r, err)) == 0 &&
        (rc = read_part(&r, &d->rollups->flm, dir->names.offset, dir->names.checksum,
                        dir->names.stored, dir->names.raw, &raw, err)) == 0 &&
        (rc = flame_names_decode(raw, &c->memory, &c->flame, err)) == 0 &&
        (rc = read_part(&r, &d->rollups->flm, dir->tree.offset, dir->tree.checksum,
                        dir->tree.stored, dir->tree.raw, &raw, err)) == 0)
        rc = flame_tree_decode(raw, &c->memory, &c->flame, err);
    rc = blame(&r, d, rc, err);
    reading_end(&r);
    arena_release(&scratch);
    return rc;
}

static int flame(struct dataset *ds, const struct flame **out, struct err *err)
{
    struct segment_dataset *d = of(ds);
    struct segment_cache_key key = {d->segment->meta.id, d->service, SEGMENT_PART_FLAME};
    struct cached_flame *c;
    int rc;

    if ((rc = need_rollups(d, err)) != 0)
        return rc;
    check(d->rollups->directory.has_flame);
    if (!d->flame)
        d->flame = (struct cached_flame *)(void *)segment_cache_get(d->segment->cache, &key);
    if (!d->flame) {
        c = calloc(1, sizeof(*c));
        check(c);
        arena_init(&c->memory, SEGMENT_SERVICE_BYTES_MAX);
        if ((rc = load_flame(d, c, err)) != 0) {
            free_flame(&c->cached);
            return rc;
        }
        c->cached.bytes = arena_used(&c->memory) + sizeof(*c);
        c->cached.free = free_flame;
        d->flame =
            (struct cached_flame *)(void *)segment_cache_add(d->segment->cache, &key, &c->cached);
    }
    *out = &d->flame->flame;
    return 0;
}

/* ---- totals ---- */

static int totals(struct dataset *ds, struct arena *arena, struct totals *out, struct err *err)
{
    struct segment_dataset *d = of(ds);
    struct arena scratch;
    struct reading r;
    struct str raw;
    int rc;

    if ((rc = need_rollups(d, err)) != 0 || (rc = segment_dataset_need_index(d, err)) != 0)
        return rc;
    check(d->rollups->rollups.has_totals);
    arena_init(&scratch, SEGMENT_SERVICE_BYTES_MAX);
    if ((rc = reading_begin(d, &scratch, &r, err)) == 0 &&
        (rc = segment_section_unpack(&r.agg, &d->rollups->tot, r.pack, &scratch, &raw, err)) == 0)
        rc = totals_decode(raw, &d->index->ix.index, arena, out, err);
    rc = blame(&r, d, rc, err);
    reading_end(&r);
    arena_release(&scratch);
    return rc;
}

const struct rollup_ops segment_rollup_ops = {find, add, flame, totals};

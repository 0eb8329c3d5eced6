/* The dictionary and the index of one service, from its sections. */
#include "storage/segment_reader.h"

#include "storage/model/symbols.h"
#include "storage/segment_index.h"
#include "storage/segment_pack.h"
#include "storage/segment_symbols.h"

#include "base/arena.h"
#include "base/err.h"

#include <inttypes.h>
#include <string.h>

struct loading {
    struct segment_reading agg;
    struct segment_section *sections;
    struct segment_pack *pack;
    struct arena scratch;
    uint32_t service;
};

static int loading_begin(const struct segment *s, uint32_t service, struct loading *l,
                         struct err *err)
{
    int rc;

    memset(l, 0, sizeof(*l));
    l->service = service;
    l->pack = segment_pack_new();
    arena_init(&l->scratch, SEGMENT_SERVICE_BYTES_MAX);
    rc = segment_reading_open(s, SEGMENT_FILE_AGG, &l->agg, err);
    return rc != 0 ? rc : segment_sections(&l->agg, &l->scratch, &l->sections, err);
}

static void loading_end(struct loading *l)
{
    segment_reading_close(&l->agg);
    segment_pack_free(l->pack);
    arena_release(&l->scratch);
}

static int loading_raw(struct loading *l, uint32_t kind, struct str *raw, struct err *err)
{
    const struct segment_section *s;
    int rc = segment_section_find(&l->agg, l->sections, kind, l->service, &s, err);

    return rc != 0 ? rc : segment_section_unpack(&l->agg, s, l->pack, &l->scratch, raw, err);
}

/* Says which file, where a decoder said which section. */
static int blame(const struct loading *l, int rc, struct err *err)
{
    return rc == ERR_CORRUPT ? err_prefix(err, "'%s': service %u", l->agg.path, l->service) : rc;
}

static int load_index(struct loading *l, struct arena *arena, struct segment_index *out,
                      struct err *err)
{
    const struct segment *s = l->agg.segment;
    struct str labels, directory;
    int rc;

    if ((rc = loading_raw(l, SECTION_LBL, &labels, err)) != 0 ||
        (rc = loading_raw(l, SECTION_DIR, &directory, err)) != 0)
        return rc;
    rc = segment_labels_decode(labels, arena, &out->index, err);
    if (rc == 0)
        rc = segment_directory_decode(directory, s->footer.smp_bytes, arena, out, err);
    if (rc == 0 && (out->rows != s->services[l->service].rows ||
                    out->samples != s->services[l->service].samples))
        rc = err_set(err, ERR_CORRUPT,
                     "section DIR has %" PRIu64 " rows and %" PRIu64 " samples, DSD %" PRIu64
                     " and %" PRIu64,
                     out->rows, out->samples, s->services[l->service].rows,
                     s->services[l->service].samples);
    return blame(l, rc, err);
}

int segment_index_load(const struct segment *s, uint32_t service, struct arena *arena,
                       struct segment_index *out, struct err *err)
{
    struct loading l;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = loading_begin(s, service, &l, err);
    if (rc == 0)
        rc = load_index(&l, arena, out, err);
    loading_end(&l);
    return rc;
}

static int load_strings(struct loading *l, struct symbols *out, struct err *err)
{
    const struct segment_section *s;
    struct str stored;
    int rc;

    if ((rc = segment_section_find(&l->agg, l->sections, SECTION_STR, l->service, &s, err)) != 0)
        return rc;
    if (s->compression != SEGMENT_ZSTD_BLOCKS)
        return err_set(err, ERR_CORRUPT, "section STR is packed as %u", s->compression);
    if ((rc = segment_section_read(&l->agg, s, &l->scratch, &stored, err)) != 0)
        return rc;
    return segment_strings_decode(stored, l->pack, &l->scratch, out, err);
}

static int load_symbols(struct loading *l, struct symbols *out, struct err *err)
{
    struct str raw;
    int rc;

    if ((rc = load_strings(l, out, err)) != 0 ||
        (rc = loading_raw(l, SECTION_FUN, &raw, err)) != 0 ||
        (rc = segment_functions_decode(raw, out, err)) != 0 ||
        (rc = loading_raw(l, SECTION_MAP, &raw, err)) != 0 ||
        (rc = segment_mappings_decode(raw, out, err)) != 0 ||
        (rc = loading_raw(l, SECTION_LOC, &raw, err)) != 0 ||
        (rc = segment_locations_decode(raw, &l->scratch, out, err)) != 0 ||
        (rc = loading_raw(l, SECTION_STK, &raw, err)) != 0)
        return rc;
    return segment_stacks_decode(raw, out, err);
}

int segment_symbols_load(const struct segment *s, uint32_t service, struct symbols **out,
                         struct err *err)
{
    struct symbols *symbols;
    struct loading l;
    int rc = loading_begin(s, service, &l, err);

    if (rc == 0) {
        symbols = symbols_new(SEGMENT_SERVICE_BYTES_MAX);
        rc = blame(&l, load_symbols(&l, symbols, err), err);
        if (rc == 0)
            *out = symbols;
        else
            symbols_free(symbols);
    }
    loading_end(&l);
    return rc;
}

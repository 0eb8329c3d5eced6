#include "storage/segment_scrub.h"

#include "storage/segment_index.h"
#include "storage/segment_reader.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/err.h"

#include <stdlib.h>

enum phase {
    PHASE_OPEN,
    PHASE_SECTIONS,
    PHASE_BLOCKS,
    PHASE_END,
};

struct segment_scrub {
    struct segment *segment;
    enum phase phase;
    struct segment_reading agg, smp; /* open during a step */
    struct arena table, index, scratch;
    struct segment_section *sections; /* in `table` */
    uint32_t section;                 /* next */
    uint32_t service;                 /* next, or the one of `ix` */
    bool indexed;                     /* the index of `service` is in `ix` */
    struct segment_index ix;
    uint32_t chunk, chunks, row_block, row_blocks;
};

struct segment_scrub *segment_scrub_new(struct segment *s)
{
    struct segment_scrub *w = calloc(1, sizeof(*w));

    check(w);
    w->segment = segment_watch(s);
    arena_init(&w->table, SEGMENT_SERVICE_BYTES_MAX);
    arena_init(&w->index, SEGMENT_SERVICE_BYTES_MAX);
    arena_init(&w->scratch, SEGMENT_SERVICE_BYTES_MAX);
    return w;
}

void segment_scrub_free(struct segment_scrub *w)
{
    if (!w)
        return;
    arena_release(&w->table);
    arena_release(&w->index);
    arena_release(&w->scratch);
    segment_unwatch(w->segment);
    free(w);
}

struct segment *segment_scrub_of(const struct segment_scrub *w)
{
    return w->segment;
}

/* Without a sound table nothing else can be found. */
static int open_again(struct segment_scrub *w, uint64_t *bytes, struct err *err)
{
    const struct segment *s = w->segment;
    const struct segment_meta *m = &s->meta;
    struct segment *again;
    int rc;

    w->phase = PHASE_END;
    rc = segment_open(s->blobs, NULL, m->tenant, m->day, m->id, m->level, &again, err);
    if (rc != 0)
        return rc;
    segment_unref(again);
    if ((rc = segment_sections(&w->agg, &w->table, &w->sections, err)) != 0)
        return rc;
    *bytes += SEGMENT_HEADER_BYTES * 2 + SEGMENT_FOOTER_BYTES +
              (uint64_t)s->footer.table_count * SEGMENT_ENTRY_BYTES;
    w->phase = PHASE_SECTIONS;
    return 0;
}

static int read_section(struct segment_scrub *w, uint64_t *bytes, uint32_t *service,
                        struct err *err)
{
    const struct segment_section *s;
    struct str stored;

    if (w->section == w->segment->footer.table_count) {
        w->phase = PHASE_BLOCKS;
        return 0;
    }
    s = &w->sections[w->section++];
    *service = s->service;
    *bytes += s->stored;
    return segment_section_read(&w->agg, s, &w->scratch, &stored, err);
}

/* A damaged index has been found among the sections: its service is passed over. */
static void begin_service(struct segment_scrub *w)
{
    uint32_t entries;

    arena_reset(&w->index);
    if (segment_index_load(w->segment, w->service, &w->index, &w->ix, NULL) != 0) {
        w->service++;
        return;
    }
    entries = w->ix.index.entry_count;
    w->chunk = w->row_block = 0;
    w->chunks = w->ix.chunk_first[entries];
    w->row_blocks = w->ix.row_block_first[entries];
    w->indexed = true;
}

static int read_block(struct segment_scrub *w, uint64_t *bytes, uint32_t *service, struct err *err)
{
    const struct segment_block *b;
    struct str stored;

    if (w->service == w->segment->footer.services) {
        w->phase = PHASE_END;
        return 0;
    }
    if (!w->indexed) {
        begin_service(w);
        return 0;
    }
    if (w->chunk < w->chunks)
        b = &w->ix.chunks[w->chunk++];
    else if (w->row_block < w->row_blocks)
        b = &w->ix.row_blocks[w->row_block++];
    else {
        w->indexed = false;
        w->service++;
        return 0;
    }
    *service = w->service;
    *bytes += b->stored;
    return segment_block_read(&w->smp, b->offset, b->stored, b->checksum, &w->scratch, &stored,
                              err);
}

static int read_on(struct segment_scrub *w, uint64_t bytes_max, uint64_t *bytes, uint32_t *service,
                   struct err *err)
{
    int rc = 0;

    while (rc == 0 && w->phase != PHASE_END && *bytes < bytes_max) {
        arena_reset(&w->scratch);
        if (w->phase == PHASE_OPEN)
            rc = open_again(w, bytes, err);
        else if (w->phase == PHASE_SECTIONS)
            rc = read_section(w, bytes, service, err);
        else
            rc = read_block(w, bytes, service, err);
    }
    return rc;
}

int segment_scrub_step(struct segment_scrub *w, uint64_t bytes_max, uint64_t *bytes,
                       uint32_t *service, struct err *err)
{
    int rc;

    *bytes = 0;
    *service = SEGMENT_WHOLE_FILE;
    if ((rc = segment_reading_open(w->segment, SEGMENT_FILE_AGG, &w->agg, err)) == 0 &&
        (rc = segment_reading_open(w->segment, SEGMENT_FILE_SMP, &w->smp, err)) == 0)
        rc = read_on(w, bytes_max, bytes, service, err);
    else
        w->phase = PHASE_END;
    segment_reading_close(&w->agg);
    segment_reading_close(&w->smp);
    if (atomic_load(&w->segment->doomed)) {
        w->phase = PHASE_END;
        return 0;
    }
    return rc != 0 ? rc : w->phase != PHASE_END;
}

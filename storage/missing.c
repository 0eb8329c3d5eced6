#include "storage/missing.h"

#include "storage/segment_format.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "quarantine"

enum {
    LOG_DIGITS = 10,
};

void missing_init(struct missing *m)
{
    memset(m, 0, sizeof(*m));
    arena_init(&m->memory, SIZE_MAX);
}

void missing_release(struct missing *m)
{
    free(m->items);
    arena_release(&m->memory);
    memset(m, 0, sizeof(*m));
}

/* Without the .1, .2, ... of a second file of one name. */
static struct str without_number(struct str name)
{
    size_t dot = str_rfind_byte(name, '.');
    uint64_t n;

    if (dot != SIZE_MAX && str_parse_u64(str_slice(name, dot + 1, name.len), UINT32_MAX, &n))
        return str_slice(name, 0, dot);
    return name;
}

bool missing_path_of(struct str name, char *path, size_t size)
{
    struct str stem = without_number(name), file, day, tenant;
    struct segment_name parsed;
    size_t at;

    if (!str_ends(stem, STR(".agg")) && !str_ends(stem, STR(".smp")))
        return false;
    stem.len -= 4;
    if ((at = str_rfind_byte(stem, '_')) == SIZE_MAX)
        return false;
    file = str_slice(stem, at + 1, stem.len);
    stem.len = at;
    if ((at = str_rfind_byte(stem, '_')) == SIZE_MAX)
        return false;
    day = str_slice(stem, at + 1, stem.len);
    stem.len = at;
    if (!str_starts(stem, STR("seg_")) || name.len + 8 > size)
        return false;
    tenant = str_slice(stem, 4, stem.len);
    (void)snprintf(path, size, "seg/%" STR_FMT "/%" STR_FMT "/%" STR_FMT ".agg", STR_ARG(tenant),
                   STR_ARG(day), STR_ARG(file));
    return segment_path_parse(path, &parsed);
}

static struct missing_item *find(const struct missing *m, struct segment_id id)
{
    for (uint32_t i = 0; i < m->count; i++)
        if (m->items[i].id.hi == id.hi && m->items[i].id.lo == id.lo)
            return &m->items[i];
    return NULL;
}

static struct time_span day_span(int32_t day)
{
    int64_t first = day * NS_PER_DAY;

    return (struct time_span){first, first + NS_PER_DAY - 1};
}

static struct str keep(struct missing *m, struct str text)
{
    char *copy = arena_strndup(&m->memory, text.p, text.len);

    check(copy);
    return (struct str){copy, text.len};
}

static struct missing_item *add(struct missing *m, const struct segment_name *name, struct str file)
{
    struct missing_item *item = find(m, name->id);

    if (item)
        return item;
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 16;
        m->items = realloc(m->items, m->cap * sizeof(*m->items));
        check(m->items);
    }
    item = &m->items[m->count++];
    *item = (struct missing_item){.tenant = keep(m, name->tenant),
                                  .file = keep(m, file),
                                  .id = name->id,
                                  .time = day_span(name->day)};
    return item;
}

static void count(struct missing_item *item, bool agg, uint64_t bytes)
{
    uint64_t *of_file = agg ? &item->agg_bytes : &item->smp_bytes;

    if (bytes > *of_file)
        *of_file = bytes;
    item->bytes = item->agg_bytes + item->smp_bytes;
}

void missing_add(struct missing *m, const char *path, uint64_t bytes)
{
    struct segment_name name;

    if (segment_path_parse(path, &name))
        count(add(m, &name, str_from(path)), true, bytes);
}

/* The rows' time and heads, if what says so is sound and speaks of this day. */
static void look_inside(struct missing *m, struct missing_item *item, struct blob_store *blobs,
                        const char *path)
{
    struct segment_meta meta = {.id = item->id};

    if (segment_peek(blobs, path, item->tenant, &m->memory, &meta, NULL) != 0 ||
        meta.time.first_ns < item->time.first_ns || meta.time.last_ns > item->time.last_ns ||
        meta.time.first_ns > meta.time.last_ns)
        return;
    item->time = meta.time;
    item->sources = meta.sources;
    item->source_count = meta.source_count;
}

struct walk {
    struct missing *into; /* NULL: for the fingerprint alone */
    struct blob_store *blobs;
    uint64_t fingerprint;
};

/* NNNNNNNNNN.wal */
static bool is_log(struct str name)
{
    uint64_t epoch;

    return name.len == LOG_DIGITS + 4 && str_ends(name, STR(".wal")) &&
           str_parse_u64(str_slice(name, 0, LOG_DIGITS), UINT32_MAX, &epoch);
}

static void add_log(struct missing *m, const struct fs_stat *st)
{
    m->logs++;
    m->logs_bytes += st->size;
    if (st->mtime_ns > m->logs_until_ns)
        m->logs_until_ns = st->mtime_ns;
}

static int each_file(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    char path[FS_PATH_MAX], from[FS_PATH_MAX];
    struct walk *w = ctx;
    struct segment_name parsed;
    struct missing_item *item;

    bool log = is_log(str_from(name)), agg;

    (void)err;
    if (!st->is_dir && str_ends(str_from(name), STR(".missing")))
        w->fingerprint += checksum64(name, strlen(name)) ^ st->size * 31;
    if (st->is_dir || (!log && !missing_path_of(str_from(name), from, sizeof(from))))
        return 0;
    w->fingerprint += checksum64(name, strlen(name)) ^ st->size * 31;
    if (w->into && log)
        add_log(w->into, st);
    if (!w->into || log || !segment_path_parse(from, &parsed))
        return 0;
    (void)snprintf(path, sizeof(path), FOLDER "/%.*s", FS_PATH_MAX - 16, name);
    item = add(w->into, &parsed, str_from(path));
    agg = str_ends(without_number(str_from(name)), STR(".agg"));
    count(item, agg, st->size);
    if (agg)
        look_inside(w->into, item, w->blobs, path);
    return 0;
}

static int walk(struct walk *w, struct fs *fs, struct err *err)
{
    int rc = fs_list(fs, FOLDER, each_file, w, err);

    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* A note that cannot be read says nothing: then all of the segment is missing. */
static void read_notes(struct missing *m, struct fs *fs)
{
    for (uint32_t i = 0; i < m->count; i++) {
        struct missing_item *item = &m->items[i];
        const char *name = strrchr(item->file.p, '/') + 1;
        char path[FS_PATH_MAX];

        item->noted =
            missing_path_of(str_from(name), path, sizeof(path)) &&
            missing_note_read(fs, path, &m->memory, &item->parts, &item->part_count, NULL) == 0;
    }
}

int missing_load(struct missing *m, struct fs *fs, struct blob_store *blobs, struct err *err)
{
    struct walk w = {.into = m, .blobs = blobs};
    int rc = walk(&w, fs, err);

    read_notes(m, fs);
    m->fingerprint = w.fingerprint;
    return rc;
}

int missing_fingerprint(struct fs *fs, uint64_t *out, struct err *err)
{
    struct walk w = {0};
    int rc = walk(&w, fs, err);

    *out = w.fingerprint;
    return rc;
}

bool missing_has(const struct missing *m, struct segment_id id)
{
    return find(m, id) != NULL;
}

#include "server/backup/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/hash.h"
#include "server/backup/copy.h"
#include "server/backup/words.h"

#define FIRST_LINE "flamekeep backup 1"

void manifest_init(struct manifest *m)
{
    *m = (struct manifest){0};
    arena_init(&m->memory, SIZE_MAX);
}

void manifest_release(struct manifest *m)
{
    arena_release(&m->memory);
    free(m->files);
    m->files = NULL;
}

static char *copy_text(struct arena *memory, struct str text)
{
    char *out = arena_alloc(memory, text.len + 1);
    check(out);
    memcpy(out, text.p, text.len);
    out[text.len] = 0;
    return out;
}

void manifest_add(struct manifest *m, struct str name, uint64_t bytes, uint64_t hash)
{
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 256;
        m->files = realloc(m->files, m->cap * sizeof(*m->files));
        check(m->files);
    }
    m->files[m->count++] = (struct manifest_file){copy_text(&m->memory, name), bytes, hash};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct manifest_file *)a)->name, ((const struct manifest_file *)b)->name);
}

void manifest_sort(struct manifest *m)
{
    if (m->count > 0)
        qsort(m->files, m->count, sizeof(*m->files), by_name);
}

const struct manifest_file *manifest_find(const struct manifest *m, const char *name)
{
    struct manifest_file key = {name, 0, 0};
    return m->count == 0 ? NULL : bsearch(&key, m->files, m->count, sizeof(key), by_name);
}

void manifest_print(const struct manifest *m, struct buf *out)
{
    (void)buf_printf(out,
                     FIRST_LINE "\ninstance %s\nlsn %" PRIu64 "\ntime_ns %" PRId64
                                "\nmissing %" PRIu64 "\n",
                     m->instance, m->lsn, m->time_ns, m->missing);
    for (uint32_t i = 0; i < m->count; i++)
        (void)buf_printf(out, "file %016" PRIx64 " %" PRIu64 " %s\n", m->files[i].hash,
                         m->files[i].bytes, m->files[i].name);
    (void)buf_printf(out, "checksum %016" PRIx64 "\n", checksum64(out->data, out->len));
}

/* Names come back as paths to write to: relative, and not out of the directory. */
static bool is_name(struct str name)
{
    return name.len > 0 && name.len < FS_PATH_MAX && name.p[0] != '/' &&
           memmem(name.p, name.len, "..", 2) == NULL && memchr(name.p, 0, name.len) == NULL;
}

static bool parse_file(struct manifest *m, struct str rest)
{
    uint64_t hash, bytes;
    if (!words_take_number(&rest, 16, &hash) || !words_take_number(&rest, 10, &bytes) ||
        !is_name(rest))
        return false;
    manifest_add(m, rest, bytes, hash);
    return true;
}

static bool parse_line(struct manifest *m, struct str line)
{
    uint64_t time_ns;
    if (words_take_key(&line, "file "))
        return parse_file(m, line);
    if (words_take_key(&line, "lsn "))
        return words_take_number(&line, 10, &m->lsn);
    if (words_take_key(&line, "missing "))
        return words_take_number(&line, 10, &m->missing);
    if (words_take_key(&line, "time_ns ")) {
        bool is_number = words_take_number(&line, 10, &time_ns);
        m->time_ns = is_number ? (int64_t)time_ns : 0;
        return is_number && time_ns <= INT64_MAX;
    }
    if (!words_take_key(&line, "instance ") || line.len != sizeof(m->instance) - 1)
        return false;
    for (size_t i = 0; i < line.len; i++)
        if (memchr("0123456789abcdef", line.p[i], 16) == NULL)
            return false;
    memcpy(m->instance, line.p, line.len);
    m->instance[line.len] = 0;
    return true;
}

int manifest_parse(struct manifest *m, struct str text, struct err *err)
{
    struct str rest = text, line;
    size_t before = 0; /* bytes that the checksum is about */
    for (uint64_t n = 1; words_take_line(&rest, &line); n++) {
        uint64_t checksum;
        if (n > 1 && words_take_key(&line, "checksum ")) {
            if (!words_take_number(&line, 16, &checksum) ||
                checksum != checksum64(text.p, before) || rest.len > 0)
                return err_set(err, ERR_CORRUPT, "line %" PRIu64 ": the checksum is wrong", n);
            if (m->instance[0] == 0)
                return err_set(err, ERR_CORRUPT, "no line names the instance");
            manifest_sort(m);
            return 0;
        }
        if (n == 1 ? !str_eq(line, STR(FIRST_LINE)) : !parse_line(m, line))
            return err_set(err, ERR_CORRUPT, "line %" PRIu64 " is none of a manifest: '%.*s'", n,
                           line.len < 100 ? (int)line.len : 100, line.p);
        before = text.len - rest.len;
    }
    return err_set(err, ERR_CORRUPT, "it ends without its checksum");
}

int manifest_write(struct manifest *m, struct fs *fs, char name[MANIFEST_NAME_MAX], struct err *err)
{
    struct buf text;
    manifest_sort(m);
    buf_init(&text, MANIFEST_BYTES_MAX);
    manifest_print(m, &text);
    (void)snprintf(name, MANIFEST_NAME_MAX, "manifests/%020" PRId64 ".txt", m->time_ns);
    int rc = text.failed
                 ? err_set(err, ERR_TOO_LARGE, "%u files are too many for a manifest", m->count)
                 : copy_text_to(buf_str(&text), fs, name, err);
    buf_release(&text);
    return rc;
}

int manifest_read(struct manifest *m, struct fs *fs, const char *name, struct err *err)
{
    struct buf text;
    buf_init(&text, MANIFEST_BYTES_MAX);
    int rc = copy_text_from(fs, name, &text, err);
    if (rc == 0 && (rc = manifest_parse(m, buf_str(&text), err)) != 0)
        (void)err_prefix(err, "'%s'", name);
    buf_release(&text);
    return rc;
}

struct names {
    struct arena *memory;
    const char **names;
    uint32_t count, cap;
};

static int each_name(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct names *n = ctx;
    char path[MANIFEST_NAME_MAX];
    (void)err;
    if (st->is_dir || !str_ends(str_from(name), STR(".txt")) ||
        snprintf(path, sizeof(path), "manifests/%s", name) >= (int)sizeof(path))
        return 0;
    if (n->count == n->cap) {
        n->cap = n->cap ? n->cap * 2 : 64;
        n->names = realloc((void *)n->names, n->cap * sizeof(*n->names));
        check(n->names);
    }
    n->names[n->count++] = copy_text(n->memory, str_from(path));
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int manifest_list(struct fs *fs, struct arena *memory, const char ***names, uint32_t *count,
                  struct err *err)
{
    struct names n = {.memory = memory};
    int rc = fs_list(fs, "manifests", each_name, &n, err);
    if (rc == 0 && n.count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no backup is there");
    if (rc == 0) {
        qsort((void *)n.names, n.count, sizeof(*n.names), compare_names);
        *names = arena_memdup(memory, (const void *)n.names, n.count * sizeof(*n.names));
        check(*names);
        *count = n.count;
    }
    free((void *)n.names);
    return rc;
}

#include "server/backup/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "server/backup/copy.h"
#include "server/backup/manifest.h"
#include "server/backup/words.h"
#include "server/client.h"
#include "server/config.h"
#include "storage/format_file.h"
#include "storage/wal_format.h"

enum {
    ASK_TIMEOUT_MS = 30 * 1000,
    ANSWER_BYTES_MAX = 256 << 20,
    DEPTH_MAX = 8,
};

#define RENEW_NS (60 * NS_PER_S)

struct take {
    const struct config *config;
    struct fs *data, *target;
    struct fs_file *lock;
    struct format_file format;
    struct manifest manifest, previous;
    struct buf list; /* lines as the server answers them */
    char id[17];     /* of the server's lease; empty: no server runs */
    int64_t renewed_mono_ns;
    uint32_t last_epoch;
    uint64_t new_files, new_bytes;
};

/* --- the server --- */

static int ask(struct take *t, const char *what, struct buf *answer, struct err *err)
{
    char target[64], header[64];
    (void)snprintf(target, sizeof(target), "/api/v1/backup?do=%s&id=%s", what, t->id);
    (void)snprintf(header, sizeof(header), "X-Flamekeep-Instance: %s", t->manifest.instance);
    struct client_request request = {
        t->config->listen, t->config->base_path, "POST", target, header, ASK_TIMEOUT_MS};
    int status = client_ask(&request, answer, err);
    if (status == 200 || status < 0)
        return status < 0 ? err_prefix(err, "server") : 0;
    return err_set(err, ERR_IO, "the server answered %d: %.*s", status,
                   answer->len < 300 ? (int)answer->len : 300, (const char *)answer->data);
}

static int tell(struct take *t, const char *what, struct err *err)
{
    struct buf answer;
    if (t->id[0] == 0)
        return 0;
    buf_init(&answer, ANSWER_BYTES_MAX);
    int rc = ask(t, what, &answer, err);
    buf_release(&answer);
    t->renewed_mono_ns = clock_mono_ns(clock_system());
    return rc;
}

static int renew(struct take *t, struct err *err)
{
    if (clock_mono_ns(clock_system()) - t->renewed_mono_ns < RENEW_NS)
        return 0;
    return tell(t, "renew", err);
}

/* --- what there is, without a server --- */

static int list_below(struct take *t, const char *path, int depth, struct err *err);

struct listing {
    struct take *t;
    const char *path;
    int depth;
};

static int each_entry(void *ctx, const char *name, const struct fs_stat *st, struct err *err)
{
    struct listing *l = ctx;
    char path[FS_PATH_MAX];
    bool is_spare = strncmp(name, "spare", 5) == 0;
    if (snprintf(path, sizeof(path), "%s/%s", l->path, name) >= (int)sizeof(path))
        return err_set(err, ERR_INVALID, "'%s/%s' is longer than a path may be", l->path, name);
    if (st->is_dir)
        return list_below(l->t, path, l->depth + 1, err);
    if (!is_spare)
        (void)buf_printf(&l->t->list, "file %" PRIu64 " %s\n", st->size, path);
    return 0;
}

static int list_below(struct take *t, const char *path, int depth, struct err *err)
{
    struct listing l = {t, path, depth};
    if (depth > DEPTH_MAX)
        return err_set(err, ERR_INVALID, "'%s' is deeper than the store makes folders", path);
    int rc = fs_list(t->data, path, each_entry, &l, err);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* --- copying --- */

static int copy_log(struct take *t, const char *path, struct err *err)
{
    char name[FS_PATH_MAX];
    struct copied copied;
    const char *base = strrchr(path, '/');
    uint32_t epoch = (uint32_t)strtoul(base ? base + 1 : "0", NULL, 10);
    (void)snprintf(name, sizeof(name), "log/%020" PRId64 "/%s", t->manifest.time_ns,
                   base ? base + 1 : path);
    int rc = copy_file(t->data, path, t->target, name, &copied, err);
    if (rc != 0)
        return rc;
    if (epoch > t->last_epoch)
        t->last_epoch = epoch;
    manifest_add(&t->manifest, str_from(name), copied.bytes, copied.hash);
    t->new_bytes += copied.bytes;
    t->new_files++;
    return 0;
}

/* A file of the log that says where the others end: later records in them are void. */
static int end_log(struct take *t, struct err *err)
{
    struct wal_header h = {.version = WAL_VERSION,
                           .epoch = t->last_epoch + 1,
                           .first_lsn = t->manifest.lsn + 1,
                           .previous_last_lsn = t->manifest.lsn};
    uint8_t raw[WAL_HEADER_BYTES];
    char path[WAL_PATH_MAX], name[FS_PATH_MAX];
    if (t->id[0] == 0)
        return 0;
    memcpy(h.instance, t->format.instance, sizeof(h.instance));
    wal_header_put(&h, raw);
    wal_path(h.epoch, path);
    (void)snprintf(name, sizeof(name), "log/%020" PRId64 "/%s", t->manifest.time_ns,
                   strrchr(path, '/') + 1);
    struct str text = {(const char *)raw, sizeof(raw)};
    struct copied copied;
    int rc = copy_text_to(text, t->target, name, err);
    if (rc == 0 && (rc = copy_hash(t->target, name, &copied, err)) == 0)
        manifest_add(&t->manifest, str_from(name), copied.bytes, copied.hash);
    return rc;
}

static int copy_segment(struct take *t, const char *path, uint64_t bytes, struct err *err)
{
    const struct manifest_file *had = manifest_find(&t->previous, path);
    struct fs_stat st;
    struct copied copied;
    if (had && had->bytes == bytes && fs_stat(t->target, path, &st, NULL) == 0 &&
        st.size == bytes) {
        manifest_add(&t->manifest, str_from(path), bytes, had->hash);
        return 0;
    }
    int rc = copy_or_link(t->data, path, t->target, path, &copied, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_STALE, "'%s' went meanwhile to make room: take the backup again",
                       path);
    if (rc != 0)
        return rc;
    manifest_add(&t->manifest, str_from(path), copied.bytes, copied.hash);
    t->new_files++;
    t->new_bytes += copied.bytes;
    return renew(t, err);
}

/* What the list says beside files. */
static bool take_fact(struct take *t, struct str line)
{
    if (words_take_key(&line, "lsn "))
        return words_take_number(&line, 10, &t->manifest.lsn);
    if (words_take_key(&line, "missing "))
        return words_take_number(&line, 10, &t->manifest.missing);
    if (!words_take_key(&line, "id ") || line.len != sizeof(t->id) - 1)
        return false;
    memcpy(t->id, line.p, line.len);
    t->id[line.len] = 0;
    return true;
}

/* Copies the files of the list that are the log's, or the others. */
static int copy_listed(struct take *t, bool log, struct err *err)
{
    struct str rest = buf_str(&t->list), line;
    int rc = 0;
    while (rc == 0 && words_take_line(&rest, &line)) {
        struct str words = line;
        char path[FS_PATH_MAX];
        uint64_t bytes;
        if (take_fact(t, line))
            continue;
        if (!words_take_key(&words, "file ") || !words_take_number(&words, 10, &bytes) ||
            words.len >= sizeof(path))
            return err_set(err, ERR_CORRUPT, "the list of files has a line '%.*s'",
                           line.len < 100 ? (int)line.len : 100, line.p);
        memcpy(path, words.p, words.len);
        path[words.len] = 0;
        if (log == str_starts(words, STR("wal/")))
            rc = log ? copy_log(t, path, err) : copy_segment(t, path, bytes, err);
    }
    return rc;
}

/* --- the whole --- */

static int open_both(struct take *t, struct err *err)
{
    struct fs_stat st;
    int rc = fs_posix_new(t->config->data, &t->data, err);
    if (rc == 0)
        rc = format_file_read(t->data, &t->format, err);
    if (rc != 0)
        return err_prefix(err, "data");
    for (size_t i = 0; i < sizeof(t->format.instance); i++)
        (void)snprintf(t->manifest.instance + 2 * i, 3, "%02x", t->format.instance[i]);
    rc = fs_posix_new(t->config->operand, &t->target, err);
    if (rc != 0)
        return err_prefix(err, "backup");
    if (fs_stat(t->target, "FORMAT", &st, NULL) == 0)
        return err_set(err, ERR_INVALID, "'%s' is a data directory, and cannot be a backup's too",
                       t->config->operand);
    return 0;
}

/* From the server when one runs, else with LOCK held so that none starts. */
static int make_list(struct take *t, struct err *err)
{
    int rc = fs_open(t->data, "LOCK", FS_WRITE | FS_CREATE, &t->lock, err);
    if (rc != 0)
        return rc;
    rc = fs_lock(t->lock, err);
    if (rc == ERR_BUSY)
        return ask(t, "begin", &t->list, err);
    if (rc == 0 && (rc = list_below(t, "wal", 0, err)) == 0)
        rc = list_below(t, "seg", 0, err);
    return rc;
}

static int read_previous(struct take *t, struct err *err)
{
    const char **names;
    uint32_t count;
    int rc = manifest_list(t->target, &t->previous.memory, &names, &count, err);
    if (rc == 0)
        rc = manifest_read(&t->previous, t->target, names[count - 1], err);
    if (rc == 0 && strcmp(t->previous.instance, t->manifest.instance) != 0)
        rc = err_set(err, ERR_INVALID, "'%s' holds backups of another store", t->config->operand);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int take_all(struct take *t, char name[MANIFEST_NAME_MAX], struct err *err)
{
    int rc;
    t->manifest.time_ns = clock_now_ns(clock_system());
    if ((rc = open_both(t, err)) != 0 || (rc = read_previous(t, err)) != 0 ||
        (rc = make_list(t, err)) != 0)
        return rc;
    t->renewed_mono_ns = clock_mono_ns(clock_system());
    if ((rc = copy_listed(t, true, err)) != 0 || (rc = end_log(t, err)) != 0 ||
        (rc = copy_log(t, "FORMAT", err)) != 0 || (rc = tell(t, "log_copied", err)) != 0 ||
        (rc = copy_listed(t, false, err)) != 0)
        return rc;
    return manifest_write(&t->manifest, t->target, name, err);
}

static void take_release(struct take *t)
{
    fs_close(t->lock);
    buf_release(&t->list);
    manifest_release(&t->manifest);
    manifest_release(&t->previous);
    fs_free(t->data);
    fs_free(t->target);
}

int backup_take(const struct config *config)
{
    struct take t = {.config = config};
    struct err err = {0}, ending;
    char name[MANIFEST_NAME_MAX];
    manifest_init(&t.manifest);
    manifest_init(&t.previous);
    buf_init(&t.list, ANSWER_BYTES_MAX);
    int rc = take_all(&t, name, &err);
    (void)tell(&t, "end", &ending);
    if (rc != 0)
        fprintf(stderr, "flamekeep: backup: %s\n", err.msg);
    else
        printf("%s/%s: %u files, of them %" PRIu64 " new with %" PRIu64 " bytes, up to LSN %" PRIu64
               "\n",
               config->operand, name, t.manifest.count, t.new_files, t.new_bytes, t.manifest.lsn);
    if (rc == 0 && t.manifest.missing > 0)
        fprintf(stderr,
                "flamekeep: backup: %" PRIu64 " damaged files in quarantine are not in it\n",
                t.manifest.missing);
    take_release(&t);
    return rc == 0 ? EXIT_OK : EXIT_FAILED;
}

/*
 * The catalog in SQLite: one table of segments, one of state.
 *
 * `state.clean` is 0 while the file is open; found so at open, the process or the
 * machine stopped hard and the file is checked before it is used.
 */
#include "storage/catalog.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/err.h"

#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 1179337556 /* "FKCT" */
#define SCHEMA_VERSION 1          /* any other: set aside and rebuilt */
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

enum {
    ID_BYTES = 16,
    SOURCE_BYTES = 24,
    SOURCES_MAX = 1 << 20,
    PATH_BYTES_MAX = 4096,
    ASIDE_MAX = 1000,
    BUSY_TIMEOUT_MS = 2000,
    FILE_MODE = 0640,
    FRAME_BYTES = 24,      /* around a page in SQLite's log */
    CHECKPOINT_PAGES = 16, /* with a limit: the log is written back this early */
};

enum statement {
    ADD,
    SET_STATE,
    REMOVE,
    LOAD,
    STATEMENTS,
};

static const char *const texts[STATEMENTS] = {
    [ADD] = "INSERT OR REPLACE INTO segment (id, tenant, day, level, state, first_ns, last_ns, "
            "rows, samples, agg_bytes, smp_bytes, services, created_ns, sources) "
            "VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [SET_STATE] = "UPDATE segment SET state = ?2 WHERE id = ?1",
    [REMOVE] = "DELETE FROM segment WHERE id = ?1",
    [LOAD] = ("SELECT id, tenant, day, level, state, first_ns, last_ns, rows, samples, agg_bytes, "
              "smp_bytes, services, created_ns, sources FROM segment ORDER BY tenant, day, id"),
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE segment (id BLOB PRIMARY KEY NOT NULL, tenant TEXT NOT NULL, day INTEGER NOT "
    "NULL, level INTEGER NOT NULL, state INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns "
    "INTEGER NOT NULL, rows INTEGER NOT NULL, samples INTEGER NOT NULL, agg_bytes INTEGER NOT "
    "NULL, smp_bytes INTEGER NOT NULL, services INTEGER NOT NULL, created_ns INTEGER NOT NULL, "
    "sources BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE state (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO state VALUES ('clean', 0);"
    "PRAGMA application_id = " TEXT(APPLICATION_ID) ";"
                                                    "PRAGMA user_version = " TEXT(
                                                        SCHEMA_VERSION) ";"
                                                                        "COMMIT;";

struct catalog_sqlite {
    struct catalog c;
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

static struct catalog_sqlite *of(struct catalog *c)
{
    return (struct catalog_sqlite *)(void *)c;
}

static int failed(struct catalog_sqlite *s, const char *what, struct err *err)
{
    int code = sqlite3_errcode(s->db);

    if ((code & 0xff) == SQLITE_FULL)
        return err_set(err, ERR_NO_SPACE, "catalog: %s: the disk is full", what);
    /* A statement that is wrong: the tables are not ours. Read-only: so says a damaged header. */
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB ||
        (code & 0xff) == SQLITE_ERROR || (code & 0xff) == SQLITE_SCHEMA || code == SQLITE_READONLY)
        return err_set(err, ERR_CORRUPT, "catalog: %s: %s", what, sqlite3_errmsg(s->db));
    return err_set(err, ERR_IO, "catalog: %s: %s", what, sqlite3_errmsg(s->db));
}

static int run(struct catalog_sqlite *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(s, sql, err);
}

/* The first column of the first row as a number; ERR_CORRUPT when there is none. */
static int ask(struct catalog_sqlite *s, const char *sql, int64_t *out, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return failed(s, sql, err);
    switch (sqlite3_step(stmt)) {
    case SQLITE_ROW:
        *out = sqlite3_column_int64(stmt, 0);
        break;
    case SQLITE_DONE:
        rc = err_set(err, ERR_CORRUPT, "catalog: no answer to %s", sql);
        break;
    default:
        rc = failed(s, sql, err);
    }
    (void)sqlite3_finalize(stmt);
    return rc;
}

static int quick_check(struct catalog_sqlite *s, struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    const unsigned char *answer;
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK)
        return failed(s, "quick_check", err);
    if (sqlite3_step(stmt) != SQLITE_ROW)
        rc = failed(s, "quick_check", err);
    else if (!(answer = sqlite3_column_text(stmt, 0)) || strcmp((const char *)answer, "ok") != 0)
        rc = err_set(err, ERR_CORRUPT, "catalog: %s", answer ? (const char *)answer : "no answer");
    (void)sqlite3_finalize(stmt);
    return rc;
}

/* 1: a sound catalog; 0: an empty file; negative: something else. */
static int inspect(struct catalog_sqlite *s, struct err *err)
{
    int64_t application = 0, version = 0, tables = 0, clean = 0;
    int rc;

    if ((rc = ask(s, "PRAGMA application_id", &application, err)) != 0 ||
        (rc = ask(s, "PRAGMA user_version", &version, err)) != 0 ||
        (rc = ask(s, "SELECT count(*) FROM sqlite_master", &tables, err)) != 0)
        return rc;
    if (application == 0 && version == 0 && tables == 0)
        return 0;
    if (application != APPLICATION_ID || version != SCHEMA_VERSION)
        return err_set(err, ERR_CORRUPT,
                       "catalog: application %lld version %lld, expected %d version %d",
                       (long long)application, (long long)version, APPLICATION_ID, SCHEMA_VERSION);
    if ((rc = ask(s, "SELECT value FROM state WHERE name = 'clean'", &clean, err)) != 0)
        return rc;
    if (!clean && (rc = quick_check(s, err)) != 0)
        return rc;
    return 1;
}

static void release(struct catalog_sqlite *s)
{
    for (int i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(s->statements[i]);
    (void)sqlite3_close(s->db);
    free(s);
}

static void bind_id(sqlite3_stmt *stmt, int at, struct segment_id id)
{
    uint8_t bytes[ID_BYTES];

    put_le64(bytes, id.hi);
    put_le64(bytes + 8, id.lo);
    (void)sqlite3_bind_blob(stmt, at, bytes, ID_BYTES, SQLITE_TRANSIENT);
}

/* One statement that answers nothing. */
static int step(struct catalog_sqlite *s, enum statement which, const char *what, struct err *err)
{
    int rc = sqlite3_step(s->statements[which]) == SQLITE_DONE ? 0 : failed(s, what, err);

    (void)sqlite3_reset(s->statements[which]);
    (void)sqlite3_clear_bindings(s->statements[which]);
    return rc;
}

static int catalog_add(struct catalog *c, const struct segment_meta *m, struct err *err)
{
    struct catalog_sqlite *s = of(c);
    sqlite3_stmt *stmt = s->statements[ADD];
    size_t size = (size_t)m->source_count * SOURCE_BYTES;
    uint8_t *sources = malloc(size ? size : 1);

    check(sources && m->source_count <= SOURCES_MAX);
    for (uint32_t i = 0; i < m->source_count; i++) {
        put_le64(sources + (size_t)i * SOURCE_BYTES, m->sources[i].head_id);
        put_le64(sources + (size_t)i * SOURCE_BYTES + 8, m->sources[i].lsn_first);
        put_le64(sources + (size_t)i * SOURCE_BYTES + 16, m->sources[i].lsn_last);
    }
    bind_id(stmt, 1, m->id);
    (void)sqlite3_bind_text(stmt, 2, m->tenant.p, (int)m->tenant.len, SQLITE_TRANSIENT);
    (void)sqlite3_bind_int(stmt, 3, m->day);
    (void)sqlite3_bind_int(stmt, 4, m->level);
    (void)sqlite3_bind_int64(stmt, 5, m->time.first_ns);
    (void)sqlite3_bind_int64(stmt, 6, m->time.last_ns);
    (void)sqlite3_bind_int64(stmt, 7, (int64_t)m->rows);
    (void)sqlite3_bind_int64(stmt, 8, (int64_t)m->samples);
    (void)sqlite3_bind_int64(stmt, 9, (int64_t)m->agg_bytes);
    (void)sqlite3_bind_int64(stmt, 10, (int64_t)m->smp_bytes);
    (void)sqlite3_bind_int64(stmt, 11, m->services);
    (void)sqlite3_bind_int64(stmt, 12, m->created_ns);
    (void)sqlite3_bind_blob(stmt, 13, sources, (int)size, SQLITE_TRANSIENT);
    free(sources);
    return step(s, ADD, "add a segment", err);
}

static int catalog_set_state(struct catalog *c, struct segment_id id, enum catalog_state state,
                             struct err *err)
{
    struct catalog_sqlite *s = of(c);
    int rc;

    bind_id(s->statements[SET_STATE], 1, id);
    (void)sqlite3_bind_int(s->statements[SET_STATE], 2, (int)state);
    rc = step(s, SET_STATE, "change a segment's state", err);
    if (rc == 0 && sqlite3_changes(s->db) == 0)
        rc = err_set(err, ERR_NOT_FOUND, "catalog: segment %016llx%016llx is not there",
                     (unsigned long long)id.hi, (unsigned long long)id.lo);
    return rc;
}

static int catalog_replace(struct catalog *c, const struct segment_meta *out,
                           const struct segment_id *in, uint32_t in_count, struct err *err)
{
    struct catalog_sqlite *s = of(c);
    int rc = run(s, "BEGIN IMMEDIATE", err);

    if (rc != 0)
        return rc;
    rc = catalog_add(c, out, err);
    for (uint32_t i = 0; rc == 0 && i < in_count; i++)
        rc = catalog_set_state(c, in[i], CATALOG_DELETING, err);
    if (rc == 0)
        rc = run(s, "COMMIT", err);
    if (rc != 0)
        (void)run(s, "ROLLBACK", NULL);
    return rc;
}

static int catalog_remove(struct catalog *c, struct segment_id id, struct err *err)
{
    bind_id(of(c)->statements[REMOVE], 1, id);
    return step(of(c), REMOVE, "remove a segment", err);
}

/* NULL when the blob is not a list of sources. */
static struct segment_source *read_sources(sqlite3_stmt *stmt, int column, uint32_t *count)
{
    const uint8_t *bytes = sqlite3_column_blob(stmt, column);
    size_t size = (size_t)sqlite3_column_bytes(stmt, column);
    struct segment_source *out;

    if (size % SOURCE_BYTES != 0 || size / SOURCE_BYTES > SOURCES_MAX)
        return NULL;
    *count = (uint32_t)(size / SOURCE_BYTES);
    out = calloc(*count + 1, sizeof(*out));
    check(out);
    for (uint32_t i = 0; i < *count; i++, bytes += SOURCE_BYTES)
        out[i] =
            (struct segment_source){get_le64(bytes), get_le64(bytes + 8), get_le64(bytes + 16)};
    return out;
}

static int load_row(sqlite3_stmt *stmt,
                    int (*each)(void *ctx, const struct segment_meta *meta,
                                enum catalog_state state, struct err *err),
                    void *ctx, struct err *err)
{
    const uint8_t *id = sqlite3_column_blob(stmt, 0);
    int state = sqlite3_column_int(stmt, 4), level = sqlite3_column_int(stmt, 3), rc;
    struct segment_source *sources;
    struct segment_meta m = {0};

    sources = read_sources(stmt, 13, &m.source_count);
    if (!sources || !id || sqlite3_column_bytes(stmt, 0) != ID_BYTES || level < 0 ||
        level > UINT8_MAX || state < CATALOG_LIVE || state > CATALOG_QUARANTINED) {
        free(sources);
        return err_set(err, ERR_CORRUPT, "catalog: a segment's row is damaged");
    }
    m.id = (struct segment_id){get_le64(id), get_le64(id + 8)};
    m.tenant.p = (const char *)sqlite3_column_text(stmt, 1);
    m.tenant.len = (size_t)sqlite3_column_bytes(stmt, 1);
    m.day = sqlite3_column_int(stmt, 2);
    m.level = (uint8_t)level;
    m.time = (struct time_span){sqlite3_column_int64(stmt, 5), sqlite3_column_int64(stmt, 6)};
    m.rows = (uint64_t)sqlite3_column_int64(stmt, 7);
    m.samples = (uint64_t)sqlite3_column_int64(stmt, 8);
    m.agg_bytes = (uint64_t)sqlite3_column_int64(stmt, 9);
    m.smp_bytes = (uint64_t)sqlite3_column_int64(stmt, 10);
    m.services = (uint32_t)sqlite3_column_int64(stmt, 11);
    m.created_ns = sqlite3_column_int64(stmt, 12);
    m.sources = sources;
    rc = each(ctx, &m, (enum catalog_state)state, err);
    free(sources);
    return rc;
}

static int catalog_load(struct catalog *c,
                        int (*each)(void *ctx, const struct segment_meta *meta,
                                    enum catalog_state state, struct err *err),
                        void *ctx, struct err *err)
{
    struct catalog_sqlite *s = of(c);
    sqlite3_stmt *stmt = s->statements[LOAD];
    int rc = 0, got = SQLITE_DONE;

    while (rc == 0 && (got = sqlite3_step(stmt)) == SQLITE_ROW)
        rc = load_row(stmt, each, ctx, err);
    if (rc == 0 && got != SQLITE_DONE)
        rc = failed(s, "load", err);
    (void)sqlite3_reset(stmt);
    return rc;
}

static int catalog_clear(struct catalog *c, struct err *err)
{
    return run(of(c), "DELETE FROM segment", err);
}

static void catalog_close(struct catalog *c)
{
    if (!c)
        return;
    /* After a failure it stays 0, and the next start checks the file. */
    (void)run(of(c), "UPDATE state SET value = 1 WHERE name = 'clean'", NULL);
    release(of(c));
}

/* One transaction may write every page into the log once, on top of what waits there. */
int catalog_sqlite_limit(struct catalog *c, uint64_t bytes, uint64_t *bound, struct err *err)
{
    struct catalog_sqlite *s = of(c);
    int64_t page_bytes, now, pages;
    char text[128];
    int rc;

    if ((rc = ask(s, "PRAGMA page_size", &page_bytes, err)) != 0 ||
        (rc = ask(s, "PRAGMA page_count", &now, err)) != 0)
        return rc;
    pages = (int64_t)(bytes / 2) / (page_bytes + FRAME_BYTES) - CHECKPOINT_PAGES;
    if (pages < now + CHECKPOINT_PAGES)
        pages = now + CHECKPOINT_PAGES;
    (void)snprintf(text, sizeof(text), "PRAGMA wal_autocheckpoint = %d", CHECKPOINT_PAGES);
    if ((rc = run(s, text, err)) != 0 || (rc = run(s, "PRAGMA journal_size_limit = 0", err)) != 0)
        return rc;
    (void)snprintf(text, sizeof(text), "PRAGMA max_page_count = %lld", (long long)pages);
    *bound = (uint64_t)(pages * page_bytes +
                        (pages + 2 * CHECKPOINT_PAGES) * (page_bytes + FRAME_BYTES));
    return run(s, text, err);
}

static const struct catalog_ops sqlite_ops = {
    catalog_add,  catalog_replace, catalog_set_state, catalog_remove,
    catalog_load, catalog_clear,   catalog_close,
};

/* As open_catalog(); *s is made in any case and released by the caller on failure. */
static int open_database(const char *path, struct catalog_sqlite *s, bool *fresh, struct err *err)
{
    int rc;

    if (sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        return failed(s, "open", err);
    (void)sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
    if ((rc = run(s, "PRAGMA locking_mode = EXCLUSIVE", err)) != 0 ||
        (rc = run(s, "PRAGMA secure_delete = OFF", err)) != 0 ||
        (rc = run(s, "PRAGMA trusted_schema = OFF", err)) != 0 ||
        (rc = run(s, "PRAGMA journal_mode = WAL", err)) != 0 ||
        (rc = run(s, "PRAGMA synchronous = NORMAL", err)) != 0 || (rc = inspect(s, err)) < 0)
        return rc;
    *fresh = rc == 0;
    if (*fresh)
        (void)chmod(path, FILE_MODE); /* as every other file; its log inherits it */
    rc = *fresh ? run(s, schema, err)
                : run(s, "UPDATE state SET value = 0 WHERE name = 'clean'", err);
    for (int i = 0; rc == 0 && i < STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i],
                               NULL) != SQLITE_OK)
            rc = failed(s, "prepare", err);
    return rc;
}

static int open_catalog(const char *path, struct catalog **out, bool *fresh, struct err *err)
{
    struct catalog_sqlite *s = calloc(1, sizeof(*s));
    int rc;

    check(s);
    s->c.ops = &sqlite_ops;
    rc = open_database(path, s, fresh, err);
    if (rc != 0) {
        release(s);
        return rc;
    }
    *out = &s->c;
    return 0;
}

/* The file and what SQLite keeps beside it, so that nothing of it meets the new one. */
static int set_aside(const char *path, struct err *err)
{
    static const char *const beside[] = {"-wal", "-shm", "-journal"};
    char to[PATH_BYTES_MAX];
    int n = 1;

    do
        (void)snprintf(to, sizeof(to), "%s.corrupt-%d", path, n);
    while (access(to, F_OK) == 0 && n++ < ASIDE_MAX);
    if (n > ASIDE_MAX)
        return err_set(err, ERR_EXISTS, "'%s' and %d before it are there; remove them", to,
                       ASIDE_MAX);
    if (rename(path, to) != 0)
        return err_io(err, "rename", path);
    for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
        (void)snprintf(to, sizeof(to), "%s%s", path, beside[i]);
        (void)remove(to);
    }
    return 0;
}

static int check_database(const char *uri, struct catalog_sqlite *s, struct err *err)
{
    int64_t version;
    int rc;

    if (sqlite3_open_v2(uri, &s->db,
                        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_EXRESCODE,
                        NULL) != SQLITE_OK)
        return failed(s, "open", err);
    if ((rc = ask(s, "PRAGMA user_version", &version, err)) != 0)
        return rc;
    if (version != SCHEMA_VERSION)
        return err_set(err, ERR_CORRUPT, "catalog: version %lld, expected %d", (long long)version,
                       SCHEMA_VERSION);
    return quick_check(s, err);
}

int catalog_sqlite_check(const char *path, struct err *err)
{
    struct catalog_sqlite *s;
    char uri[PATH_BYTES_MAX * 3 + 64], *at;
    struct stat st;
    int rc;

    (void)snprintf(uri, sizeof(uri), "%s-wal", path);
    if (strlen(path) >= PATH_BYTES_MAX || stat(path, &st) != 0)
        return 0;
    if (stat(uri, &st) == 0 && st.st_size > 0)
        return err_set(err, ERR_BUSY, "'%s' is there: in use, or to be settled by a start", uri);
    at = uri + snprintf(uri, sizeof(uri), "file:");
    for (const char *p = path; *p; p++)
        at += snprintf(at, 4, strchr("?#%", *p) ? "%%%02x" : "%c", *p);
    (void)snprintf(at, 16, "?immutable=1");
    s = calloc(1, sizeof(*s));
    check(s);
    rc = check_database(uri, s, err);
    release(s);
    return rc;
}

int catalog_sqlite_open(const char *path, struct catalog **out, bool *fresh, struct err *err)
{
    int rc;

    if (strlen(path) >= PATH_BYTES_MAX - 32)
        return err_set(err, ERR_INVALID, "catalog: a path of %zu bytes", strlen(path));
    rc = open_catalog(path, out, fresh, err);
    if (rc != ERR_CORRUPT)
        return rc;
    if ((rc = set_aside(path, err)) != 0)
        return rc;
    return open_catalog(path, out, fresh, err);
}

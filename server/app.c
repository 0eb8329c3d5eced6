/* app - see app.h. */
#include "server/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/api.h"
#include "api/router.h"
#include "base/budget.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "server/config.h"
#include "server/healthcheck.h"
#include "server/http/http.h"
#include "server/http/listener.h"
#include "server/signals.h"
#include "server/version.h"
#include "storage/storage.h"

#define MEMORY_MIN (128ULL << 20)
#define MEMORY_PROCESS (16ULL << 20)

/* Five seconds from SIGTERM to the exit: requests have three of them, sealing ends at four. */
#define DRAIN_NS (3 * NS_PER_S)
#define STOP_NS (4 * NS_PER_S)

enum {
    CATALOG_PATH_MAX = 4096,
    HEALTHCHECK_TIMEOUT_MS = 3000,
    REPORT_BYTES_MAX = 64 << 20,
    DESCRIPTORS_KEPT = 256, /* for files: segments have their own LRU */
};

struct app {
    const struct config *config;
    const struct clock *clock;
    struct fs *fs;
    struct storage *storage;
    struct api api;
    struct http_app http_app;
    struct http_server *http;
    struct limits limits; /* those of the options, fitted to the memory */
    struct retention_rules retention;
    struct retention_tenant *tenants;
};

static void fill_storage_options(const struct app *app, struct storage_options *o)
{
    const struct config *c = app->config;
    storage_options_init(o);
    o->fs = app->fs;
    o->clock = app->clock;
    o->wal_sync = (enum wal_sync)c->wal_sync;
    o->wal_window_ns = c->wal_window;
    o->wal_interval_ns = c->wal_interval;
    o->wal_file_bytes_min = c->wal_file_min_bytes;
    o->wal_file_bytes_max = c->wal_file_max_bytes;
    o->wal_bytes_max = c->wal_max_bytes;
    o->head_bytes_max = c->head_max_bytes;
    o->head_seal_bytes = c->head_seal_bytes;
    o->head_seal_age_ns = c->head_seal_age;
    o->heads_per_tenant_max = (uint32_t)c->head_tenant_max;
    o->cache_bytes_max = c->cache_max_bytes;
    o->scrub_bytes_per_s = c->scrub_rate_bytes;
    o->scrub_interval_ns = c->scrub_interval;
    o->dedup = (enum storage_dedup)c->ingest_dedup;
    o->dedup_bytes_max = c->ingest_dedup_max_bytes;
    o->retention = app->retention;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * What memory.max_bytes leaves of the options that are about memory, and the parts of it that
 * are spoken for: heads with the eighth that they may go above, and what sealing them takes.
 */
static int fit_memory(struct app *app, struct storage_options *storage, struct http_options *http,
                      struct err *err)
{
    uint64_t all = app->config->memory_max_bytes;

    if (all < MEMORY_MIN)
        return err_set(err, ERR_CONFIG, "memory.max_bytes: %llu bytes, at least %llu are needed",
                       (unsigned long long)all, (unsigned long long)MEMORY_MIN);
    storage->head_bytes_max = smaller(storage->head_bytes_max, all / 5);
    storage->head_seal_bytes = smaller(storage->head_seal_bytes, storage->head_bytes_max);
    storage->cache_bytes_max = smaller(storage->cache_bytes_max, all / 10);
    http->memory_max = smaller(http->memory_max, all / 4);
    http->arena_max = smaller(http->arena_max, all / 4);
    app->limits = app->config->limits;
    app->limits.query_memory_bytes_max = smaller(app->limits.query_memory_bytes_max, all / 10 * 3);
    budget_limit(all);
    budget_add(BUDGET_PROCESS, MEMORY_PROCESS);
    budget_add(BUDGET_HEADS, storage->head_bytes_max + storage->head_bytes_max / 8);
    budget_add(BUDGET_SEALING, storage->head_bytes_max);
    return 0;
}

static void fill_retention(struct app *app)
{
    const struct config *c = app->config;
    struct retention_rules *r = &app->retention;
    bool percent = (c->retention_max_bytes & CONFIG_PERCENT) != 0;
    app->tenants = calloc((size_t)c->tenant_count + 1, sizeof(*app->tenants));
    check(app->tenants);
    for (uint32_t i = 0; i < c->tenant_count; i++)
        app->tenants[i] = (struct retention_tenant){str_from(c->tenants[i].name),
                                                    c->tenants[i].retention_max_bytes,
                                                    c->tenants[i].retention_max_age};
    *r = (struct retention_rules){
        .max_bytes = percent ? 0 : c->retention_max_bytes,
        .max_percent = percent ? (uint32_t)(c->retention_max_bytes & ~CONFIG_PERCENT) : 0,
        .min_free_bytes = c->retention_min_free_bytes,
        .max_age_ns = c->retention_max_age,
        .tenants = app->tenants,
        .tenant_count = c->tenant_count,
    };
}

/* What start-up found, in one line; a warning when something was wrong. */
static void log_recovery(const struct storage_recovery *r)
{
    bool damage = r->wal.files_quarantined || r->segments_quarantined;
    LOG_AT(damage ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "storage opened",
           LOG_U64("segments", r->segments), LOG_U64("rows_replayed", r->rows_replayed),
           LOG_U64("rows_already_sealed", r->rows_already_sealed),
           LOG_U64("wal_records", r->wal.records), LOG_U64("torn_bytes", r->wal.torn_bytes),
           LOG_U64("segments_quarantined", r->segments_quarantined),
           LOG_U64("wal_files_quarantined", r->wal.files_quarantined),
           LOG_U64("temps_removed", r->temps_removed),
           LOG_BOOL("catalog_rebuilt", r->catalog_rebuilt),
           LOG_F64("seconds", (double)r->duration_ns / (double)NS_PER_S));
}

static int open_storage(struct app *app, struct http_options *http, struct err *err)
{
    struct storage_options options;
    struct storage_recovery recovery = {0};
    char catalog[CATALOG_PATH_MAX];
    fill_retention(app);
    fill_storage_options(app, &options);
    int rc = fit_memory(app, &options, http, err);
    if (rc != 0)
        return rc;
    if (snprintf(catalog, sizeof(catalog), "%s/catalog.sqlite", app->config->data) <
        (int)sizeof(catalog))
        options.catalog_path = catalog;
    rc = storage_open(&options, &app->storage, &recovery, err);
    if (rc != 0)
        return rc;
    log_recovery(&recovery);
    return storage_start(app->storage, err);
}

static int probe(void *ctx, struct err *err)
{
    struct app *app = ctx;
    return storage_probe(app->storage, err);
}

static void fill_http_options(const struct config *c, struct http_options *o)
{
    http_options_init(o);
    o->listen = c->listen;
    o->base_path = c->base_path;
    o->threads = (unsigned int)c->http_threads;
    o->workers = (unsigned int)c->http_workers;
    o->queue_max = (unsigned int)c->http_queue_max;
    o->connections_max = (unsigned int)c->http_connections_max;
    o->memory_max = c->http_memory_max_bytes;
    o->arena_max = c->http_request_memory_max_bytes;
    o->header_timeout_ns = c->http_header_timeout;
    o->idle_timeout_ns = c->http_idle_timeout;
    o->body_timeout_ns = c->http_body_timeout;
    o->body_rate_min = c->http_body_rate_min_bytes;
    o->request_timeout_ns = c->http_request_timeout;
    o->reply_timeout_ns = c->http_reply_timeout;
    o->slow_log_ns = c->http_slow_log;
}

static void fill_api(struct app *app)
{
    app->api = (struct api){
        .storage = app->storage,
        .limits = &app->limits,
        .clock = app->clock,
        .build = {version_number(), version_revision(), version_date()},
        .base_path = app->config->base_path,
        .multitenancy = app->config->auth_multitenancy,
        .ready = probe,
        .ready_ctx = app,
    };
    router_init(&app->api, &app->http_app);
}

/*
 * Connections need descriptors. Takes as many as the system allows, and lowers
 * the number of connections where that is not enough: libmicrohttpd would spin
 * on a full table.
 */
static void fit_descriptors(struct http_options *o)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)o->connections_max + DESCRIPTORS_KEPT)
        return;
    rlim_t left = limit.rlim_cur > 2 * DESCRIPTORS_KEPT ? limit.rlim_cur - DESCRIPTORS_KEPT
                                                        : limit.rlim_cur / 2;
    log_warn("fewer connections than http.connections_max: the descriptor limit is low",
             LOG_U64("descriptors", limit.rlim_cur), LOG_U64("connections", left));
    o->connections_max = (unsigned int)left;
}

static int app_start(struct app *app, struct err *err)
{
    struct http_options options;
    int rc = fs_posix_new(app->config->data, &app->fs, err);
    if (rc != 0)
        return err_prefix(err, "data");
    fill_http_options(app->config, &options);
    rc = open_storage(app, &options, err);
    if (rc != 0)
        return rc;
    fill_api(app);
    fit_descriptors(&options);
    return http_server_start(&options, &app->http_app, app->clock, &app->http, err);
}

/* Anyone who reaches the port may push and read everything. */
static void warn_when_open(const struct config *c)
{
    struct listen_address address;
    if (listen_address_parse(c->listen, &address, NULL) == 0 &&
        !listen_address_is_loopback(&address))
        log_warn("listening beyond this machine without authentication: whoever reaches the port "
                 "can read and write every profile; put a proxy in front or listen on 127.0.0.1",
                 LOG_CSTR("listen", c->listen));
}

static void app_stop(struct app *app)
{
    struct err err = {0};
    int64_t deadline_ns = clock_mono_ns(app->clock) + STOP_NS;
    if (app->http && !http_server_drain(app->http, DRAIN_NS)) {
        /* Their handlers still use all of this. What was acknowledged is on disk already. */
        log_warn("leaving with requests unanswered",
                 LOG_U64("count", http_server_in_flight(app->http)));
        _exit(EXIT_OK);
    }
    http_server_stop(app->http);
    if (storage_close(app->storage, deadline_ns, &err) != 0)
        log_error("storage did not close cleanly", LOG_ERR(&err));
    fs_free(app->fs);
    free(app->tenants);
}

int app_serve(const struct config *config)
{
    struct app app = {.config = config, .clock = clock_system()};
    struct err err = {0};
    log_set_level((enum log_level)config->log_level);
    int rc = app_start(&app, &err);
    if (rc != 0) {
        log_error("cannot start", LOG_ERR(&err));
        app_stop(&app);
        return rc == ERR_CONFIG || rc == ERR_INVALID || !app.fs ? EXIT_CONFIG : EXIT_FAILED;
    }
    warn_when_open(config);
    log_info("serving", LOG_CSTR("listen", config->listen),
             LOG_U64("port", http_server_port(app.http)), LOG_CSTR("base_path", config->base_path),
             LOG_CSTR("data", config->data), LOG_CSTR("version", version_number()));
    int signal_number = signals_wait();
    int64_t asked_ns = clock_mono_ns(app.clock);
    log_info("stopping", LOG_I64("signal", signal_number));
    app_stop(&app);
    log_info("stopped",
             LOG_F64("seconds", (double)(clock_mono_ns(app.clock) - asked_ns) / (double)NS_PER_S));
    return EXIT_OK;
}

int app_healthcheck(const struct config *config)
{
    struct err err = {0};
    if (healthcheck_run(config->listen, config->base_path, HEALTHCHECK_TIMEOUT_MS, &err) == 0) {
        puts("ready");
        return EXIT_OK;
    }
    fprintf(stderr, "flamekeep: healthcheck: %s\n", err.msg);
    return EXIT_FAILED;
}

static void print_report(const struct buf *report)
{
    if (report->len > 0)
        fwrite(report->data, 1, report->len, stdout);
}

/* Runs a job on the data directory of a server that is not running. */
static int run_offline(const struct config *config, const char *name,
                       int (*job)(const struct config *config, struct fs *fs, const char *catalog,
                                  struct buf *report, struct err *err))
{
    struct fs *fs = NULL;
    struct err err = {0};
    struct buf report;
    char catalog[CATALOG_PATH_MAX];
    buf_init(&report, REPORT_BYTES_MAX);
    int rc = fs_posix_new(config->data, &fs, &err);
    if (rc == 0 && snprintf(catalog, sizeof(catalog), "%s/catalog.sqlite", config->data) >=
                       (int)sizeof(catalog))
        rc = err_set(&err, ERR_INVALID, "data: a path of %zu bytes", strlen(config->data));
    if (rc == 0)
        rc = job(config, fs, catalog, &report, &err);
    print_report(&report);
    if (rc != 0)
        fprintf(stderr, "flamekeep: %s: %s\n", name, err.msg);
    buf_release(&report);
    fs_free(fs);
    return rc == 0 ? EXIT_OK : EXIT_FAILED;
}

static int verify(const struct config *config, struct fs *fs, const char *catalog,
                  struct buf *report, struct err *err)
{
    (void)config;
    return storage_verify(fs, catalog, report, err);
}

int app_verify(const struct config *config)
{
    return run_offline(config, "verify", verify);
}

static int repair(const struct config *config, struct fs *fs, const char *catalog,
                  struct buf *report, struct err *err)
{
    (void)catalog;
    return storage_repair(fs, clock_now_ns(clock_system()), config->apply, report, err);
}

int app_repair(const struct config *config)
{
    return run_offline(config, "repair", repair);
}

/* Beside a running server, too: it only reads. */
int app_retention(const struct config *config)
{
    struct app app = {.config = config, .clock = clock_system()};
    struct err err = {0};
    struct buf report;
    if (!config->dry_run) {
        fputs(
            "flamekeep: retention: the running server deletes; ask with --dry-run what it would\n",
            stderr);
        return EXIT_USAGE;
    }
    buf_init(&report, REPORT_BYTES_MAX);
    fill_retention(&app);
    int rc = fs_posix_new(config->data, &app.fs, &err);
    if (rc == 0)
        rc = storage_retention_report(app.fs, &app.retention, clock_now_ns(app.clock), &report,
                                      &err);
    print_report(&report);
    if (rc != 0)
        fprintf(stderr, "flamekeep: retention: %s\n", err.msg);
    buf_release(&report);
    fs_free(app.fs);
    free(app.tenants);
    return rc == 0 ? EXIT_OK : EXIT_FAILED;
}

static int rebuild_catalog(const struct config *config, struct fs *fs, const char *catalog,
                           struct buf *report, struct err *err)
{
    (void)config;
    return storage_rebuild_catalog(fs, catalog, report, err);
}

int app_rebuild_catalog(const struct config *config)
{
    return run_offline(config, "rebuild-catalog", rebuild_catalog);
}

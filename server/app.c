/* app - see app.h. */
#include "server/app.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/router.h"
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

/* Five seconds from SIGTERM to the exit, shared out. */
#define DRAIN_NS (3 * NS_PER_S)

enum { HEALTHCHECK_TIMEOUT_MS = 3000 };

struct app {
    const struct config *config;
    const struct clock *clock;
    struct fs *fs;
    struct api api;
    struct http_app http_app;
    struct http_server *http;
};

static int probe_bytes(struct fs_file *file, struct err *err)
{
    static const char text[] = "ready?";
    char back[sizeof(text)] = "";
    size_t got = 0;
    int rc = fs_pwrite(file, text, sizeof(text), 0, err);
    if (rc == 0)
        rc = fs_datasync(file, err);
    if (rc == 0)
        rc = fs_pread(file, back, sizeof(back), 0, &got, err);
    if (rc == 0 && (got != sizeof(text) || memcmp(text, back, sizeof(text)) != 0))
        rc = err_set(err, ERR_IO, "probe file: what was read is not what was written");
    return rc;
}

/* /ready: a real write, sync and read below the data directory. */
static int probe(void *ctx, struct err *err)
{
    static const char name[] = "ready.probe";
    struct app *app = ctx;
    struct fs_file *file;
    int rc = fs_open(app->fs, name, FS_WRITE | FS_CREATE, &file, err);
    if (rc != 0)
        return rc;
    rc = probe_bytes(file, err);
    fs_close(file);
    int unlinked = fs_unlink(app->fs, name, rc == 0 ? err : NULL);
    return rc == 0 && unlinked != ERR_NOT_FOUND ? unlinked : rc;
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
        .limits = &app->config->limits,
        .clock = app->clock,
        .build = {version_number(), version_revision(), version_date()},
        .base_path = app->config->base_path,
        .multitenancy = app->config->auth_multitenancy,
        .ready = probe,
        .ready_ctx = app,
    };
    router_init(&app->api, &app->http_app);
}

static int app_start(struct app *app, struct err *err)
{
    struct http_options options;
    int rc = fs_posix_new(app->config->data, &app->fs, err);
    if (rc != 0)
        return err_prefix(err, "data");
    fill_api(app);
    fill_http_options(app->config, &options);
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
    if (app->http && !http_server_drain(app->http, DRAIN_NS)) {
        /* Their handlers still use all of this. What was acknowledged is on disk already. */
        log_warn("leaving with requests unanswered",
                 LOG_U64("count", http_server_in_flight(app->http)));
        _exit(EXIT_OK);
    }
    http_server_stop(app->http);
    fs_free(app->fs);
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
    log_info("stopping", LOG_I64("signal", signal_number));
    app_stop(&app);
    log_info("stopped");
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

int app_verify(const struct config *config)
{
    (void)config;
    fputs("flamekeep: verify is not available in this build\n", stderr);
    return EXIT_FAILED;
}

int app_rebuild_catalog(const struct config *config)
{
    (void)config;
    fputs("flamekeep: rebuild-catalog is not available in this build\n", stderr);
    return EXIT_FAILED;
}

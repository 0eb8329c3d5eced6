/*
 * app - the only place that puts the parts together.
 *
 * Order up: data directory, storage, api, HTTP. Order down, the reverse: HTTP
 * drains, storage syncs its log and seals what time allows. From SIGTERM to
 * the exit it takes less than five seconds.
 */
#ifndef SERVER_APP_H
#define SERVER_APP_H

struct config;

/* Each runs a subcommand to its end and returns the exit code (server/config.h). */
int app_serve(const struct config *config);
int app_verify(const struct config *config);
int app_rebuild_catalog(const struct config *config);
int app_repair(const struct config *config);
int app_retention(const struct config *config);
int app_healthcheck(const struct config *config);

#endif

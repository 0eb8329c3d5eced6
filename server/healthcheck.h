/*
 * healthcheck - asks a server on this machine whether it is ready.
 *
 * For the image's HEALTHCHECK, which has no curl: one GET of /ready over a
 * plain socket.
 */
#ifndef SERVER_HEALTHCHECK_H
#define SERVER_HEALTHCHECK_H

#include <stdint.h>

struct err;

/*
 * `listen` and `base_path` as the server was given them. 0 when the server
 * answers 200 within timeout_ms; else negative with what it said in *err.
 */
int healthcheck_run(const char *listen, const char *base_path, int timeout_ms, struct err *err);

#endif

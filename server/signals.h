/*
 * signals - SIGTERM and SIGINT become a wait that ends; SIGPIPE is ignored.
 *
 * The signals are blocked in every thread and taken by the main thread with
 * sigwait: no handler ever interrupts anything.
 */
#ifndef SERVER_SIGNALS_H
#define SERVER_SIGNALS_H

/* Call before the first thread starts: threads inherit the mask. */
void signals_init(void);

/* Waits for SIGTERM or SIGINT and returns which. A second one kills the process. */
int signals_wait(void);

#endif

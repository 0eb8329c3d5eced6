/*
 * backup - copies of a data directory: taken beside a running server or without one, verified,
 * and made a data directory again.
 *
 *   DIR/manifests/TIME.txt   what a backup consists of (manifest.h); written last
 *   DIR/seg/...              segments, by hard link where DIR is on the same volume
 *   DIR/log/TIME/            the log as of that time, and FORMAT
 *
 * A running server is asked to keep its files meanwhile (api/backup.c); the backup is then the
 * store at one LSN: a last log file is added whose header voids what came later. Without a server
 * LOCK is held, so that none starts. Segments never change: a later backup into the same DIR
 * moves only new ones. Nothing is ever removed.
 *
 * Each returns a process exit code, after saying on stdout what was done or on stderr what
 * failed. A backup that failed has no manifest, and those before it are as they were.
 */
#ifndef SERVER_BACKUP_BACKUP_H
#define SERVER_BACKUP_BACKUP_H

struct config;

int backup_take(const struct config *config);   /* of config->data into config->operand */
int backup_verify(const struct config *config); /* reads all that its manifests name */
int backup_restore(
    const struct config *config); /* the newest one into config->data, which is empty */

#endif

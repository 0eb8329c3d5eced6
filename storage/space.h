/*
 * space - how much room the volume has, and what that means for writes. Pure.
 *
 *   ok     nothing special
 *   low    little is left: eviction begins if a rule allows it, no merging begins
 *   full   a write met the end, and eviction did not help or is not allowed:
 *          pushes are refused before their body is read; questions go on
 *   stuck  the log itself cannot be written: as full
 *
 * It is full until a look finds room for what would be written next.
 */
#ifndef STORAGE_SPACE_H
#define STORAGE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

enum space_state {
    SPACE_OK,
    SPACE_LOW,
    SPACE_FULL,
    SPACE_STUCK,
};

struct space_look {
    uint64_t available; /* on the volume, and below a limit */
    uint64_t reserve;   /* what is written next: log files, a segment */
    bool met_end;       /* a write found no room since the last look */
    bool log_blocked;   /* what was pushed waits for room in the log */
    bool log_read_only;
};

/* After a look. Full ends only when there is room for the reserve and no write met the end. */
enum space_state space_next(enum space_state now, const struct space_look *look);

/* "ok", "low", "full", "stuck". Static. */
const char *space_state_name(enum space_state state);

#endif

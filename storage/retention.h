/*
 * retention - which segments have to go: rules and sums in, a list out. Pure.
 *
 * Nothing goes unless a rule asks for it. Always the segment whose newest row
 * is oldest goes first: for age, everything older; for a tenant's own bytes,
 * that tenant's; for the bytes of all, or free space on the volume, anybody's.
 * The order among equals is that of creation, then of ids, so a plan depends on
 * its input alone.
 */
#ifndef STORAGE_RETENTION_H
#define STORAGE_RETENTION_H

#include "storage/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* What one tenant may keep; 0: as everybody. */
struct retention_tenant {
    struct str tenant;
    uint64_t max_bytes; /* of its segments */
    int64_t max_age_ns;
};

/* Every 0 is off; all off keeps everything for ever. */
struct retention_rules {
    uint64_t max_bytes;      /* the whole data directory */
    uint32_t max_percent;    /* of the volume, instead of max_bytes */
    uint64_t min_free_bytes; /* on the volume */
    int64_t max_age_ns;      /* by the newest row of a segment */
    const struct retention_tenant *tenants;
    uint32_t tenant_count;
};

enum retention_reason {
    RETENTION_KEEP,
    RETENTION_AGE,
    RETENTION_TENANT_BYTES,
    RETENTION_MAX_BYTES,
    RETENTION_MIN_FREE,
};

/* A segment, as far as retention looks. */
struct retention_item {
    struct segment_id id;
    struct str tenant;
    struct time_span time;
    int64_t created_ns;
    uint64_t bytes; /* on disk, both files */
    bool fixed;     /* cannot go now */
};

/* How things are. */
struct retention_space {
    uint64_t limit;     /* in force; 0: none */
    uint64_t used;      /* of it, without what is on its way out */
    uint64_t headroom;  /* below the limit that is kept free for what is written next */
    uint64_t available; /* on the volume */
    uint64_t must_free; /* whatever the sums say, if a rule about bytes allows it */
    int64_t now_ns;
};

struct retention_pick {
    uint32_t item;
    enum retention_reason reason;
};

/* Does any rule let segments go to make room? Age alone does not. */
bool retention_has_bytes(const struct retention_rules *rules);
/* How old a tenant's rows may become; 0: for ever. */
int64_t retention_max_age(const struct retention_rules *rules, struct str tenant);
/* The limit in force on a volume of that size; 0: none. */
uint64_t retention_limit(const struct retention_rules *rules, uint64_t volume_bytes);

/* What goes next, in order, at most `max`; returns how many. */
uint32_t retention_plan(const struct retention_rules *rules, const struct retention_item *items,
                        uint32_t count, const struct retention_space *space,
                        struct retention_pick *picks, uint32_t max);

/* "age", "tenant", ...: for metrics, logs and the API. Static. */
const char *retention_reason_name(enum retention_reason reason);

#endif

/*
 * damage_world - a store on a disk in memory with three services in one sealed segment, for
 * tests that damage it, and what it answers.
 *
 * Everything fails the test that goes wrong for want of a reason. Threads: one.
 */
#ifndef TESTS_SUPPORT_DAMAGE_WORLD_H
#define TESTS_SUPPORT_DAMAGE_WORLD_H

#include "storage/segment_format.h"
#include "storage/storage_internal.h"

#include "base/clock.h"

#include "tests/support/clock_fake.h"
#include "tests/support/fs_fault.h"
#include "tests/support/profile_gen.h"

#include <stddef.h>
#include <stdint.h>

#define DAMAGE_DAY_NS (20000LL * NS_PER_DAY)

enum {
    DAMAGE_SERVICES = 3,
    DAMAGE_ROWS = 20, /* of a service */
};

extern const struct time_span damage_day;
extern const char *const damage_selectors[DAMAGE_SERVICES];

struct damage_world {
    struct fs *fs;
    struct clock_fake clock;
    struct storage_options o;
    struct storage *s;
    struct storage_recovery recovery;
    struct profile_gen gen[DAMAGE_SERVICES];
};

void damage_world_init(struct damage_world *w);
void damage_world_init_with(struct damage_world *w, enum segment_rollups rollups);
void damage_world_release(struct damage_world *w);
void damage_world_open(struct damage_world *w);
void damage_world_close(struct damage_world *w);
/* From now on a segment's rows are there and nowhere else. */
void damage_world_close_without_log(struct damage_world *w);

void damage_push(struct damage_world *w, uint32_t rows);
void damage_seal(struct damage_world *w); /* everything into one segment */
struct storage_stats damage_stats(struct damage_world *w);

/* Of a segment in use; `out` has SEGMENT_PATH_MAX bytes. */
void damage_path(struct damage_world *w, uint32_t segment, enum segment_file file, char *out);
void damage_flip(struct fs *fs, const char *path, uint64_t offset);
int damage_remove_all(struct damage_world *w, const char *dir);
/* The section table of an .agg, from its own footer; free(*out). */
uint32_t damage_sections(struct damage_world *w, const char *path, struct segment_section **out);

struct damage_answer {
    uint64_t names; /* label values of service_name, how many */
    struct storage_missing missing;
};
struct damage_answer damage_ask(struct damage_world *w, struct str tenant, struct time_span time);

struct damage_totals {
    value128 tree, profile, series;
    uint32_t lacking;               /* datasets that the three questions lack, added up */
    struct storage_missing missing; /* of the three together */
};
struct damage_totals damage_totals(struct damage_world *w, const char *selector);

#endif

/*
 * compaction - which segments become one, and when. A pure function of what there is.
 *
 * Levels (storage-engine.md, section 3.10): 0 sealed from heads, 1 several of a day that
 * goes on, 2 a whole day that is over. Joining is never needed for correctness: it makes
 * dictionaries shared and questions touch fewer files.
 *
 *   a day that goes on    FANIN_MIN or more of one level, or two of level 0 of which one
 *                         is `age_ns` old, become one of level 1
 *   a day that is over    for `age_ns`: everything becomes one of level 2; again when what
 *                         came late is FANIN_MIN segments or a tenth of the bytes, and
 *                         otherwise a day after the last time
 *
 * No output is larger than `bytes_max`, about; at most FANIN_MAX inputs at once. Threads: any.
 */
#ifndef STORAGE_COMPACTION_H
#define STORAGE_COMPACTION_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    COMPACTION_FANIN_MIN = 8,
    COMPACTION_FANIN_MAX = 8, /* their dictionaries of a service are in memory together */
};

struct compaction_item {
    struct str tenant;
    int32_t day;
    uint8_t level;
    uint64_t bytes;
    int64_t created_ns;
};

struct compaction_rules {
    uint64_t bytes_max; /* of an output */
    int64_t age_ns;     /* how long a segment or an ended day is left alone */
};

struct compaction_job {
    uint32_t inputs[COMPACTION_FANIN_MAX]; /* indexes, oldest first */
    uint32_t count;
    uint8_t level; /* of the output */
};

/*
 * `items` are together by tenant and day. False: nothing is due. Otherwise the job of the
 * first tenant and day that has one.
 */
bool compaction_plan(const struct compaction_item *items, uint32_t count,
                     const struct compaction_rules *rules, int64_t now_ns,
                     struct compaction_job *out);

#endif

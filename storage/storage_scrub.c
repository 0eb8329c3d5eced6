/*
 * Reading everything again in the background, slowly: damage is found before somebody needs
 * what it hit. Segments in order of their last check, the writing of one counts as one; what was
 * checked when is known until the restart.
 */
#include "storage/storage_internal.h"

#include "storage/segment_reader.h"
#include "storage/segment_scrub.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <limits.h>

#define PAUSE_NS (NS_PER_S / 20) /* a step reads what may be read in that time, or one part */
#define LOOK_NS (10 * NS_PER_S)  /* for what is due, when nothing was */

/* When the segment was last known sound, by the wall clock. */
static int64_t checked_at(const struct segment *seg)
{
    int64_t checked = segment_checked_ns(seg), created = segment_meta(seg)->created_ns;

    return checked > created ? checked : created;
}

/* The one that waits longest of those that are due, with a reference; NULL: none. */
static struct segment *choose(struct storage *s)
{
    int64_t due = clock_now_ns(s->o.clock) - s->o.scrub_interval_ns;
    struct segment *oldest = NULL;

    mutex_lock(&s->mu);
    for (uint32_t i = 0; i < s->segment_count; i++)
        if (checked_at(s->segments[i]) <= due &&
            (!oldest || checked_at(s->segments[i]) < checked_at(oldest)))
            oldest = s->segments[i];
    if (oldest)
        (void)segment_ref(oldest);
    mutex_unlock(&s->mu);
    return oldest;
}

static bool begin(struct storage *s, int64_t now)
{
    struct segment *seg = choose(s);

    if (!seg) {
        if (s->scrub_passing) {
            atomic_store(&s->scrub_pass_ns, clock_now_ns(s->o.clock));
            log_info("all segments have been read again",
                     LOG_U64("bytes", atomic_load(&s->scrub_bytes)),
                     LOG_U64("findings", atomic_load(&s->scrub_findings)));
        }
        s->scrub_passing = false;
        s->scrub_next_mono_ns = now + LOOK_NS;
        return false;
    }
    s->scrub_passing = true;
    s->scrub = segment_scrub_new(seg);
    segment_unref(seg);
    return true;
}

static void report(struct storage *s, uint32_t service, const struct err *why)
{
    struct segment *seg = segment_scrub_of(s->scrub);
    const struct segment_meta *m = segment_meta(seg);

    (void)atomic_fetch_add(&s->scrub_findings, 1);
    if (service == SEGMENT_WHOLE_FILE)
        log_error("a segment is damaged and will be set aside at the next start",
                  LOG_STR("tenant", m->tenant), LOG_U64("profiles", m->rows), LOG_ERR(why));
    else
        storage_note_damage(seg, service, why);
}

/* What was read in vain before and is whole now: the disk has come to its senses. */
static void forgive(struct segment *seg)
{
    for (uint32_t i = 0; segment_damaged_services(seg) > 0 && i < segment_service_count(seg); i++)
        if (segment_is_damaged(seg, i) && segment_check_service(seg, i, NULL) == 0)
            segment_clear_damage(seg, i);
}

static void end(struct storage *s)
{
    struct segment *seg = segment_scrub_of(s->scrub);

    if (!s->scrub_found)
        forgive(seg);
    s->scrub_found = false;
    segment_set_checked(seg, clock_now_ns(s->o.clock));
    (void)atomic_fetch_add(&s->scrub_segments, 1);
    segment_scrub_free(s->scrub);
    s->scrub = NULL;
}

int storage_step_scrub(struct storage *s, struct err *err)
{
    int64_t now = clock_mono_ns(s->o.clock);
    uint64_t rate = s->o.scrub_bytes_per_s, bytes;
    struct err why = {0};
    uint32_t service;
    int rc;

    (void)err;
    if (rate == 0 || now < s->scrub_next_mono_ns || (!s->scrub && !begin(s, now)))
        return 0;
    rc = segment_scrub_step(s->scrub, rate / (NS_PER_S / PAUSE_NS) + 1, &bytes, &service, &why);
    (void)atomic_fetch_add(&s->scrub_bytes, bytes);
    s->scrub_next_mono_ns = now + (int64_t)((double)bytes * (double)NS_PER_S / (double)rate);
    if (rc < 0 && segment_is_damage(rc, &why)) {
        s->scrub_found = true;
        report(s, service, &why);
    }
    if (rc == 0)
        end(s);
    return 1;
}

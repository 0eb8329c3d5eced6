/* What is known of a segment's health beside what its bytes say. */
#include "storage/segment_reader.h"

#include "base/check.h"
#include "base/err.h"

#include <errno.h>

bool segment_is_damage(int rc, const struct err *err)
{
    if (rc == ERR_IO)
        return err->os_errno != EMFILE && err->os_errno != ENFILE;
    return rc == ERR_CORRUPT || rc == ERR_NOT_FOUND || rc == ERR_UNSUPPORTED;
}

bool segment_note_damage(struct segment *s, uint32_t service)
{
    check(service < s->footer.services);
    if (atomic_exchange(&s->services[service].damaged, true))
        return false;
    (void)atomic_fetch_add(&s->damaged, 1);
    return true;
}

void segment_clear_damage(struct segment *s, uint32_t service)
{
    check(service < s->footer.services);
    if (atomic_exchange(&s->services[service].damaged, false))
        (void)atomic_fetch_sub(&s->damaged, 1);
}

bool segment_is_damaged(const struct segment *s, uint32_t service)
{
    check(service < s->footer.services);
    return atomic_load(&s->services[service].damaged);
}

int64_t segment_checked_ns(const struct segment *s)
{
    return atomic_load(&s->checked_ns);
}

void segment_set_checked(struct segment *s, int64_t now_ns)
{
    atomic_store(&s->checked_ns, now_ns);
}

uint32_t segment_damaged_services(const struct segment *s)
{
    return atomic_load(&s->damaged);
}

struct segment *segment_watch(struct segment *s)
{
    (void)segment_ref(s); /* first: between the two it counts as somebody who minds */
    (void)atomic_fetch_add(&s->watchers, 1);
    return s;
}

void segment_unwatch(struct segment *s)
{
    (void)atomic_fetch_sub(&s->watchers, 1);
    segment_unref(s);
}

#include "storage/space.h"

const char *space_state_name(enum space_state state)
{
    static const char *const names[] = {"ok", "low", "full", "stuck"};

    return names[state];
}

enum space_state space_next(enum space_state now, const struct space_look *look)
{
    if (look->log_read_only || look->log_blocked)
        return SPACE_STUCK;
    if (look->met_end)
        return SPACE_FULL;
    if (look->available >= 2 * look->reserve)
        return SPACE_OK;
    /* The edge is wide: what filled up does not open again for a single block. */
    if (now >= SPACE_FULL && look->available < look->reserve)
        return SPACE_FULL;
    return SPACE_LOW;
}

#include "storage/model/profile_type.h"

#include "base/buf.h"
#include "base/err.h"

enum {
    PARTS_MIN = 5,
    PARTS_MAX = 6, /* the sixth, "delta", changes nothing */
};

int profile_type_parse(struct str id, struct profile_type *out, struct err *err)
{
    struct str parts[PARTS_MAX];
    uint32_t count = 0;
    size_t start = 0;

    for (size_t i = 0; i <= id.len; i++) {
        if (i < id.len && id.p[i] != ':')
            continue;
        if (count < PARTS_MAX)
            parts[count] = (struct str){id.p + start, i - start};
        count++;
        start = i + 1;
    }
    if (count < PARTS_MIN || count > PARTS_MAX)
        return err_set(err, ERR_INVALID,
                       "profile-type selection must be of the form <name>:<sample-type>:"
                       "<sample-unit>:<period-type>:<period-unit>(:delta), got(%u): \"%.*s\"",
                       count, (int)(id.len > 256 ? 256 : id.len), id.p);
    *out = (struct profile_type){parts[0], parts[1], parts[2], parts[3], parts[4]};
    return 0;
}

void profile_type_format(const struct profile_type *t, struct buf *out)
{
    const struct str *part[PARTS_MIN] = {&t->name, &t->sample_type, &t->sample_unit,
                                         &t->period_type, &t->period_unit};

    for (int i = 0; i < PARTS_MIN; i++) {
        if (i > 0)
            buf_append_byte(out, ':');
        buf_append(out, part[i]->p, part[i]->len);
    }
}

#include "api/decode/text_kind.h"

#include "base/err.h"

#include <stdbool.h>

enum {
    NS_PER_SECOND = 1000000000,
};

struct kind_row {
    const char *suffix, *metric_name, *sample_type, *sample_unit;
    bool is_scaled;
};

static const struct kind_row kinds[] = {
#define KIND(suffix, metric, type, unit, is_scaled) {suffix, metric, type, unit, is_scaled},
#include "api/decode/profile_kind.def"
#undef KIND
};

static const struct kind_row *find_kind(struct str suffix)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_eq(str_from(kinds[i].suffix), suffix))
            return &kinds[i];
    return NULL;
}

int text_kind_of(struct str app, uint32_t sample_rate, struct text_kind *out, struct err *err)
{
    size_t dot = str_rfind_byte(app, '.');
    const struct kind_row *row = &kinds[0];
    struct text_kind kind = {.app = app, .scale = 1};

    if (dot != SIZE_MAX) {
        struct str suffix = str_slice(app, dot + 1, app.len);

        row = find_kind(suffix);
        if (row == NULL)
            return err_set(err, ERR_INVALID, "unknown profile type: %" STR_FMT, STR_ARG(suffix));
        kind.app = str_slice(app, 0, dot);
    }
    kind.metric_name = str_from(row->metric_name);
    kind.sample_type = str_from(row->sample_type);
    kind.sample_unit = str_from(row->sample_unit);
    if (row->is_scaled && sample_rate == 0) {
        kind.sample_type = STR("samples");
        kind.sample_unit = STR("count");
    } else if (row->is_scaled) {
        kind.period_type = STR("cpu");
        kind.period_unit = STR("nanoseconds");
        kind.period = NS_PER_SECOND / (int64_t)sample_rate;
        kind.scale = kind.period;
    }
    *out = kind;
    return 0;
}

/*
 * query_select - which series of a view a query means. Internal to storage/query_*.c.
 *
 * A selection is, per dataset, the entries (stream, typeset) and the types of
 * each that match. Matchers are evaluated once per stream or per type, not per
 * row. Labels derived from the sample type never exist as pairs; series_label()
 * makes them up.
 */
#ifndef STORAGE_QUERY_SELECT_H
#define STORAGE_QUERY_SELECT_H

#include "storage/dataset.h"
#include "storage/query.h"

#include <stdbool.h>
#include <stdint.h>

struct storage_view;

struct selected_dataset {
    struct dataset *ds;
    const struct dataset_index *index;
    uint32_t *entries; /* ascending */
    uint64_t *types;   /* parallel; never 0 */
    uint32_t count;
};

struct selection {
    const struct query *q;
    struct storage_view *view;
    struct selected_dataset *datasets;
    uint32_t count;
};

/*
 * Pins a view and selects. `time` is what entries must overlap. Memory comes
 * from q->arena. On success the caller owns the view: selection_release().
 */
int selection_open(struct storage *s, const struct query *q, struct time_span time,
                   struct selection *out, struct err *err);
/* Adds to q->missing what the answer lacks. */
void selection_release(struct selection *sel);

/*
 * Calls `add` for each dataset. When a dataset turns out to be damaged, `add` is called again for
 * its rows alone (another q->force), and if these are damaged too the dataset is left out and
 * counted as missing. So an `add` that fails must have added nothing.
 */
typedef int (*selection_add)(void *ctx, const struct query *q, struct selected_dataset *sel,
                             struct arena *scratch, struct err *err);
int selection_each(struct selection *sel, selection_add add, void *ctx, struct err *err);

/*
 * The value of label `name` of the series (entry, type); empty when missing.
 * Made-up values live in `arena`; its limit shows as ERR_TOO_LARGE.
 */
int series_label(const struct dataset_index *index, const struct dataset_entry *entry,
                 uint32_t type, struct str name, struct arena *arena, struct str *out,
                 struct err *err);

/* All labels of a series, sorted by name. */
int series_labels(const struct dataset_index *index, const struct dataset_entry *entry,
                  uint32_t type, struct arena *arena, struct labels *out, struct err *err);

/* ERR_CANCELED when nobody waits any more. */
int query_check_canceled(const struct query *q, struct err *err);
int query_out_of_memory(const struct query *q, struct err *err);

/* True when the sample's link is one that the query asks for, or it asks for none. */
bool query_link_matches(const struct query *q, const struct profile_link *link);

#endif

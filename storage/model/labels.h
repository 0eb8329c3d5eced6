/*
 * labels - a set of name=value pairs that identifies a stream or a series.
 *
 * Invariant of a *sorted* set: names ascend bytewise and are unique. A label
 * set as a client sent it may break both; labels_sort() and the validation in
 * normalise restore them.
 *
 * Ownership: pairs and strings belong to whoever made them (usually an arena).
 * Threads: plain values.
 */
#ifndef STORAGE_MODEL_LABELS_H
#define STORAGE_MODEL_LABELS_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;
struct buf;

struct label {
    struct str name, value;
};

struct labels {
    struct label *pairs;
    uint32_t count;
};

/* Names the server itself gives meaning to; ../shared/spec/ingest-api.md, section 3.3. */
#define LABEL_NAME "__name__"
#define LABEL_SERVICE_NAME "service_name"
#define LABEL_SERVICE_NAME_COPY "__service_name__"
#define LABEL_TYPE "__type__"
#define LABEL_UNIT "__unit__"
#define LABEL_PERIOD_TYPE "__period_type__"
#define LABEL_PERIOD_UNIT "__period_unit__"
#define LABEL_PROFILE_TYPE "__profile_type__"

/* Stable sort by name, bytewise. */
void labels_sort(struct labels *labels);

/* The first pair of that name, or NULL. Linear: sets are small. */
const struct label *labels_find(const struct labels *labels, struct str name);

/* The value of `name`, or an empty string. A missing label and an empty one mean the same. */
struct str labels_get(const struct labels *labels, struct str name);

/* Pair after pair, name then value, shorter prefix first: the order of Series answers. */
int labels_cmp(const struct labels *a, const struct labels *b);
bool labels_eq(const struct labels *a, const struct labels *b);

/* Hash of the set under `seed`; equal sets hash equal. */
uint64_t labels_hash(const struct labels *labels, uint64_t seed);

/* Deep copy into `arena`; returns false when the arena is at its limit. */
bool labels_copy(const struct labels *from, struct arena *arena, struct labels *out);

/* Appends {a="b", c="d"} with Go string quoting, as error texts show a set. */
void labels_format(const struct labels *labels, struct buf *out);

#endif

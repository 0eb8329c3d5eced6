/*
 * series_labels - from the labels a client sent to the labels of a stored stream.
 *
 *   service_name default -> (per group of samples:) sample labels join ->
 *   default relabel rules -> what storage derives is dropped
 *
 * ../shared/spec/ingest-api.md, sections 3.2, 3.9 to 3.12, 3.14. Validation is
 * validate_labels(). Pure functions; results are in the arena, strings are shared.
 */
#ifndef STORAGE_MODEL_SERIES_LABELS_H
#define STORAGE_MODEL_SERIES_LABELS_H

#include "base/str.h"
#include "storage/model/labels.h"

#include <stdbool.h>
#include <stdint.h>

struct arena;

#define LABEL_SERVICE_UNKNOWN "unknown_service"
#define LABEL_SESSION_ID "__session_id__"
#define LABEL_DELTA "__delta__"
#define LABEL_ORDER "__order__"
#define LABEL_NAME_REPLACED "__name_replaced__"

/*
 * A sorted copy with room for the service_name that is added when there is none or an
 * empty one. False when the arena is full.
 */
bool series_labels_of_request(const struct labels *sent, struct arena *arena, struct labels *out);

/*
 * The labels of one group: those of the request win over `extra`, the session id is
 * left out, an empty value takes every label of its name away, the default relabel
 * rules are applied. Sorted; for validation. False when the arena is full.
 */
bool series_labels_join(const struct labels *request, const struct label *extra, uint32_t count,
                        struct arena *arena, struct labels *out);

/* Removes, in place, what is not stored or what storage adds itself per sample type. */
void series_labels_strip(struct labels *labels);

/*
 * The build id that replaces a mapping's when repository labels are there (section 3.9):
 * JSON text. *out is `build_id` itself when there are none.
 */
bool series_labels_build_id(const struct labels *request, struct str build_id, struct arena *arena,
                            struct str *out);

#endif

/*
 * pprof_out - a merged profile as google.v1.Profile.
 *
 * Header fields as the reference answers them (../shared/spec/query-api.md,
 * section 6.5): one sample type, a period made up from the profile's name, the
 * question's end as time. Ids count from 1 without holes.
 *
 * The message and everything in it live in `arena`; strings are borrowed from
 * the profile's dictionary, which must outlive the message.
 */
#ifndef API_ENCODE_PPROF_OUT_H
#define API_ENCODE_PPROF_OUT_H

#include "api/proto/profile.pb-c.h"

#include <stdint.h>

struct arena;
struct err;
struct merged_profile;
struct profile_type;

/* Adds the names of `type` to p->symbols. An answer without any row is an empty message. */
int pprof_out(struct merged_profile *p, const struct profile_type *type, int64_t time_ns,
              struct arena *arena, Google__V1__Profile *out, struct err *err);

#endif

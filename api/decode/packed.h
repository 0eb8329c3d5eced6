/*
 * packed - packed varints into an array: the inner loop of reading stacks.
 *
 * Up to half of a CPU profile are location ids, mostly of one or two bytes. Where the
 * processor can shuffle bytes (SSSE3, asked at run time) eight of them are
 * unpacked at once, without a branch on their lengths; elsewhere one by one.
 *
 * [p, end) must end in a byte below 128, WIRE_SLACK bytes behind `end` must be
 * readable, and `out` must hold PACKED_SPILL numbers more than there are: what is
 * written there is rubbish. Both functions return the number of varints, or
 * SIZE_MAX when one is longer than ten bytes.
 */
#ifndef API_DECODE_PACKED_H
#define API_DECODE_PACKED_H

#include <stddef.h>
#include <stdint.h>

enum {
    PACKED_SPILL = 8,
};

/* Before the first use, in any thread, as often as one likes. */
void packed_init(void);

/* For ids: mostly one or two bytes. */
size_t packed_ids(const uint8_t *p, const uint8_t *end, uint64_t *out);

/* For values: any length. */
size_t packed_numbers(const uint8_t *p, const uint8_t *end, uint64_t *out);

#endif

#include "api/decode/packed.h"

#include "api/decode/wire.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

size_t packed_numbers(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    uint64_t *next = out;

    while (p < end) {
        p = wire_varint_fast(p, next++);
        if (p == NULL)
            return SIZE_MAX;
    }
    return (size_t)(next - out);
}

#if defined(__x86_64__)

#include <tmmintrin.h>

enum {
    WINDOW = 8,     /* bytes looked at together */
    NO_BYTE = 0x80, /* shuffles in a zero */
    MASKS = 1 << WINDOW,
};

/*
 * By the mask of bytes that are continued: where the first and the second byte of
 * each number is, and how many numbers end in the window. A number whose first
 * byte is the last of the window is left for the next one.
 */
static uint8_t shuffles[MASKS][2 * WINDOW];
static uint8_t counts[MASKS];
static bool has_shuffle;

static void fill_tables(void)
{
    for (uint32_t mask = 0; mask < MASKS; mask++) {
        uint8_t n = 0;

        memset(shuffles[mask], NO_BYTE, sizeof(shuffles[mask]));
        for (uint32_t at = 0; at < WINDOW; at++) {
            bool is_continued = (mask >> at & 1) != 0;

            if (is_continued && at + 1 == WINDOW)
                break;
            shuffles[mask][2 * n] = (uint8_t)at;
            if (is_continued)
                shuffles[mask][2 * n + 1] = (uint8_t)++at;
            n++;
        }
        counts[mask] = n;
    }
    has_shuffle = __builtin_cpu_supports("ssse3") != 0;
}

/* Writes WINDOW numbers, of which counts[mask] mean something. */
__attribute__((target("ssse3"))) static inline void unpack_window(__m128i bytes, uint32_t mask,
                                                                  uint64_t *out)
{
    const __m128i zero = _mm_setzero_si128();
    __m128i pairs = _mm_shuffle_epi8(bytes, _mm_loadu_si128((const __m128i *)shuffles[mask]));
    __m128i low = _mm_and_si128(pairs, _mm_set1_epi16(0x007f));
    __m128i high = _mm_and_si128(pairs, _mm_set1_epi16(0x7f00));
    __m128i numbers = _mm_or_si128(low, _mm_srli_epi16(high, 1));
    __m128i first = _mm_unpacklo_epi16(numbers, zero), last = _mm_unpackhi_epi16(numbers, zero);
    __m128i *to = (__m128i *)out;

    _mm_storeu_si128(to, _mm_unpacklo_epi32(first, zero));
    _mm_storeu_si128(to + 1, _mm_unpackhi_epi32(first, zero));
    _mm_storeu_si128(to + 2, _mm_unpacklo_epi32(last, zero));
    _mm_storeu_si128(to + 3, _mm_unpackhi_epi32(last, zero));
}

__attribute__((target("ssse3"))) static size_t shuffled_ids(const uint8_t *p, const uint8_t *end,
                                                            uint64_t *out)
{
    uint64_t *next = out;

    while (p < end) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
        uint32_t mask = (uint32_t)_mm_movemask_epi8(bytes) & (MASKS - 1);
        ptrdiff_t left = end - p;

        if (left < WINDOW)
            mask &= (1u << left) - 1; /* what is behind the end counts as one number each */
        if (!WIRE_LIKELY((mask & mask >> 1) == 0)) {
            p = wire_varint_fast(p, next++); /* a longer number is near */
            if (p == NULL)
                return SIZE_MAX;
            continue;
        }
        unpack_window(bytes, mask, next);
        next += counts[mask];
        if (left < WINDOW)
            return (size_t)(next - out - (WINDOW - left));
        p += WINDOW - (mask >> (WINDOW - 1));
    }
    return (size_t)(next - out);
}

void packed_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, fill_tables);
}

size_t packed_ids(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    return has_shuffle ? shuffled_ids(p, end, out) : packed_numbers(p, end, out);
}

#else

void packed_init(void)
{
}

size_t packed_ids(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    return packed_numbers(p, end, out);
}

#endif

#include "storage/model/regex.h"

#include <re2/re2.h>

#include <cstring>
#include <new>
#include <string>

struct regex {
    RE2 re;

    regex(const re2::StringPiece &pattern, const RE2::Options &options) : re(pattern, options)
    {
    }
};

/* A compiled program; larger patterns are refused with RE2's own text. */
static const int64_t program_bytes_max = 8 << 20;

bool regex_compile(const char *pattern, size_t length, struct regex **out, char *reason,
                   size_t size)
{
    RE2::Options options;
    struct regex *r;

    options.set_log_errors(false);
    options.set_dot_nl(true);
    options.set_never_capture(true);
    options.set_max_mem(program_bytes_max);
    r = new (std::nothrow) regex(re2::StringPiece(pattern, length), options);
    if (r && r->re.ok()) {
        *out = r;
        return true;
    }
    if (size > 0) {
        const char *text = r ? r->re.error().c_str() : "out of memory";
        size_t n = strnlen(text, size - 1);

        memcpy(reason, text, n);
        reason[n] = '\0';
    }
    delete r;
    return false;
}

bool regex_matches(const struct regex *r, const char *text, size_t length)
{
    return RE2::FullMatch(re2::StringPiece(text, length), r->re);
}

void regex_free(struct regex *r)
{
    delete r;
}

/* language - see language.h. */
#include "storage/model/language.h"

#include "base/str.h"
#include "storage/model/labels.h"
#include "storage/model/pprof.h"

#include <stdint.h>
#include <string.h>

static const struct {
    const char *spy;
    enum language language;
} spies[] = {
    {"dotnetspy", LANGUAGE_DOTNET},  {"gospy", LANGUAGE_GO},
    {"phpspy", LANGUAGE_PHP},        {"pyspy", LANGUAGE_PYTHON},
    {"rbspy", LANGUAGE_RUBY},        {"nodespy", LANGUAGE_NODEJS},
    {"javaspy", LANGUAGE_JAVA},      {"grafana-agent.java", LANGUAGE_JAVA},
    {"pyroscope-rs", LANGUAGE_RUST},
};

/* In the order they are tried. */
static const struct {
    const char *text;
    uint8_t length;
    enum language language;
} patterns[] = {
    {".go", 3, LANGUAGE_GO},
    {"/usr/local/go/", 14, LANGUAGE_GO},
    {"java/", 5, LANGUAGE_JAVA},
    {"sun/", 4, LANGUAGE_JAVA},
    {".rb", 3, LANGUAGE_RUBY},
    {"gems/", 5, LANGUAGE_RUBY},
    {"./node_modules/", 15, LANGUAGE_NODEJS},
    {".js", 3, LANGUAGE_NODEJS},
    {"System.", 7, LANGUAGE_DOTNET},
    {"Microsoft.", 10, LANGUAGE_DOTNET},
    {".py", 3, LANGUAGE_PYTHON},
    {"main.rs", 7, LANGUAGE_RUST},
    {"core.rs", 7, LANGUAGE_RUST},
};

enum {
    PATTERN_COUNT = sizeof(patterns) / sizeof(patterns[0]),
};

static enum language language_of_string(struct str s)
{
    for (unsigned int i = 0; i < PATTERN_COUNT; i++) {
        size_t n = patterns[i].length;

        if (s.len >= n && (memcmp(s.p, patterns[i].text, n) == 0 ||
                           memcmp(s.p + s.len - n, patterns[i].text, n) == 0))
            return patterns[i].language;
    }
    return LANGUAGE_UNKNOWN;
}

enum language language_detect(const struct labels *labels, const struct pprof *p)
{
    struct str spy = labels_get(labels, STR("pyroscope_spy"));
    bool first[256] = {false}, last[256] = {false};

    for (unsigned int i = 0; i < sizeof(spies) / sizeof(spies[0]); i++)
        if (str_eq(spy, str_from(spies[i].spy)))
            return spies[i].language;

    /* Most strings are told apart by their first and last byte. */
    for (unsigned int i = 0; i < PATTERN_COUNT; i++) {
        first[(uint8_t)patterns[i].text[0]] = true;
        last[(uint8_t)patterns[i].text[patterns[i].length - 1]] = true;
    }
    for (uint32_t i = 0; i < p->string_count; i++) {
        struct str s = p->strings[i];
        enum language found;

        if (s.len < 3 || !(first[(uint8_t)s.p[0]] || last[(uint8_t)s.p[s.len - 1]]))
            continue;
        found = language_of_string(s);
        if (found != LANGUAGE_UNKNOWN)
            return found;
    }
    return LANGUAGE_UNKNOWN;
}

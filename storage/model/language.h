/*
 * language - which language a profile is of, as far as anything depends on it.
 *
 * Decided by the label pyroscope_spy, else by the first string of the table that
 * begins or ends as files of a language do (../shared/spec/ingest-api.md, section 3.4).
 * Pure functions.
 */
#ifndef STORAGE_MODEL_LANGUAGE_H
#define STORAGE_MODEL_LANGUAGE_H

struct labels;
struct pprof;

enum language {
    LANGUAGE_UNKNOWN,
    LANGUAGE_GO,
    LANGUAGE_JAVA,
    LANGUAGE_RUBY,
    LANGUAGE_NODEJS,
    LANGUAGE_DOTNET,
    LANGUAGE_PYTHON,
    LANGUAGE_RUST,
    LANGUAGE_PHP,
};

enum language language_detect(const struct labels *labels, const struct pprof *p);

#endif

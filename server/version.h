/*
 * version - which build this is.
 *
 * The strings are set by the Makefile for one object only, so that a new
 * commit rebuilds one file. They are static and live for ever.
 */
#ifndef SERVER_VERSION_H
#define SERVER_VERSION_H

/* The semantic version of the VERSION file, e.g. "0.1.0". */
const char *version_string(void);

/* The commit, 12 hex digits, or "unknown" when built outside a checkout. */
const char *version_revision(void);

/* The compiler's own name and version, e.g. "gcc 12.2.0". */
const char *version_compiler(void);

#endif

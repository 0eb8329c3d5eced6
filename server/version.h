/* version - who this is; set by the build from VERSION and the commit. */
#ifndef SERVER_VERSION_H
#define SERVER_VERSION_H

#include <stdio.h>

const char *version_number(void);
const char *version_revision(void);
const char *version_date(void); /* of the sources, from SOURCE_DATE_EPOCH; empty when unknown */

/* Ours and those of the libraries in use, a line each. */
void version_print(FILE *out);

#endif

/*
 * banned - calls that cannot be used safely are errors; the compiler is told
 * about this file with -include (Makefile), so no source includes it.
 *
 * What to use instead: buf or memcpy with a known size for strcpy and strcat,
 * buf_printf or snprintf for sprintf, str_split for strtok, str_parse_* for
 * atoi, gmtime_r for gmtime, arena for alloca. tests/lint/banned.py has a longer
 * list, with what is allowed in one place only.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

/* Their declarations must be read before the names are poisoned. */
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#undef alloca
#pragma GCC poison strcpy strcat strncpy strncat stpcpy stpncpy
#pragma GCC poison sprintf vsprintf gets
#pragma GCC poison strtok atoi atol atoll atof
#pragma GCC poison localtime gmtime ctime asctime ctime_r asctime_r
#pragma GCC poison alloca tmpnam mktemp

#endif

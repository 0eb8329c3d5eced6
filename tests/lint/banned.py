#!/usr/bin/env python3
"""Calls that the product must not make, or may make in one place only. Prints file:line."""
import re
import sys

from source import code_only, sources

NEVER = {
    "gets": "fgets", "strcpy": "memcpy with a known size", "strcat": "buf", "strncpy": "memcpy",
    "strncat": "buf", "sprintf": "snprintf", "vsprintf": "vsnprintf", "strtok": "str_split",
    "strtok_r": "str_split", "atoi": "str_parse", "atol": "str_parse", "atoll": "str_parse",
    "atof": "strtod with an end pointer", "sscanf": "a parser", "scanf": "a parser",
    "localtime": "UTC arithmetic", "localtime_r": "UTC arithmetic", "ctime": "clock",
    "ctime_r": "clock", "asctime": "clock", "gmtime": "gmtime_r", "mktime": "timegm",
    "alloca": "arena", "tmpnam": "fs", "mktemp": "fs", "system": "nothing", "popen": "nothing",
    "rand": "random from the kernel", "srand": "random from the kernel",
    "usleep": "clock", "signal": "sigaction", "assert": "check", "setjmp": "err",
    "longjmp": "err", "strerror": "err_io",
}

# What goes through a seam is called behind that seam only.
ONLY_IN = [
    (("open", "openat", "fopen", "creat", "fsync", "fdatasync", "rename", "renameat", "unlink",
      "unlinkat", "mkdir", "rmdir", "pread", "pwrite", "ftruncate", "opendir", "mmap"),
     r"^base/fs_posix\.c$|^base/fs\.c$", "disk goes through struct fs"),
    (("clock_gettime", "gettimeofday", "time", "nanosleep", "clock_nanosleep"),
     r"^base/clock\.c$|^base/thread\.c$", "time goes through struct clock"),
    (("abort",), r"^base/", "check() says why before it stops"),
]
# Named exceptions: (path, call) with the reason beside it.
EXCEPT = {
    ("base/metrics.c", "fopen"),  # /proc/self: the kernel's figures, not the disk
    ("storage/catalog_sqlite.c", "rename"),  # SQLite's own file: its I/O is SQLite's
    ("server/config_yaml.c", "fopen"),  # the operator\'s file, outside the data directory
}

NOTES = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def main():
    bad = 0
    for path in sources(["base", "storage", "api", "server"]):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for number, line in enumerate(text.split("\n"), 1):
            if NOTES.search(line):
                print(f"{path}:{number}: a note to self; do it or say it in docs")
                bad = 1
        if path == "base/banned.h":
            continue
        for number, line in enumerate(code_only(text).split("\n"), 1):
            # A member call (x->open(...)) and a declaration with another prefix are fine.
            for name in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
                if name in NEVER:
                    print(f"{path}:{number}: {name}() is banned; use {NEVER[name]}")
                    bad = 1
                for names, home, why in ONLY_IN:
                    if name in names and not re.match(home, path) and (path, name) not in EXCEPT:
                        print(f"{path}:{number}: {name}() only in {home}: {why}")
                        bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())

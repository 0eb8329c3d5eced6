#!/usr/bin/env bash
# headers.sh - every header compiles alone, so no file depends on the order of its includes.
set -euo pipefail
find base storage api server web tests/support -name '*.h' 2>/dev/null | LC_ALL=C sort |
    xargs -r -P 2 -I{} sh -c 'printf "#include \"%s\"\n#include \"%s\"\n" {} {} |
        gcc -std=gnu17 -D_GNU_SOURCE= -Wall -Wextra -Wpedantic -Werror -I. -Ibuild/gen \
            -fsyntax-only -x c - || { echo "{}: does not compile alone (or twice)"; exit 1; }'

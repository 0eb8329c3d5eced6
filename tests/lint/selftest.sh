#!/usr/bin/env bash
# selftest.sh - the layer check itself is checked: each deliberate fault must be found by name.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

expect() { # what-is-wrong file line text
    rm -rf "$tmp/tree"
    mkdir -p "$tmp"/tree/{base,storage/model,storage,api/decode,api/encode,server/http,web}
    : >"$tmp/tree/base/x.h"
    : >"$tmp/tree/storage/x.h"
    printf '/* x */\n%s\n' "$3" >"$tmp/tree/$2"
    if out=$(bash "$here/layers.sh" "$tmp/tree"); then
        echo "not found: $1"
        exit 1
    fi
    if ! grep -qF "$2:2:" <<<"$out"; then
        echo "found, but not named by file and line: $1: $out"
        exit 1
    fi
    echo "found: $1: $out"
}

expect 'base includes storage' base/y.c '#include "storage/storage.h"'
expect 'the model includes the engine' storage/model/y.c '#include "storage/wal.h"'
expect 'storage includes the API' storage/y.h '#include "api/router.h"'
expect 'a decoder includes the engine' api/decode/y.c '#include "storage/storage.h"'
expect 'the API looks inside the engine' api/y.c '#include "storage/wal.h"'
expect 'HTTP knows profiles' server/http/y.c '#include "storage/model/profile.h"'
expect 'the API includes the server' api/y.h '#include "server/app.h"'
expect 'an include without a path' storage/y.c '#include "wal.h"'
expect 'libmicrohttpd outside its wrapper' api/y.c '#include <microhttpd.h>'
expect 'own header not first' storage/x.c '#include "base/x.h"'

rm -rf "$tmp/tree"
mkdir -p "$tmp/tree/base" "$tmp/tree/storage"
: >"$tmp/tree/base/x.h"
printf '#include "base/x.h"\n' >"$tmp/tree/storage/z.c"
bash "$here/layers.sh" "$tmp/tree" || { echo "a downward include is refused"; exit 1; }
echo 'fine: a downward include'

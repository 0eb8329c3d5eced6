#!/usr/bin/env bash
# layers.sh [ROOT] - includes point downwards only; names file:line of each that does not.
#
# Two tables: which project paths a folder may include, and which folders may include
# a library's header (so that a library can be replaced in one place). Also: quoted
# includes go by path from the root, and a .c includes its own header first.
set -euo pipefail
export LC_ALL=C
cd "${1:-.}"
bad=0

# folder -> what its files may include (prefixes); the longest folder wins
allowed() {
    case $1 in
    base/*) echo 'base/' ;;
    storage/model/*) echo 'base/ storage/model/' ;;
    storage/*) echo 'base/ storage/' ;;
    server/http/*) echo 'base/ server/http/' ;;
    api/decode/*) echo 'base/ storage/model/ api/decode/' ;;
    api/encode/*) echo 'base/ storage/model/ api/encode/ api/proto/' ;;
    api/*) echo 'base/ storage/storage.h storage/query.h storage/model/ server/http/ api/ web/assets.h' ;;
    web/*) echo 'web/' ;;
    server/*) echo 'base/ storage/ api/ server/ web/' ;;
    *) echo '' ;;
    esac
}

# library header -> the only files that may include it
library_home() {
    case $1 in
    microhttpd.h) echo 'server/http/' ;;
    sqlite3.h) echo 'storage/' ;;
    jansson.h) echo 'api/' ;;
    yaml.h) echo 'server/' ;;
    zstd.h | zdict.h) echo 'base/ storage/' ;;
    libdeflate.h) echo 'base/' ;;
    xxhash.h) echo 'base/' ;;
    protobuf-c/*) echo 'api/' ;;
    re2/*) echo 'storage/model/regex.cc' ;;
    err.h | assert.h) echo 'nowhere' ;;
    *) echo '' ;;
    esac
}

starts_with_one_of() { # path prefix...
    local path=$1 prefix
    shift
    for prefix in "$@"; do
        [[ $path == "$prefix"* ]] && return 0
    done
    return 1
}

complain() {
    echo "$1: $2"
    bad=1
}

mapfile -t files < <(find base storage api server web -name '*.[ch]' -o -name '*.cc' -o -name '*.def' \
    2>/dev/null | sort)
for file in "${files[@]}"; do
    read -r -a may <<<"$(allowed "$file")"
    own=${file%.*}.h
    first=1
    while IFS=: read -r line text; do
        target=$(sed -E 's/^[^"<]*["<]([^">]*)[">].*/\1/' <<<"$text")
        if [[ $text == *\"*\"* ]]; then
            if [[ $first -eq 1 && $file != *.h && $file != *.def && -f $own && $target != "$own" ]]; then
                complain "$file:$line" "own header $own must be the first include"
            fi
            if ! starts_with_one_of "$target" "${may[@]}"; then
                complain "$file:$line" "may not include \"$target\" (allowed here: ${may[*]})"
            fi
        else
            read -r -a home <<<"$(library_home "$target")"
            if [ ${#home[@]} -gt 0 ] && ! starts_with_one_of "$file" "${home[@]}"; then
                complain "$file:$line" "<$target> belongs in ${home[*]}"
            fi
        fi
        first=0
    done < <(grep -nE '^[[:space:]]*#[[:space:]]*include' "$file" || true)
done
exit $bad

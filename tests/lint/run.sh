#!/usr/bin/env bash
# run.sh - every static check, each with one line of verdict; the last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export PYTHONDONTWRITEBYTECODE=1
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
passed=0
failed=0
log=build/lint
mkdir -p "$log"

step() { # name command...
    local name=$1 start=$SECONDS
    shift
    if "$@" >"$log/$name.txt" 2>&1; then
        echo "ok $name ($((SECONDS - start)) s)"
        [ "$name" = lengths ] && sed 's/^/    /' "$log/$name.txt"
        passed=$((passed + 1))
    else
        echo "not ok $name ($((SECONDS - start)) s)"
        sed 's/^/    /' "$log/$name.txt" | head -n 200
        failed=$((failed + 1))
    fi
}

mapfile -t c_files < <(git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cc')
mapfile -t sh_files < <(git ls-files -co --exclude-standard -- '*.sh' .ci/run)
mapfile -t product < <(git ls-files -co --exclude-standard -- 'base/*.c' 'storage/*.c' 'api/*.c' 'server/*.c')

# cppcheck does not know __VA_OPT__, so the logging macros are plain calls to it; and it does not read
# the system's headers, so it is told what protobuf-c's version is.
cppcheck_all() {
    [ ${#product[@]} -eq 0 ] && return 0
    local cache
    cache=build/lint/cppcheck-$(cksum <tests/lint/run.sh | cut -d ' ' -f 1)
    mkdir -p "$cache"
    cppcheck -q -j 2 --enable=warning,performance,portability --inline-suppr --std=c11 \
        --library=posix --suppress=missingIncludeSystem --suppress=unknownMacro \
        --suppress=readdirCalled --suppress=resourceLeak:base/fs_posix.c \
        --suppress=shiftTooManyBitsSigned --suppress=ctuuninitvar --suppress=objectIndex --suppress=uninitStructMember \
        --suppress=pointerSize:api/json_bridge.c \
        -D_GNU_SOURCE= -DPROTOBUF_C_VERSION_NUMBER=1004001 \
        -DPROTOBUF_C_MIN_COMPILER_VERSION=1000000 \
        -ULOG_AT -ULOG_FIELDS -Ulog_debug -Ulog_info -Ulog_warn -Ulog_error \
        --cppcheck-build-dir="$cache" --error-exitcode=1 -I. -Ibuild/gen "${product[@]}"
}

step format clang-format-14 --dry-run --Werror "${c_files[@]}"
step layers bash tests/lint/layers.sh
step layers-selftest bash tests/lint/selftest.sh
step headers bash tests/lint/headers.sh
step banned $python tests/lint/banned.py
step lengths $python tests/lint/lengths.py
step cppcheck cppcheck_all
step tidy $python tests/lint/tidy.py
step shellcheck shellcheck "${sh_files[@]}"
step codespell codespell --ignore-words tests/lint/codespell-ignore.txt \
    --skip './build,./.git,*.bin,*.svg,LICENSE,./tests/golden,./tests/fuzz/corpus' .

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

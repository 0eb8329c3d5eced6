#!/usr/bin/env bash
# run.sh BUILD PROGRAM... - run each benchmark, then print one table of figure, bar and verdict.
#
# A benchmark prints what it likes; lines `FIGURE<tab>name<tab>value<tab>bar<tab>ok|MISSED` become rows of
# the table. One that prints none is a row by its exit code, or SKIPPED if it says so. Scripts bench/bench_*.sh and
# bench/bench_*.py are run too, with TEST_SERVER naming the release server. BENCH=word picks.
# Nothing is stored. Exit code 1 if a bar was missed.
set -uo pipefail
build=$1
shift
export TEST_SERVER=$PWD/$build/flamekeep PYTHONDONTWRITEBYTECODE=1
rows=$(mktemp)
output=$(mktemp)
trap 'rm -f "$rows" "$output"' EXIT

run() { # name command...
    local name=$1 code
    shift
    [[ -n ${BENCH:-} && $name != *"$BENCH"* ]] && return 0
    echo "== $name"
    "$@" 2>&1 | tee "$output" | grep -v $'^FIGURE\t'
    code=${PIPESTATUS[0]}
    if grep -q $'^FIGURE\t' "$output"; then
        grep $'^FIGURE\t' "$output" | cut -f 2- >>"$rows"
        [ "$code" -eq 0 ] || grep -q $'\tMISSED$' "$output" ||
            printf '%s\texit code %s\t0\tMISSED\n' "$name" "$code" >>"$rows"
    elif [ "$code" -eq 0 ] && grep -q ': SKIPPED, ' "$output"; then
        printf '%s\tnot measured\t-\tSKIPPED\n' "$name" >>"$rows"
    else
        printf '%s\texit code %s\t0\t%s\n' "$name" "$code" \
            "$([ "$code" -eq 0 ] && echo ok || echo MISSED)" >>"$rows"
    fi
}

for program in "$@"; do
    run "$(basename "$program")" "$program"
done
for script in bench/bench_*.sh bench/bench_*.py; do
    [ -e "$script" ] || continue
    case $script in
    *.sh) run "$(basename "$script")" bash "$script" ;;
    *.py) run "$(basename "$script")" python3 "$script" ;;
    esac
done

echo
{
    printf 'figure\tvalue\tbar\tverdict\n'
    cat "$rows"
} | awk -F '\t' '{ printf "%-56s %20s %20s  %s\n", $1, $2, $3, $4 }'
! grep -q $'\tMISSED$' "$rows"

#!/usr/bin/env bash
# deps.sh GROUP... - install the Debian packages that a group of make targets needs.
#
# Says what it installs, asks nothing, and is quick and silent when all is there.
# Groups: build test lint fuzz cover docker. Elsewhere than on Debian it only says
# what is needed and lets the build find out.
set -euo pipefail

packages_of() {
    case $1 in
    build) echo gcc g++ libc6-dev make protobuf-c-compiler libmicrohttpd-dev libprotobuf-c-dev \
        libjansson-dev libsqlite3-dev libzstd-dev libdeflate-dev libxxhash-dev libre2-dev \
        libyaml-dev ;;
    test) echo libcmocka-dev python3 python3-pytest python3-protobuf curl ;;
    lint) echo clang-14 clang-format-14 clang-tidy-14 cppcheck shellcheck codespell git ;;
    fuzz) echo clang-14 libclang-rt-14-dev libstdc++-12-dev python3 ;;
    cover) echo gcovr ;;
    docker) echo debootstrap docker.io curl ;;
    *)
        echo "deps.sh: unknown group '$1' (build test lint fuzz cover docker)" >&2
        exit 2
        ;;
    esac
}

wanted=()
for group in "$@"; do
    read -r -a names <<<"$(packages_of "$group")"
    wanted+=("${names[@]}")
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    if [ ! -e build/.deps-note ]; then
        echo "deps: not a Debian system; these must be there (Debian names): ${wanted[*]}" >&2
        mkdir -p build && touch build/.deps-note
    fi
    exit 0
fi

# One query for all; a package counts only when fully installed.
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
    sed -n 's/ installed$//p' || true)
missing=()
for p in "${wanted[@]}"; do
    grep -qxF "$p" <<<"$installed" || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0

# Two make targets may get here at once; the second then finds nothing missing.
if [ -z "${FLAMEKEEP_DEPS_LOCKED:-}" ] && command -v flock >/dev/null; then
    mkdir -p build
    FLAMEKEEP_DEPS_LOCKED=1 exec flock build/.deps.lock bash "$0" "$@"
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: missing: ${missing[*]}" >&2
        echo "deps: not root and no sudo; as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "deps: installing with apt-get: ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y
    -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "${apt[@]}" update >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "deps: apt-get update failed; trying with the lists that are there" >&2
fi
if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "deps: could not install: ${missing[*]}" >&2
    exit 1
fi
echo "deps: done"

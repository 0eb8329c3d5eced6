#!/usr/bin/env bash
# closure.sh BINARY OUT - lay out what an image needs to run BINARY on an empty base.
#
#   OUT/root     the binary, every shared library it loads, the loader, a user, licences
#   OUT/volumes  the data folder, alone, so that its owner can be set when it is copied
set -euo pipefail

binary=$1
root=$2/root
mkdir -p "$root/usr/bin" "$root/etc" "$2/volumes/data"
chmod 0770 "$2/volumes/data"
install -m 0755 "$binary" "$root/usr/bin/flamekeep"
# Symbols stay, so that the server can be profiled as it runs.
strip --strip-debug "$root/usr/bin/flamekeep"

# Each line names a file as `name => /path (address)` or, for the loader, `/path (address)`.
mapfile -t libraries < <(ldd "$binary" | sed -nE 's/.*=> (\/[^ ]+) \(.*/\1/p; s/^\t(\/[^ ]+) \(.*/\1/p' | sort -u)
if ldd "$binary" | grep -q 'not found'; then
    ldd "$binary" >&2
    exit 1
fi
packages=()
for library in "${libraries[@]}"; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
    # dpkg knows the file by its path before or after the merge of /lib into /usr/lib.
    real=$(readlink -f "$library")
    owner=$(dpkg-query -S "$library" 2>/dev/null || dpkg-query -S "$real" 2>/dev/null ||
        dpkg-query -S "${real#/usr}" 2>/dev/null || true)
    [ -n "$owner" ] && packages+=("${owner%%: *}")
done

echo 'flamekeep:x:10001:0:flamekeep:/data:/sbin/nologin' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

# What is inside, and under which licence.
mkdir -p "$root/usr/share/doc/flamekeep"
cp LICENSE "$root/usr/share/doc/flamekeep/" 2>/dev/null || true
mapfile -t packages < <(printf '%s\n' "${packages[@]%%,*}" | sort -u)
dpkg-query -W -f '${source:Package} ${source:Version} ${binary:Package}\n' "${packages[@]}" \
    >"$root/usr/share/doc/flamekeep/packages.txt"
for package in "${packages[@]}"; do
    name=${package%%:*}
    if [ -e "/usr/share/doc/$name/copyright" ]; then
        mkdir -p "$root/usr/share/doc/$name"
        cp -L "/usr/share/doc/$name/copyright" "$root/usr/share/doc/$name/"
    fi
done

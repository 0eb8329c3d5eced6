#!/usr/bin/env bash
# check.sh - build the image for real and use it as a careful operator would: read-only root, no
# capabilities, any uid, a named volume; push and query through the published port; healthy;
# SIGTERM ends it with 0; the data is there for the next container.
#
# Starts a container engine of its own (Debian's), with its own data folder, socket and bridge, on a
# base made by debootstrap, so that nothing is pulled; all of it is gone afterwards. The base is
# kept in build/docker-check. Needs root. The last line is `N passed, N failed`.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C

work=$(mktemp -d /tmp/flamekeep-docker.XXXXXX)
kept=build/docker-check
bridge=fkcheck$((RANDOM % 90 + 10))
subnet=10.213.$((RANDOM % 200 + 20))
docker=/usr/bin/docker
base=debian:bookworm-slim
image=flamekeep:check
passed=0
failed=0
mkdir -p "$kept"

ok() {
    echo "ok $1"
    passed=$((passed + 1))
}
not_ok() {
    echo "not ok $1"
    failed=$((failed + 1))
}
verdict() { # title condition-exit-code
    if [ "$2" -eq 0 ]; then ok "$1"; else not_ok "$1"; fi
}
finish() {
    if [ -s "$work/engine.pid" ]; then
        "$docker" ps -aq 2>/dev/null | xargs -r "$docker" rm -f >/dev/null 2>&1
        kill -TERM "$(cat "$work/engine.pid")" 2>/dev/null
        for _ in $(seq 100); do
            kill -0 "$(cat "$work/engine.pid" 2>/dev/null || echo none)" 2>/dev/null || break
            sleep 0.1
        done
    fi
    ip link delete "$bridge" 2>/dev/null
    # What the engine mounted below its folder goes first.
    awk -v d="$work" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n 1 umount -l 2>/dev/null
    rm -rf "$work"
}
give_up() {
    echo "$1" >&2
    [ -f "$work/engine.log" ] && tail -n 20 "$work/engine.log" >&2
    not_ok "$1"
    echo "$passed passed, $failed failed"
    exit 1
}
trap finish EXIT

[ "$(id -u)" -eq 0 ] || give_up 'must be root: it starts a container engine of its own'

if [ ! -s "$kept/base.tar" ]; then
    echo 'making a Debian base with debootstrap'
    debootstrap --variant=minbase bookworm "$work/base" >"$kept/debootstrap.log" 2>&1 ||
        give_up "debootstrap failed, see $kept/debootstrap.log"
    # The updates and security suites of this machine, so that its package lists match.
    cp -a /etc/apt/sources.list.d/debian.sources "$work/base/etc/apt/sources.list.d/" 2>/dev/null &&
        : >"$work/base/etc/apt/sources.list"
    rm -rf "$work/base/var/cache/apt/archives/"*.deb "$work/base/var/lib/apt/lists/"*
    tar -C "$work/base" -c . >"$kept/base.tar.new" && mv "$kept/base.tar.new" "$kept/base.tar"
    rm -rf "$work/base"
fi

ip link add name "$bridge" type bridge || give_up 'cannot make a network bridge'
ip address add "$subnet.1/24" dev "$bridge"
ip link set "$bridge" up
# No firewall rules: published ports go through the engine's own proxy.
dockerd --iptables=false --ip6tables=false --bridge="$bridge" --data-root "$work/data" \
    --exec-root "$work/exec" -H "unix://$work/socket" -p "$work/engine.pid" \
    >"$work/engine.log" 2>&1 &
export DOCKER_HOST=unix://$work/socket DOCKER_BUILDKIT=0 DOCKER_CONFIG=$work/config
for _ in $(seq 300); do
    "$docker" info >/dev/null 2>&1 && break
    sleep 0.1
done
"$docker" info >/dev/null 2>&1 || give_up 'the container engine did not start'
"$docker" import "$kept/base.tar" "$base" >/dev/null || give_up 'cannot import the base'

start=$SECONDS
"$docker" build --network host --build-arg REVISION=check -t "$image" . >"$kept/build.log" 2>&1
code=$?
verdict "the image builds ($((SECONDS - start)) s)" $code
[ $code -eq 0 ] || { tail -n 30 "$kept/build.log" >&2; give_up "see $kept/build.log"; }
size=$("$docker" image inspect -f '{{.Size}}' "$image")
echo "   image: $((size / 1000000)) MB, $("$docker" save "$image" | gzip -1 | wc -c | awk '{printf "%.1f", $1 / 1e6}') MB gzipped"
[ "$size" -lt 40000000 ]
verdict 'it is smaller than 40 MB' $?
[ "$("$docker" image inspect -f '{{.Config.User}}' "$image")" = 10001:0 ]
verdict 'its user is not root' $?

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
run() { # name user volume
    port=$(free_port)
    "$docker" run -d --name "$1" --user "$2" --read-only --cap-drop ALL \
        --security-opt no-new-privileges -v "$3:/data" -p "127.0.0.1:$port:4040" \
        "$image" >/dev/null
    url=http://127.0.0.1:$port
    for _ in $(seq 100); do
        curl -fsS -o /dev/null "$url/ready" 2>/dev/null && return 0
        sleep 0.1
    done
    "$docker" logs "$1" 2>&1 | tail -n 20
    return 1
}
find_function() { # name
    curl -fsS -H 'Content-Type: application/json' \
        -d "{\"profileTypeID\": \"process_cpu:cpu:nanoseconds:cpu:nanoseconds\",
             \"labelSelector\": \"{service_name=\\\"imagecheck\\\"}\",
             \"start\": \"$((now - 3600))000\", \"end\": \"$((now + 3600))000\"}" \
        "$url/querier.v1.QuerierService/SelectMergeStacktraces" | grep -q "\"$1\""
}
stop() { # name
    local began=$SECONDS
    "$docker" stop -t 10 "$1" >/dev/null
    echo "   stopped in $((SECONDS - began)) s"
    [ "$("$docker" inspect -f '{{.State.ExitCode}}' "$1")" -eq 0 ]
}

push() {
    printf 'main;image_work 7\nmain;image_rest 3\n' | curl -fsS --data-binary @- \
        "$url/ingest?name=imagecheck.cpu&format=folded&sampleRate=100&from=$((now - 10))&until=$now"
}

now=$(date +%s)
run first 10001:0 data1
verdict 'it serves with a read-only root, no capabilities, as uid 10001' $?
push
verdict 'a push through the published port is taken' $?
find_function image_work
verdict 'and found again' $?
for _ in $(seq 60); do
    health=$("$docker" inspect -f '{{.State.Health.Status}}' first)
    [ "$health" = starting ] || break
    sleep 1
done
[ "$health" = healthy ]
verdict "the engine calls it healthy (it says: $health)" $?
"$docker" exec first /usr/bin/flamekeep healthcheck
verdict 'healthcheck inside the container says so too' $?
! "$docker" exec first /bin/sh -c true >/dev/null 2>&1
verdict 'there is no shell inside' $?
stop first
verdict 'SIGTERM ends it with exit code 0' $?

run second 10001:0 data1
verdict 'the next container serves the same volume' $?
find_function image_work
verdict 'what was acknowledged before is there' $?
stop second
verdict 'SIGTERM ends it with exit code 0 again' $?

run third 4711:0 data2
verdict 'any other uid in group 0 serves a new volume' $?
push && find_function image_rest
verdict 'and takes a push and finds it' $?
stop third
verdict 'and ends with exit code 0' $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

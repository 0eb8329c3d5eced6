"""Backups: taken while pushes, sealing and joining go on, they restore to the store at one LSN;
a second one moves only what is new; damage is found and named."""
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse

import pytest

CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
TICK = 10_000_000  # nanoseconds of a sample at 100 Hz
PUSHERS = 3
SMALL = ("--head.max_bytes", "1MiB", "--head.seal_bytes", "128KiB")


def run(*words, server=None, data=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLAMEKEEP_")}
    argv = [os.environ["TEST_SERVER"], *words, "--data", str(data or server.data)]
    if server:
        argv += ["--listen", f"127.0.0.1:{server.port}"]
    return subprocess.run(argv, capture_output=True, env=env, text=True, timeout=120, check=False)


def backup(target, **where):
    done = run("backup", str(target), **where)
    assert done.returncode == 0, done.stderr
    found = re.search(r"(\d+) files, of them (\d+) new with (\d+) bytes, up to LSN (\d+)", done.stdout)
    assert found, done.stdout
    return [int(n) for n in found.groups()]


def push(server, service, now, folded):
    query = urllib.parse.urlencode({"name": f"{service}.cpu", "from": now, "until": now + 10,
                                    "format": "folded", "sampleRate": 100})
    return server.post(f"/ingest?{query}", folded.encode()).status


def ask(server, path, now, **fields):
    fields = {"start": (now - 3600) * 1000, "end": (now + 3600) * 1000, **fields}
    answer = server.post(f"/querier.v1.QuerierService/{path}", json.dumps(fields).encode(),
                         headers={"Content-Type": "application/json"})
    assert answer.status == 200, answer.text
    return answer.body


def answers(server, now):
    """Every answer that says something of what is stored, as bytes."""
    return [ask(server, "SelectMergeStacktraces", now, profileTypeID=CPU, labelSelector="{}",
                maxNodes=100000),
            ask(server, "SelectSeries", now, profileTypeID=CPU, labelSelector="{}", step=15,
                groupBy=["service_name"]),
            ask(server, "ProfileTypes", now), ask(server, "Series", now, matchers=[]),
            ask(server, "LabelValues", now, name="service_name")]


def count_of(server, service, now):
    tree = json.loads(ask(server, "SelectMergeStacktraces", now, profileTypeID=CPU,
                          labelSelector=f'{{service_name="{service}"}}'))["flamegraph"]
    return int(tree.get("total", 0)) // TICK


def test_a_backup_under_load_is_the_store_at_one_moment(start_server, tmp_path):
    server, now = start_server(*SMALL, data=tmp_path / "data"), int(time.time())
    begun, acked = [0] * PUSHERS, [0] * PUSHERS
    stop = threading.Event()

    def keep_pushing(who):
        while not stop.is_set():
            n = begun[who] = begun[who] + 1
            lines = "".join(f"main;f{who}_{n}_{i};leaf 1\n" for i in range(200))
            assert push(server, f"s{who}", now, lines) == 200
            acked[who] = n

    threads = [threading.Thread(target=keep_pushing, args=(who,)) for who in range(PUSHERS)]
    for t in threads:
        t.start()
    bounds, target = [], tmp_path / "backup"
    for _ in range(4):
        seen = min(acked)
        while min(acked) < seen + 8:
            assert server.alive()
        before = list(acked)
        backup(target, server=server)
        bounds.append((before, list(begun)))
    stop.set()
    for t in threads:
        t.join()
    manifests = sorted((target / "manifests").iterdir())
    assert len(manifests) == 4
    assert list((target / "seg").rglob("*.agg"))  # heads were sealed on the way
    verified = run("backup", "verify", str(target), data=tmp_path / "none")
    assert verified.returncode == 0 and "4 backups" in verified.stdout, verified.stdout
    for low, high in reversed(bounds):
        data = tmp_path / f"restored-{len(manifests)}"
        done = run("restore", str(target), data=data)
        assert done.returncode == 0, done.stderr
        restored = start_server(*SMALL, data=data)
        for who in range(PUSHERS):
            # Pushes of one client come one after the other: a prefix of them, each whole.
            count = count_of(restored, f"s{who}", now)
            assert count % 200 == 0
            assert low[who] <= count // 200 <= high[who]
        assert "segments_quarantined=0" in restored.log()
        assert "wal_files_quarantined=0" in restored.log()
        assert restored.stop() == 0
        manifests.pop().unlink()  # the one before is the newest then


def test_answers_of_the_restored_store_are_the_same_bytes(start_server, tmp_path):
    server, now = start_server(*SMALL, data=tmp_path / "data"), int(time.time()) // 15 * 15
    for n in range(30):
        lines = "".join(f"main;f{n}_{i};leaf {i + 1}\n" for i in range(300))
        assert push(server, f"s{n % 4}", now + n, lines) == 200
    expected = answers(server, now)
    backup(tmp_path / "online", server=server)
    assert server.stop() == 0
    backup(tmp_path / "offline", data=server.data)
    for kind in ("online", "offline"):
        assert run("restore", str(tmp_path / kind), data=tmp_path / f"{kind}-data").returncode == 0
        restored = start_server(*SMALL, data=tmp_path / f"{kind}-data")
        assert answers(restored, now) == expected
        assert push(restored, "s0", now, "more 1\n") == 200
        restored.kill()
        restored = start_server(*SMALL, data=tmp_path / f"{kind}-data")
        assert answers(restored, now) != expected
        assert restored.stop() == 0
    for kind in ("online", "offline"):  # nothing that the restored ones wrote changed a backup
        assert run("backup", "verify", str(tmp_path / kind), data=tmp_path / "x").returncode == 0


def test_a_second_backup_moves_only_new_files(start_server, tmp_path):
    data, now = tmp_path / "data", int(time.time())
    for n in range(3):  # stopping seals
        server = start_server(data=data)
        assert push(server, f"s{n}", now, "main;work 5\n") == 200
        assert server.stop() == 0
    server = start_server(data=data)
    first = backup(tmp_path / "backup", server=server)
    inodes = {f: f.stat().st_ino for f in (tmp_path / "backup" / "seg").rglob("*") if f.is_file()}
    assert len(inodes) == 6
    assert all(f.stat().st_nlink == 2 for f in inodes)  # by hard link
    assert push(server, "s9", now, "main;work 5\n") == 200
    assert server.stop() == 0
    server = start_server(data=data)
    second = backup(tmp_path / "backup", server=server)
    assert {f: f.stat().st_ino for f in inodes} == inodes
    manifests = sorted((tmp_path / "backup" / "manifests").iterdir())
    segments = [m.read_text().count(" seg/") for m in manifests]
    assert segments == [6, 8]
    logs = sorted((tmp_path / "backup" / "log").iterdir())
    copied = len(list(logs[1].iterdir())) - 1  # the end of the log is made, not copied
    assert second[1] - copied == 2
    assert len(logs) == 2 and first[1] == 6 + len(list(logs[0].iterdir())) - 1


def test_damage_of_a_backup_is_found_and_named(start_server, tmp_path):
    server, now = start_server(data=tmp_path / "data"), int(time.time())
    assert push(server, "s", now, "main;work 5\n") == 200
    assert server.stop() == 0
    target = tmp_path / "backup"
    backup(target, data=tmp_path / "data")
    for file in [f for f in target.rglob("*") if f.is_file()]:
        good = file.read_bytes()
        copy = tmp_path / "flipped"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(target, copy)
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 4
        (copy / file.relative_to(target)).write_bytes(bytes(bad))
        verified = run("backup", "verify", str(copy), data=tmp_path / "x")
        assert verified.returncode == 1
        assert str(file.relative_to(target)) in verified.stdout
        (copy / file.relative_to(target)).unlink()
        verified = run("backup", "verify", str(copy), data=tmp_path / "x")
        assert verified.returncode == 1
    data = tmp_path / "not-restored"
    done = run("restore", str(copy), data=data)
    assert done.returncode == 1 and not (data / "FORMAT").exists()


@pytest.mark.parametrize("query, header, status", [
    ("do=begin", None, 403), ("do=begin", "0" * 32, 403), ("do=renew&id=0000000000000001", "", 404),
    ("do=renew&id=1", "", 400), ("do=nothing&id=0000000000000001", "", 400)])
def test_only_who_reads_the_directory_may_hold_it(start_server, tmp_path, query, header, status):
    server = start_server(data=tmp_path / "data")
    instance = re.search("instance ([0-9a-f]{32})", (tmp_path / "data" / "FORMAT").read_text())[1]
    headers = {} if header is None else {"X-Flamekeep-Instance": header or instance}
    assert server.post(f"/api/v1/backup?{query}", b"", headers=headers).status == status


def test_one_at_a_time_and_mistakes_are_told(start_server, tmp_path):
    server = start_server(data=tmp_path / "data")
    instance = re.search("instance ([0-9a-f]{32})", (tmp_path / "data" / "FORMAT").read_text())[1]
    headers = {"X-Flamekeep-Instance": instance}
    held = server.post("/api/v1/backup?do=begin", b"", headers=headers)
    assert held.status == 200
    assert run("backup", str(tmp_path / "b"), server=server).returncode == 1
    held_id = re.search("id ([0-9a-f]{16})", held.text)[1]
    assert server.post(f"/api/v1/backup?do=end&id={held_id}", b"", headers=headers).status == 200
    backup(tmp_path / "b", server=server)
    assert run("backup", str(tmp_path / "data"), server=server).returncode == 1  # into itself
    assert run("backup", server=server).returncode == 2  # no DIR
    assert run("restore", str(tmp_path / "b"), server=server).returncode == 1  # not empty
    assert run("restore", str(tmp_path / "nothing"), data=tmp_path / "n").returncode == 1
    other = start_server(data=tmp_path / "other")
    assert run("backup", str(tmp_path / "b"), server=other).returncode == 1  # of another store

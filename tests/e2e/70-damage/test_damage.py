"""One flipped bit in each part of every kind of file: what notices, and how far it reaches.

The directory is real: three services sealed into one segment by a clean stop, then copied per
flip. The log is removed where a segment must stand alone; else its pushes would be replayed.
"""
import json
import os
import pathlib
import shutil
import struct
import subprocess
import threading
import time

import pytest

import conftest

SERVICES = ["svc-a", "svc-b", "svc-c"]
FOOTER, ENTRY, WHOLE_FILE = 128, 48, 0xFFFFFFFF
PROFILES, WIDTH = 6, 10
TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"


class Store:
    def __init__(self, root):
        self.start = int(time.time()) - 600
        self.data = root / "whole"
        server = conftest.Server(self.data).start()
        for service in SERVICES:
            for k in range(PROFILES):
                self.push(server, service, k)
        assert server.stop() == 0
        for file in (self.data / "wal").iterdir():
            file.unlink()
        (self.agg,) = (p.relative_to(self.data) for p in self.data.rglob("*.agg"))
        self.smp = self.agg.with_suffix(".smp")

    def push(self, server, service, k):
        stacks = "".join(f"main;f{i};g{i % 3} {i + k + 1}\n" for i in range(20)).encode()
        at = self.start + k * WIDTH
        reply = server.post(f"/ingest?name={service}&from={at}&until={at + WIDTH}&format=folded"
                            "&sampleRate=100", body=stacks)
        assert reply.status == 200, reply.text

    def ask(self, server, service):
        query = f'{TYPE}{{service_name="{service}"}}'.replace('"', "%22")
        return server.get(f"/pyroscope/render?query={query}&from={self.start - 60}"
                          f"&until={self.start + 600}&format=json")

    def sections(self):
        """(kind, service, a byte in the middle of it), of .agg."""
        raw = (self.data / self.agg).read_bytes()
        table, = struct.unpack_from("<Q", raw, len(raw) - FOOTER)
        count, = struct.unpack_from("<I", raw, len(raw) - FOOTER + 16)
        for i in range(count):
            kind, service, offset, stored = struct.unpack_from("<4sIQQ", raw, table + i * ENTRY)
            yield kind.rstrip(b"\0").decode(), service, offset + stored // 2

    def flipped(self, folder, path, at):
        """A copy of the directory with a bit of one file flipped."""
        data = folder / f"flipped{len(list(folder.iterdir()))}"
        shutil.copytree(self.data, data)
        raw = bytearray((data / path).read_bytes())
        raw[at] ^= 4
        (data / path).write_bytes(raw)
        return data


def ticks(reply):
    assert reply.status == 200, reply.text
    return json.loads(reply.text)["flamebearer"]["numTicks"]


def verify(data):
    return subprocess.run([conftest.server_binary(), "verify", "--data", str(data)],
                          env=conftest.clean_env(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("damage"))


@pytest.fixture(scope="module")
def whole(store):
    server = conftest.Server(store.data).start()
    answers = {service: store.ask(server, service) for service in SERVICES}
    assert server.stop() == 0
    assert verify(store.data).returncode == 0
    assert all(ticks(a) > 0 for a in answers.values())
    return answers


def missing(reply):
    """X-Flamekeep-Missing as a dict; None when the answer lacks nothing."""
    said = {p for p in reply.headers.get_all("X-Flamekeep-Missing") or []}
    assert len(said) <= 1, said
    return dict((k, int(v)) for k, v in (p.split("=") for p in said.pop().split())) if said else None


def metric(server, name):
    (line,) = (l for l in server.get("/metrics").text.splitlines() if l.startswith(name + " "))
    return float(line.split()[1])


def damaged_services(store, whole, server):
    """Those whose answer is another one, and says so; every other answer must be what it was."""
    short = set()
    for i, service in enumerate(SERVICES):
        reply = store.ask(server, service)
        assert reply.status == 200, reply.text
        if missing(reply) is None:
            assert json.loads(reply.text) == json.loads(whole[service].text), service
        else:
            assert missing(reply)["datasets"] == 1 and missing(reply)["bytes"] > 0
            assert store.start * 1000 <= missing(reply)["from"] <= missing(reply)["until"]
            assert ticks(reply) == 0
            short.add(i)
    return short


def test_a_damaged_section_of_a_service_costs_that_service_only(store, whole, start_server,
                                                                tmp_path):
    seen = {}
    for kind, service, at in store.sections():
        if service == WHOLE_FILE:
            continue
        data = store.flipped(tmp_path, store.agg, at)
        assert kind in verify(data).stdout, f"{kind} of {service}: verify does not name it"
        server = start_server(data=data)
        short = damaged_services(store, whole, server)
        assert short <= {service}, f"{kind} of {service} cost {short}"
        if short:
            assert metric(server, "flamekeep_storage_datasets_damaged") == 1
            assert metric(server, "flamekeep_queries_incomplete_total") >= 1
            assert server.log().count("stored profiles cannot be read") == 1
            assert str(store.agg.name) in server.log()
        assert server.stop() == 0
        seen.setdefault(kind, set()).update(short)
    assert {k for k, cost in seen.items() if len(cost) == len(SERVICES)} == {
        "STR", "FUN", "MAP", "LOC", "STK", "LBL", "DIR"}


@pytest.mark.parametrize("end", [False, True], ids=["first chunk", "last row block"])
def test_damaged_rows_cost_their_service_only(store, whole, start_server, tmp_path, end):
    at = os.path.getsize(store.data / store.smp) - 3 if end else 70
    data = store.flipped(tmp_path, store.smp, at)
    assert verify(data).returncode != 0
    server = start_server(data=data)
    assert damaged_services(store, whole, server) == {len(SERVICES) - 1 if end else 0}


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 4]))


def wait_for(what):
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_reading_again_finds_damage_before_a_question_does(store, whole, start_server, tmp_path):
    del whole
    data = store.flipped(tmp_path, store.smp, 70)
    flip(data / store.smp, 70)
    server = start_server("--scrub.interval", "1s", "--scrub.rate_bytes", "10MiB", data=data)
    wait_for(lambda: metric(server, "flamekeep_scrub_segments_total") >= 1)
    assert metric(server, "flamekeep_scrub_findings_total") == 0
    flip(data / store.smp, 70)
    wait_for(lambda: metric(server, "flamekeep_scrub_findings_total") >= 1)
    assert metric(server, "flamekeep_storage_datasets_damaged") == 1
    assert "stored profiles cannot be read" in server.log()


def repair(data, *options):
    return subprocess.run([conftest.server_binary(), "repair", "--data", str(data), *options],
                          env=conftest.clean_env(), capture_output=True, text=True, check=False)


def test_repair_saves_the_sound_services_and_the_lost_one_stays_known(store, whole, start_server,
                                                                      tmp_path):
    data = store.flipped(tmp_path, store.smp, 70)
    said = repair(data)
    assert said.returncode == 1 and "nothing was changed" in said.stderr
    assert "service svc-a: 6 profiles lost" in said.stdout
    assert (data / store.smp).exists()
    said = repair(data, "--apply")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "2 of 3 services sound, 12 profiles: written anew" in said.stdout
    assert verify(data).returncode == 0
    assert repair(data).returncode == 0
    server = start_server(data=data)
    assert damaged_services(store, whole, server) == {0}
    assert "another flamekeep" in repair(data).stderr
    assert server.stop() == 0
    for file in (data / "quarantine").iterdir():
        file.unlink()  # given up
    server = start_server(data=data)
    assert missing(store.ask(server, SERVICES[0])) is None


def test_repair_saves_all_that_a_start_has_set_aside_for_its_header(store, whole, start_server,
                                                                    tmp_path):
    data = store.flipped(tmp_path, store.agg, 20)
    server = start_server(data=data)
    assert missing(store.ask(server, SERVICES[0]))["segments"] == 1
    assert server.stop() == 0
    said = repair(data, "--apply")
    assert said.returncode == 0 and "3 of 3 services sound" in said.stdout, said.stdout
    server = start_server(data=data)
    assert damaged_services(store, whole, server) == set()


def whole_file_places(store):
    size = os.path.getsize(store.data / store.agg)
    raw = (store.data / store.agg).read_bytes()
    table, = struct.unpack_from("<Q", raw, size - FOOTER)
    yield "header of .agg", store.agg, 20
    yield "section table", store.agg, table + 9
    yield "footer", store.agg, size - FOOTER + 50
    yield "header of .smp", store.smp, 20
    for kind, service, at in store.sections():
        if service == WHOLE_FILE:
            yield kind, store.agg, at


def test_damage_of_a_whole_segment_is_set_aside_and_every_answer_says_so(store, whole, start_server,
                                                                         tmp_path):
    del whole
    for name, path, at in whole_file_places(store):
        data = store.flipped(tmp_path, path, at)
        assert verify(data).returncode != 0, name
        for start in range(2):
            server = start_server(data=data)
            assert metric(server, "flamekeep_storage_segments_quarantined") == 1, name
            assert metric(server, "flamekeep_storage_missing_bytes") > 0, name
            for service in SERVICES:
                reply = store.ask(server, service)
                assert ticks(reply) == 0 and missing(reply)["segments"] == 1, name
            (told,) = json.loads(server.get("/api/v1/storage").text)["data"]["missing"]
            assert told["tenant"] == "anonymous" and told["service"] is None and told["bytes"] > 0
            assert server.stop() == 0
            assert server.log().count("damaged segment set aside") == 1, name
            assert server.log().count("answers lack what") == start + 1, name
        aside = [p for p in (data / "quarantine").rglob("*") if p.is_file()]
        assert len(aside) == 2, (name, aside)
        for file in aside:
            file.unlink()
        server = start_server(data=data)
        assert missing(store.ask(server, SERVICES[0])) is None, name
        assert server.stop() == 0


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A directory whose pushes are in the log only, and what they answer."""
    store = Store.__new__(Store)
    root = tmp_path_factory.mktemp("logged")
    store.start, store.data = int(time.time()) - 600, root / "whole"
    server = conftest.Server(store.data).start()
    for k in range(PROFILES):
        for service in SERVICES:
            store.push(server, service, k)
    answers = {service: store.ask(server, service) for service in SERVICES}
    server.kill()
    return store, answers


def records(data):
    """(file, offset, size) of every record in the log; docs/storage-format.md, WAL."""
    for file in sorted((data / "wal").glob("*.wal")):
        raw = file.read_bytes()
        at = 64
        while at + 40 <= len(raw) and raw[at + 4] != 0:
            size, = struct.unpack_from("<I", raw, at)
            yield file.relative_to(data), at, 40 + size
            at += (40 + size + 7) // 8 * 8


def test_a_damaged_log_record_costs_that_push_only_and_is_told(logged, start_server, tmp_path):
    store, answers = logged
    found = list(records(store.data))
    assert len(found) == PROFILES * len(SERVICES)
    for number in (0, len(found) // 2):
        file, at, size = found[number]
        for place in (1, 4, 17, 33, 40 + (size - 40) // 2):
            data = store.flipped(tmp_path, file, at + place)
            said = verify(data)
            assert said.returncode == 1 and f"{file}: records damaged" in said.stdout
            server = start_server(data=data)
            lost = number % len(SERVICES)
            for i, service in enumerate(SERVICES):
                reply = store.ask(server, service)
                assert missing(reply)["logs"] == 1, place
                same = json.loads(reply.text) == json.loads(answers[service].text)
                assert same == (i != lost), (place, service)
            assert metric(server, "flamekeep_wal_files_quarantined") == 1
            assert server.log().count('msg="damaged log file"') == 1
            assert server.stop() == 0


def test_a_damaged_header_of_a_log_file_costs_nothing_and_is_told(logged, start_server, tmp_path):
    store, answers = logged
    file = next(records(store.data))[0]
    for at in (3, 13, 20, 34, 60):
        data = store.flipped(tmp_path, file, at)
        said = verify(data)
        assert said.returncode == 1 and f"{file}: header damaged" in said.stdout
        server = start_server(data=data)
        for service in SERVICES:
            reply = store.ask(server, service)
            assert missing(reply) is None
            assert json.loads(reply.text) == json.loads(answers[service].text)
        assert server.log().count('msg="damaged log file"') == 1
        assert server.stop() == 0


def test_a_damaged_catalog_changes_no_answer(store, whole, start_server, tmp_path):
    size = os.path.getsize(store.data / "catalog.sqlite")
    for at in (30, size // 2, size - 1):
        data = store.flipped(tmp_path, pathlib.Path("catalog.sqlite"), at)
        server = start_server(data=data)
        assert damaged_services(store, whole, server) == set()
        assert server.stop() == 0


def test_beside_a_running_server_verify_finds_nothing_wrong(start_server):
    server = start_server("--head.seal_age", "1s", "--wal.file.min_bytes", "256KiB")
    stop, store = threading.Event(), Store.__new__(Store)
    store.start = int(time.time()) - 600

    def push():
        for k in range(100000):
            if stop.is_set():
                return
            store.push(server, SERVICES[k % 3], k % PROFILES)

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        wait_for(lambda: metric(server, "flamekeep_storage_seals_total") >= 2)
        for _ in range(8):
            said = verify(server.data)
            assert said.returncode == 0, said.stdout + said.stderr
            assert "0 damaged" in said.stdout
    finally:
        stop.set()
        pusher.join()


def test_a_damaged_format_file_stops_the_start_with_its_name(store, whole, tmp_path):
    del whole
    for at in range(os.path.getsize(store.data / "FORMAT")):
        data = store.flipped(tmp_path, pathlib.Path("FORMAT"), at)
        if at % 20 == 0:
            assert "FORMAT: " in verify(data).stdout
        done = subprocess.run([conftest.server_binary(), "serve", "--listen", "127.0.0.1:0", "--data",
                               str(data)], env=conftest.clean_env(), capture_output=True, text=True,
                              timeout=conftest.START_SECONDS, check=False)
        assert done.returncode != 0, at
        assert "'FORMAT'" in done.stdout + done.stderr, at

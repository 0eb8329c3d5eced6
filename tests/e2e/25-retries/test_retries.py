"""A pushed profile that comes again counts once, or not, as ingest.dedup says: in one push, in the
next, after a kill, and after it was sealed."""
import json
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from pprof_wire import profile, push  # noqa: E402  pylint: disable=wrong-import-position

LABELS = {"__name__": "process_cpu", "service_name": "shop"}
CPU = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"


def body(now, row_id, value=5):
    return profile({"main;work": (value,)}, now * 10 ** 9), row_id


def send(server, *profiles, labels=LABELS):
    answer = server.post("/push.v1.PusherService/Push", push((labels, *profiles)),
                         headers={"Content-Type": "application/proto"})
    assert answer.status == 200, answer.text


def total(server, now):
    answer = server.post("/querier.v1.QuerierService/SelectMergeStacktraces", json.dumps(
        {"profileTypeID": CPU, "labelSelector": "{}", "start": (now - 60) * 1000,
         "end": (now + 60) * 1000}).encode(), headers={"Content-Type": "application/json"})
    assert answer.status == 200, answer.text
    return int(json.loads(answer.body)["flamegraph"].get("total", 0))


@pytest.mark.parametrize("mode, with_id, without_id", [("id", 1, 3), ("content", 1, 1), ("off", 3, 3)])
def test_the_setting_says_what_counts_once(start_server, mode, with_id, without_id):
    server, now = start_server("--ingest.dedup", mode), int(time.time())
    for row_id, times in (("a", with_id), ("", without_id)):
        before = total(server, now)
        send(server, body(now, row_id), body(now, row_id))  # twice in one push
        send(server, body(now, row_id))
        assert total(server, now) - before == 5 * times
        now += 1  # another time is another profile
    duplicates = 6 - with_id - without_id
    assert f"flamekeep_push_duplicates_total {duplicates}" in server.get("/metrics").text


def test_another_id_time_or_stream_is_another_profile(start_server):
    server, now = start_server(), int(time.time())
    send(server, body(now, "a"))
    send(server, body(now, "b"))
    send(server, body(now + 1, "a"))
    send(server, body(now, "a"), labels={**LABELS, "pod": "p1"})
    assert total(server, now) == 20


@pytest.mark.parametrize("mode", ["id", "content"])
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_repetition_is_known_after_a_restart(start_server, tmp_path, mode, end):
    data, now = tmp_path / "data", int(time.time())
    server = start_server("--ingest.dedup", mode, data=data)
    send(server, body(now, "a"))
    for _ in range(3):
        if end == "kill":
            server.kill()
        else:
            assert server.stop() == 0  # heads are sealed on the way
        server = start_server("--ingest.dedup", mode, data=data)
        send(server, body(now, "a"))
        assert total(server, now) == 5
    send(server, body(now, "b", value=6))
    assert total(server, now) == 11


def test_what_is_remembered_has_a_limit(start_server):
    server, now = start_server("--ingest.dedup.max_bytes", "16KiB"), int(time.time())
    for n in range(8):
        send(server, *(body(now, f"{n}-{i}") for i in range(100)))
    metrics = server.get("/metrics").text
    assert total(server, now) == 8 * 100 * 5
    figures = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line[:1] != "#")
    assert int(figures["flamekeep_dedup_bytes"]) <= 16 << 10
    assert int(figures["flamekeep_dedup_forgotten_total"]) > 0

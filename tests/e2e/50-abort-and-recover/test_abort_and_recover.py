"""kill -9 under load, again and again: what was acknowledged is there exactly once.

Several threads push; every push has a function and a value of its own. A push is noted in a side
file only after its 200. The server is killed at a random moment and started on the same data;
at the end every noted push must be found exactly once with its value, and nothing that was never
sent. Pushes without an answer may be there or not, whole.

FLAMEKEEP_KILLS=n sets the number of kills.
"""
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request

KILLS = int(os.environ.get("FLAMEKEEP_KILLS", "8"))
THREADS = 4
SERVICES = 3
# How long a life lasts: long enough for some group commits, short enough for many lives.
LIFE_SECONDS = (0.05, 0.6)
BASE_S = 1_700_000_000


class Load:
    """Threads that push until told to stop; they find a new port when the server comes back."""

    def __init__(self, side_file):
        self.port = None
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.next_id, self.sent, self.acked = 0, {}, set()
        self.side_file = open(side_file, "a", buffering=1, encoding="ascii")
        self.threads = [threading.Thread(target=self.run) for _ in range(THREADS)]

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join()
        self.side_file.close()

    def run(self):
        while not self.stopping.is_set():
            port = self.port
            if port is None:
                self.stopping.wait(0.005)
                continue
            with self.lock:
                i = self.next_id
                self.next_id += 1
                self.sent[i] = i + 1
            if self.push(port, i):
                self.side_file.write(f"{i}\n")
                with self.lock:
                    self.acked.add(i)

    def push(self, port, i):
        url = (f"http://127.0.0.1:{port}/ingest?name=svc{i % SERVICES}.inuse_space"
               f"&from={BASE_S + i % 3 * 86400}")
        request = urllib.request.Request(url, f"main;fn{i} {i + 1}\n".encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


def stored(server):
    """{push: value} of everything the server holds; a push that is there twice has twice its value."""
    found = {}
    for s in range(SERVICES):
        body = json.dumps({
            "profileTypeID": "memory:inuse_space:bytes::",
            "labelSelector": f'{{service_name="svc{s}"}}',
            "start": (BASE_S - 86400) * 1000, "end": (BASE_S + 5 * 86400) * 1000,
            "maxNodes": 1048576}).encode()
        reply = server.post("/querier.v1.QuerierService/SelectMergeStacktraces", body,
                            headers={"Content-Type": "application/json"})
        assert reply.status == 200, reply.text
        graph = json.loads(reply.body)["flamegraph"]
        for level in graph["levels"]:
            values = [int(v) for v in level["values"]]
            for at in range(0, len(values), 4):
                name = graph["names"][values[at + 3]]
                if name.startswith("fn"):
                    assert int(name[2:]) not in found
                    found[int(name[2:])] = values[at + 2]
    return found


def check(server, load):
    found = stored(server)
    with load.lock:
        sent, acked = dict(load.sent), set(load.acked)
    lost = [i for i in acked if i not in found]
    assert not lost, f"acknowledged and gone: {lost[:10]} of {len(acked)}"
    wrong = [(i, v, sent.get(i)) for i, v in found.items() if sent.get(i) != v]
    assert not wrong, f"push, stored value, pushed value: {wrong[:10]}"
    return len(found), len(acked)


def test_every_acknowledged_push_survives_kill_9_exactly_once(start_server, tmp_path):
    rng = random.Random(20261123)
    load = Load(tmp_path / "acknowledged")
    server = start_server("--head.seal_bytes", "64KiB", "--head.max_bytes", "4MiB")
    load.start()
    try:
        for kill in range(KILLS):
            load.port = server.port
            time.sleep(rng.uniform(*LIFE_SECONDS))  # the moment of the kill, not a wait for anything
            load.port = None
            if kill % 10 == 9:
                assert server.stop() == 0
            else:
                server.kill()
            server.start()
            if kill % 20 == 19:
                check(server, load)
        load.port = server.port
    finally:
        load.stop()
    rows, acked = check(server, load)
    assert acked > KILLS, "the load did nothing"
    print(f"{KILLS} kills: {acked} acknowledged, {rows} stored, {len(load.sent)} sent, none lost")

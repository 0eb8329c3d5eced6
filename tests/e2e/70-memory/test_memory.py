"""One number for memory: under pushes and large questions at once, the process stays below it,
every request gets an answer, and the sums are exact."""
import json
import os
import re
import subprocess
import threading
import time
import urllib.parse

LIMIT = 128 << 20
PUSHERS, PUSHES = 3, 12
ASKERS, STACKS = 3, 500
TRIES = 200
TYPE = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"


def folded(who, push):
    """Stacks that no other push has, so that dictionaries grow."""
    return "".join(f"main;handler_{who}_{push};a_function_with_a_long_name_{who}_{push}_{i};"
                   f"leaf_{i % 97} 1\n" for i in range(STACKS)).encode()


def peak_bytes(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) << 10


def push(server, statuses, who, now):
    for n in range(PUSHES):
        body = folded(who, n)
        query = urllib.parse.urlencode({"name": f"memory-{who}.cpu", "from": now, "until": now + 10,
                                        "format": "folded", "sampleRate": 100})
        for _ in range(TRIES):
            status = server.post(f"/ingest?{query}", body).status
            statuses.append(status)
            if status == 200:
                break


def ask(server, now):
    body = json.dumps({"profileTypeID": TYPE, "labelSelector": "{}", "start": (now - 3600) * 1000,
                       "end": (now + 3600) * 1000, "maxNodes": 1_000_000}).encode()
    return server.post("/querier.v1.QuerierService/SelectMergeStacktraces", body,
                       headers={"Content-Type": "application/json"}, timeout=60)


def test_the_process_stays_below_its_number_and_answers_exactly(start_server):
    server = start_server("--memory.max_bytes", str(LIMIT), "--limits.nodes_max", "1000000")
    now, pushed, asked = int(time.time()), [], []
    pushers = [threading.Thread(target=push, args=(server, pushed, who, now))
               for who in range(PUSHERS)]
    done = threading.Event()

    def keep_asking():
        while not done.is_set():
            asked.append(ask(server, now).status)

    askers = [threading.Thread(target=keep_asking) for _ in range(ASKERS)]
    for t in pushers + askers:
        t.start()
    for t in pushers:
        t.join()
    done.set()
    for t in askers:
        t.join()
    assert set(pushed) <= {200, 429, 503}
    assert pushed.count(200) == PUSHERS * PUSHES
    assert set(asked) <= {200, 429, 503}
    answer = ask(server, now)  # nothing else runs any more
    assert answer.status == 200, answer.text
    total = int(json.loads(answer.body)["flamegraph"]["total"])
    assert total == PUSHERS * PUSHES * STACKS * 10_000_000
    metrics = server.get("/metrics").text
    assert f"flamekeep_memory_limit_bytes {LIMIT}" in metrics
    assert 'flamekeep_memory_bytes{account="queries"} 0' in metrics
    peak = peak_bytes(server)
    print(f"peak {peak >> 20} MiB, pushes {len(pushed)}, questions {len(asked)}, "
          f"refused {sum(s != 200 for s in pushed)} and {sum(s != 200 for s in asked)}")
    if os.environ.get("FLAMEKEEP_VARIANT") not in ("asan", "tsan"):  # they multiply memory
        assert peak < LIMIT


def test_a_number_too_small_is_refused_with_what_is_needed(tmp_path):
    # A server of the fixture would have to start.
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLAMEKEEP_")}
    run = subprocess.run([os.environ["TEST_SERVER"], "serve", "--listen", "127.0.0.1:0", "--data",
                          str(tmp_path / "d"), "--memory.max_bytes", "16MiB"], capture_output=True,
                         env=env, text=True, timeout=20, check=False)
    assert run.returncode == 78
    assert "memory.max_bytes" in run.stderr + run.stdout
    assert str(LIMIT) in run.stderr + run.stdout
